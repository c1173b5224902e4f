//! Conditions on requests: of rules, and of routes.

use super::cohort::{cookie_name, header_name, not_empty};
use super::front::networks;
use super::reader::{Item, Section};
use crate::core::condition::{Condition, FileCondition, Requirement, ValueTest};
use crate::core::pattern::Pattern;
use http::Method;

const KEYS: [&str; 7] = ["header", "cookie", "query", "methods", "networks", "value", "file"];

/// At least one of them; the section may have other keys.
pub(super) fn read(section: &Section<'_>) -> Condition {
    let condition = Condition {
        header: named(section, "header", |item| item.parsed(header_name)),
        cookie: named(section, "cookie", cookie_name),
        query: named(section, "query", |item| item.parsed(not_empty)),
        methods: methods(section),
        networks: networks(section, "networks"),
        values: one_or_several(section, "value", |section| {
            let of =
                section.need("of", "which text? for example \"$host\"", |item| item.template(false, None));
            requirement(section, of)
        }),
        files: one_or_several(section, "file", |section| {
            let path = section.need("path", "which file?", Item::file);
            let is_not = section.read("not", false, Item::bool);
            section.finish();
            Some(FileCondition { path: path?, is_not })
        }),
    };
    if KEYS.iter().all(|key| section.item(key).is_none()) {
        section.fault(&format!("has no condition; add one of {}", KEYS.join(", ")));
    }
    condition
}

/// A table, or a list of them.
fn one_or_several<T>(
    section: &Section<'_>,
    key: &'static str,
    read: impl Fn(&Section<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(item) = section.item(key) else { return Vec::new() };
    if item.is_array() {
        return section.tables(key).iter().filter_map(read).collect();
    }
    item.section().and_then(|section| read(&section)).into_iter().collect()
}

/// `{ name = "…", equals = "…" }`, or with `matches`, or the name alone.
fn named<N>(
    section: &Section<'_>,
    key: &'static str,
    name: impl Fn(&Item<'_>) -> Option<N>,
) -> Option<Requirement<N>> {
    let section = section.item(key)?.section()?;
    let name = section.need("name", &format!("which {key}?"), |item| name(item));
    requirement(&section, name)
}

/// What is asked of it.
fn requirement<N>(section: &Section<'_>, of: Option<N>) -> Option<Requirement<N>> {
    let equals = section.item("equals").map(|item| item.string());
    let matches = section.item("matches").map(|item| item.parsed(pattern));
    let is_not = section.read("not", false, Item::bool);
    if equals.is_some() && matches.is_some() {
        section.fault("has equals and matches; one of them");
    }
    section.finish();
    let value = match (equals, matches) {
        (None, None) => ValueTest::Any,
        (Some(text), _) => ValueTest::Equals(text?.into_bytes().into()),
        (None, Some(pattern)) => ValueTest::Matches(pattern?),
    };
    Some(Requirement { of: of?, value, is_not })
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text, false)
}

fn methods(section: &Section<'_>) -> Vec<Method> {
    let method = |text: &str| {
        let known = Method::from_bytes(text.as_bytes()).ok().filter(|_| text == text.to_ascii_uppercase());
        known.ok_or_else(|| format!("\"{text}\" is no method; write for example POST"))
    };
    let items = section.item("methods").and_then(|item| item.array()).unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(method)).collect()
}
