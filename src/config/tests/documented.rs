//! Every key that is read is documented in `conf/pointsman.toml`, in the section it belongs to.

use super::*;
use std::collections::BTreeSet;

/// Enters every section that there can be; nothing in it needs to be right. A name that users choose is `chosen`.
const EVERYWHERE: &str = r#"
server = { retention = {} }
limits = {}
access_log = {}
otlp = { headers = {} }
docker = {}
fleet = { etcd = {}, secret = {} }
admin = { tokens = [{}], tls = { certificates = [{}] } }
acme = {}
compression = {}
maintenance = {}
headers = { request = {}, response = { set = { chosen = {} }, add = { chosen = {} } } }
error_pages = { 404 = {} }
rate_limits = { chosen = {} }
values = { chosen = "" }
maps = { picked = { values = { chosen = "" } } }
policies = { chosen = { error_rate = {}, differences = {}, latency_p95 = {}, duration_p95 = {}, abandoned = {}, relative = {}, failures = {}, health = {}, signals = [{}] } }
[[listeners]]
tls = { certificates = [{}] }
timeouts = {}
limits = {}
[[routes]]
when = { header = {}, cookie = {}, query = {}, value = [{}], file = [{}] }
files = {}
basic_auth = {}
authorize = { forward = [{}] }
timeouts = {}
limits = {}
relocate = [{}]
cookie_paths = [{}]
cookie_domains = [{}]
cookie_flags = {}
forwarded = {}
rewrite = [{}]
[[routes]]
redirect = {}
cookie_flags = [{}]
cookie_paths = [{ matches = "a" }]
[[routes]]
reply = {}
[[sets]]
[[notify]]
kind = "slack"
[[notify]]
kind = "webhook"
[[notify]]
kind = "github"
[services.chosen]
shield = {}
cohort = { by = "cookie" }
testers = {}
rules = [{ header = {}, cookie = {}, query = {}, value = [{}], file = [{}] }]
mirror = { compare = {} }
rollout = { smoke = [{}], hooks = [{}], rolling = { hook = {} }, after = {}, warmup = {}, steps = [{}] }
[services.other]
cohort = { by = "text" }
[services.short]
upstreams = [{}]
[services.chosen.pools.chosen]
timeouts = {}
forwarded = {}
retry = {}
buffer = {}
passive = {}
health = {}
tls = { client = {} }
upstreams = [{}]
"#;

/// What follows these is a name that users choose.
const NAMED: [&str; 6] = ["services", "pools", "policies", "rate_limits", "maps", "values"];

/// Says that two keys take the same table, with the place of the one that is documented.
const SAME: [(&str, &str); 20] = [
    ("routes[].authorize.forward[]", "routes[]"),
    ("routes[].cookie_flags[]", "routes[]"),
    ("routes[].forwarded", "services.*.pools.*.forwarded"),
    ("error_pages.*", "error_pages"),
    ("headers.response.set.*", "headers.response"),
    ("headers.response.add.*", "headers.response"),
    ("routes[].when", "services.*.rules[]"),
    ("routes[].when.header", "services.*.rules[].header"),
    ("routes[].when.cookie", "services.*.rules[].header"),
    ("routes[].when.query", "services.*.rules[].header"),
    ("routes[].headers", "headers"),
    ("admin.tls", "listeners[].tls"),
    ("services.*.upstreams[]", "services.*.pools.*.upstreams[]"),
    ("routes[].when.value[]", "services.*.rules[].value"),
    ("routes[].when.file[]", "services.*.rules[].file"),
    ("services.*.rules[].value[]", "services.*.rules[].value"),
    ("services.*.rules[].file[]", "services.*.rules[].file"),
    ("services.*.rules[].cookie", "services.*.rules[].header"),
    ("services.*.rules[].query", "services.*.rules[].header"),
    ("services.*.rollout.rolling.hook", "services.*.rollout.hooks[]"),
];

fn normal(path: &str) -> String {
    let mut normal = String::new();
    let mut before = "";
    for (index, part) in path.split('.').enumerate() {
        let (name, list) = part.split_once('[').map_or((part, ""), |(name, _)| (name, "[]"));
        let is_chosen = NAMED.contains(&before);
        before = if is_chosen { "" } else { name };
        let name = if is_chosen { "*" } else { name };
        normal.push_str(&format!("{}{name}{list}", if index > 0 { "." } else { "" }));
    }
    normal
}

/// Every key that reading asks for, by its normal path.
pub(super) fn asked() -> BTreeSet<String> {
    samples::learn(EVERYWHERE).asked
}

/// The example with the path of the section each of its lines belongs to; what is commented out counts.
fn sections(example: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in example.lines() {
        let bare = line.trim_start_matches('#').trim_start();
        let header = bare.split(']').next().unwrap_or_default().trim_start_matches('[');
        let is_header = bare.starts_with('[')
            && !header.is_empty()
            && header.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
        if is_header {
            let list = if bare.starts_with("[[") { "[]" } else { "" };
            section = normal(header) + list;
            // `[listeners.tls]` belongs to the list before it.
            for list in ["listeners", "routes", "notify"] {
                section = section.replace(&format!("{list}."), &format!("{list}[]."));
            }
            section = section.replace("rules.", "rules[].");
        }
        lines.push((section.clone(), bare.to_owned()));
    }
    lines
}

fn names(line: &str, key: &str) -> bool {
    line.match_indices(key).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + key.len()..].trim_start();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-' && c != '"')
            && after.starts_with(['=', ':'])
    })
}

/// The lines that a section is documented in: its own, or, where it stands as a value, the line of its key
/// with those that follow, up to the next key.
fn area<'a>(lines: &'a [(String, String)], path: &str) -> Vec<&'a str> {
    let path = SAME.iter().find(|(same, _)| *same == path).map_or(path, |(_, place)| place);
    let own: Vec<_> = lines.iter().filter(|(section, _)| section == path).map(|(_, line)| &**line).collect();
    let Some((outer, name)) = path.rsplit_once('.').or(Some(("", path))).filter(|_| own.is_empty()) else {
        return own;
    };
    let name = name.trim_end_matches("[]");
    let around = area(lines, outer);
    let mut inside = false;
    let mut found = Vec::new();
    for line in around {
        let key: String = line.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let begins = !key.is_empty() && line[key.len()..].starts_with(" = ");
        inside = names(line, name) || (inside && !begins);
        if inside {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_key_is_documented_where_it_belongs() {
    let lines = sections(include_str!("../../../conf/pointsman.toml"));
    let keys = asked();
    assert!(keys.len() > 200, "the walk must see the keys: {}", keys.len());
    let missing: Vec<_> = keys
        .iter()
        .filter(|path| {
            let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
            let key = key.trim_end_matches("[]");
            let is_section = lines.iter().any(|(section, _)| {
                section == *path
                    || section.starts_with(&format!("{path}."))
                    || section == &format!("{path}[]")
            });
            !is_section && !key.is_empty() && !area(&lines, section).iter().any(|line| names(line, key))
        })
        .collect();
    assert!(missing.is_empty(), "not documented in conf/pointsman.toml: {missing:#?}");
}

/// A key of which the walk knows nothing would go unseen.
#[test]
fn the_walk_enters_every_section() {
    let keys = asked();
    let mut unseen = BTreeSet::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            if path.is_dir() && !path.ends_with("nginx") && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("weak.rs") {
                let text = std::fs::read_to_string(&path).expect("a file");
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for call in ["item(\"", "read(\"", "need(\"", "duration(\"", "section(\"", "tables(\""] {
                    for rest in text.split(call).skip(1) {
                        let key = rest.split('"').next().unwrap_or_default().to_owned();
                        let is_seen = keys.iter().any(|path| path.rsplit('.').next() == Some(&key));
                        if !is_seen && !key.is_empty() && !key.contains(' ') {
                            unseen.insert(key);
                        }
                    }
                }
            }
        }
    }
    assert!(unseen.is_empty(), "EVERYWHERE enters no section with: {unseen:?}");
}
