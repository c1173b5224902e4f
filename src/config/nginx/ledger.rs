//! What became of every directive: nothing may be lost on the way.
//!
//! The parts of the import mark the directives they used. What nobody has marked at the end gets its
//! fate from [`super::known`], and what is not known there was not carried over. Where two parts
//! disagree about a directive that many locations inherit, the worse news stands.

use super::include::Tree;
use super::known;
use super::tree::Directive;
use serde::Serialize;
use std::cell::RefCell;

/// In the order of how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It has the same effect.
    Carried,
    /// It has a slightly different effect, or is not needed.
    Noted,
    /// It has no effect any more.
    Missing,
}

/// A directive that was noted or is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub file: String,
    pub line: usize,
    /// Name and arguments.
    pub directive: String,
    pub level: Level,
    /// Why, and what to do.
    pub detail: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.level == Level::Missing { "not carried over" } else { "noted" };
        write!(f, "{}:{}: {}: {word}: {}", self.file, self.line, self.directive, self.detail)
    }
}

/// How many directives had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub carried: usize,
    pub noted: usize,
    pub missing: usize,
}

/// What became of a directive, and why; `None` as long as nobody has said.
type Fate = Option<(Level, Vec<String>)>;

/// One entry for each directive of a tree, by its number.
#[derive(Debug)]
pub(super) struct Ledger {
    fates: RefCell<Vec<Fate>>,
}

impl Ledger {
    pub(super) fn new(count: usize) -> Self {
        Ledger { fates: RefCell::new(vec![None; count]) }
    }

    pub(super) fn carried(&self, directive: &Directive) {
        self.mark(directive, Level::Carried, "");
    }

    pub(super) fn noted(&self, directive: &Directive, detail: &str) {
        self.mark(directive, Level::Noted, detail);
    }

    pub(super) fn missing(&self, directive: &Directive, detail: &str) {
        self.mark(directive, Level::Missing, detail);
    }

    /// A directive and all that is in it and has no fate yet.
    pub(super) fn whole(&self, directive: &Directive, level: Level, detail: &str) {
        self.mark(directive, level, detail);
        let inside = format!("it stands in {} of line {}", directive.name, directive.place.line);
        directive.visit(&mut |inner| {
            let fresh = self.fates.borrow().get(inner.id).is_some_and(Option::is_none);
            if fresh {
                self.mark(inner, level, &inside);
            }
        });
    }

    fn mark(&self, directive: &Directive, level: Level, detail: &str) {
        let mut fates = self.fates.borrow_mut();
        let Some(fate) = fates.get_mut(directive.id) else { return };
        match fate {
            Some((known, _)) if *known > level => {}
            Some((known, details)) if *known == level => {
                if !details.iter().any(|other| other == detail) {
                    details.push(detail.to_owned());
                }
            }
            _ => *fate = Some((level, vec![detail.to_owned()])),
        }
    }

    /// Gives a fate to what has none; the notes in the order of the tree, and the counts.
    pub(super) fn close(self, tree: &Tree) -> (Vec<Note>, Counts) {
        let mut books =
            Books { fates: self.fates.into_inner(), notes: Vec::new(), counts: Counts::default() };
        tree.directives.iter().for_each(|directive| books.enter(directive, Around::Nothing));
        (books.notes, books.counts)
    }
}

struct Books {
    fates: Vec<Fate>,
    notes: Vec<Note>,
    counts: Counts,
}

impl Books {
    fn enter(&mut self, directive: &Directive, around: Around) {
        let marked = self.fates.get_mut(directive.id).and_then(Option::take);
        let is_marked = marked.is_some();
        let inside =
            |level: Level, name: &str, line| (level, vec![format!("it stands in {name} of line {line}")]);
        let (level, details) = match (&around, marked) {
            (Around::Data(level), _) => (*level, Vec::new()),
            (_, Some(marked)) => marked,
            (Around::Block(level, name, line), None) => inside(*level, name, *line),
            (Around::Nothing, None) => {
                let (level, detail) = known::fate(directive);
                (level, vec![detail])
            }
        };
        match level {
            Level::Carried => self.counts.carried += 1,
            Level::Noted => self.counts.noted += 1,
            Level::Missing => self.counts.missing += 1,
        }
        if level > Level::Carried && !matches!(around, Around::Data(_)) {
            self.note(directive, level, &details);
        }
        // A block that some part has marked says nothing of what is in it.
        let within = match around {
            Around::Data(level) => Around::Data(level),
            _ if directive.holds_data() => Around::Data(level),
            Around::Block(..) if !is_marked => around,
            _ if level > Level::Carried && !is_marked => {
                Around::Block(level, directive.name.clone(), directive.place.line)
            }
            _ => Around::Nothing,
        };
        directive.block().iter().for_each(|inner| self.enter(inner, within.clone()));
    }

    /// A file that is included twice is told of once.
    fn note(&mut self, directive: &Directive, level: Level, details: &[String]) {
        let note = Note {
            file: directive.place.file.to_string(),
            line: directive.place.line,
            directive: directive.summary(),
            level,
            detail: details.join("; "),
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// What a directive stands in, as far as that says what became of it.
#[derive(Clone)]
enum Around {
    Nothing,
    /// The lines of a block of data share its fate and have no notes of their own.
    Data(Level),
    /// A block that was not carried over whole, its name and line.
    Block(Level, String, usize),
}
