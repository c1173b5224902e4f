//! What must hold of any configuration of nginx.

use super::{Counts, Imported, Level, convert, include};
use crate::config::Fault;
use std::path::Path;

/// The text of a configuration of nginx.
pub fn nginx_import(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tree = match include::read_text(&text, "nginx.conf") {
        Ok(tree) => tree,
        Err(error) => {
            return assert!(error.line > 0 && error.column > 0 && !error.detail.is_empty(), "{error}");
        }
    };
    let imported = convert(&tree);
    nothing_is_dropped(&imported, tree.count);
    assert_eq!(imported, convert(&tree), "it becomes the same each time");
    let faults = unsound(&imported);
    assert!(faults.is_empty(), "{faults:#?}\n{}", imported.toml);
}

/// Every directive has one fate, and what was not carried over whole is in the report, with its place.
pub(super) fn nothing_is_dropped(imported: &Imported, directives: usize) {
    let Counts { carried, noted, missing, apart } = imported.counts;
    assert_eq!(carried + noted + missing + apart, directives);
    let told = |level| imported.notes.iter().filter(|note| note.level == level).count();
    assert!(told(Level::Carried) == 0 && told(Level::Noted) <= noted && told(Level::Missing) <= missing);
    assert_eq!((noted > 0, missing > 0), (told(Level::Noted) > 0, told(Level::Missing) > 0));
    for note in &imported.notes {
        assert!(note.line > 0 && !note.directive.is_empty() && !note.detail.is_empty(), "{note}");
    }
}

/// What is wrong with the result, beside what nginx's configuration lacked, too, and files of this machine.
pub(super) fn unsound(imported: &Imported) -> Vec<Fault> {
    const EXCUSED: [&str; 5] = [
        "(os error ",
        "no folder that can be read",
        "there is no listener",
        "there is no route",
        "there is no service; add",
    ];
    let base = Path::new("/nonexistent");
    let faults = crate::config::parse(&imported.toml, "pointsman.toml", &|_| None, base).err();
    let faults = faults.into_iter().flat_map(|faults| faults.faults);
    faults.filter(|fault| !EXCUSED.iter().any(|excuse| fault.detail.contains(excuse))).collect()
}
