//! The description is whole, current, and its examples are true.

use super::*;
use std::collections::BTreeSet;

fn described() -> Value {
    serde_json::from_str(openapi()).expect("JSON")
}

#[test]
fn the_committed_description_is_current() {
    let renew = "cargo run --quiet -- openapi > docs/openapi.json";
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json"));
    let is_current = committed.is_ok_and(|committed| committed == openapi());
    assert!(is_current, "docs/openapi.json is not what the types say now; renew it by `{renew}`");
}

#[test]
fn the_page_of_the_api_has_a_row_for_each_problem() {
    let page = include_str!("../../../docs/api.md");
    for kind in ProblemType::ALL {
        let (status, urn) = (kind.status().as_u16(), kind.urn());
        let row = format!("| {status} | `{urn}` | {} |", kind.remedy());
        assert!(page.contains(&row), "docs/api.md lacks: {row}");
    }
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => (),
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_said() {
    let document = described();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for reference in found {
        let target = reference.strip_prefix('#').and_then(|path| document.pointer(path));
        assert!(target.is_some_and(|target| !target.is_null()), "{reference}");
    }
    let calls = calls::all();
    let ids: BTreeSet<&str> = calls.iter().map(|call| call.id).collect();
    assert_eq!(ids.len(), calls.len(), "each operation has a name of its own");
    for call in &calls {
        assert!(call.summary.ends_with('.') && !call.answers.is_empty(), "{}", call.path);
        let has_action = call.path.contains("{action}");
        assert_eq!(has_action, !call.actions.is_empty(), "{}", call.path);
    }
}

/// Their types read and write them, with every key.
#[test]
fn every_example_is_what_it_is_an_example_of() {
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).expect("JSON");
    let mut used = BTreeSet::new();
    for call in calls::all() {
        let answers = call.answers.iter().filter_map(|answer| answer.media.as_ref());
        for shape in call.body.iter().chain(answers.map(|(_, shape)| shape)) {
            let example = examples.get(&shape.name);
            let example = example.unwrap_or_else(|| panic!("{} has no example", shape.name));
            let again = (shape.again)(example);
            assert_eq!(again.as_ref().ok(), Some(example), "{}: {again:?}", shape.name);
            used.insert(shape.name.clone());
        }
    }
    assert_eq!(used.len(), examples.len(), "every example is one of something");
}
