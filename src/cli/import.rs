//! Configurations of other products → `pointsman.toml`. The configuration goes to standard output, what
//! was not carried over to standard error.

use super::Done;
use super::args::{Format, Import};
use super::client::Failure;
use super::out::Out;
use crate::config::nginx::{self, Counts, Level};

pub(super) fn run(action: &Import, format: Format, out: &Out) -> Result<Done, Failure> {
    let Import::Nginx { file, strict } = action;
    let imported = nginx::import(file).map_err(|error| Failure::Other(error.to_string()))?;
    match format {
        Format::Json => out.show(&imported, |_| String::new()),
        Format::Text => {
            out.raw(imported.toml.as_bytes());
            imported.notes.iter().for_each(|note| out.aside(&note.to_string()));
            out.aside(&summary(imported.counts));
        }
    }
    let lost = imported.notes.iter().any(|note| note.level == Level::Missing);
    Ok(if *strict && lost { Done::Unwell } else { Done::Well })
}

fn summary(counts: Counts) -> String {
    let Counts { carried, noted, missing } = counts;
    let all = carried + noted + missing;
    format!("{all} directives: {carried} carried over, {noted} noted, {missing} not carried over")
}
