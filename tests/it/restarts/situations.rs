//! The situations that a process is killed in, and how each is reached and left.

use super::scene::{Mode, Scene, WELL};
use crate::harness::{Pointsman, Reaction, eventually};
use serde_json::Value;
use std::time::Duration;

/// How it ends when it goes on.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    Promoted,
    /// The candidate turns bad after the restart.
    Aborted,
    /// It had been promoted before.
    Watched,
    /// It had been promoted before, and turns bad after the restart.
    Returned,
}
use End::{Aborted, Promoted, Returned, Watched};

pub struct Situation {
    pub name: &'static str,
    /// Keys of the rollout.
    pub keys: &'static str,
    /// The body that starts it.
    pub start: &'static str,
    pub before: fn(&Scene),
    /// What is done once it has begun.
    pub meanwhile: fn(&Pointsman, &str),
    pub reached: fn(&Value) -> bool,
    /// What the history must say of going on.
    pub says: &'static str,
    /// What lets it go on.
    pub after: fn(&Scene, &Pointsman, &str),
    pub end: End,
}

pub const GREEN: &str = r#"{"to": "green", "strategy": "canary"}"#;
pub const AT_ONCE: &str = r#"{"to": "green", "strategy": "blue-green"}"#;
pub const FLEET: &str = r#"{"to": "fleet", "strategy": "rolling"}"#;
pub const STEPS: &str = "steps = [{ weight = 5 }, { weight = 25 }, { weight = 100 }]";

pub const PLAIN: Situation = Situation {
    name: "",
    keys: STEPS,
    start: GREEN,
    before: |_| {},
    meanwhile: |_, _| {},
    reached: |_| true,
    says: "goes on",
    after: |_, _, _| {},
    end: Promoted,
};

pub const ROLLING: Situation =
    Situation { start: FLEET, keys: "rolling = { watch = \"0s\", UPDATE }", ..PLAIN };
/// The deploy job says when an upstream is updated.
pub const BY_WORD: &str = "rolling = { watch = \"0s\" }";

pub struct Unsafe {
    pub name: &'static str,
    pub stable: &'static str,
    pub keys: &'static str,
    pub start: &'static str,
    pub reached: fn(&Value) -> bool,
    /// Changes the configuration.
    pub change: fn(&Scene, &str) -> String,
    pub stable_after: &'static str,
    pub says: &'static str,
}

/// Takes a pool out of a configuration.
pub fn without(pool: &str, config: &str) -> String {
    let start = config.find(&format!("[services.web.pools.{pool}]")).expect("the pool");
    let end = start + 1 + config[start + 1..].find("\n[").expect("something follows");
    config[..start].to_owned() + &config[end + 1..]
}

pub fn act(pointsman: &Pointsman, id: &str, action: &str) {
    let answer = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/{action}"), "");
    assert_eq!(answer.status, 200, "{action}: {}", answer.text());
}

pub fn phase(view: &Value) -> &str {
    view["rollout"]["phase"].as_str().unwrap_or_default()
}

pub fn waits_for(view: &Value) -> &str {
    view["rollout"]["waits_for"].as_str().unwrap_or_default()
}

pub fn stage(view: &Value, index: usize) -> &str {
    view["rollout"]["instances"][index]["stage"].as_str().unwrap_or_default()
}

/// Says for one upstream after the other that it is updated.
pub fn say(pointsman: &Pointsman, id: &str) {
    eventually("all are updated", || {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        for instance in view["instances"].as_array().expect("instances") {
            if instance["stage"] == "updating" {
                let upstream = instance["upstream"].as_str().expect("an address");
                let path = format!("/v1/services/web/pools/fleet/upstreams/{upstream}/ready");
                assert_eq!(pointsman.call("POST", &path, "").status, 200);
            }
        }
        view["outcome"].is_string()
    });
}

pub const BEFORE_TRAFFIC: &[Situation] = &[
    Situation {
        name: "canary, preparing",
        before: |scene| scene.green.becomes(Mode { healthy: false, ..WELL }),
        reached: |view| phase(view) == "preparing",
        says: "preparing",
        after: |scene, _, _| scene.green.becomes(WELL),
        ..PLAIN
    },
    Situation {
        name: "blue-green, preparing",
        start: AT_ONCE,
        before: |scene| scene.green.becomes(Mode { healthy: false, ..WELL }),
        reached: |view| phase(view) == "preparing",
        says: "preparing",
        after: |scene, _, _| scene.green.becomes(WELL),
        ..PLAIN
    },
    Situation {
        name: "canary, testing",
        keys: "steps = [{ weight = 5 }, { weight = 100 }]\nSMOKE",
        before: |scene| scene.green.becomes(Mode { answers: false, ..WELL }),
        reached: |view| phase(view) == "testing",
        says: "smoke tests",
        after: |scene, _, _| scene.green.becomes(WELL),
        ..PLAIN
    },
    Situation {
        name: "blue-green, testing",
        start: AT_ONCE,
        keys: "SMOKE",
        before: |scene| scene.green.becomes(Mode { answers: false, ..WELL }),
        reached: |view| phase(view) == "testing",
        says: "smoke tests",
        after: |scene, _, _| scene.green.becomes(WELL),
        ..PLAIN
    },
    Situation {
        name: "canary, at the gate before traffic",
        keys: "steps = [{ weight = 5 }, { weight = 100 }]\ngate = true",
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before shifting",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..PLAIN
    },
    Situation {
        name: "blue-green, at the gate before traffic",
        start: AT_ONCE,
        keys: "gate = true",
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before shifting",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..PLAIN
    },
    Situation {
        name: "canary, waiting for a hook",
        keys: "steps = [{ weight = 5 }, { weight = 100 }]\nHOOK",
        before: |scene| scene.hook.becomes(Mode { answers: false, ..WELL }),
        reached: |view| waits_for(view) == "before-shifting",
        says: "the hook before-shifting is asked again",
        after: |scene, _, _| scene.hook.becomes(WELL),
        ..PLAIN
    },
    Situation {
        name: "blue-green, waiting for a hook",
        start: AT_ONCE,
        keys: "HOOK",
        before: |scene| scene.hook.becomes(Mode { answers: false, ..WELL }),
        reached: |view| waits_for(view) == "before-shifting",
        says: "the hook before-shifting is asked again",
        after: |scene, _, _| scene.hook.becomes(WELL),
        ..PLAIN
    },
];

pub const SHIFTING: &[Situation] = &[
    Situation {
        name: "canary, step 1 of 3",
        keys: "steps = [{ weight = 5, hold = \"2s\" }, { weight = 25 }, { weight = 100 }]",
        reached: |view| view["rollout"]["weight"] == 5.0,
        says: "step 1 of 3",
        ..PLAIN
    },
    Situation {
        name: "canary, step 2 of 3",
        keys: "steps = [{ weight = 5 }, { weight = 25, hold = \"2s\" }, { weight = 100 }]",
        reached: |view| view["rollout"]["weight"] == 25.0,
        says: "step 2 of 3",
        ..PLAIN
    },
    Situation {
        name: "canary, step 3 of 3",
        keys: "steps = [{ weight = 5 }, { weight = 25 }, { weight = 100, hold = \"2s\" }]",
        reached: |view| view["rollout"]["weight"] == 100.0,
        says: "step 3 of 3",
        ..PLAIN
    },
    Situation {
        name: "canary, step 2 of 3, bad afterwards",
        keys: "steps = [{ weight = 5 }, { weight = 25, hold = \"1h\" }, { weight = 100 }]",
        reached: |view| view["rollout"]["weight"] == 25.0,
        says: "step 2 of 3",
        end: Aborted,
        ..PLAIN
    },
    Situation {
        name: "canary, at the gate of a step",
        keys: "steps = [{ weight = 5, gate = true }, { weight = 100 }]",
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before step 2",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..PLAIN
    },
    Situation {
        name: "canary, at the gate of a step, bad afterwards",
        keys: "steps = [{ weight = 5, gate = true }, { weight = 100 }]",
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before step 2",
        end: Aborted,
        ..PLAIN
    },
    Situation {
        name: "blue-green, shifting",
        start: r#"{"to": "green", "strategy": "blue-green", "steps": [{"weight": 100, "hold": "2s"}]}"#,
        reached: |view| view["rollout"]["weight"] == 100.0,
        says: "step 1 of 1",
        ..PLAIN
    },
    Situation {
        name: "blue-green, at the gate of its step",
        start: r#"{"to": "green", "strategy": "blue-green",
                       "steps": [{"weight": 100, "hold": "0s", "gate": true}]}"#,
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before baking",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..PLAIN
    },
];

pub const LATER: &[Situation] = &[
    Situation {
        name: "canary, baking",
        keys: "steps = [{ weight = 5 }, { weight = 100 }]\nbake = \"2s\"",
        reached: |view| phase(view) == "baking",
        says: "baking",
        ..PLAIN
    },
    Situation {
        name: "blue-green, baking, bad afterwards",
        start: AT_ONCE,
        keys: "bake = \"1h\"",
        reached: |view| phase(view) == "baking",
        says: "baking",
        end: Aborted,
        ..PLAIN
    },
    Situation {
        name: "canary, paused",
        keys: "steps = [{ weight = 5, hold = \"2s\" }, { weight = 100 }]",
        meanwhile: |pointsman, id| {
            eventually("it shifts", || pointsman.weight("green") == 5.0);
            act(pointsman, id, "pause");
        },
        reached: |view| phase(view) == "paused",
        says: "paused",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..PLAIN
    },
    Situation {
        name: "blue-green, paused, bad afterwards",
        start: AT_ONCE,
        keys: "bake = \"1h\"",
        meanwhile: |pointsman, id| {
            eventually("it bakes", || phase(&pointsman.web()) == "baking");
            act(pointsman, id, "pause");
        },
        reached: |view| phase(view) == "paused",
        says: "baking, paused",
        end: Aborted,
        ..PLAIN
    },
    Situation {
        name: "canary, promoted and under watch",
        keys: "steps = [{ weight = 5 }, { weight = 100 }]\nafter = { watch = \"1h\", rollback = true }",
        reached: |view| view["watch"].is_object(),
        says: "the watch over green",
        end: Watched,
        ..PLAIN
    },
    Situation {
        name: "blue-green, promoted and under watch",
        start: AT_ONCE,
        keys: "after = { watch = \"1h\", rollback = true }",
        reached: |view| view["watch"].is_object(),
        says: "the watch over green",
        end: Watched,
        ..PLAIN
    },
    Situation {
        name: "blue-green, promoted and under watch, bad afterwards",
        start: AT_ONCE,
        keys: "after = { watch = \"1h\", rollback = true }",
        reached: |view| view["watch"].is_object(),
        says: "the watch over green",
        end: Returned,
        ..PLAIN
    },
    Situation {
        name: "canary, a dry run",
        start: r#"{"to": "green", "dry_run": true}"#,
        keys: "steps = [{ weight = 5 }, { weight = 25, hold = \"2s\" }, { weight = 100 }]",
        reached: |view| view["rollout"]["step"] == 1,
        says: "dry run",
        ..PLAIN
    },
    Situation {
        name: "blue-green, a dry run",
        start: r#"{"to": "green", "strategy": "blue-green", "dry_run": true}"#,
        keys: "bake = \"2s\"",
        reached: |view| phase(view) == "baking",
        says: "dry run",
        ..PLAIN
    },
];

pub const FLEETS: &[Situation] = &[
    Situation {
        name: "rolling, preparing",
        before: |scene| {
            scene.fleet.iter().for_each(|actor| actor.becomes(Mode { healthy: false, ..WELL }));
        },
        reached: |view| phase(view) == "preparing",
        says: "preparing",
        after: |scene, _, _| scene.fleet.iter().for_each(|actor| actor.becomes(WELL)),
        ..ROLLING
    },
    Situation {
        name: "rolling, at the gate before it begins",
        keys: "gate = true\nrolling = { watch = \"0s\", UPDATE }",
        reached: |view| waits_for(view) == "approval",
        says: "waits for approval before shifting",
        after: |_, pointsman, id| act(pointsman, id, "resume"),
        ..ROLLING
    },
    Situation {
        name: "rolling, waiting for a hook",
        keys: "HOOK\nrolling = { watch = \"0s\", UPDATE }",
        before: |scene| scene.hook.becomes(Mode { answers: false, ..WELL }),
        reached: |view| waits_for(view) == "before-shifting",
        says: "the hook before-shifting is asked again",
        after: |scene, _, _| scene.hook.becomes(WELL),
        ..ROLLING
    },
    Situation {
        name: "rolling, updating by hook",
        before: |scene| scene.hook.becomes(Mode { answers: false, ..WELL }),
        reached: |view| stage(view, 0) == "updating",
        says: "batch 1 of 3",
        after: |scene, _, _| scene.hook.becomes(WELL),
        ..ROLLING
    },
    Situation {
        name: "rolling, updating by word",
        keys: BY_WORD,
        reached: |view| stage(view, 0) == "updating",
        says: "is updating",
        after: |_, pointsman, id| say(pointsman, id),
        ..ROLLING
    },
    Situation {
        name: "rolling, proving the second",
        keys: "rolling = { watch = \"0s\", UPDATE }\nprepare = \"20s\"",
        before: |scene| {
            let second = scene.fleet[1].mode.clone();
            let address = scene.fleet[1].address().to_string();
            // The update of the second breaks it, and takes some checks' time.
            scene.hook.origin.react(move |request| {
                if request.header("idempotency-key").is_some_and(|key| key.ends_with(&address)) {
                    second.0.lock().expect("no panic").healthy = false;
                    return Reaction::Late(Duration::from_millis(300), 200, String::new());
                }
                Reaction::ok("updated")
            });
        },
        reached: |view| stage(view, 1) == "proving",
        says: "is to be proven",
        after: |scene, _, _| scene.fleet[1].becomes(WELL),
        ..ROLLING
    },
    Situation {
        name: "rolling, testing",
        keys: "SMOKE\nrolling = { watch = \"0s\", UPDATE }",
        before: |scene| scene.fleet[0].becomes(Mode { answers: false, ..WELL }),
        reached: |view| stage(view, 0) == "testing",
        says: "is being tested",
        after: |scene, _, _| scene.fleet[0].becomes(WELL),
        ..ROLLING
    },
    Situation {
        name: "rolling, serving under watch",
        keys: "rolling = { watch = \"1500ms\", UPDATE }",
        reached: |view| stage(view, 1) == "serving",
        says: "batch 2 of 3",
        ..ROLLING
    },
    Situation {
        name: "rolling, baking",
        keys: "bake = \"2s\"\nrolling = { watch = \"0s\", UPDATE }",
        reached: |view| phase(view) == "baking",
        says: "baking",
        ..ROLLING
    },
    Situation {
        name: "rolling, paused",
        keys: BY_WORD,
        meanwhile: |pointsman, id| {
            eventually("it updates", || stage(&pointsman.web(), 0) == "updating");
            act(pointsman, id, "pause");
        },
        reached: |view| phase(view) == "paused",
        says: "paused",
        after: |_, pointsman, id| {
            act(pointsman, id, "resume");
            say(pointsman, id);
        },
        ..ROLLING
    },
    Situation {
        name: "rolling, promoted and under watch",
        keys: "rolling = { watch = \"0s\", UPDATE }\nafter = { watch = \"1h\" }",
        reached: |view| view["watch"].is_object(),
        says: "the watch over fleet",
        end: Watched,
        ..ROLLING
    },
];

pub const UNSAFE: &[Unsafe] = &[
    Unsafe {
        name: "the candidate is gone",
        stable: "blue",
        keys: "steps = [{ weight = 25, hold = \"1h\" }, { weight = 100 }]",
        start: GREEN,
        reached: |view| view["rollout"]["weight"] == 25.0,
        change: |_, config| without("green", config),
        stable_after: "blue",
        says: "the pool green is no longer configured",
    },
    Unsafe {
        name: "the candidate is gone before it had traffic",
        stable: "blue",
        keys: "gate = true",
        start: AT_ONCE,
        reached: |view| waits_for(view) == "approval",
        change: |_, config| without("green", config),
        stable_after: "blue",
        says: "the pool green is no longer configured",
    },
    Unsafe {
        name: "the candidate of a dry run is gone",
        stable: "blue",
        keys: "bake = \"1h\"",
        start: r#"{"to": "green", "strategy": "blue-green", "dry_run": true}"#,
        reached: |view| phase(view) == "baking",
        change: |_, config| without("green", config),
        stable_after: "blue",
        says: "the pool green is no longer configured",
    },
    Unsafe {
        name: "stable is gone",
        stable: "blue",
        keys: "bake = \"1h\"",
        start: AT_ONCE,
        reached: |view| phase(view) == "baking",
        change: |_, config| without("blue", config).replace("stable = \"blue\"", "stable = \"fleet\""),
        stable_after: "fleet",
        says: "the pool blue is no longer configured",
    },
    Unsafe {
        name: "the pool of a rolling update is gone",
        stable: "blue",
        keys: BY_WORD,
        start: FLEET,
        reached: |view| stage(view, 0) == "updating",
        change: |_, config| without("fleet", config),
        stable_after: "blue",
        says: "the pool fleet is no longer configured",
    },
    Unsafe {
        name: "the upstream that is being updated is gone",
        stable: "fleet",
        keys: BY_WORD,
        start: FLEET,
        reached: |view| stage(view, 0) == "updating",
        change: |scene, config| config.replace(&format!("\"{}\", ", scene.fleet[0].address()), ""),
        stable_after: "fleet",
        says: "is no longer an upstream of fleet",
    },
];
