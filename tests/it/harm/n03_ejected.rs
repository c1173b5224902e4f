//! An upstream of the candidate that was taken out for failing requests counts for `health`.
//!
//! Its checks pass all the while, and once it is out, too few requests fail to break the error rate.

use super::super::harness::{Load, Origin, Pointsman, Reaction, Received, eventually};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Closes every connection that brings a request, but answers checks.
fn resets(request: &Received) -> Reaction {
    match request.path() {
        "/health" => Reaction::ok("well"),
        _ => Reaction::Close,
    }
}

fn two() -> [Origin; 2] {
    [Origin::named("one"), Origin::named("two")]
}

/// The error rate may be high, so that nothing but the ejection speaks.
fn config(blue: &[Origin], green: &[Origin], rollout: &str, more: &str) -> String {
    let list = |origins: &[Origin]| {
        let all: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
        all.join(", ")
    };
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [{}]\n{CHECK}\n\
         [services.web.pools.green]\nupstreams = [{}]\n{CHECK}\n{more}\n\
         [services.web.rollout]\nmin_attempts = 20\nbake = \"300ms\"\n{rollout}\n\
         [policies.default]\nerror_rate = {{ critical = \"30%\" }}\nhealth = {{ critical = true }}\n",
        list(blue),
        list(green)
    )
}

const CHECK: &str = "health = { path = \"/health\", interval = \"50ms\", rise = 1, fall = 2 }";

/// Runs a rollout to its end beside six clients; how it ended, and why.
#[track_caller]
fn end(what: &str, pointsman: &Pointsman, body: &str) -> (String, String) {
    let load = Load::start(pointsman.http(), 6);
    let id = pointsman.start_rollout(body);
    let view = pointsman.ended(&id);
    let (good, failed, broken) = load.stop();
    let text = |key: &str| view[key].as_str().unwrap_or_default().to_owned();
    let requests = &pointsman.web()["pools"]["green"]["window"];
    println!(
        "{what}: {}; {good} good, {} seen by users; window of green: {} of {} failed; {}",
        text("outcome"),
        failed + broken,
        requests["failures"],
        requests["requests"],
        text("reason")
    );
    (text("outcome"), text("reason"))
}

#[track_caller]
fn assert_aborted(what: &str, pointsman: &Pointsman, body: &str, bad: &Origin) {
    let (outcome, reason) = end(what, pointsman, body);
    assert_eq!(outcome, "aborted", "{what}");
    let named =
        reason.contains("taken out for failing requests") && reason.contains(&bad.address.to_string());
    assert!(named, "{what}: {reason}");
}

#[test]
fn a_canary_with_one_of_two_upstreams_ejected_is_aborted() {
    let (blue, green) = (two(), two());
    green[1].react(resets);
    let steps = "steps = [{ weight = 50, hold = \"1s\" }, { weight = 100 }]";
    let pointsman = Pointsman::start(&config(&blue, &green, steps, ""));
    assert_aborted("canary", &pointsman, r#"{"to": "green"}"#, &green[1]);
}

#[test]
fn blue_green_with_one_of_two_upstreams_ejected_is_aborted() {
    let (blue, green) = (two(), two());
    green[0].react(resets);
    let pointsman = Pointsman::start(&config(&blue, &green, "", ""));
    assert_aborted("blue-green", &pointsman, r#"{"to": "green", "strategy": "blue-green"}"#, &green[0]);
}

#[test]
fn a_mirror_step_with_one_of_two_upstreams_ejected_is_aborted() {
    let (blue, green) = (two(), two());
    green[0].react(resets);
    let steps = "steps = [{ mirror = 50, hold = \"300ms\" }, { weight = 100 }]";
    let pointsman = Pointsman::start(&config(&blue, &green, steps, ""));
    assert_aborted("mirror", &pointsman, r#"{"to": "green"}"#, &green[0]);
    assert_eq!(pointsman.weight("green"), 0.0);
}

/// The ejection ends before the promotion; the upstream that is back has proven nothing by that.
#[test]
fn an_ejection_that_is_over_speaks_at_the_promotion_still() {
    let (blue, green) = (two(), two());
    let is_bad = Arc::new(AtomicBool::new(true));
    let bad = is_bad.clone();
    green[1].react(move |request| match bad.load(Ordering::SeqCst) {
        true => resets(request),
        false => Reaction::ok("two"),
    });
    let rollout = "steps = [{ weight = 50, hold = \"1s\" }, { weight = 100 }]";
    let more = "passive = { max_fails = 3, fail_timeout = \"800ms\" }";
    let text = config(&blue, &green, rollout, more)
        .replace("health = { critical = true }", "health = { warning = true }");
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 6);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    let is_held = |view: &Value| {
        let reasons = view["verdict"]["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().any(|reason| reason["metric"] == "health")
    };
    eventually("it is held, or promoted", || is_held(&view()) || view()["outcome"].is_string());
    // Three times as long as the ejection: it comes back, fails and goes, and is held all the while.
    let before = green[1].requests();
    eventually("it came back and failed again", || green[1].requests() > before + 40);
    println!("promotion: {}, held by {}", view()["phase"], view()["verdict"]["reasons"][0]["text"]);
    assert!(view()["outcome"].is_null() && is_held(&view()), "{}", view());
    is_bad.store(false, Ordering::SeqCst);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted", "once it has proven itself");
    drop(load);
}

#[test]
fn a_rolling_update_stops_at_an_upstream_that_is_ejected() {
    let (blue, green) = (two(), two());
    let rollout = "rolling = { watch = \"700ms\", update = \"20s\" }";
    let pointsman = Pointsman::start(&config(&blue, &green, rollout, ""));
    let load = Load::start(pointsman.http(), 6);
    let id = pointsman.start_rollout(r#"{"to": "blue", "strategy": "rolling"}"#);
    let stage = |index: usize| {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        view["instances"][index]["stage"].as_str().unwrap_or_default().to_owned()
    };
    eventually("the first is out", || stage(0) == "updating");
    blue[0].react(resets);
    let path = format!("/v1/services/web/pools/blue/upstreams/{}/ready", blue[0].address);
    assert_eq!(pointsman.call("POST", &path, "").status, 200);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    eventually("the second is out, or it stopped", || {
        stage(1) == "updating" || view()["outcome"].is_string()
    });
    let view = view();
    println!("rolling: {}; {}", view["phase"], view["reason"]);
    assert_eq!(view["outcome"], "aborted", "{view}");
    assert!(
        view["reason"].as_str().is_some_and(|why| why.contains("taken out for failing requests")),
        "{view}"
    );
    drop(load);
}

#[test]
fn a_candidate_with_an_ejected_upstream_is_not_prepared() {
    let (blue, green) = (two(), two());
    green[1].react(resets);
    let config = config(&blue, &green, "", "");
    // The weight by hand stays until the rollout begins.
    let config = config.replace("policy = \"default\"\n", "policy = \"default\"\nwatch_manual = false\n");
    let pointsman = Pointsman::start(&config);
    let load = Load::start(pointsman.http(), 6);
    let set = pointsman.call("PUT", "/v1/services/web/weights", r#"{"blue": 50, "green": 50}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    let state = || pointsman.web()["pools"]["green"]["upstreams"][1]["state"].clone();
    eventually("it is taken out", || state() == "down");
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    let waits =
        || view()["reason"].as_str().is_some_and(|why| why.contains("taken out for failing requests"));
    eventually("it waits, or goes on", || waits() || view()["phase"] != "preparing");
    println!("preparation: {}; {}", view()["phase"], view()["reason"]);
    assert!(waits() && view()["phase"] == "preparing", "{}", view());
    drop(load);
}

/// As for an error rate: one client is not a version, where several are asked for.
#[test]
fn one_client_ejects_no_version_where_several_are_asked_for() {
    let (blue, green) = (two(), two());
    green[1].react(resets);
    let steps = "steps = [{ weight = 50, hold = \"1s\" }, { weight = 100 }]";
    let text = config(&blue, &green, steps, "")
        .replace("[policies.default]\n", "[policies.default]\nmin_clients = 3\n");
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 6);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let mut view = Value::Null;
    eventually("it is held", || {
        view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        assert!(view["outcome"].is_null(), "{view}");
        view["verdict"]["reasons"][0]["metric"] == "clients"
    });
    println!("one client: {}", view["verdict"]["reasons"][0]["text"]);
    drop(load);
}
