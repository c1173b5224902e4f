//! The keys that checks and smoke tests have in common: what is requested, and what is expected of the answer.

use super::reader::{Item, Section};
use super::service::expect;
use crate::core::pattern::Pattern;
use crate::core::settings::Statuses;
use http::Method;

/// `path`, as it stands in the request line.
pub(super) fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" must begin with / and hold no blanks")),
    }
}

/// `method`, or the default where there is none.
pub(super) fn method(section: &Section<'_>, default: Method) -> Method {
    section.read("method", default, |item| {
        item.parsed(|text| match Method::from_bytes(text.as_bytes()) {
            Ok(Method::CONNECT) => Err("asks for no path; write GET, HEAD or POST".to_owned()),
            Ok(method) if method.as_str() == text.to_ascii_uppercase() => Ok(method),
            _ => Err(format!("\"{text}\" is no method; write GET, HEAD or POST")),
        })
    })
}

/// `match`, a regular expression over the beginning of a body.
pub(super) fn pattern(section: &Section<'_>, method: &Method) -> Option<Pattern> {
    let item = section.item("match")?;
    if *method == Method::HEAD {
        item.fault(
            "has no effect with method = \"HEAD\", whose answers have no body; take one of the two out",
        );
    }
    item.parsed(|text| Pattern::new(text, false))
}

/// `expect`: a status, a range, or a list of them. A redirect must be expected to be right.
pub(super) fn expected(section: &Section<'_>) -> Statuses {
    section.read("expect", Statuses::success(), |item| {
        if !item.is_array() {
            return expect(item).map(|range| Statuses::new([range]));
        }
        let ranges = item.array()?.iter().map(expect).collect::<Option<Vec<_>>>()?;
        if ranges.is_empty() {
            item.fault("names no status; leave it out for 200-299");
        }
        Some(Statuses::new(ranges))
    })
}

/// `host`: the name that is asked for.
pub(super) fn host(section: &Section<'_>) -> Option<String> {
    section.item("host")?.parsed(|text| match http::uri::Authority::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("\"{text}\" is no host; write \"app.example\" or \"app.example:8080\"")),
    })
}

/// A whole number of times.
pub(super) fn count(item: &Item<'_>) -> Option<u32> {
    item.integer(1..=1000).map(|count| count as u32)
}
