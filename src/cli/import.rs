//! Configurations of other products → `pointsman.toml`. The configuration goes to standard output, what
//! was not carried over to standard error, the gravest first.

mod answers;
mod diff;

use super::Done;
use super::args::{Format, Import};
use super::client::Failure;
use super::out::Out;
use crate::config::nginx::{self, Counts, Level, Note, Weight};

pub(super) fn run(action: &Import, format: Format, out: &Out) -> Result<Done, Failure> {
    let Import::Nginx { file, strict, diff, requests } = action;
    if let [theirs, ours] = diff.as_slice() {
        return diff::run(file, (theirs, ours), requests.as_deref(), out);
    }
    let imported = nginx::import(file).map_err(|error| Failure::Other(error.to_string()))?;
    match format {
        Format::Json => out.show(&imported, |_| String::new()),
        Format::Text => {
            out.raw(imported.toml.as_bytes());
            report(&imported.notes, out);
            out.aside(&summary(imported.counts));
        }
    }
    let lost = imported.notes.iter().any(|note| note.level == Level::Missing);
    Ok(if *strict && lost { Done::Unwell } else { Done::Well })
}

/// The notes, each group below what it is about.
fn report(notes: &[Note], out: &Out) {
    let mut group = None;
    for note in notes {
        if group.replace(note.weight) != Some(note.weight) {
            out.aside(heading(note.weight));
        }
        out.aside(&note.to_string());
    }
}

fn heading(weight: Weight) -> &'static str {
    match weight {
        Weight::Protection => {
            "# Protection that was not carried over; what it is for is denied until something else protects it:"
        }
        Weight::Unanswered => "# Not carried over, and answered 501 until it is:",
        Weight::Difference => "# Done otherwise, or not any more:",
        Weight::Harmless => "# Without an effect on what is answered:",
    }
}

fn summary(counts: Counts) -> String {
    let Counts { carried, noted, missing, apart } = counts;
    let all = carried + noted + missing;
    let data = if apart == 0 { String::new() } else { format!(", and {apart} lines of data") };
    format!("{all} directives{data}: {carried} carried over, {noted} noted, {missing} not carried over")
}
