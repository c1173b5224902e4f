//! Who serves while no pool with weight can.

use super::versions::{HALF, Version, Versions, abort, becomes, met, promote};
use crate::harness::{Origin, Pointsman, Reaction, eventually, get};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const BOTH: &[&str] = &["blue", "green"];
const ALL: &[&str] = &["blue", "green", "red"];

/// Takes blue, which is stable, down; whom 100 requests meet then.
fn outage(pointsman: &Pointsman, versions: &Versions) -> BTreeMap<String, usize> {
    versions.blue.is_healthy(false);
    becomes(pointsman, "blue", "down");
    met(pointsman, 100)
}

#[track_caller]
fn nobody_serves(pointsman: &Pointsman, versions: &Versions, what: &str) {
    let met_then = outage(pointsman, versions);
    println!("stable is down, {what}: 100 requests met {met_then:?}");
    assert_eq!(met_then.get("503"), Some(&100), "{what}");
    let answer = get(pointsman.http(), "/");
    let retry = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry.is_some_and(|seconds| seconds > 0), "{answer:?}");
    assert_eq!(pointsman.get("/readyz").status, 503, "and it is not ready");
    versions.blue.is_healthy(true);
    becomes(pointsman, "blue", "ready");
    assert_eq!(met(pointsman, 10).get("blue"), Some(&10), "stable serves again");
}

#[test]
fn an_aborted_pool_serves_nobody_while_stable_is_down() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", ""));
    abort(&pointsman, "green", &versions.green, "v2");
    versions.green.is_good(true);
    nobody_serves(&pointsman, &versions, "green was aborted");
    let row = pointsman.row("refuge");
    assert!(
        row["text"].as_str().is_some_and(|text| text.contains("v2") && text.contains("aborted")),
        "{row}"
    );
    let pointsman = pointsman.kill_and_restart();
    nobody_serves(&pointsman, &versions, "green was aborted before a kill -9");
}

#[test]
fn a_pool_that_failed_its_smoke_tests_serves_nobody() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", "smoke = [{ path = \"/smoke\" }]"));
    versions.green.passes_tests(false);
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    nobody_serves(&pointsman, &versions, "green failed its smoke tests");
    // A dry run moves nothing, and what it found counts here all the same.
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2", "dry_run": true}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    nobody_serves(&pointsman, &versions, "green failed them in a dry run");
}

#[test]
fn a_pool_that_waits_for_approval_serves_nobody() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", "gate = true"));
    pointsman.start_rollout(&format!(r#"{{"to": "green", "version": "v2", {HALF}}}"#));
    eventually("it waits", || pointsman.web()["rollout"]["waits_for"] == "approval");
    nobody_serves(&pointsman, &versions, "green waits for approval");
    assert_eq!(pointsman.cli(&["rollout", "pause", "web"]).code, 0);
    nobody_serves(&pointsman, &versions, "and is paused");
}

#[test]
fn a_version_that_was_rolled_back_serves_nobody() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", ""));
    promote(&pointsman, "green", "v2");
    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);
    nobody_serves(&pointsman, &versions, "green was rolled back");
}

#[test]
fn another_pool_serves_and_the_history_and_a_notice_say_so() {
    let versions = Versions::new();
    let hook = Origin::new(|_| Reaction::ok(""));
    let notify = format!("[[notify]]\nkind = \"webhook\"\nurl = \"http://{}/\"\n", hook.address);
    let pointsman = Pointsman::start(&(versions.config(ALL, "", "") + &notify));
    abort(&pointsman, "green", &versions.green, "v2");
    versions.green.is_good(true);
    let met_then = outage(&pointsman, &versions);
    println!("stable is down, green aborted, red without a mark: 100 requests met {met_then:?}");
    assert_eq!(met_then.get("red"), Some(&100));
    let row = pointsman.row("refuge");
    let says = |row: &Value, words: &[&str]| {
        let text = row["text"].as_str().unwrap_or_default().to_owned();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    says(&row, &["red", "blue"]);
    assert_eq!(pointsman.web()["refuge"], "red");
    let told =
        || hook.all().into_iter().find(|request| request.header("x-pointsman-event") == Some("incident"));
    eventually("the notice is sent", || told().is_some());
    let notice: Value = serde_json::from_slice(&told().expect("sent").body).expect("JSON");
    assert!(notice["action"].as_str().is_some_and(|text| text.contains("red")), "{notice}");
    versions.blue.is_healthy(true);
    becomes(&pointsman, "blue", "ready");
    says(&pointsman.row("refuge-over"), &["blue"]);
    assert_eq!(pointsman.web()["refuge"], Value::Null);
}

#[test]
fn refuge_none_and_any_do_as_they_say() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(ALL, "refuge = \"none\"", ""));
    nobody_serves(&pointsman, &versions, "refuge = \"none\"");
    pointsman.configure(&versions.config(BOTH, "refuge = \"any\"", ""));
    let reloaded = pointsman.cli(&["reload"]);
    assert!(reloaded.code == 0 && reloaded.out.contains("services.web.refuge"), "{reloaded:?}");
    abort(&pointsman, "green", &versions.green, "v2");
    versions.green.is_good(true);
    let met_then = outage(&pointsman, &versions);
    println!("stable is down, refuge = \"any\": 100 requests met {met_then:?}");
    assert_eq!(met_then.get("green"), Some(&100));
    pointsman.configure(&versions.config(BOTH, "refuge = \"some\"", ""));
    let refused = pointsman.cli(&["reload"]);
    assert!(refused.code == 1 && refused.err.contains("healthy"), "{refused:?}");
}

#[test]
fn a_rule_passes_over_an_aborted_pool_and_a_tester_does_not() {
    let versions = Versions::new();
    let service = "testers = { networks = [\"127.0.0.0/8\"] }\n\
        [[services.web.rules]]\npool = \"green\"\nheader = { name = \"x-team\", equals = \"a\" }\n\
        [[services.web.rules]]\npool = \"green\"\nstrict = true\nheader = { name = \"x-team\", equals = \"b\" }";
    let pointsman = Pointsman::start(&versions.config(BOTH, service, ""));
    let who = |field: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n");
        crate::harness::send(pointsman.http(), &request).text()
    };
    assert_eq!(who("x-team: a"), "green");
    abort(&pointsman, "green", &versions.green, "v2");
    versions.green.is_good(true);
    println!("a rule to the aborted pool: its users met {}", who("x-team: a"));
    assert_eq!(who("x-team: a"), "blue");
    assert_eq!(who("x-team: b"), "green", "a strict rule is for that pool and no other");
    assert_eq!(who("x-pointsman-pool: green"), "green", "testers look at what was wrong with it");
}

/// Its first check takes a while; nobody else may serve meanwhile.
#[test]
fn what_was_registered_and_proven_serves_at_once_after_a_restart_and_an_upgrade() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", ""));
    let fresh = Version::named("fresh");
    let address = fresh.origin.address.to_string();
    assert_eq!(pointsman.cli(&["upstreams", "set", "web", "green", &address]).code, 0);
    becomes(&pointsman, "green", "ready");
    promote(&pointsman, "green", "v2");
    abort(&pointsman, "blue", &versions.blue, "v3");
    versions.blue.is_good(true);
    fresh.origin.react(|request| match request.path() {
        "/health" => Reaction::Late(Duration::from_millis(500), 200, "slow".into()),
        _ => Reaction::ok("fresh"),
    });
    let mut pointsman = pointsman.kill_and_restart();
    let after_kill = met(&pointsman, 50);
    assert_eq!(pointsman.upgrade().code, 0);
    let after_upgrade = met(&pointsman, 50);
    println!(
        "registered, proven and stable: 50 requests after kill -9 met {after_kill:?}, after an upgrade {after_upgrade:?}"
    );
    assert_eq!((after_kill.get("fresh"), after_upgrade.get("fresh")), (Some(&50), Some(&50)));
}
