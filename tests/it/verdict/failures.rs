//! The requests that decide are known by name: while a rollout runs, after it has ended, after a restart.

use super::traffic::Traffic;
use super::{ERRORS, PATIENCE, Run, config};
use crate::harness::{Origin, Pointsman, Reaction};
use serde_json::Value;
use std::sync::{Arc, Mutex};

#[test]
fn a_rollout_names_the_requests_that_ended_it() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let ids = asked.clone();
    green.react(move |request| {
        let id = request.header("x-request-id").unwrap_or_default().to_owned();
        ids.lock().expect("no panic").push(id);
        Reaction::Answer(503, "no".into())
    });
    let run = Run::start(&config(&blue, &green, "1h", ERRORS), |pointsman| {
        Traffic::start(pointsman.http(), 4, PATIENCE, |_, turn| ("GET", format!("/users/{turn}")))
    });
    let (outcome, view) = run.ended("everything fails");
    let failures = view["failures"].as_array().cloned().unwrap_or_default();
    assert!(outcome == "aborted" && (4..=20).contains(&failures.len()), "{view:#}");
    let asked = asked.lock().expect("no panic").clone();
    for failure in &failures {
        let id = failure["request_id"].as_str().expect("an id").to_owned();
        assert!(!id.is_empty() && asked.contains(&id), "{failure} of {asked:?}");
        assert_eq!((&failure["status"], &failure["outcome"]), (&503.into(), &"status".into()));
        assert_eq!(failure["request"], "GET /users/*");
        assert_eq!(failure["upstream"], green.address.to_string());
    }
    let Run { pointsman, id, traffic } = run;
    drop(traffic);
    let (_, dir) = pointsman.terminate();
    let pointsman = Pointsman::start_in(dir);
    let again: Value = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    assert_eq!(again["failures"], view["failures"]);
}
