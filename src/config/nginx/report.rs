//! The report: what has no fate yet gets one, the notes are put in order, and everything is counted.
//!
//! Lines of data and files of distributions are counted apart, so that the counts are about what somebody has
//! written.

use super::harmless::is_harmless_file;
use super::include::Tree;
use super::known;
use super::ledger::{Counts, Fate, Ledger, Level, Marked, Note};
use super::tree::Directive;

/// The notes, the gravest first and then in the order of the tree, and the counts.
pub(super) fn close(ledger: Ledger, tree: &Tree) -> (Vec<Note>, Counts) {
    let mut books = Books { fates: ledger.into_fates(), notes: Vec::new(), counts: Counts::default() };
    tree.directives.iter().for_each(|directive| books.enter(directive, Around::Nothing));
    books.notes.sort_by_key(|note| note.weight);
    (books.notes, books.counts)
}

struct Books {
    fates: Vec<Marked>,
    notes: Vec<Note>,
    counts: Counts,
}

impl Books {
    fn enter(&mut self, directive: &Directive, around: Around) {
        let marked = self.fates.get_mut(directive.id).and_then(Option::take);
        let is_marked = marked.is_some();
        let is_file = is_harmless_file(&directive.place.file);
        let (fate, details) = match (&around, marked) {
            (Around::Data(fate), _) => (*fate, Vec::new()),
            (_, Some(marked)) => marked,
            (Around::Block(fate, name, line), None) => {
                (*fate, vec![format!("it stands in {name} of line {line}")])
            }
            (Around::Nothing, None) => {
                let (fate, detail) = known::fate(directive);
                (fate, vec![detail])
            }
        };
        match fate.level {
            _ if is_file || matches!(around, Around::Data(_)) => self.counts.apart += 1,
            Level::Carried => self.counts.carried += 1,
            Level::Noted => self.counts.noted += 1,
            Level::Missing => self.counts.missing += 1,
        }
        if fate.level > Level::Carried && !matches!(around, Around::Data(_)) {
            self.note(directive, fate, &details, is_file);
        }
        // A block that some part has marked says nothing of what is in it.
        let within = match around {
            Around::Data(fate) => Around::Data(fate),
            _ if directive.holds_data() => Around::Data(fate),
            Around::Block(..) if !is_marked => around,
            _ if fate.level > Level::Carried && !is_marked => {
                Around::Block(fate, directive.name.clone(), directive.place.line)
            }
            _ => Around::Nothing,
        };
        directive.block().iter().for_each(|inner| self.enter(inner, within.clone()));
    }

    /// A file that is included twice has one note for each of its lines; a file of a distribution has one for all
    /// that it says with the same effect.
    fn note(&mut self, directive: &Directive, fate: Fate, details: &[String], is_file: bool) {
        let note = Note {
            file: directive.place.file.to_string(),
            line: directive.place.line,
            directive: directive.summary(),
            level: fate.level,
            weight: fate.weight,
            detail: details.join("; "),
        };
        let is_told = |known: &Note| {
            *known == note || is_file && (&known.file, &known.detail) == (&note.file, &note.detail)
        };
        if !self.notes.iter().any(is_told) {
            self.notes.push(note);
        }
    }
}

/// What a directive stands in, as far as that says what became of it.
#[derive(Clone)]
enum Around {
    Nothing,
    /// The lines of a block of data share its fate and have no notes of their own.
    Data(Fate),
    /// A block that was not carried over whole, its name and line.
    Block(Fate, String, usize),
}
