//! Rollouts under load, with real origins: good ones go through, bad ones are put back by themselves.

use super::harness::{Load, NAMELESS, Nginx, Origin, Pointsman, Reaction, eventually, median};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

const POLICY: &str = "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\n\
                      latency_p95 = { critical = \"300ms\" }\n";

fn config(blue: SocketAddr, green: SocketAddr, rollout: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\n{rollout}\n{POLICY}"
    )
}

/// Long steps: only the policy ends them.
const LONG: &str = "steps = [{ weight = 5, hold = \"1h\" }, { weight = 100 }]\nbake = \"0s\"";
const SHORT: &str = "steps = [{ weight = 5, hold = \"300ms\" }, { weight = 25, hold = \"300ms\" }, { weight = 100 }]\n\
     bake = \"300ms\"\nmin_attempts = 20";

#[test]
fn a_good_canary_goes_from_5_over_25_to_100_and_becomes_stable() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let load = Load::start(pointsman.http(), 8);
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    let view = pointsman.ended(&id);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0), "no user noticed");
    assert_eq!((view["outcome"].as_str(), view["version"].as_str()), (Some("promoted"), Some("v2")));
    let web = pointsman.web();
    assert_eq!((web["stable"].as_str(), web["previous"].as_str()), (Some("green"), Some("blue")));
    assert_eq!(pointsman.weight("green"), 100.0);
    pointsman.row("promoted");
    let mut actions: Vec<_> = pointsman.history().iter().map(|row| row["action"].to_string()).collect();
    actions.reverse();
    actions.retain(|action| action != "\"held\"");
    assert_eq!(
        actions,
        ["started", "step", "step", "step", "baking", "promoted"].map(|a| format!("\"{a}\""))
    );
    let steps = pointsman.history().into_iter().filter(|row| row["action"] == "step");
    let weights: Vec<_> = steps.map(|row| row["figures"]["weights"]["green"].as_f64()).collect();
    assert_eq!(weights, [Some(100.0), Some(25.0), Some(5.0)]);
}

#[test]
fn one_that_always_fails_is_aborted_after_a_handful_of_failed_requests() {
    let nginx = Nginx::start(&["blue"]);
    let mut failures = Vec::new();
    for _ in 0..5 {
        let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
        let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, LONG));
        let load = Load::start(pointsman.http(), 8);
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        let view = pointsman.ended(&id);
        assert_eq!(view["outcome"], "aborted", "{view}");
        assert!(view["reason"].as_str().is_some_and(|why| why.contains("error rate")), "{view}");
        let after = load.good();
        eventually("the load goes on", || load.good() > after + 500);
        let (_, failed, broken) = load.stop();
        assert_eq!(pointsman.weight("green"), 0.0);
        // A request that waited there when it was aborted was taken back, and answered by stable.
        let taken_back = green.requests().checked_sub(failed).expect("every failure came from the candidate");
        assert!(broken == 0 && taken_back <= 8, "{broken} broken, {taken_back} taken back");
        failures.push(failed);
    }
    println!("always failing at 5 %: failed requests until the revert, 5 rollouts: {failures:?}");
    // What the other clients had under way comes on top where the machine has other things to do.
    failures.sort_unstable();
    assert!(failures[2] <= 8 && failures[4] <= 6 + 8, "{failures:?}");
}

#[test]
fn one_that_fails_a_tenth_is_aborted_after_a_median_of_at_most_200_requests() {
    let nginx = Nginx::start(&["blue"]);
    let mut requests = Vec::new();
    for run in 0..9_u64 {
        // A fixed sequence for each run: splitmix64.
        let state = AtomicU64::new(run);
        let green = Origin::new(move |_| {
            let mut z = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let fails = (z ^ (z >> 31)).is_multiple_of(10);
            if fails { Reaction::Answer(500, "broken".into()) } else { Reaction::ok("green") }
        });
        let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, LONG));
        let _load = Load::start(pointsman.http(), 8);
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
        requests.push(green.requests());
    }
    println!(
        "failing 10 % at 5 %: candidate requests until the revert: {requests:?}, median {}",
        median(&requests)
    );
    assert!(median(&requests) <= 200, "{requests:?}");
}

#[test]
fn one_that_hangs_is_aborted_at_the_latency_limit() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Hang);
    let config = config(nginx.addresses[0], green.address, LONG);
    let pointsman = Pointsman::start(&[NAMELESS, &config].concat());
    let load = Load::start(pointsman.http(), 32);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted");
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("longer than 300ms"), "long before the read timeout: {reason}");
    println!("hanging at 5 %: {} requests to the candidate until the revert; {reason}", green.requests());
    drop(load);
}

#[test]
fn blue_green_switches_at_once_and_rollback_returns() {
    let nginx = Nginx::start(&["blue", "green"]);
    let short = "strategy = \"blue-green\"\nbake = \"100ms\"\nmin_attempts = 10";
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], short));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    assert_eq!(view["strategy"], "blue-green");
    assert_eq!(view["outcome"], "promoted");
    assert_eq!(view["steps"].as_array().map(Vec::len), Some(1), "one step: everything");
    let back = pointsman.call("POST", "/v1/services/web/rollback", "");
    assert_eq!(back.json()["stable"], "blue");
    assert_eq!(pointsman.weight("blue"), 100.0);
    assert_eq!(load.stop().1, 0);
}

#[test]
fn pause_resume_promote_and_abort_do_as_they_say_and_may_be_repeated() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman
        .start_rollout(r#"{"to": "green", "steps": [{"weight": 10, "hold": "1h"}, {"weight": 100}]}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    let act = |action: &str| {
        let answer = pointsman.call("POST", &format!("{path}/{action}"), "");
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
        answer.json()
    };
    eventually("it shifts", || pointsman.weight("green") == 10.0);
    assert_eq!(act("pause")["phase"], "paused");
    assert_eq!(act("pause")["phase"], "paused");
    assert_eq!(pointsman.weight("green"), 10.0, "a pause holds the weights");
    let refused = pointsman.call("PUT", "/v1/services/web/weights", r#"{"blue": 100}"#);
    assert_eq!((refused.status, refused.json()["rollout"].as_str()), (409, Some(id.as_str())));
    assert_eq!(act("resume")["phase"], "shifting");
    assert_eq!(act("promote")["outcome"], "promoted");
    assert_eq!(act("promote")["outcome"], "promoted");
    assert_eq!(pointsman.weight("green"), 100.0);
    let late = pointsman.call("POST", &format!("{path}/abort"), "");
    assert_eq!(late.status, 409, "{}", late.text());

    let id = pointsman
        .start_rollout(r#"{"to": "blue", "steps": [{"weight": 10, "hold": "1h"}, {"weight": 100}]}"#);
    let abort = format!("/v1/services/web/rollouts/{id}/abort");
    for _ in 0..2 {
        let answer = pointsman.call("POST", &abort, "");
        assert_eq!((answer.status, answer.json()["outcome"].as_str()), (200, Some("aborted")));
    }
    assert_eq!(pointsman.weight("blue"), 0.0);
    assert_eq!(load.stop().1, 0);
}

#[test]
fn the_same_idempotency_key_starts_once_over_a_restart_too() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], LONG));
    let start = |pointsman: &Pointsman, key: &str| {
        let headers = format!("Idempotency-Key: {key}\r\n");
        pointsman.call_with("POST", "/v1/services/web/rollouts", &headers, r#"{"to": "green"}"#)
    };
    let first = start(&pointsman, "build-17");
    let id = first.json()["id"].as_str().map(str::to_owned).expect("an id");
    assert_eq!(first.status, 201);
    assert_eq!(first.header("location"), Some(format!("/v1/services/web/rollouts/{id}").as_str()));
    let again = start(&pointsman, "build-17");
    assert_eq!((again.status, again.json()["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(start(&pointsman, "build-18").status, 409, "another one runs");
    let pointsman = pointsman.kill_and_restart();
    let again = start(&pointsman, "build-17");
    assert_eq!((again.status, again.json()["id"].as_str()), (200, Some(id.as_str())));
}

#[test]
fn a_candidate_that_is_not_healthy_gets_no_traffic_and_is_given_up_in_time() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Answer(503, "starting".into()));
    let text = config(nginx.addresses[0], green.address, "prepare = \"700ms\"").replace(
        "[services.web.rollout]",
        "health = { path = \"/health\", interval = \"50ms\" }\n[services.web.rollout]",
    );
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted");
    assert!(view["reason"].as_str().is_some_and(|why| why.contains("503")), "{view}");
    assert_eq!(load.stop().1, 0);
    assert!(green.all().iter().all(|request| request.path() == "/health"), "checks only");
}

#[test]
fn a_step_waits_for_its_attempts_unless_time_alone_may_move_it() {
    let nginx = Nginx::start(&["blue", "green"]);
    let rollout = |idle: &str| {
        format!(
            "steps = [{{ weight = 50, hold = \"100ms\" }}, {{ weight = 100 }}]\nbake = \"0s\"\nmin_attempts = 30\nidle = \"{idle}\""
        )
    };
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], &rollout("hold")));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    eventually("it holds for want of attempts", || {
        let view = pointsman.get(&path).json();
        view["verdict"]["state"] == "hold"
            && view["reason"].as_str().is_some_and(|why| why.contains("30 more"))
    });
    assert_eq!(pointsman.weight("green"), 50.0);
    let load = Load::start(pointsman.http(), 2);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    load.stop();

    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], &rollout("advance")));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted", "without a single request");
    let told =
        |row: &serde_json::Value| row["text"].as_str().is_some_and(|text| text.contains("by time alone"));
    assert!(pointsman.history().iter().any(told), "and the history says so");
}

#[test]
fn the_plain_rule_and_another_policy_can_be_chosen() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let plain = "[policies.plain]\nmode = \"window\"\nwindow = \"30s\"\nmin_sample = 40\n\
                 error_rate = { critical = \"10%\" }\n";
    let text = config(nginx.addresses[0], green.address, LONG) + plain;
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let unknown = pointsman.call("POST", "/v1/services/web/rollouts", r#"{"to": "green", "policy": "nope"}"#);
    assert_eq!((unknown.status, unknown.json()["errors"][0]["path"].as_str()), (422, Some("policy")));
    let id = pointsman.start_rollout(r#"{"to": "green", "policy": "plain"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    load.stop();
    assert!((40..80).contains(&green.requests()), "after the least sample: {}", green.requests());
}

#[test]
fn alpha_and_horizon_say_how_much_evidence_is_needed() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    // Alone, the limit has all of alpha; with the groups and with clients that leave, a third of it.
    let alone = "groups = 0\nrelative = \"hold\"\n";
    for (keys, needed) in [
        (format!("{alone}alpha = 0.1\nhorizon = 1000"), 10_000_f64.ln()),
        (alone.to_owned(), 1e9_f64.ln()),
        (String::new(), 3e9_f64.ln()),
    ] {
        let policy = format!("[policies.own]\n{keys}\nerror_rate = {{ critical = \"1%\" }}\n");
        let pointsman = Pointsman::start(&(config(nginx.addresses[0], green.address, LONG) + &policy));
        let load = Load::start(pointsman.http(), 2);
        let id = pointsman.start_rollout(r#"{"to": "green", "policy": "own"}"#);
        let view = pointsman.ended(&id);
        let reason = &view["verdict"]["reasons"][0];
        assert!((reason["needed"].as_f64().expect("a number") - needed).abs() < 1e-9, "{view}");
        load.stop();
    }
}
