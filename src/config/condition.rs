//! Conditions on requests: of rules, and of routes.

use super::cohort::{cookie_name, header_name, not_empty};
use super::front::networks;
use super::reader::{Item, Section};
use crate::core::condition::{Condition, Pattern, Value};
use http::Method;

const KEYS: [&str; 5] = ["header", "cookie", "query", "methods", "networks"];

/// At least one of them; the section may have other keys.
pub(super) fn read(section: &Section<'_>) -> Condition {
    let condition = Condition {
        header: named(section, "header", |item| item.parsed(header_name)),
        cookie: named(section, "cookie", cookie_name),
        query: named(section, "query", |item| item.parsed(not_empty)),
        methods: methods(section),
        networks: networks(section, "networks"),
    };
    if KEYS.iter().all(|key| section.item(key).is_none()) {
        section.fault(&format!("has no condition; add one of {}", KEYS.join(", ")));
    }
    condition
}

/// `{ name = "…", equals = "…" }`, or with `matches`, or the name alone.
fn named<N>(
    section: &Section<'_>,
    key: &'static str,
    name: impl Fn(&Item<'_>) -> Option<N>,
) -> Option<(N, Value)> {
    let section = section.item(key)?.section()?;
    let name = section.need("name", &format!("which {key}?"), |item| name(item));
    let equals = section.item("equals").map(|item| item.string());
    let matches = section.item("matches").map(|item| item.parsed(pattern));
    if equals.is_some() && matches.is_some() {
        section.fault("has equals and matches; one of them");
    }
    section.finish();
    let value = match (equals, matches) {
        (None, None) => Value::Any,
        (Some(text), _) => Value::Equals(text?.into_bytes().into()),
        (None, Some(pattern)) => Value::Matches(pattern?),
    };
    Some((name?, value))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    regex::bytes::Regex::new(text).map(Pattern).map_err(|error| error.to_string())
}

fn methods(section: &Section<'_>) -> Vec<Method> {
    let method = |text: &str| {
        let known = Method::from_bytes(text.as_bytes()).ok().filter(|_| text == text.to_ascii_uppercase());
        known.ok_or_else(|| format!("\"{text}\" is no method; write for example POST"))
    };
    let items = section.item("methods").and_then(|item| item.array()).unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(method)).collect()
}
