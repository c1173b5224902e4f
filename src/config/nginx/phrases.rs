//! Values of keys, as they stand behind the equals sign.

use super::conditions::{ConditionTest, RouteCondition};
use super::pages::{Page, Shown, Source};
use super::retries::Retry;
use super::site::{AddedField, Buffering, Edits, Pool, Rule, Then, Timeouts, Tries, Upstream};
use super::toml::{fixed, list, quoted, table, template};
use super::values::show_size;
use crate::core::duration::show;
use std::collections::BTreeMap;

pub(super) fn retry_of(retry: &Retry, pool: &Pool) -> String {
    let mut causes = retry.on.clone();
    causes.dedup();
    let tries = pool.tries.unwrap_or(2).min(retry.tries.unwrap_or(10));
    let mut keys = vec![format!("on = [{}]", causes.join(", ")), format!("tries = {tries}")];
    keys.extend(retry.timeout.map(|timeout| format!("timeout = \"{}\"", show(timeout))));
    keys.extend(retry.repeats_unsafe.then(|| "unsafe = true".to_owned()));
    table(&keys)
}

/// Statuses that have the same page stand together.
pub(super) fn by_page(pages: &BTreeMap<u16, Page>) -> Vec<(String, String)> {
    let mut grouped: Vec<(Vec<String>, &Page)> = Vec::new();
    for (status, page) in pages {
        match grouped.iter_mut().find(|(_, known)| *known == page) {
            Some((statuses, _)) => statuses.push(status.to_string()),
            None => grouped.push((vec![status.to_string()], page)),
        }
    }
    let key = |statuses: Vec<String>| {
        if statuses.len() == 1 { statuses.concat() } else { quoted(&statuses.join(", ")) }
    };
    grouped.into_iter().map(|(statuses, page)| (key(statuses), page_of(page))).collect()
}

fn page_of(page: &Page) -> String {
    let mut keys = vec![match &page.source {
        Source::Path(path) => format!("path = {}", template(path)),
        Source::Route(name) => format!("route = {}", quoted(name)),
        Source::Redirect(to) => format!("redirect = {}", template(to)),
    }];
    match page.status {
        Shown::Kept => {}
        Shown::OfAnswer => keys.push("status = \"answer\"".to_owned()),
        Shown::Fixed(status) => keys.push(format!("status = {status}")),
    }
    table(&keys)
}

pub(super) fn buffer_of(buffer: &Buffering) -> Option<String> {
    let key =
        |name: &str, size: Option<u64>| size.map(|size| format!("{name} = {}", quoted(&show_size(size))));
    let keys: Vec<_> =
        [key("request", buffer.request), key("response", buffer.response)].into_iter().flatten().collect();
    (!keys.is_empty()).then(|| table(&keys))
}

pub(super) fn upstream_of(upstream: &Upstream) -> String {
    let mut keys = vec![format!("address = {}", quoted(&upstream.address))];
    keys.extend((upstream.weight != 1).then(|| format!("weight = {}", upstream.weight)));
    keys.extend(upstream.backup.then(|| "backup = true".to_owned()));
    keys.extend((upstream.max_conns > 0).then(|| format!("max_conns = {}", upstream.max_conns)));
    if keys.len() == 1 { quoted(&upstream.address) } else { table(&keys) }
}

pub(super) fn rule_of(rule: &Rule) -> String {
    let mut keys = vec![format!("match = {}", fixed(&rule.pattern)), format!("to = {}", template(&rule.to))];
    match rule.then {
        Then::Stay => {}
        Then::Next => keys.push("then = \"next\"".to_owned()),
        Then::Route => keys.push("then = \"route\"".to_owned()),
        Then::Redirect(status) => keys.push(format!("status = {status}")),
    }
    table(&keys)
}

/// What says which files are looked for, where that is not what holds anyway.
pub(super) fn tries_of(tries: &Tries) -> Option<String> {
    (!tries.candidates.is_empty()).then(|| format!("try = {}", list(&tries.candidates)))
}

pub(super) fn when_of(conditions: &[RouteCondition]) -> String {
    let one = |condition: &RouteCondition| match condition {
        RouteCondition::Methods(_) => String::new(),
        RouteCondition::Value { of, test, is_not } => {
            let mut keys = vec![format!("of = {}", template(of))];
            keys.extend(match test {
                ConditionTest::Any => None,
                ConditionTest::Equals(text) => Some(format!("equals = {}", fixed(text))),
                ConditionTest::Matches(pattern) => Some(format!("matches = {}", fixed(pattern))),
            });
            keys.extend(is_not.then(|| "not = true".to_owned()));
            table(&keys)
        }
        RouteCondition::File { path, is_not } => {
            let mut keys = vec![format!("path = {}", fixed(path))];
            keys.extend(is_not.then(|| "not = true".to_owned()));
            table(&keys)
        }
    };
    let of_kind = |key: &str, is: fn(&RouteCondition) -> bool| {
        let all: Vec<String> = conditions.iter().filter(|condition| is(condition)).map(one).collect();
        match all.as_slice() {
            [] => None,
            [only] => Some(format!("{key} = {only}")),
            several => Some(format!("{key} = [{}]", several.join(", "))),
        }
    };
    let methods = conditions.iter().filter_map(|condition| match condition {
        RouteCondition::Methods(methods) => Some(format!("methods = {}", list(methods))),
        _ => None,
    });
    let mut keys: Vec<String> = methods.collect();
    keys.extend(of_kind("value", |condition| matches!(condition, RouteCondition::Value { .. })));
    keys.extend(of_kind("file", |condition| matches!(condition, RouteCondition::File { .. })));
    table(&keys)
}

pub(super) fn timeouts_of(timeouts: &Timeouts, common: Option<&Timeouts>) -> String {
    let each = [
        ("connect", timeouts.connect, common.map(|common| common.connect)),
        ("read", timeouts.read, common.map(|common| common.read)),
        ("write", timeouts.write, common.map(|common| common.write)),
    ];
    let differing = each.iter().filter(|(_, time, common)| *common != Some(*time));
    table(&differing.map(|(key, time, _)| format!("{key} = \"{}\"", show(*time))).collect::<Vec<_>>())
}

pub(super) fn edits_of(edits: &Edits) -> String {
    let fields = |fields: &[(String, String)]| {
        table(
            &fields
                .iter()
                .map(|(name, value)| format!("{} = {}", quoted(name), template(value)))
                .collect::<Vec<_>>(),
        )
    };
    let mut keys = Vec::new();
    keys.extend((!edits.set.is_empty()).then(|| format!("set = {}", fields(&edits.set))));
    let added = |field: &AddedField| match field.of_successes {
        true => {
            format!("{} = {{ value = {}, on = \"success\" }}", quoted(&field.name), template(&field.value))
        }
        false => format!("{} = {}", quoted(&field.name), template(&field.value)),
    };
    let added: Vec<String> = edits.add.iter().map(added).collect();
    keys.extend((!added.is_empty()).then(|| format!("add = {}", table(&added))));
    keys.extend((!edits.remove.is_empty()).then(|| format!("remove = {}", list(&edits.remove))));
    table(&keys)
}
