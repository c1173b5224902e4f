//! Where a rollback goes: never to a version that was aborted, and not back and forth.

use super::versions::{HALF, Version, Versions, abort, becomes, met, pool, promote};
use crate::harness::{Load, Origin, Pointsman, Reaction, eventually};
use serde_json::Value;

const BOTH: &[&str] = &["blue", "green"];
const ROLLBACK: &str = "/v1/services/web/rollback";
const FLIP: &str = "/v1/services/web/flip";
const WEIGHTS: &str = "/v1/services/web/weights";

/// v2 is promoted on green, v3 aborted on blue.
fn aborted(versions: &Versions, service: &str) -> Pointsman {
    let pointsman = Pointsman::start(&versions.config(BOTH, service, ""));
    promote(&pointsman, "green", "v2");
    abort(&pointsman, "blue", &versions.blue, "v3");
    pointsman
}

fn detail(answer: &crate::harness::Answer) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_rollback_after_an_abort_does_not_go_to_what_was_aborted() {
    let versions = Versions::new();
    let pointsman = aborted(&versions, "");
    let printed = pointsman.cli(&["rollback", "web"]);
    let met_then = met(&pointsman, 200);
    println!("rollback after v3's abort: exit {}; 200 requests then met {met_then:?}", printed.code);
    assert_eq!(met_then.get("green"), Some(&200), "v2 serves on");
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(
        ["v3", "blue", "aborted", "--force"].iter().all(|word| printed.err.contains(word)),
        "{printed:?}"
    );
    let problem = pointsman.call("POST", ROLLBACK, "");
    assert_eq!(problem.status, 409, "{}", problem.text());
    assert!(detail(&problem).contains("v3"), "{}", problem.text());
    let web = pointsman.web();
    assert_eq!((&web["previous"], web["stable"].as_str()), (&Value::Null, Some("green")));
    assert!(pointsman.cli(&["status", "web"]).out.contains("no way back"), "and the status says so");

    let forced = pointsman.cli(&["rollback", "web", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.out.contains("v3 on blue"), "{forced:?}");
    let row = pointsman.row("rollback");
    assert!(row["text"].as_str().is_some_and(|text| text.contains("forced")), "{row}");
    assert_eq!(pointsman.weight("blue"), 100.0);
}

#[test]
fn the_bar_outlives_kill_9_an_upgrade_and_a_reload() {
    let versions = Versions::new();
    let mut pointsman = aborted(&versions, "").kill_and_restart();
    let refused = |pointsman: &Pointsman| {
        for (method, path, body) in [
            ("POST", ROLLBACK, ""),
            ("POST", FLIP, r#"{"to": "blue"}"#),
            ("PUT", WEIGHTS, r#"{"blue": 1, "green": 99}"#),
        ] {
            let answer = pointsman.call(method, path, body);
            assert_eq!(answer.status, 409, "{path}: {}", answer.text());
        }
        assert_eq!(met(pointsman, 20).get("green"), Some(&20));
    };
    refused(&pointsman);
    assert_eq!(pointsman.upgrade().code, 0);
    refused(&pointsman);
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    refused(&pointsman);
    // The same upstream under another name is the same version.
    let text =
        versions.config(BOTH, "", "").replace("pools.blue", "pools.azure").replace("\"blue\"", "\"green\"");
    pointsman.configure(&text);
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(pointsman.call("POST", FLIP, r#"{"to": "azure"}"#).status, 409);
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.call("POST", FLIP, r#"{"to": "azure"}"#).status, 409);
}

#[test]
fn a_rollback_goes_back_once_and_the_answers_name_versions() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", ""));
    promote(&pointsman, "green", "v2");
    promote(&pointsman, "blue", "v3");
    let web = pointsman.web();
    assert_eq!(
        (&web["pools"]["blue"]["version"], &web["pools"]["green"]["version"]),
        (&"v3".into(), &"v2".into())
    );
    assert!(
        web["pools"]["blue"]["since"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z'))
    );
    let printed = pointsman.cli(&["rollback", "web"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.out.contains("back to v2 on green"), "{printed:?}");
    assert_eq!(met(&pointsman, 20).get("green"), Some(&20));
    let again = pointsman.call("POST", ROLLBACK, "");
    assert_eq!(again.status, 409, "a second one does not toggle: {}", again.text());
    assert!(detail(&again).contains("v3 on blue"), "{}", again.text());
    assert_eq!(met(&pointsman, 20).get("green"), Some(&20));
    let forced = pointsman.call("POST", ROLLBACK, r#"{"force": true}"#);
    assert_eq!(forced.status, 200, "{}", forced.text());
    assert!(detail(&forced).contains("v3 on blue"), "{}", forced.text());
}

#[test]
fn a_rollback_during_a_rollout_aborts_it() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(&["blue", "green", "red"], "", ""));
    promote(&pointsman, "green", "v2");
    let id = pointsman.start_rollout(&format!(r#"{{"to": "red", "version": "v3", {HALF}}}"#));
    eventually("it has half", || pointsman.weight("red") == 50.0);
    let printed = pointsman.cli(&["rollback", "web"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.out.contains(&id) && printed.out.contains("v2 on green"), "{printed:?}");
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    assert_eq!(met(&pointsman, 50).get("green"), Some(&50), "and no further back than that");
}

#[test]
fn flip_and_weights_refuse_what_was_aborted_or_is_down_unless_forced() {
    let versions = Versions::new();
    let pointsman = aborted(&versions, "");
    let flip = pointsman.cli(&["flip", "web", "--to", "blue"]);
    assert!(flip.code == 1 && flip.err.contains("v3") && flip.err.contains("--force"), "{flip:?}");
    let weights = pointsman.cli(&["weights", "web", "blue=10", "green=90"]);
    assert!(weights.code == 1 && weights.err.contains("v3"), "{weights:?}");
    assert_eq!(pointsman.weight("blue"), 0.0);
    let forced = pointsman.call("PUT", &format!("{WEIGHTS}?force=true"), r#"{"blue": 10, "green": 90}"#);
    assert_eq!(forced.status, 200, "{}", forced.text());
    assert_eq!(
        pointsman.call("PUT", WEIGHTS, r#"{"blue": 20, "green": 80}"#).status,
        409,
        "no more than that"
    );
    assert_eq!(pointsman.call("PUT", WEIGHTS, r#"{"blue": 5, "green": 95}"#).status, 200, "less is fine");
    assert_eq!(pointsman.call("PUT", WEIGHTS, r#"{"blue": 6, "green": 94, "force": true}"#).status, 200);
    assert_eq!(pointsman.cli(&["weights", "web", "green=100"]).code, 0);
    assert_eq!(pointsman.cli(&["weights", "web", "blue=7", "green=93", "--force"]).code, 0);
    assert_eq!(pointsman.cli(&["weights", "web", "green=100"]).code, 0);
    // A version that passes lifts the bar; what stands in its place is up to its health then.
    versions.blue.is_good(true);
    promote(&pointsman, "blue", "v4");
    versions.green.is_healthy(false);
    becomes(&pointsman, "green", "down");
    for (method, path, body) in
        [("POST", FLIP, r#"{"to": "green"}"#), ("PUT", WEIGHTS, r#"{"green": 100}"#), ("POST", ROLLBACK, "")]
    {
        let refused = pointsman.call(method, path, body);
        assert_eq!(refused.status, 409, "{path}: {}", refused.text());
        assert!(detail(&refused).contains("500"), "what its check said: {}", refused.text());
    }
    assert_eq!(met(&pointsman, 20).get("blue"), Some(&20));
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green", "--force"]).code, 0);
}

#[test]
fn other_upstreams_lift_the_bar_and_void_previous() {
    let versions = Versions::new();
    let pointsman = aborted(&versions, "");
    let set = |pool: &str, version: &Version| {
        let printed = pointsman.cli(&["upstreams", "set", "web", pool, &version.origin.address.to_string()]);
        assert_eq!(printed.code, 0, "{printed:?}");
        becomes(&pointsman, pool, "ready");
    };
    set("blue", &Version::named("blue"));
    eventually("it is down: its origin has gone", || {
        pointsman.web()["pools"]["blue"]["upstreams"][0]["state"] != "ready"
    });
    assert_eq!(pointsman.cli(&["upstreams", "reset", "web", "blue"]).code, 0);
    let back = pointsman.call("POST", FLIP, r#"{"to": "blue"}"#);
    assert_eq!(back.status, 409, "the aborted version lies there again: {}", back.text());
    set("blue", &versions.red);
    assert_eq!(pointsman.call("POST", FLIP, r#"{"to": "blue"}"#).status, 200, "another version");
    assert_eq!(met(&pointsman, 20).get("red"), Some(&20));

    // green was stable before; now something else lies there.
    let other = Version::named("other");
    set("green", &other);
    let refused = pointsman.call("POST", ROLLBACK, "");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(detail(&refused).contains("other upstreams"), "{}", refused.text());
    assert_eq!(met(&pointsman, 20).get("red"), Some(&20));
}

#[test]
fn other_upstreams_in_the_file_void_previous_by_reload_and_restart() {
    let versions = Versions::new();
    let pointsman = Pointsman::start(&versions.config(BOTH, "", ""));
    promote(&pointsman, "green", "v2");
    let other = Version::named("other");
    let moved = |text: &str| text.replace(&pool("blue", &versions.blue), &pool("blue", &other));
    pointsman.configure(&moved(&versions.config(BOTH, "", "")));
    let restarted = Pointsman::start_in(pointsman.kill());
    assert_eq!(restarted.call("POST", ROLLBACK, "").status, 409);
    assert_eq!(met(&restarted, 10).get("green"), Some(&10));
    promote(&restarted, "blue", "v3");
    assert_eq!(restarted.web()["previous"], "green");
    restarted.configure(
        &moved(&versions.config(BOTH, "", ""))
            .replace(&versions.green.origin.address.to_string(), &versions.red.origin.address.to_string()),
    );
    assert_eq!(restarted.cli(&["reload"]).code, 0);
    let refused = restarted.call("POST", ROLLBACK, "");
    assert_eq!(refused.status, 409, "{}", refused.text());
}

#[test]
fn the_automatic_return_does_not_go_to_another_version() {
    let versions = Versions::new();
    let hook = Origin::new(|_| Reaction::ok(""));
    let notify = format!("[[notify]]\nkind = \"webhook\"\nurl = \"http://{}/\"\n", hook.address);
    let after = "after = { watch = \"1h\", rollback = true }";
    let pointsman = Pointsman::start(&(versions.config(BOTH, "", after) + &notify));
    promote(&pointsman, "green", "v2");
    // The next version is put in place before anybody has looked at it.
    let unproven = Version::named("unproven");
    let address = unproven.origin.address.to_string();
    assert_eq!(pointsman.cli(&["upstreams", "set", "web", "blue", &address]).code, 0);
    becomes(&pointsman, "blue", "ready");
    versions.green.is_good(false);
    let load = Load::start(pointsman.http(), 2);
    eventually("the watch sees it", || {
        pointsman.history().iter().any(|row| row["action"] == "degraded" || row["action"] == "returned")
    });
    load.stop();
    let met_then = met(&pointsman, 100);
    println!("v2 breaks its limits after blue got other upstreams: 100 requests then met {met_then:?}");
    assert_eq!(met_then.get("unproven"), None);
    let told =
        || hook.all().into_iter().find(|request| request.header("x-pointsman-event") == Some("degraded"));
    eventually("the notice is sent", || told().is_some());
    let notice: Value = serde_json::from_slice(&told().expect("sent").body).expect("JSON");
    let action = notice["action"].as_str().unwrap_or_default();
    assert!(!action.contains("goes back to") && action.contains("other upstreams"), "{notice}");
}

#[test]
fn after_a_rolling_update_there_is_no_way_to_an_unrelated_pool() {
    let versions = Versions::new();
    let text = versions.config(BOTH, "", "rolling = { watch = \"0s\" }").replace(
        &format!("upstreams = [\"{}\"]", versions.green.origin.address),
        &format!("upstreams = [\"{}\", \"{}\"]", versions.green.origin.address, versions.red.origin.address),
    );
    let pointsman = Pointsman::start(&text);
    promote(&pointsman, "green", "v2");
    assert_eq!(pointsman.web()["previous"], "blue");
    let id = pointsman.start_rollout(r#"{"to": "green", "strategy": "rolling", "version": "v3"}"#);
    let mut ended = Value::Null;
    eventually("every upstream is updated", || {
        ended = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        for instance in ended["instances"].as_array().into_iter().flatten() {
            if instance["stage"] == "updating" {
                let upstream = instance["upstream"].as_str().expect("an address");
                pointsman.cli(&["ready", "web", "green", upstream]);
            }
        }
        ended["outcome"].is_string()
    });
    assert_eq!(ended["outcome"], "promoted", "{ended}");
    let refused = pointsman.call("POST", ROLLBACK, "");
    println!("rollback after a rolling update: {} {}", refused.status, detail(&refused));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!((pointsman.web()["previous"].clone(), met(&pointsman, 20).get("blue")), (Value::Null, None));
    assert_eq!(pointsman.web()["pools"]["green"]["version"], "v3");
}

#[test]
fn a_service_that_reloads_take_away_and_bring_back_keeps_its_stable_version_and_its_bars() {
    let versions = Versions::new();
    let pointsman = aborted(&versions, "");
    let other = format!(
        "[[routes]]\nservice = \"api\"\n[services.api.pools.one]\nupstreams = [\"{}\"]\n",
        versions.red.origin.address
    );
    pointsman.configure(&other);
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    pointsman.configure(&versions.config(BOTH, "", ""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    becomes(&pointsman, "green", "ready");
    println!("a service that came back: 20 requests met {:?}", met(&pointsman, 20));
    assert_eq!(met(&pointsman, 20).get("green"), Some(&20), "the file says that blue is stable at first");
    assert_eq!(pointsman.call("POST", FLIP, r#"{"to": "blue"}"#).status, 409);
}
