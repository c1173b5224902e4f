//! Mirror steps as a part of rollouts: what they lead to, and that nobody is served in them.

use super::super::harness::{Load, NAMELESS, Nginx, Origin, Pointsman, Reaction, eventually, get};
use super::{LENIENT, config, metric, mirror, mirroring, with_steps};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

const POLICY: &str = "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\n\
                      latency_p95 = { critical = \"300ms\" }\nhealth = { critical = true }\n";

/// Percent that green had, in every row of the history.
fn weights(pointsman: &Pointsman) -> Vec<f64> {
    let weight = |row: &Value| row["figures"]["weights"]["green"].as_f64();
    pointsman.history().iter().filter_map(weight).collect()
}

/// A bad candidate is aborted in the mirror step; its reason.
fn aborted(fault: &str, more: &str, bad: impl Fn() -> Reaction + Send + Sync + 'static) -> String {
    let blue = Nginx::start(&["blue"]);
    let green = Origin::new(move |_| bad());
    let config = config(blue.addresses[0], green.address, 20, &[POLICY, more].concat());
    let pointsman = Pointsman::start(&[NAMELESS, &config].concat());
    let load = Load::start(pointsman.http(), 16);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    let (served, failed, broken) = load.stop();
    let reason = view["reason"].as_str().unwrap_or_default().to_owned();
    println!(
        "{fault}: {} copies, {failed} of {served} requests failed, {broken} broke; {reason}",
        green.requests()
    );
    assert_eq!((failed, broken), (0, 0), "{fault}: no user sees it");
    assert_eq!(view["outcome"], "aborted", "{view}");
    assert_eq!(view["step"], 0, "{view}");
    pointsman.row("aborted");
    assert!(weights(&pointsman).iter().all(|weight| *weight == 0.0), "{fault}: it never had weight");
    assert_eq!(metric(&pointsman, "pointsman_shielded_total"), 0.0, "the shield has nothing to do with it");
    assert_eq!(pointsman.web()["pools"]["green"]["window"]["requests"], 0, "no user reached it");
    reason
}

#[test]
fn a_candidate_that_fails_is_aborted_before_it_serves_anybody() {
    let reason = aborted("failing", "", || Reaction::Answer(500, "broken".into()));
    assert!(reason.contains("error rate") && reason.ends_with("it had mirrored requests only"), "{reason}");
    let count = AtomicU64::new(0);
    let reason = aborted("failing 10 %", "", move || match count.fetch_add(1, Ordering::SeqCst) % 10 {
        0 => Reaction::Answer(503, "broken".into()),
        _ => Reaction::ok("green"),
    });
    assert!(reason.contains("error rate"), "{reason}");
}

#[test]
fn a_candidate_that_resets_or_hangs_is_aborted_too() {
    let reason = aborted("closing", "", || Reaction::Close);
    assert!(reason.contains("error rate"), "{reason}");
    let reason = aborted("hanging", "[services.web.mirror]\nin_flight = 64", || Reaction::Hang);
    assert!(reason.contains("300ms"), "{reason}");
}

#[test]
fn a_good_one_goes_on_to_its_weights_with_evidence_of_its_own() {
    let nginx = Nginx::start(&["blue", "green"]);
    let steps = "{ mirror = 50, hold = \"200ms\" }, { weight = 50, hold = \"200ms\" }, { weight = 100 }";
    let more = [POLICY, "[services.web.mirror]\ncompare = { body = \"bytes\" }"].concat();
    let config = with_steps(nginx.addresses[0], nginx.addresses[1], steps, &more);
    let config = config.replace("steps =", "bake = \"200ms\"\nmin_attempts = 20\nsteps =");
    let pointsman = Pointsman::start(&config);
    let load = Load::start(pointsman.http(), 8);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    assert_eq!(view["outcome"], "promoted", "{view}");
    assert_eq!(
        (view["steps"][0]["mirror"].as_f64(), view["steps"][0]["weight"].as_f64()),
        (Some(50.0), Some(0.0))
    );
    pointsman.row("promoted");
    let steps = pointsman.history().into_iter().filter(|row| row["action"] == "step");
    let mut steps: Vec<_> = steps.map(|row| row["text"].as_str().unwrap_or_default().to_owned()).collect();
    steps.reverse();
    assert_eq!(
        steps,
        ["step 1 of 3: 50 % mirrored for 200ms", "step 2 of 3: 50 % for 200ms", "step 3 of 3: 100 %"]
    );
    // The names of the pools are what nginx answers.
    assert!(metric(&pointsman, "pointsman_mirror_differences_total") > 0.0);
    assert!(metric(&pointsman, "pointsman_mirror_requests_total") >= 20.0);
}

#[test]
fn a_step_with_too_few_copies_holds() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let steps = "{ mirror = 100 }, { weight = 100, hold = \"1h\" }";
    let config = with_steps(blue.address, green.address, steps, LENIENT);
    let pointsman = Pointsman::start(&config.replace("steps =", "min_attempts = 30\nsteps ="));
    mirroring(&pointsman);
    for _ in 0..10 {
        get(pointsman.http(), "/");
    }
    eventually("it says how many are missing", || {
        pointsman.web()["rollout"]["reason"] == "needs 20 more mirrored requests on the candidate"
    });
    assert_eq!(pointsman.weight("green"), 0.0);
    for _ in 0..20 {
        get(pointsman.http(), "/");
    }
    eventually("enough have come", || pointsman.weight("green") == 100.0);
    assert!(mirror(&pointsman).is_null(), "nothing is mirrored any more");
    let before = green.requests();
    assert_eq!(get(pointsman.http(), "/").text(), "green");
    assert_eq!((green.requests(), blue.requests()), (before + 1, 30));
}

#[test]
fn a_kill_in_a_mirror_step_changes_nothing() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, 100, LENIENT));
    let id = mirroring(&pointsman);
    get(pointsman.http(), "/");
    eventually("the copy has come", || green.requests() == 1);
    let pointsman = pointsman.kill_and_restart();
    let text = pointsman.row("recovered")["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("step 1 of 2 (100 % mirrored)") && text.contains("green has 0 %"), "{text}");
    assert_eq!(pointsman.web()["rollout"]["id"], id.as_str());
    eventually("it mirrors again", || {
        get(pointsman.http(), "/");
        green.requests() > 1
    });
    assert_eq!(pointsman.weight("green"), 0.0);
    let abort = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(abort.status, 200);
    eventually("copies under way have come", || {
        mirror(&pointsman).is_null() && pointsman.web()["pools"]["green"]["upstreams"][0]["in_flight"] == 0
    });
    let before = green.requests();
    (0..20).for_each(|_| drop(get(pointsman.http(), "/")));
    assert_eq!(green.requests(), before, "nothing is mirrored after the abort");
}

#[test]
fn the_api_takes_mirror_steps_and_says_what_is_wrong_with_others() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, 10, LENIENT));
    let rollouts = "/v1/services/web/rollouts";
    for (steps, path, told) in [
        (r#"[{"mirror": 10, "weight": 5}, {"weight": 100}]"#, "steps[0].mirror", "not both"),
        (r#"[{"hold": "5m"}, {"weight": 100}]"#, "steps[0].weight", "is missing"),
        (r#"[{"mirror": 10.001}, {"weight": 100}]"#, "steps[0].mirror", "not a percentage"),
        (r#"[{"weight": 5}, {"mirror": 10}, {"weight": 100}]"#, "steps[1].mirror", "before the first weight"),
        (r#"[{"mirror": 0}, {"weight": 100}]"#, "steps[0].mirror", "must be above 0"),
    ] {
        let answer = pointsman.call("POST", rollouts, &format!(r#"{{"to": "green", "steps": {steps}}}"#));
        let problem = answer.json();
        assert_eq!((answer.status, &problem["errors"][0]["path"]), (422, &Value::from(path)), "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(told), "{problem}");
    }
    let body = r#"{"to": "green", "strategy": "blue-green"}"#;
    let view = pointsman.call("POST", rollouts, body).json();
    assert_eq!(view["steps"][0]["mirror"], 10.0, "what comes before stays: {view}");
    assert_eq!(
        (view["steps"].as_array().map(Vec::len), &view["steps"][1]["weight"]),
        (Some(2), &Value::from(100.0))
    );
}
