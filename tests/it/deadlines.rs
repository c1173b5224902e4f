//! What ends by itself: a rollout by its deadline, a gate by its patience, whatever they wait for.

use super::harness::{Origin, Pointsman, Reaction, eventually};
use serde_json::Value;

/// A service whose candidate is healthy, with these keys of its rollouts.
fn start(blue: &Origin, green: &Origin, rollout: &str) -> Pointsman {
    let check = "health = { path = \"/\", interval = \"50ms\" }";
    Pointsman::start(&format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n{check}\n\
         [services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\n{rollout}\n",
        blue.address, green.address
    ))
}

fn origins() -> [Origin; 2] {
    ["blue", "green"].map(|name| Origin::new(move |_| Reaction::ok(name)))
}

fn reason(view: &Value) -> &str {
    view["reason"].as_str().unwrap_or_default()
}

const STEPS: &str = "steps = [{ weight = 50, hold = \"500ms\" }, { weight = 100 }]";

#[test]
fn a_paused_rollout_is_aborted_at_its_deadline_after_a_restart_too() {
    let [blue, green] = origins();
    let pointsman = start(&blue, &green, &format!("{STEPS}\ndeadline = \"4s\""));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    assert_eq!(pointsman.call("POST", &format!("{path}/pause"), "").status, 200);
    let deadline = pointsman.get(&path).json()["deadline"].clone();
    assert!(deadline.as_str().is_some_and(|at| at.ends_with('Z')), "{deadline}");
    let status = pointsman.cli(&["status", "web"]).out;
    let line = format!("is aborted at {}, unless it has ended before", deadline.as_str().unwrap_or_default());
    assert!(status.contains(&line), "{status}");
    let pointsman = pointsman.kill_and_restart();
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted", "{view}");
    let (begins, ends) = ("the deadline of 4s has passed: paused since ", ", and nobody resumed it");
    assert!(reason(&view).starts_with(begins) && reason(&view).ends_with(ends), "{view}");
    assert_eq!((view["deadline"].clone(), pointsman.weight("blue")), (Value::Null, 100.0));
    assert_eq!(pointsman.row("aborted")["text"], view["reason"]);
    // As far as the clocks go: not sooner than that after its start.
    let [started, ended] = ["started_at", "ended_at"]
        .map(|key| view[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339"));
    assert!(ended.duration_since(started).as_secs() >= 4, "{view}");
}

#[test]
fn a_gate_that_nobody_opens_is_given_up_and_one_that_is_opened_is_not() {
    let [blue, green] = origins();
    let pointsman = start(&blue, &green, &format!("{STEPS}\ngate = true\ngate_timeout = \"1h\""));
    let id = pointsman.start_rollout(r#"{"to": "green", "gate_timeout": "300ms"}"#);
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted", "{view}");
    assert!(
        reason(&view).starts_with("the gate_timeout of 300ms has passed: waited for approval since "),
        "{view}"
    );
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    eventually("it waits", || pointsman.get(&path).json()["waits_for"] == "approval");
    assert!(pointsman.get(&path).json()["deadline"].is_string(), "an hour from now");
    assert_eq!(pointsman.call("POST", &format!("{path}/resume"), "").status, 200);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
}

#[test]
fn a_rollout_ends_whose_candidate_never_gets_ready() {
    let [blue, _] = origins();
    let green = Origin::new(|_| Reaction::Answer(503, "starting".into()));
    let pointsman = start(&blue, &green, &format!("{STEPS}\nprepare = \"1h\""));
    let printed =
        pointsman.cli(&["rollout", "start", "web", "--to", "green", "--deadline", "800ms", "--wait"]);
    assert_eq!(printed.code, 3, "{printed:?}");
    let view = pointsman.web()["rollout"].clone();
    assert!(
        reason(&view).starts_with("the deadline of 800ms has passed: preparing, waiting until"),
        "{view}"
    );
}

#[test]
fn a_start_with_a_deadline_that_cannot_be_kept_is_refused() {
    let [blue, green] = origins();
    let pointsman = start(&blue, &green, STEPS);
    for (body, path) in [
        (r#"{"to": "green", "deadline": "500ms"}"#, "deadline"),
        (r#"{"to": "green", "deadline": "soon"}"#, "deadline"),
        (r#"{"to": "green", "gate_timeout": "0s"}"#, "gate_timeout"),
    ] {
        let answer = pointsman.call("POST", "/v1/services/web/rollouts", body);
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["path"]),
            (422, &path.into()),
            "{}",
            answer.text()
        );
    }
}
