//! The alerts and the dashboard that are shipped: promtool understands them, and they name what is exposed.
//! What the alerts fire on is tested by `make alerts`.

use super::harness::{Load, Nginx, Origin, Pointsman, Reaction};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(root().join("conf").join(file)).expect("a file")
}

/// Every name that begins as our metrics do.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ends = |rest: &str| rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let starts = text.match_indices("pointsman_").map(|(start, _)| &text[start..]);
    starts.map(|rest| &rest[..ends(rest)]).collect()
}

/// The metrics that the source knows, with samples or without.
pub fn exposed() -> BTreeSet<String> {
    let dir = root().join("src/observe");
    let inner = std::fs::read_dir(dir.join("metrics")).expect("a directory");
    let files = inner.map(|entry| entry.expect("an entry").path()).filter(|file| !file.ends_with("tests.rs"));
    let mut known = BTreeSet::new();
    for file in files.chain([dir.join("metrics.rs")]) {
        let text = std::fs::read_to_string(file).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let literals = code.split('"').skip(1).step_by(2);
        let is_name =
            |literal: &&str| ["pointsman_", "process_"].iter().any(|family| literal.starts_with(family));
        known.extend(literals.filter(is_name).map(str::to_owned));
    }
    known
}

/// Every `expr` of the dashboard, with Grafana's variables filled in.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let expression = fields.get("expr").and_then(Value::as_str);
            found.extend(expression.map(|text| {
                text.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$service", "web")
            }));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        _ => (),
    }
}

#[test]
fn alerts_and_dashboard_name_metrics_that_are_exposed() {
    let exposed = exposed();
    assert!(exposed.len() > 10, "the test must see the names: {exposed:?}");
    let (rules, dashboard) = (shipped("prometheus/alerts.yml"), shipped("grafana/pointsman.json"));
    for name in names(&rules).into_iter().chain(names(&dashboard)) {
        let family = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let known = [Some(name), family].into_iter().flatten().any(|name| exposed.contains(name));
        assert!(known, "{name} is not exposed; there are {exposed:?}");
    }
}

#[test]
fn what_alerts_advise_is_safe_after_an_abort() {
    // An alert does not know whether the traffic is back on stable already: what went before it is no way out then.
    assert!(!shipped("prometheus/alerts.yml").contains("pointsman rollback"));
}

#[test]
fn the_dashboard_is_what_grafana_and_prometheus_understand() {
    let dashboard: Value = serde_json::from_str(&shipped("grafana/pointsman.json")).expect("JSON");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 38), "Grafana 10");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|variable| variable["type"] == "datasource"));
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets").iter().chain([panel]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() >= panels.len());
    let rules: Vec<_> = found
        .iter()
        .enumerate()
        .map(|(index, expr)| serde_json::json!({ "record": format!("panel:{index}"), "expr": expr }))
        .collect();
    // JSON is YAML.
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let dir = tempfile::tempdir().expect("a directory");
    let file: PathBuf = dir.path().join("rules.yml");
    std::fs::write(&file, rules.to_string()).expect("a file");
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    let checked = checked.expect("promtool is installed: make setup-test");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn an_abort_is_an_increase_that_an_alert_sees() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let text = format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        nginx.addresses[0], green.address
    );
    let pointsman = Pointsman::start(&text);
    let aborted =
        |count: u32| format!("pointsman_rollouts_total{{outcome=\"aborted\",service=\"web\"}} {count}\n");
    let before = pointsman.get("/metrics").text();
    assert!(before.contains(&aborted(0)), "{before}");
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    load.stop();
    let after = pointsman.get("/metrics").text();
    assert!(after.contains(&aborted(1)), "{after}");
}
