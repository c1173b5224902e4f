//! `kill -9` in every phase of every strategy: the rollout goes on where it was, or is aborted where going
//! on would be unsafe, and the history says which and why.

mod scene;
mod situations;

use super::harness::{Connection, Load, Pointsman, eventually};
use scene::{Mode, Scene, WELL};
use serde_json::{Value, json};
use situations::{
    BEFORE_TRAFFIC, BY_WORD, End, FLEET, FLEETS, LATER, SHIFTING, Situation, UNSAFE, Unsafe, act, say, stage,
    waits_for, without,
};

/// What must be the same after a restart; evidence and pass time may start again.
fn essence(view: &Value) -> Value {
    let pools = view["pools"].as_object().expect("pools").iter().map(|(name, pool)| {
        let upstreams = pool["upstreams"].as_array().expect("upstreams").iter();
        let draining = upstreams.filter(|u| u["state"] == "draining").map(|u| u["address"].clone());
        (name.clone(), json!({ "weight": pool["weight"], "draining": draining.collect::<Vec<_>>() }))
    });
    let pools: serde_json::Map<_, _> = pools.collect();
    let pick = |value: &Value, keys: &[&str]| -> Value {
        keys.iter()
            .map(|key| ((*key).to_owned(), value[*key].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let rollout = [
        "id",
        "phase",
        "step",
        "weight",
        "waits_for",
        "instances",
        "outcome",
        "dry_run",
        "from",
        "to",
        "version",
    ];
    json!({
        "roles": pick(view, &["stable", "candidate", "previous"]),
        "pools": pools,
        "rollout": pick(&view["rollout"], &rollout),
        "watch": pick(&view["watch"], &["rollout", "rollback", "of_seconds"]),
    })
}

/// All at the same time: they mostly wait.
fn all(situations: &[Situation]) {
    let lines: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = situations.iter().map(|one| scope.spawn(|| killed_in(one))).collect();
        running.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    println!("{}", lines.join("\n"));
}

fn killed_in(situation: &Situation) -> String {
    let name = situation.name;
    let scene = Scene::new();
    (situation.before)(&scene);
    let stable = if situation.start == FLEET { "fleet" } else { "blue" };
    let pointsman = Pointsman::start(&scene.config(stable, situation.keys));
    let id = pointsman.start_rollout(situation.start);
    (situation.meanwhile)(&pointsman, &id);
    let mut before = Value::Null;
    eventually(name, || {
        before = pointsman.web();
        (situation.reached)(&before)
    });
    let pointsman = pointsman.kill_and_restart();
    let after = pointsman.web();
    assert_eq!(essence(&after), essence(&before), "{name}\n{after}");
    assert!(after["revision"].as_u64() > before["revision"].as_u64(), "{name}: revisions never repeat");
    let text = pointsman.row("recovered")["text"].to_string();
    assert!(text.contains(&id) && text.contains(situation.says), "{name}: {text}");
    (situation.after)(&scene, &pointsman, &id);
    let end = ended(situation, &scene, &pointsman, &id);
    let expected = if situation.end == End::Aborted { "aborted" } else { "promoted" };
    assert_eq!(pointsman.ended(&id)["outcome"], expected, "{name}: {}", pointsman.web());
    format!("{name}: {}; then {end}", text.trim_matches('"').replace(&id, "…"))
}

/// Sees it to its end.
fn ended(situation: &Situation, scene: &Scene, pointsman: &Pointsman, id: &str) -> &'static str {
    let name = situation.name;
    if matches!(situation.end, End::Aborted | End::Returned) {
        scene.green.becomes(Mode { good: false, ..WELL });
    }
    match situation.end {
        End::Watched => {
            assert_eq!(pointsman.web()["watch"]["rollout"], id, "{name}: still under watch");
            "watched"
        }
        End::Promoted => {
            pointsman.ended(id);
            "promoted"
        }
        End::Aborted => {
            let load = Load::start(pointsman.http(), 2);
            pointsman.ended(id);
            load.stop();
            assert_eq!(pointsman.weight("green"), 0.0, "{name}");
            "aborted"
        }
        End::Returned => {
            let load = Load::start(pointsman.http(), 2);
            eventually("it goes back", || pointsman.web()["stable"] == "blue");
            load.stop();
            assert_eq!(pointsman.weight("green"), 0.0, "{name}");
            pointsman.row("returned");
            "back on the previous pool"
        }
    }
}

#[test]
fn before_any_traffic_it_goes_on() {
    all(BEFORE_TRAFFIC);
}

#[test]
fn with_traffic_it_goes_on_at_the_same_step() {
    all(SHIFTING);
}

#[test]
fn baking_paused_promoted_or_dry_it_goes_on() {
    all(LATER);
}

#[test]
fn a_rolling_update_goes_on_at_the_same_upstream() {
    all(FLEETS);
}

/// The request itself is lost with the process; the upstream stays out, and its update goes on.
#[test]
fn a_rolling_update_goes_on_draining() {
    let scene = Scene::new();
    let pointsman = Pointsman::start(&scene.config("fleet", &format!("gate = true\n{BY_WORD}")));
    let id = pointsman.start_rollout(FLEET);
    eventually("it waits", || waits_for(&pointsman.web()) == "approval");
    scene.fleet.iter().for_each(|actor| actor.becomes(Mode { hangs: true, ..WELL }));
    let mut clients: Vec<_> = (0..6).map(|_| Connection::open(pointsman.http())).collect();
    for client in &mut clients {
        client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    }
    let first = |view: &Value| view["pools"]["fleet"]["upstreams"][0].clone();
    eventually("requests are in flight", || first(&pointsman.web())["in_flight"].as_u64() > Some(0));
    act(&pointsman, &id, "resume");
    eventually("it drains", || stage(&pointsman.web(), 0) == "draining");
    let pointsman = pointsman.kill_and_restart();
    let view = pointsman.web();
    assert_eq!(first(&view)["state"], "draining", "{view}");
    let text = pointsman.row("recovered")["text"].to_string();
    assert!(text.contains("batch 1 of 3") && text.contains("is draining"), "{text}");
    scene.fleet.iter().for_each(|actor| actor.becomes(WELL));
    say(&pointsman, &id);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    println!("rolling, draining with a request in flight: {}; then promoted", text.replace(&id, "…"));
}

/// The bad one stays out after a restart, the others serve.
#[test]
fn a_rolling_update_that_turns_bad_after_a_restart_takes_its_batch_out() {
    let scene = Scene::new();
    let pointsman = Pointsman::start(&scene.config("fleet", "rolling = { watch = \"1h\", UPDATE }"));
    let id = pointsman.start_rollout(FLEET);
    eventually("the first serves again", || stage(&pointsman.web(), 0) == "serving");
    let pointsman = pointsman.kill_and_restart();
    pointsman.row("recovered");
    scene.fleet[0].becomes(Mode { good: false, ..WELL });
    let load = Load::start(pointsman.http(), 2);
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted");
    // Killed again at once: perhaps before that is durable.
    drop(load);
    let pointsman = pointsman.kill_and_restart();
    let view = pointsman.web();
    assert_eq!(view["rollout"]["outcome"], "aborted", "{view}");
    assert_eq!(view["pools"]["fleet"]["upstreams"][0]["state"], "draining", "{view}");
    println!("rolling, serving under watch, bad afterwards: {}", view["rollout"]["reason"]);
}

#[test]
fn where_going_on_would_be_unsafe_it_is_aborted_and_says_so() {
    let lines: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = UNSAFE.iter().map(|one| scope.spawn(|| aborted_in(one))).collect();
        running.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    println!("{}", lines.join("\n"));
}

fn aborted_in(situation: &Unsafe) -> String {
    let name = situation.name;
    let scene = Scene::new();
    let config = scene.config(situation.stable, situation.keys);
    let pointsman = Pointsman::start(&config);
    let id = pointsman.start_rollout(situation.start);
    eventually(name, || (situation.reached)(&pointsman.web()));
    pointsman.configure(&(situation.change)(&scene, &config));
    let pointsman = pointsman.kill_and_restart();
    let path = format!("/v1/services/web/rollouts/{id}");
    let view = pointsman.get(&path).json();
    assert_eq!(view["outcome"], "aborted", "{name}: {view}");
    let reason = view["reason"].to_string();
    assert!(reason.contains(situation.says), "{name}: {reason}");
    let web = pointsman.web();
    assert_eq!(web["stable"], situation.stable_after, "{name}: {web}");
    assert_eq!(pointsman.weight(situation.stable_after), 100.0, "{name}: {web}");
    assert_eq!(pointsman.row("aborted")["rollout"], id.as_str(), "{name}");
    assert!(pointsman.row("aborted")["text"].to_string().contains(situation.says), "{name}");
    // It is remembered beside the next one, and over the next start.
    let pools = web["pools"].as_object().expect("pools");
    let other = pools.keys().find(|pool| *pool != situation.stable_after).expect("another pool");
    let next = pointsman.start_rollout(&json!({ "to": other, "dry_run": true }).to_string());
    assert_eq!(pointsman.get(&path).json()["outcome"], "aborted", "{name}");
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.get(&path).json()["outcome"], "aborted", "{name}");
    assert_ne!(next, id);
    format!("{name}: {reason}; traffic on {}", situation.stable_after)
}

/// Traffic stays on what is stable now, not on what was once configured as such.
#[test]
fn a_pool_that_is_gone_leaves_its_traffic_to_the_live_stable() {
    let scene = Scene::new();
    let config = scene.config("blue", "");
    let pointsman = Pointsman::start(&config);
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    let weights = r#"{"green": 70, "fleet": 30}"#;
    assert_eq!(pointsman.call("PUT", "/v1/services/web/weights", weights).status, 200);
    pointsman.configure(&without("fleet", &config));
    let pointsman = pointsman.kill_and_restart();
    let view = pointsman.web();
    assert_eq!((&view["stable"], &view["previous"]), (&json!("green"), &json!("blue")), "{view}");
    assert_eq!(pointsman.weight("green"), 100.0, "{view}");
    let text = pointsman.row("recovered")["text"].to_string();
    assert!(text.contains("fleet") && text.contains("all traffic on green"), "{text}");
    println!("{text}");
}

#[test]
fn nobody_is_asked_twice_without_a_restart() {
    let scene = Scene::new();
    let keys = "SMOKE\nHOOK\nrolling = { watch = \"0s\", UPDATE }\nafter = { watch = \"0s\" }";
    let pointsman = Pointsman::start(&scene.config("fleet", keys));
    let id = pointsman.start_rollout(FLEET);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    assert_eq!(scene.hook.asked("/hook"), 4, "once before shifting, once for every upstream");
    eventually("tested before and after", || scene.fleet.iter().all(|actor| actor.asked("/smoke") >= 2));
    assert!(scene.fleet.iter().all(|actor| actor.asked("/smoke") == 2));
}
