//! The page on observability: every metric and every field of the log has its entry, and nothing else has.

use super::alerts::{exposed, root};
use std::collections::BTreeSet;

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).expect("a file")
}

/// What the tables of a part of the page have in their first column.
fn entries(page: &str, heading: &str, until: &str) -> BTreeSet<String> {
    let (_, part) = page.split_once(heading).expect("the heading");
    let part = part.split_once(until).map_or(part, |(part, _)| part);
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// The names of fields that a line of the log may have, as the source writes them: `,\"pool\":` and `("began", …)`.
fn fields() -> BTreeSet<String> {
    let (json, times) =
        (read("src/observe/access_log/format/json.rs"), read("src/observe/access_log/format.rs"));
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let keys = json.split("\\\":").filter_map(|before| before.rsplit("\\\"").next());
    let (_, times) = times.split_once("fn times").expect("the times");
    let times = times.split("(\"").skip(1).filter_map(|rest| rest.split('"').next());
    keys.chain(times).filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_metric_has_its_entry() {
    let (page, exposed) = (read("docs/observability.md"), exposed());
    let documented = entries(&page, "\n## Metrics", "\n## Alerts");
    assert_eq!(documented, exposed.clone(), "left: the page; right: what is exposed");
    assert!(exposed.contains("process_open_fds") && exposed.len() > 30, "{exposed:?}");
}

#[test]
fn every_field_of_the_log_has_its_entry() {
    let (page, fields) = (read("docs/observability.md"), fields());
    for known in ["time", "trace_id", "earlier", "began", "grpc"] {
        assert!(fields.contains(known), "the test must see {known}: {fields:?}");
    }
    assert_eq!(
        entries(&page, "\n## The access log", "\n## Traces"),
        fields,
        "left: the page; right: the log"
    );
}
