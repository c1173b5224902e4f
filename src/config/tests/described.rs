//! The descriptions of the keys are right: each key that is read has one, each description is of a key that is read, and
//! its default and examples are what they say.

use super::samples::{described, document, learned, resolved};
use super::*;
use crate::config::keys::LeftOut;
use std::collections::BTreeSet;

#[test]
fn every_key_that_is_read_is_described_and_the_reverse() {
    let (learned, described) = (learned(), described());
    assert!(described.len() > 300, "{}", described.len());
    let paths: BTreeSet<&str> = described.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths.len(), described.len(), "each is described once");
    let elsewhere = documented::asked();
    let asked = learned.asked.iter().chain(&elsewhere).map(String::as_str).collect::<BTreeSet<_>>();
    let undescribed: Vec<_> = asked.difference(&paths).collect();
    assert!(undescribed.is_empty(), "src/config/keys does not describe: {undescribed:#?}");
    let unread: Vec<_> = paths
        .iter()
        .filter(|path| match path.strip_suffix(".*") {
            Some(table) => !learned.named.contains(table),
            None => !asked.contains(**path) || !learned.kinds.contains_key(**path),
        })
        .collect();
    assert!(unread.is_empty(), "nothing reads what src/config/keys describes: {unread:#?}");
}

/// Else the schema would lack one of them.
#[test]
fn the_examples_have_every_kind_of_value_that_the_reader_tells_apart() {
    let learned = learned();
    for (path, kind) in &learned.probed {
        let kinds = learned.kinds.get(path).map_or(&[][..], Vec::as_slice);
        assert!(kinds.iter().any(|taken| taken.of_toml() == *kind), "{path} has no example that is a {kind}");
        let others = kinds.iter().filter(|taken| taken.of_toml() != *kind).count();
        assert!(others > 0, "{path} has no example that is no {kind}");
    }
    assert!(learned.probed.len() > 8, "{:?}", learned.probed);
}

/// They name files and folders of a server, or need other keys than the first example does.
const NEED_MORE: [&str; 5] = [
    "access_log.path = \"access.log\"",
    "admin.tokens[].file = \"/run/secrets/ci\"",
    "routes[].files = { root = \"/srv/app\" }",
    "routes[].files.root = \"/srv/app\"",
    "notify[].kind = \"github\"",
];

#[test]
fn every_example_is_accepted() {
    let mut refused = Vec::new();
    for (path, key) in described() {
        assert!(!key.examples.is_empty(), "{path} has no example");
        assert!(key.about.ends_with('.'), "{path}: a sentence ends in a full stop");
        for example in key.examples {
            if NEED_MORE.contains(&format!("{path} = {example}").as_str()) {
                continue;
            }
            let text = document(&path, Some(example));
            if let Err(faults) = resolved(&text) {
                refused.push(format!("{path} = {example}: {faults}\n{text}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// One of several things must be there, so that leaving this one out is a fault.
const CANNOT_BE_LEFT_OUT: [&str; 1] = ["services.*.pools.*.health.type"];

#[test]
fn what_is_left_out_is_as_the_default_says() {
    let (mut checked, mut differ) = (0, Vec::new());
    for (path, key) in described() {
        let LeftOut::Default(default) = key.left_out else { continue };
        if CANNOT_BE_LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let (without, with) = (document(&path, None), document(&path, Some(default)));
        let bare = |config: Config| Config { warnings: Vec::new(), shared_digest: String::new(), ..config };
        let (without, with) = (resolved(&without).map(bare), resolved(&with).map(bare));
        match (without, with) {
            (Ok(without), Ok(with)) if without == with => checked += 1,
            (without, with) => {
                let faults = without.err().or(with.err()).map(|faults| faults.to_string());
                differ.push(format!("{path} = {default}: {faults:?}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(checked > 150, "{checked}");
}
