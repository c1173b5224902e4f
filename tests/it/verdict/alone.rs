//! A candidate that has all of the traffic, so that nobody stands beside it: stable's past is the yardstick, and neither a
//! restart nor another policy makes a version good that was held.

use super::traffic::Traffic;
use super::{ERRORS, PATIENCE, Run, config};
use crate::harness::{Origin, Pointsman, Reaction, eventually};
use serde_json::Value;

const BLUE_GREEN: &str = r#"{"to": "green", "strategy": "blue-green"}"#;

/// A blue-green switch to a version that answers like this, with a bake that only people end.
fn switched(answer: Reaction, policy: &str) -> (Run, String, [Origin; 3]) {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    green.react(move |_| answer.clone());
    let config = config(&blue, &green, "0s", policy).replace("bake = \"200ms\"", "bake = \"1h\"");
    // Stable serves beside the preparation for a while: what it does is known then.
    let config = config.replace(
        "[policies.default]",
        "[[services.web.rollout.hooks]]\nat = \"before-shifting\"\nurl = \"HOOK\"\n[policies.default]",
    );
    let hook = Origin::new(|_| Reaction::Late(std::time::Duration::from_secs(2), 200, "{}".into()));
    let config = config.replace("HOOK", &format!("http://{}/", hook.address));
    let pointsman = Pointsman::start(&config);
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    eventually("stable serves", || traffic.requests() >= 300);
    let id = pointsman.start_rollout(BLUE_GREEN);
    (Run { pointsman, id, traffic }, config, [blue, green, hook])
}

/// Waits until the candidate is held, and stable's past speaks against it: at first the few answers of stable that were
/// under way stand beside it.
fn past_speaks(run: &Run, kind: &str) {
    run.held(kind, kind);
    let metric = format!("{kind}_over_past");
    eventually("stable's past speaks", || {
        let view = run.view();
        let evidence = view["evidence"].as_array().cloned().unwrap_or_default();
        assert!(view["outcome"].is_null(), "{view:#}");
        let past = evidence.into_iter().find(|of| of["metric"] == metric.as_str());
        past.is_some_and(|of| of["ln"].as_f64() >= of["needed"].as_f64())
    });
}

#[test]
fn a_switch_to_wrong_answers_is_held_by_what_stable_did_before() {
    for (kind, answer) in [
        ("4xx", Reaction::Answer(404, "nobody home".into())),
        ("empty", Reaction::Answer(204, String::new())),
    ] {
        let (run, _, _origins) = switched(answer, ERRORS);
        past_speaks(&run, kind);
    }
}

#[test]
fn a_restart_promotes_nobody_who_was_held() {
    let (run, _, _origins) = switched(Reaction::Answer(404, "nobody home".into()), ERRORS);
    run.held("404 for everything", "4xx");
    let Run { pointsman, id, traffic } = run;
    drop(traffic);
    let (_, dir) = pointsman.terminate();
    let pointsman = Pointsman::start_in(dir);
    let view: Value = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(view["phase"] == "paused" && reason.starts_with("held when the process ended"), "{view:#}");
}

#[test]
fn another_policy_keeps_the_evidence_of_what_is_as_before() {
    let policy = "error_rate = { warning = \"0.9%\", critical = \"1%\" }";
    let (run, config, _origins) = switched(Reaction::Answer(404, "nobody home".into()), policy);
    past_speaks(&run, "4xx");
    run.pointsman.configure(&config.replace("warning = \"0.9%\"", "warning = \"0.8%\""));
    assert_eq!(run.pointsman.call("POST", "/v1/reload", "").status, 200);
    // Whatever is shown from now on: it was held before, and is.
    eventually("the reload shows", || run.pointsman.web()["rollout"]["verdict"]["state"] == "hold");
    let view = run.view();
    let evidence = view["evidence"].as_array().cloned().unwrap_or_default();
    let of_4xx = evidence.iter().find(|of| of["metric"] == "4xx_over_past").expect("evidence");
    assert!(
        of_4xx["events"].as_u64() >= Some(20) && of_4xx["ln"].as_f64() > of_4xx["needed"].as_f64(),
        "{view:#}"
    );
}

#[test]
fn answers_of_304_are_no_redirects() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    green.react(|_| Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_vec()));
    let run = Run::start(&config(&blue, &green, "1s", ERRORS), |p| Traffic::plain(p.http(), PATIENCE));
    let (outcome, view) = run.ended("304 for everything");
    assert_eq!(outcome, "promoted", "{view:#}");
}
