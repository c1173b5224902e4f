//! `[[services.*.rules]]`: requests that go to a pool for what they say.

use super::cohort::{cookie_name, header_name, not_empty};
use super::front::networks;
use super::reader::{Item, Section};
use crate::core::rule::{Pattern, Rule, Value};
use crate::core::settings::Pool;
use crate::core::tester::Wanted;
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;

type Pools = BTreeMap<Arc<str>, Pool>;

pub(super) fn rules(section: &Section<'_>, pools: &Pools) -> Arc<[Rule]> {
    section.tables("rules").iter().filter_map(|section| rule(section, pools)).collect()
}

fn rule(section: &Section<'_>, pools: &Pools) -> Option<Rule> {
    let to = section.need("pool", "where do these requests go?", |item| wanted(item, pools));
    let strict = section.item("strict");
    let rule = Rule {
        to: to.clone().unwrap_or(Wanted::Stable),
        strict: strict.as_ref().and_then(Item::bool).unwrap_or_default(),
        header: named(section, "header", |item| item.parsed(header_name)),
        cookie: named(section, "cookie", cookie_name),
        query: named(section, "query", |item| item.parsed(not_empty)),
        methods: methods(section),
        networks: networks(section, "networks"),
    };
    if let (Some(item), true, Some(Wanted::Candidate)) = (strict, rule.strict, &to) {
        item.fault("has no effect with the candidate: mostly there is none; take it out, or name a pool");
    }
    let keys = ["header", "cookie", "query", "methods", "networks"];
    if keys.iter().all(|key| section.item(key).is_none()) {
        section.fault(&format!("has no condition; add one of {}", keys.join(", ")));
    }
    section.finish();
    to.map(|to| Rule { to, ..rule })
}

fn wanted(item: &Item<'_>, pools: &Pools) -> Option<Wanted> {
    let name = item.string()?;
    let wanted = Wanted::named(&name, pools.keys());
    if wanted.is_none() {
        let names: Vec<_> = pools.keys().map(|name| &**name).collect();
        let names = names.join(", ");
        item.fault(&format!(
            "there is no pool {name}; there are: {names}, and the roles stable and candidate"
        ));
    }
    wanted
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

#[cfg(test)]
mod tests;
