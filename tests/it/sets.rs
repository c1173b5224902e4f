//! Services that are deployed as one: they begin, go on, hold, are aborted and go back together.

use super::harness::{Load, Origin, Pointsman, Reaction, eventually};
use serde_json::Value;

const QUICK: &str = "min_attempts = 20\nbake = \"0s\"\nafter = { watch = \"1h\", rollback = true }";
const STEPS: &str = "steps = [{ weight = 50, hold = \"200ms\" }, { weight = 100 }]";

/// The origins of two services, `web` and `signaling`.
struct Origins([[Origin; 2]; 2]);

impl Origins {
    fn new() -> Self {
        Origins(
            [["web blue", "web green"], ["signaling blue", "signaling green"]]
                .map(|of| of.map(Origin::named)),
        )
    }

    fn config(&self, rollouts: [&str; 2]) -> String {
        let service = |name: &str, [blue, green]: &[Origin; 2], rollout: &str| {
            let check = "health = { path = \"/\", interval = \"50ms\" }";
            format!(
                "[services.{name}]\nstable = \"blue\"\n\
                 [services.{name}.pools.blue]\nupstreams = [\"{}\"]\n{check}\n\
                 [services.{name}.pools.green]\nupstreams = [\"{}\"]\n{check}\n\
                 [services.{name}.rollout]\n{QUICK}\n{rollout}\n",
                blue.address, green.address
            )
        };
        let [web, signaling] = &self.0;
        format!(
            "[[routes]]\nservice = \"signaling\"\npath = \"/signaling/\"\n[[routes]]\nservice = \"web\"\n\
             [[sets]]\nname = \"site\"\nservices = [\"web\", \"signaling\"]\n{}{}",
            service("web", web, rollouts[0]),
            service("signaling", signaling, rollouts[1])
        )
    }

    fn start(&self, rollouts: [&str; 2]) -> Pointsman {
        Pointsman::start(&self.config(rollouts))
    }
}

fn service(pointsman: &Pointsman, name: &str) -> Value {
    pointsman.get(&format!("/v1/services/{name}")).json()
}

/// The pools that are stable.
fn stable(pointsman: &Pointsman) -> [String; 2] {
    ["web", "signaling"]
        .map(|name| service(pointsman, name)["stable"].as_str().unwrap_or_default().to_owned())
}

fn set(pointsman: &Pointsman) -> Value {
    pointsman.get("/v1/sets/site").json()
}

/// Actions of both services, with the service, oldest first.
fn course(pointsman: &Pointsman, actions: &[&str]) -> Vec<(String, String)> {
    let page = pointsman.get("/v1/sets/site/history?limit=500").json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = page["history"].as_array().expect("rows").iter().rev();
    let rows = rows.map(|row| (text(&row["service"]), text(&row["action"])));
    rows.filter(|(_, action)| actions.contains(&action.as_str())).collect()
}

/// Requests to both services, from several clients.
fn traffic(pointsman: &Pointsman) -> [Load; 2] {
    ["/", "/signaling/"].map(|path| Load::on(pointsman.http(), path, 4))
}

const START: [&str; 5] = ["rollout", "start", "site", "--to", "green"];

#[test]
fn two_services_go_from_step_to_step_together() {
    let origins = Origins::new();
    let pointsman = origins.start([STEPS, "steps = [{ weight = 100 }]"]);
    let load = traffic(&pointsman);
    let printed = pointsman.cli(&[&START[..], &["--version", "v2", "--wait"]].concat());
    assert_eq!(printed.code, 0, "{printed:?}");
    assert_eq!(stable(&pointsman), ["green", "green"]);
    let expected = ["step", "step", "baking", "promoted"];
    let expected: Vec<_> = expected
        .into_iter()
        .flat_map(|action| ["web", "signaling"].map(|name| (name.to_owned(), action.to_owned())))
        .collect();
    assert_eq!(
        course(&pointsman, &["step", "baking", "promoted"]),
        expected,
        "the steps are the first one's"
    );
    for line in ["web          ", "signaling    "] {
        assert!(printed.out.contains(line), "{printed:?}");
    }
    let view = set(&pointsman);
    assert_eq!(view["rollout"]["outcome"], "promoted", "{view:#}");
    assert_eq!(view["rollout"]["version"], "v2");
    load.map(Load::stop).into_iter().for_each(|(_, failed, _)| assert_eq!(failed, 0));
}

#[test]
fn one_that_fails_takes_the_other_with_it_and_no_user_sees_it() {
    let origins = Origins::new();
    origins.0[1][1].react(|request| match request.path() {
        "/" => Reaction::ok("healthy, it says"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let pointsman = origins.start([STEPS, ""]);
    let load = traffic(&pointsman);
    let printed = pointsman.cli(&[&START[..], &["--wait"]].concat());
    assert_eq!(printed.code, 3, "{printed:?}");
    assert_eq!(stable(&pointsman), ["blue", "blue"]);
    let view = set(&pointsman)["rollout"].clone();
    assert_eq!(view["phase"], "aborted");
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("signaling: "), "the one that it is about: {reason}");
    let web = service(&pointsman, "web")["rollout"].clone();
    assert!(web["reason"].as_str().is_some_and(|why| why.starts_with("with signaling: ")), "{web:#}");
    let answered = origins.0[0][1].requests();
    let checks = pointsman.cli(&["status", "site"]);
    assert!(
        checks.out.contains("web  stable blue") && checks.out.contains("signaling  stable blue"),
        "{checks:?}"
    );
    load.map(Load::stop).into_iter().for_each(|(_, failed, _)| assert_eq!(failed, 0));
    assert!(answered > 0, "its own version had traffic before");
}

#[test]
fn one_that_cannot_go_on_holds_the_other_and_is_named() {
    let origins = Origins::new();
    let pointsman = origins.start([STEPS, ""]);
    // Nobody asks for signaling, and it needs 20 attempts.
    let load = Load::on(pointsman.http(), "/", 4);
    let printed = pointsman.cli(&[&START[..], &["--wait", "--timeout", "3s"]].concat());
    assert_eq!(printed.code, 4, "{printed:?}");
    assert!(printed.err.contains("waiting: signaling: needs 20 more attempts"), "{printed:?}");
    let weights = |pointsman: &Pointsman| {
        ["web", "signaling"].map(|name| service(pointsman, name)["pools"]["green"]["weight"].as_f64())
    };
    assert_eq!(weights(&pointsman), [Some(50.0); 2]);
    let own = pointsman.cli(&["rollout", "status", "web"]);
    assert!(own.out.contains("ready to go on, and waits for the other services of its set"), "{own:?}");
    let signaling = Load::on(pointsman.http(), "/signaling/", 4);
    let printed = pointsman.cli(&["rollout", "watch", "site"]);
    assert_eq!((printed.code, stable(&pointsman)), (0, ["green".into(), "green".into()]), "{printed:?}");
    drop((load, signaling));
}

#[test]
fn an_action_on_one_is_one_on_all_and_a_rollback_too() {
    let origins = Origins::new();
    let pointsman = origins.start([STEPS, ""]);
    assert_eq!(pointsman.cli(&START).code, 0);
    let phases = |phase: &str| {
        let is_so = |name| service(&pointsman, name)["rollout"]["phase"] == phase;
        eventually(phase, || ["web", "signaling"].into_iter().all(is_so));
    };
    phases("shifting");
    let again = pointsman.cli(&START);
    assert!(again.code == 1 && again.err.contains("web: cannot start another"), "{again:?}");
    assert_eq!(pointsman.cli(&["rollout", "pause", "signaling"]).code, 0);
    phases("paused");
    assert_eq!(pointsman.cli(&["rollout", "resume", "site"]).code, 0);
    phases("shifting");
    assert_eq!(pointsman.cli(&["rollout", "promote", "web"]).code, 0);
    eventually("both are promoted", || stable(&pointsman) == ["green", "green"]);
    let back = pointsman.cli(&["rollback", "site"]);
    assert_eq!((back.code, stable(&pointsman)), (0, ["blue".into(), "blue".into()]), "{back:?}");
    assert!(pointsman.cli(&["rollback", "site"]).err.contains("there is no way back"));
    // Alone, and as two: the end of one is the end of both.
    assert_eq!(pointsman.cli(&START).code, 0);
    phases("shifting");
    assert_eq!(pointsman.cli(&["rollback", "signaling"]).code, 0);
    phases("aborted");
    assert_eq!(pointsman.cli(&["rollout", "start", "web", "--to", "green"]).code, 0, "alone, as before");
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    let lines = pointsman.cli(&["history", "site", "-n", "100"]).out;
    assert!(lines.contains("web          ") && lines.contains("signaling    "), "{lines}");
}

#[test]
fn what_one_refuses_nobody_begins() {
    let origins = Origins::new();
    let pointsman = origins.start([STEPS, ""]);
    assert_eq!(pointsman.cli(&["rollout", "start", "signaling", "--to", "green"]).code, 0);
    let printed = pointsman.cli(&START);
    assert!(printed.code == 1 && printed.err.contains("signaling: cannot start another"), "{printed:?}");
    assert_eq!(service(&pointsman, "web")["rollout"], Value::Null);
    let rolling = pointsman.cli(&[&START[..], &["--strategy", "rolling"]].concat());
    assert!(rolling.code == 1 && rolling.err.contains("strategy"), "{rolling:?}");
    let path = "/v1/sets/site/rollouts";
    assert_eq!(pointsman.call("POST", path, r#"{"to": "nowhere"}"#).status, 422);
    assert_eq!(pointsman.call("POST", "/v1/sets/site/rollouts/x/abort", "").status, 404);
    assert_eq!(pointsman.call("POST", "/v1/sets/none/rollouts", r#"{"to": "green"}"#).status, 404);
    assert_eq!(pointsman.get("/v1/sets").json()[0]["services"][1], "signaling");
    assert_eq!(
        pointsman.cli(&["rollout", "pause", "site"]).err.trim(),
        "error: the set site has had no rollout"
    );
}

#[test]
fn a_key_starts_one_rollout_and_a_crash_parts_nobody() {
    let origins = Origins::new();
    let mut pointsman = origins.start([STEPS, ""]);
    let begin = |pointsman: &Pointsman| {
        let path = "/v1/sets/site/rollouts";
        let answer = pointsman.call_with("POST", path, "Idempotency-Key: deploy-7\r\n", r#"{"to": "green"}"#);
        (answer.status, answer.json()["rollout"]["id"].as_str().unwrap_or_default().to_owned())
    };
    let (status, id) = begin(&pointsman);
    assert!(status == 201 && id.starts_with("site-"), "{status} {id}");
    for _ in 0..3 {
        pointsman = pointsman.kill_and_restart();
        assert_eq!(begin(&pointsman), (200, id.clone()));
    }
    let load = traffic(&pointsman);
    eventually("both are promoted", || stable(&pointsman) == ["green", "green"]);
    drop(load);
}

#[test]
fn an_approval_of_the_set_opens_the_gate_of_all() {
    let origins = Origins::new();
    let pointsman = origins.start([STEPS, "gate = true"]);
    let printed = pointsman.cli(&[&START[..], &["--gate", "--wait"]].concat());
    assert_eq!(printed.code, 5, "{printed:?}");
    assert!(printed.err.contains("`pointsman rollout resume site` goes on"), "{printed:?}");
    assert_eq!(set(&pointsman)["rollout"]["phase"], "paused");
    let load = traffic(&pointsman);
    assert_eq!(pointsman.cli(&["rollout", "resume", "site"]).code, 0);
    assert_eq!(pointsman.cli(&["rollout", "watch", "site"]).code, 0);
    drop(load);
}
