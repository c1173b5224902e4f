//! Weights that were set by hand are watched as a rollout is.

use super::{ERRORS, PATIENCE, Traffic, config, config_of};
use crate::harness::{Origin, Pointsman, Reaction, eventually, get};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

const HALF: &str = r#"{"blue": 50, "green": 50}"#;

fn set(pointsman: &Pointsman, weights: &str) {
    let answer = pointsman.call("PUT", "/v1/services/web/weights", weights);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A receiver of notices, and the lines for it.
fn receiver() -> (Origin, String) {
    let origin = Origin::named("taken");
    let lines = format!("[[notify]]\nkind = \"webhook\"\nurl = \"http://{}/\"\n", origin.address);
    (origin, lines)
}

fn notice(receiver: &Origin, event: &str) -> Value {
    let mut found = None;
    let is_it = |request: &super::Received| {
        (request.header("x-pointsman-event") == Some(event)).then(|| request.body.clone())
    };
    eventually("the notice comes", || {
        found = receiver.all().iter().find_map(is_it);
        found.is_some()
    });
    serde_json::from_slice(&found.expect("found")).expect("JSON")
}

/// Half of the traffic goes to green, which fails; the row that says so. `turns_bad` says since when it fails.
fn taken_back(what: &str, config: &str, turns_bad: impl FnOnce(&Pointsman) -> Instant) -> (Pointsman, Value) {
    let pointsman = Pointsman::start(config);
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    eventually("stable serves", || traffic.requests() >= 100);
    let began = turns_bad(&pointsman);
    eventually("green has no weight", || pointsman.weight("green") == 0.0);
    let took = began.elapsed();
    let row = pointsman.row("taken-back");
    println!(
        "{what}: back on stable {} ms after it turned bad, {} ms after the deciding failure; {}",
        took.as_millis(),
        row["figures"]["reaction_ms"],
        row["text"]
    );
    assert_eq!(pointsman.weight("blue"), 100.0, "all of it is on stable");
    (pointsman, row)
}

#[test]
fn weights_on_a_pool_that_fails_everything_are_taken_back() {
    let first = Arc::new(OnceLock::new());
    let failed = first.clone();
    let green = Origin::new(move |_| {
        failed.get_or_init(Instant::now);
        Reaction::Answer(500, "dead".into())
    });
    let blue = Origin::named("blue");
    let (receiver, notify) = receiver();
    let config = config(&blue, &green, "1h", ERRORS) + &notify;
    let (pointsman, row) = taken_back("answers 500", &config, |pointsman| {
        set(pointsman, HALF);
        eventually("it fails", || first.get().is_some());
        *first.get().expect("it failed")
    });
    let text = row["text"].as_str().expect("a text");
    assert!(
        text.starts_with("the weight of green that was set by hand, 50 %, was taken back to blue"),
        "{text}"
    );
    let reason = &row["figures"]["verdict"]["reasons"][0];
    assert_eq!((&reason["metric"], &row["actor"]), (&"error_rate".into(), &"pointsman".into()), "{row:#}");
    assert!(reason["events"].as_u64().is_some_and(|events| events >= 6), "{row:#}");
    let notice = notice(&receiver, "aborted");
    assert_eq!((&notice["to"], &notice["detail"]), (&"green".into(), &row["text"]), "{notice:#}");
    assert_eq!(notice["action"], "its traffic is back on blue", "{notice:#}");
    // Quarantined: nobody gives it traffic unless that is forced, an outage of stable least of all.
    let refused = pointsman.call("PUT", "/v1/services/web/weights", HALF);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(pointsman.web()["watch"].is_null(), "nobody is watched any more");
    let served = green.requests();
    drop(blue);
    eventually("stable is down", || pointsman.web()["pools"]["blue"]["upstreams"][0]["state"] == "down");
    assert_eq!((get(pointsman.http(), "/").status, green.requests()), (503, served), "it is no refuge");
    // It is written: a crash changes nothing of it.
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.weight("green"), 0.0);
    assert!(pointsman.web()["pools"]["green"]["quarantine"].is_string());
}

#[test]
fn weights_on_a_pool_that_dies_are_taken_back() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let config = config_of(&blue.address.to_string(), &green.address.to_string(), "1h", ERRORS);
    let mut green = Some(green);
    taken_back("refuses connections", &config, |pointsman| {
        set(pointsman, HALF);
        let origin = green.take().expect("alive");
        eventually("it has users", || origin.requests() >= 100);
        // Kept connections break, and there are no new ones.
        origin.react(|_| Reaction::Close);
        drop(origin);
        Instant::now()
    });
}

#[test]
fn a_pool_that_keeps_its_limits_keeps_its_weight_and_is_shown() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(&blue, &green, "1h", ERRORS));
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    set(&pointsman, HALF);
    eventually("it has served a thousand requests", || green.requests() >= 1000);
    let watch = pointsman.web()["watch"].clone();
    assert_eq!((&watch["pool"], &watch["by_hand"]), (&"green".into(), &true.into()), "{watch:#}");
    assert_eq!((&watch["verdict"]["state"], &watch["rollback"]), (&"pass".into(), &true.into()), "{watch:#}");
    let evidence = watch["evidence"].as_array().expect("evidence");
    assert!(
        evidence.iter().any(|of| of["metric"] == "error_rate" && of["events_to_abort"].is_u64()),
        "{watch:#}"
    );
    assert_eq!(pointsman.weight("green"), 50.0);
    let status = pointsman.cli(&["status", "web"]);
    assert!(status.out.contains("green is watched since its weight was set by hand: pass"), "{status:?}");
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    assert!(pointsman.web()["watch"].is_null(), "it is stable now");
    drop(traffic);
}

#[test]
fn weights_stay_where_the_watch_is_switched_off() {
    let (blue, green) = (Origin::named("blue"), Origin::new(|_| Reaction::Answer(500, "dead".into())));
    let on = config(&blue, &green, "1h", ERRORS);
    let off = on.replace("policy = \"default\"\n", "policy = \"default\"\nwatch_manual = false\n");
    let pointsman = Pointsman::start(&off);
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    set(&pointsman, HALF);
    eventually("it has failed a thousand requests", || green.requests() >= 1000);
    let view = pointsman.web();
    assert_eq!((&view["pools"]["green"]["weight"], &view["watch"]), (&50.0.into(), &Value::Null));
    // A reload switches it on.
    pointsman.configure(&on);
    let reload = pointsman.cli(&["reload"]);
    assert!(reload.out.contains("services.web.watch_manual"), "{reload:?}");
    eventually("green has no weight", || pointsman.weight("green") == 0.0);
    drop(traffic);
}

/// Groups are counted by it, too: a dead route is not diluted.
#[test]
fn a_dead_route_takes_the_weight_back() {
    let blue = Origin::named("blue");
    let green = Origin::new(|request| match request.path() {
        "/checkout" => Reaction::Answer(500, "dead".into()),
        _ => Reaction::ok("green"),
    });
    let pointsman = Pointsman::start(&config(&blue, &green, "1h", ERRORS));
    // Each client asks for it at its own time: asked for by all at first, it would be all there is.
    let asks = |client, turn| {
        let dead = turn % 200 == 100 + 10 * client as u64;
        ("GET", if dead { "/checkout" } else { "/" }.to_owned())
    };
    let traffic = Traffic::start(pointsman.http(), 8, PATIENCE, asks);
    set(&pointsman, HALF);
    let row = pointsman.row("taken-back");
    println!("a dead route: {}", row["text"]);
    assert!(row["text"].as_str().is_some_and(|text| text.contains("/checkout")), "{row:#}");
    drop(traffic);
}

/// A step that starts over, and a weight by hand that the abort of a rollout puts on stable, too.
#[test]
fn a_rollout_says_what_was_set_by_hand_and_begins_again_with_other_upstreams() {
    let [blue, green, other] = ["blue", "green", "other"].map(Origin::named);
    let (receiver, notify) = receiver();
    let pointsman = Pointsman::start(&(config(&blue, &green, "1h", ERRORS) + &notify));
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    set(&pointsman, r#"{"blue": 70, "green": 30}"#);
    let started = pointsman.call("POST", "/v1/services/web/rollouts", r#"{"to": "green"}"#);
    let view = started.json();
    assert_eq!((started.status, &view["by_hand"]), (201, &30.0.into()), "{view:#}");
    let says = "green has 30 %, set by hand: the rollout sets it from its first step on, and an abort puts it on blue, too";
    let row = pointsman.row("started");
    assert!(row["text"].as_str().is_some_and(|text| text.ends_with(says)), "{row:#}");
    let told = notice(&receiver, "started");
    assert_eq!((&told["action"], &told["detail"]), (&says.into(), &row["text"]), "{told:#}");

    let id = view["id"].as_str().expect("an id");
    let hold = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json()["hold"].clone();
    eventually("the step has attempts", || hold()["attempts"].as_u64() >= Some(200));
    let before = hold();
    let path = "/v1/services/web/pools/green/upstreams";
    // One that serves stays until the new one is proven.
    let (old, new) = (green.address, other.address);
    let put = pointsman.call("PUT", path, &format!(r#"{{"upstreams": ["{old}", "{new}"]}}"#));
    assert_eq!(put.status, 200, "{}", put.text());
    // As it is once the change is in effect.
    let after = put.json()["rollout"]["hold"].clone();
    println!("before {before}, after {after}; {}", pointsman.row("upstreams")["text"]);
    assert!(after["passed_s"].as_f64() < before["passed_s"].as_f64(), "{before} {after}");
    assert!(after["attempts"].as_u64() < before["attempts"].as_u64(), "{before} {after}");
    let text = pointsman.row("upstreams")["text"].clone();
    assert!(text.as_str().is_some_and(|text| text.ends_with("step 1 of 2 starts over")), "{text}");

    let abort = pointsman.cli(&["rollout", "abort", "web"]);
    assert_eq!(abort.code, 0, "{abort:?}");
    assert_eq!((pointsman.weight("blue"), pointsman.weight("green")), (100.0, 0.0));
    let text = pointsman.row("aborted")["text"].clone();
    let says = "; all traffic is on blue, the 30 % that green had by hand, too";
    assert!(text.as_str().is_some_and(|text| text.ends_with(says)), "{text}");
    drop(traffic);
}
