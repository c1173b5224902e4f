//! `[error_pages]`, and pages in general: files that are read once and sent to many.

use super::reader::{Item, Section};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The largest page; it is held in memory and sent to everybody.
const LARGEST_PAGE: usize = 1 << 20;

/// A page by status, for errors that the proxy makes itself.
pub(super) fn error_pages(section: &Section<'_>) -> BTreeMap<u16, Bytes> {
    let read = |(status, item): &(String, Item<'_>)| {
        let number = status.parse().ok().filter(|number| (400..=599).contains(number));
        if number.is_none() {
            item.fault(&format!("\"{status}\" is no status of an error; write 502 = \"50x.html\""));
        }
        let page = page_or_built_in(item);
        Some((number?, page?))
    };
    section.entries().iter().filter_map(read).collect()
}

/// A page that is not there is no reason not to serve: another one is built in.
fn page_or_built_in(item: &Item<'_>) -> Option<Bytes> {
    let path = item.file()?;
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            item.warn(&format!(
                "there is no file {}: the built-in page is sent until there is one and the configuration is reloaded",
                path.display()
            ));
            None
        }
        _ => page(item),
    }
}

pub(super) fn page(item: &Item<'_>) -> Option<Bytes> {
    let path = item.file()?;
    match std::fs::read(&path) {
        Ok(page) if page.len() <= LARGEST_PAGE => return Some(page.into()),
        Ok(_) => {
            item.fault(&format!("{} has more than {LARGEST_PAGE} bytes; make it smaller", path.display()))
        }
        Err(error) => item.fault(&format!("{}: {error}", path.display())),
    }
    None
}
