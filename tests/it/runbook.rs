//! The runbook, row by row: what the team does today, with the commands it will use. CI, notifications,
//! maintenance and alerts have files of their own.

mod triggers;

use super::harness::{Load, Nginx, Origin, Pointsman, Printed, Reaction, eventually, get};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const CHECK: &str = "health = { path = \"/api/health\", interval = \"50ms\", rise = 1, fall = 2 }";

/// `web` with blue and green, both checked at `/api/health`.
fn site(blue: SocketAddr, green: SocketAddr, rollout: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n{CHECK}\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{CHECK}\n\
         [services.web.rollout]\n{rollout}\n"
    )
}

/// An app that answers its name, whose health and readiness can be switched.
struct App {
    origin: Origin,
    healthy: Arc<AtomicBool>,
    ready: Arc<AtomicBool>,
    /// Requests of users: neither checks nor smoke tests.
    users: Arc<AtomicU64>,
}

impl App {
    fn start(name: &'static str) -> Self {
        let healthy = Arc::new(AtomicBool::new(true));
        let ready = Arc::new(AtomicBool::new(true));
        let users = Arc::new(AtomicU64::new(0));
        let (is_healthy, is_ready, seen) = (healthy.clone(), ready.clone(), users.clone());
        let answer = |good: &AtomicBool, text: &str| match good.load(Ordering::SeqCst) {
            true => Reaction::ok(text),
            false => Reaction::Answer(503, "not yet".into()),
        };
        let origin = Origin::new(move |request| match request.path() {
            "/api/health" => answer(&is_healthy, "healthy"),
            "/api/ready" => answer(&is_ready, "ready: yes"),
            _ => {
                seen.fetch_add(1, Ordering::SeqCst);
                Reaction::ok(name)
            }
        });
        App { origin, healthy, ready, users }
    }

    fn users(&self) -> u64 {
        self.users.load(Ordering::SeqCst)
    }

    fn asked(&self, path: &str) -> usize {
        self.origin.all().iter().filter(|request| request.path() == path).count()
    }
}

/// Runs a client command beside the test.
fn beside(pointsman: &Pointsman, args: &'static [&'static str]) -> std::thread::JoinHandle<Printed> {
    let admin = pointsman.admin;
    std::thread::spawn(move || Pointsman::cli_at(admin, args))
}

const SMOKE: &str =
    "smoke = [{ path = \"/api/health\", expect = 200 }, { path = \"/api/ready\", match = \"^ready: yes$\" }]";

#[test]
fn blue_green_health_smoke_tests_gate_one_switch_bake_and_instant_rollback() {
    let (blue, green) = (App::start("blue"), App::start("green"));
    let rollout = format!("{SMOKE}\nbake = \"300ms\"\nmin_attempts = 5\nafter = {{ watch = \"0s\" }}");
    let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, &rollout));
    green.healthy.store(false, Ordering::SeqCst);
    eventually("green is known to be down", || {
        pointsman.web()["pools"]["green"]["upstreams"][0]["state"] == "down"
    });
    let load = Load::start(pointsman.http(), 4);
    let args = &[
        "rollout",
        "start",
        "web",
        "--to",
        "green",
        "--strategy",
        "blue-green",
        "--version",
        "v2",
        "--gate",
        "--wait",
    ];
    let started = beside(&pointsman, args);
    let address = green.origin.address.to_string();
    eventually("it says which check of which upstream fails, with its last answer", || {
        let view = pointsman.web()["rollout"].clone();
        let why = view["reason"].as_str().unwrap_or_default().to_owned();
        view["phase"] == "preparing" && why.contains(&address) && why.contains("status 503")
    });
    assert_eq!(green.users(), 0, "no user before it is healthy");
    green.healthy.store(true, Ordering::SeqCst);
    let waits = started.join().expect("the command");
    assert_eq!(waits.code, 5, "waiting for approval: {waits:?}");
    assert_eq!(pointsman.web()["rollout"]["waits_for"], "approval");
    assert!(green.asked("/api/ready") >= 1, "smoke tests against green itself");
    assert_eq!((green.users(), pointsman.weight("green")), (0, 0.0));
    assert_eq!(pointsman.cli(&["rollout", "resume", "web"]).code, 0);
    let watched = pointsman.cli(&["rollout", "watch", "web"]);
    assert_eq!(watched.code, 0, "{watched:?}");
    let web = pointsman.web();
    assert_eq!((web["stable"].as_str(), web["previous"].as_str()), (Some("green"), Some("blue")));
    assert_eq!(web["pools"]["blue"]["upstreams"][0]["state"], "ready", "blue stays warm");
    let back = pointsman.cli(&["rollback", "web"]);
    assert_eq!(back.code, 0, "{back:?}");
    let users = green.users();
    for _ in 0..50 {
        assert_eq!(get(pointsman.http(), "/").text(), "blue", "instantly");
    }
    assert_eq!((load.stop().1, green.users() - users < 20), (0, true), "no user noticed");
}

#[test]
fn blue_green_returns_by_itself_when_the_bake_breaks_a_limit() {
    let (blue, green) = (App::start("blue"), App::start("green"));
    let rollout = "strategy = \"blue-green\"\nbake = \"1h\"\nmin_attempts = 0";
    let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, rollout));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it bakes", || pointsman.web()["rollout"]["phase"] == "baking");
    green.origin.react(|_| Reaction::Answer(500, "broken".into()));
    let view = pointsman.ended(&id);
    assert_eq!((view["outcome"].as_str(), pointsman.weight("blue")), (Some("aborted"), 100.0));
    let good = load.good();
    eventually("blue serves", || load.good() > good + 100);
    load.stop();
}

#[test]
fn a_failed_smoke_test_keeps_every_user_away_and_is_the_verdict() {
    let (blue, green) = (App::start("blue"), App::start("green"));
    green.ready.store(false, Ordering::SeqCst);
    let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, SMOKE));
    let ended = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--wait"]);
    assert_eq!(ended.code, 3, "aborted: {ended:?}");
    let view = pointsman.web()["rollout"].clone();
    assert_eq!(view["verdict"]["reasons"][0]["metric"], "smoke");
    let why = view["reason"].as_str().unwrap_or_default();
    assert!(why.contains("GET /api/ready: status 503"), "{why}");
    assert!(ended.out.contains("GET /api/ready: status 503"), "CI sees why: {}", ended.out);
    assert_eq!(green.users(), 0);
}

const QUICK: &str = "steps = [{ weight = 5, hold = \"200ms\" }, { weight = 25, hold = \"200ms\" }, { weight = 100 }]\n\
     bake = \"200ms\"\nmin_attempts = 10\nafter = { watch = \"0s\" }";

#[test]
fn canary_5_25_100_where_ci_only_waits_for_the_exit_code() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&site(nginx.addresses[0], nginx.addresses[1], QUICK));
    let load = Load::start(pointsman.http(), 8);
    let good = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--strategy", "canary", "--wait"]);
    assert_eq!(good.code, 0, "{good:?}");
    let weights: Vec<_> = good.out.lines().filter(|line| line.contains(" of 3: ")).collect();
    assert_eq!(weights.len(), 3, "a line each: {}", good.out);
    assert_eq!(load.stop().1, 0);
    let bad = Origin::new(|request| match request.path() {
        "/api/health" => Reaction::ok("fine"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let pointsman = Pointsman::start(&site(nginx.addresses[0], bad.address, QUICK));
    let load = Load::start(pointsman.http(), 8);
    let ended = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--wait"]);
    assert_eq!(ended.code, 3, "aborted, traffic is back on stable: {ended:?}");
    assert!(ended.out.contains("error rate"), "{}", ended.out);
    load.stop();
}

/// Three upstreams of one pool, each with the version it runs.
fn rolling(instances: &[&App; 3], rollout: &str) -> String {
    let upstreams = instances.map(|app| format!("\"{}\"", app.origin.address)).join(", ");
    format!(
        "[services.web.pools.blue]\nupstreams = [{upstreams}]\n{CHECK}\n\
         [services.web.rollout]\nstrategy = \"rolling\"\n{rollout}\n"
    )
}

fn stage(pointsman: &Pointsman, index: usize) -> String {
    let view = pointsman.web()["rollout"]["instances"][index]["stage"].clone();
    view.as_str().unwrap_or_default().to_owned()
}

#[test]
fn rolling_one_instance_at_a_time_by_the_deploy_jobs_word() {
    let apps = [App::start("v1"), App::start("v1"), App::start("v1")];
    let [one, two, three] = &apps;
    let rollout = "rolling = { watch = \"100ms\", drain = \"5s\" }\nbake = \"100ms\"\nmin_attempts = 5";
    let pointsman = Pointsman::start(&rolling(&[one, two, three], rollout));
    let load = Load::start(pointsman.http(), 4);
    let started = beside(
        &pointsman,
        &["rollout", "start", "web", "--to", "blue", "--strategy", "rolling", "--version", "v2", "--wait"],
    );
    for (index, app) in apps.iter().enumerate() {
        eventually("it is drained", || stage(&pointsman, index) == "updating");
        let states = pointsman.web()["pools"]["blue"]["upstreams"].clone();
        let out = states.as_array().expect("upstreams").iter().filter(|u| u["state"] == "draining");
        assert_eq!(out.count(), 1, "one at a time: {states}");
        // The process ends, and the new version needs a moment.
        app.healthy.store(false, Ordering::SeqCst);
        let users = app.users();
        let (healthy, seen) = (app.healthy.clone(), app.users.clone());
        app.origin.react(move |request| match (request.path(), healthy.load(Ordering::SeqCst)) {
            ("/api/health", false) => Reaction::Answer(503, "starting".into()),
            ("/api/health", true) => Reaction::ok("fine"),
            _ => {
                seen.fetch_add(1, Ordering::SeqCst);
                Reaction::ok("v2")
            }
        });
        let address = app.origin.address.to_string();
        assert_eq!(pointsman.cli(&["ready", "web", "blue", &address]).code, 0);
        eventually("it is to be proven", || stage(&pointsman, index) == "proving");
        assert_eq!(app.users(), users, "no request before it is healthy");
        app.healthy.store(true, Ordering::SeqCst);
        eventually("it serves", || stage(&pointsman, index) == "serving");
    }
    let ended = started.join().expect("the command");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(load.stop().1, 0, "no user noticed");
    assert_eq!(get(pointsman.http(), "/").text(), "v2");
}

#[test]
fn rolling_by_hook_stops_at_the_first_that_fails_and_leaves_the_rest_serving() {
    let apps = [App::start("v1"), App::start("v1"), App::start("v1")];
    let [one, two, three] = &apps;
    let second = two.origin.address.to_string();
    let hook = Origin::new(move |request| {
        let refused = request.header("idempotency-key").is_some_and(|key| key.ends_with(&second));
        if refused { Reaction::Answer(409, "no space left".into()) } else { Reaction::ok("done") }
    });
    let rollout = format!(
        "rolling = {{ watch = \"50ms\", hook = {{ url = \"http://{}/update\", secret = \"s\" }} }}\n\
         bake = \"0s\"\nmin_attempts = 0",
        hook.address
    );
    let pointsman = Pointsman::start(&rolling(&[one, two, three], &rollout));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "blue"}"#);
    let view = pointsman.ended(&id);
    let why = view["reason"].as_str().unwrap_or_default();
    let [first, failed, untouched] = [one, two, three].map(|app| app.origin.address);
    assert_eq!(view["outcome"], "aborted");
    for part in [
        "no space left".to_owned(),
        format!("updated and serving: {first}"),
        format!("out of service: {failed}"),
        format!("not updated, serving: {untouched}"),
    ] {
        assert!(why.contains(&part), "it says where it stands: {why}");
    }
    let states = pointsman.web()["pools"]["blue"]["upstreams"].clone();
    let states: Vec<_> = (0..3).map(|index| states[index]["state"].as_str().unwrap_or_default()).collect();
    assert_eq!(states, ["ready", "draining", "ready"]);
    let asked = hook.all();
    assert_eq!(asked[0].header("idempotency-key"), Some(format!("{id}/update/{first}").as_str()));
    assert!(asked[0].header("x-pointsman-signature").is_some_and(|sign| sign.starts_with("sha256=")));
    assert_eq!(load.stop().1, 0, "the rest serves");
}

#[test]
fn rolling_waits_for_requests_in_flight_but_not_for_ever() {
    let apps = [App::start("v1"), App::start("v1"), App::start("v1")];
    let [one, two, three] = &apps;
    let open = Arc::new(AtomicBool::new(false));
    let held = open.clone();
    one.origin.react(move |request| match request.path() {
        "/slow" => {
            eventually("it may answer", || held.load(Ordering::SeqCst));
            Reaction::ok("slow")
        }
        _ => Reaction::ok("v1"),
    });
    for (drain, limit) in [("30s", false), ("200ms", true)] {
        open.store(false, Ordering::SeqCst);
        let rollout = format!("rolling = {{ watch = \"50ms\", drain = \"{drain}\" }}\nmin_attempts = 0");
        let pointsman = Pointsman::start(&rolling(&[one, two, three], &rollout));
        let address = pointsman.http();
        let slow: Vec<_> = (0..3).map(|_| std::thread::spawn(move || get(address, "/slow").text())).collect();
        eventually("one is in flight", || {
            pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"].as_u64() > Some(0)
        });
        pointsman.start_rollout(r#"{"to": "blue"}"#);
        eventually("it drains", || !matches!(stage(&pointsman, 0).as_str(), "waiting" | ""));
        if !limit {
            assert_eq!(stage(&pointsman, 0), "draining", "a request is in flight");
            open.store(true, Ordering::SeqCst);
        }
        eventually("it goes on", || stage(&pointsman, 0) == "updating");
        if limit {
            assert!(
                pointsman.row("updating")["text"].as_str().is_some_and(|t| t.contains("still in flight"))
            );
        }
        open.store(true, Ordering::SeqCst);
        let answers: Vec<_> = slow.into_iter().map(|thread| thread.join().expect("an answer")).collect();
        assert!(answers.iter().any(|answer| answer == "slow"), "it was not cut: {answers:?}");
        assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    }
}

#[test]
fn manual_rollback_is_one_command_or_one_curl() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&site(nginx.addresses[0], nginx.addresses[1], ""));
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green"]).code, 0);
    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 1, "once");
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green"]).code, 0);
    let url = format!("http://{}/v1/services/web/rollback", pointsman.admin);
    let curl = std::process::Command::new("curl").args(["-sf", "-X", "POST", &url]).output().expect("curl");
    assert!(curl.status.success());
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    let rows = pointsman.history();
    assert_eq!((rows[0]["action"].as_str(), rows[0]["actor"].as_str()), (Some("rollback"), Some("local")));
}

#[test]
fn verification_after_a_rollback_is_status_and_its_exit_code() {
    let (blue, green) = (App::start("blue"), App::start("green"));
    let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, ""));
    eventually("everything holds", || pointsman.cli(&["status", "web"]).code == 0);
    blue.healthy.store(false, Ordering::SeqCst);
    eventually("health does not answer", || pointsman.cli(&["status", "web"]).code == 1);
    let shown = pointsman.cli(&["status", "web"]);
    assert!(shown.out.contains("✗ health") || shown.out.contains("✗ running"), "{}", shown.out);
    blue.healthy.store(true, Ordering::SeqCst);
    eventually("everything holds again", || pointsman.cli(&["status", "web"]).code == 0);
}

#[test]
fn smoke_tests_run_again_after_the_promotion_and_their_failure_is_undone_where_asked() {
    for rollback in [true, false] {
        let (blue, green) = (App::start("blue"), App::start("green"));
        let rollout = format!(
            "{SMOKE}\nstrategy = \"blue-green\"\nbake = \"0s\"\nmin_attempts = 0\n\
             after = {{ watch = \"1h\", rollback = {rollback} }}"
        );
        let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, &rollout));
        // Ready for the first round only.
        let rounds = Arc::new(AtomicU64::new(0));
        let count = rounds.clone();
        green.origin.react(move |request| match request.path() {
            "/api/ready" if count.fetch_add(1, Ordering::SeqCst) > 0 => Reaction::Answer(503, "no".into()),
            "/api/ready" => Reaction::ok("ready: yes"),
            _ => Reaction::ok("green"),
        });
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
        let row = pointsman.row(if rollback { "returned" } else { "degraded" });
        assert!(row["text"].as_str().is_some_and(|text| text.contains("GET /api/ready")), "{row}");
        let stable = if rollback { "blue" } else { "green" };
        assert_eq!((pointsman.web()["stable"].as_str(), pointsman.weight(stable)), (Some(stable), 100.0));
        if !rollback {
            let watch = pointsman.web()["watch"].clone();
            assert_eq!(watch["verdict"]["reasons"][0]["metric"], "smoke", "{watch}");
        }
        assert_eq!(rounds.load(Ordering::SeqCst), 2, "before traffic, and after the promotion");
    }
}

#[test]
fn a_deployment_that_hangs_at_its_health_check_ends_at_the_deadline_and_says_why() {
    let (blue, green) = (App::start("blue"), App::start("green"));
    green.healthy.store(false, Ordering::SeqCst);
    let pointsman = Pointsman::start(&site(blue.origin.address, green.origin.address, "prepare = \"400ms\""));
    let ended = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--wait"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let address = green.origin.address.to_string();
    assert!(ended.out.contains("not healthy within 400ms") && ended.out.contains(&address), "{}", ended.out);
    assert!(ended.out.contains("status 503"), "with its last answer: {}", ended.out);
}

#[test]
fn after_an_emergency_a_restart_comes_back_to_the_last_safe_weights() {
    let nginx = Nginx::start(&["blue", "green"]);
    let long = "steps = [{ weight = 25, hold = \"1h\" }, { weight = 100 }]";
    let pointsman = Pointsman::start(&site(nginx.addresses[0], nginx.addresses[1], long));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 25.0);
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    pointsman.row("aborted");
    let pointsman = pointsman.kill_and_restart();
    assert_eq!((pointsman.weight("blue"), pointsman.weight("green")), (100.0, 0.0));
    let rollout = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    assert_eq!(rollout["outcome"], "aborted");
    for path in ["/api/health", "/api/ready"] {
        eventually("it is ready", || pointsman.get(path).status == 200);
    }
}

#[test]
fn logs_tell_pool_upstream_times_and_the_verdict() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|request| match request.path() {
        "/api/health" => Reaction::ok("fine"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let text = site(nginx.addresses[0], green.address, "") + "[access_log]\npath = \"access.log\"\n";
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    load.stop();
    let log = pointsman.dir.path().join("access.log");
    let mut line = serde_json::Value::Null;
    eventually("the access log has the failed request", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let found = text.lines().find(|line| line.contains("\"status\":500")).unwrap_or("null");
        line = serde_json::from_str(found).unwrap_or_default();
        line.is_object()
    });
    assert_eq!(
        (line["pool"].as_str(), line["status"].as_u64()),
        (Some("blue"), Some(200)),
        "shielded: {line}"
    );
    let failed = &line["earlier"][0];
    assert_eq!((failed["pool"].as_str(), failed["status"].as_u64()), (Some("green"), Some(500)), "{line}");
    assert_eq!(failed["upstream"].as_str(), Some(green.address.to_string().as_str()), "{line}");
    eventually("verdicts are in the log", || {
        let told = pointsman.log();
        told.contains("error rate") && told.contains("aborted")
    });
    let history = pointsman.cli(&["history", "web"]);
    assert!(history.out.contains("aborted") && history.out.contains("error rate"), "{}", history.out);
}

#[test]
fn a_dry_run_says_what_the_policy_would_have_done_and_moves_nothing() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|request| match request.path() {
        "/api/health" => Reaction::ok("fine"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let long = "steps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]";
    // What is given by hand is left alone after it, too.
    let site = site(nginx.addresses[0], green.address, long);
    let site = site.replace("[services.web]\n", "[services.web]\nwatch_manual = false\n");
    let pointsman = Pointsman::start(&site);
    let load = Load::start(pointsman.http(), 4);
    let started = beside(&pointsman, &["rollout", "start", "web", "--to", "green", "--dry-run", "--wait"]);
    eventually("it would shift", || pointsman.web()["rollout"]["phase"] == "shifting");
    assert_eq!(pointsman.weight("green"), 0.0);
    // The operator gives it traffic by hand.
    assert_eq!(pointsman.cli(&["weights", "web", "blue=90", "green=10"]).code, 0);
    let ended = started.join().expect("the command");
    assert_eq!(ended.code, 3, "it would have been aborted: {ended:?}");
    assert!(ended.out.contains("dry run, nothing moved: error rate"), "{}", ended.out);
    assert_eq!(pointsman.weight("green"), 10.0, "nothing was moved");
    load.stop();
}

#[test]
fn hooks_may_refuse_and_a_gate_blocks_no_abort() {
    let nginx = Nginx::start(&["blue", "green"]);
    let answer = Arc::new(AtomicU64::new(500));
    let status = answer.clone();
    let hook = Origin::new(move |_| Reaction::Answer(status.load(Ordering::SeqCst) as u16, "freeze".into()));
    let rollout = format!(
        "hooks = [{{ at = \"before-shifting\", url = \"http://{}/ask\" }}]\n\
         steps = [{{ weight = 10, hold = \"50ms\", gate = true }}, {{ weight = 100 }}]\nmin_attempts = 0",
        hook.address
    );
    let pointsman = Pointsman::start(&site(nginx.addresses[0], nginx.addresses[1], &rollout));
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    eventually("it asks again when nobody could say", || hook.requests() >= 2);
    let view = pointsman.get(&path).json();
    assert_eq!(
        (view["waits_for"].as_str(), view["phase"].as_str()),
        (Some("before-shifting"), Some("preparing"))
    );
    let asked = hook.last();
    let body: serde_json::Value = serde_json::from_slice(&asked.body).expect("JSON");
    assert_eq!((body["version"].as_str(), body["to"].as_str()), (Some("v2"), Some("green")));
    assert_eq!(pointsman.weight("green"), 0.0);
    answer.store(403, Ordering::SeqCst);
    let view = pointsman.ended(&id);
    assert!(view["reason"].as_str().is_some_and(|why| why.contains("freeze")), "{view}");

    answer.store(204, Ordering::SeqCst);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    eventually("it waits at the gate", || pointsman.get(&path).json()["waits_for"] == "approval");
    assert_eq!(pointsman.weight("green"), 10.0);
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    assert_eq!(pointsman.weight("green"), 0.0);
}

#[test]
fn api_metrics_has_the_runbooks_keys_with_the_apps_own_signals_and_status_holds_them() {
    let connections = Arc::new(AtomicU64::new(7));
    let now = connections.clone();
    let blue = Origin::new(move |request| match request.path() {
        "/api/metrics" => {
            let text = format!("{{\"database_connections\": {}, \"cpu\": 35}}", now.load(Ordering::SeqCst));
            Reaction::ok(&text)
        }
        "/memory" => Reaction::ok("# TYPE resident gauge\nresident{part=\"heap\"} 512\n"),
        _ => Reaction::ok("blue"),
    });
    let signals = "[policies.default]\nerror_rate = { critical = \"1%\" }\nsignals = [\n\
        { name = \"database_connections\", from = \"/api/metrics\", at = \"/database_connections\", critical = 15, interval = \"50ms\" },\n\
        { name = \"cpu_usage_percent\", from = \"/api/metrics\", at = \"/cpu\", warning = 40, interval = \"50ms\" },\n\
        { name = \"memory_usage_mb\", from = \"/memory\", at = \"resident\", critical = 900, interval = \"50ms\" },\n]\n";
    let text = format!("[services.web.pools.blue]\nupstreams = [\"{}\"]\n{signals}", blue.address);
    let pointsman = Pointsman::start(&text);
    for _ in 0..20 {
        assert_eq!(get(pointsman.http(), "/").status, 200);
    }
    let mut figures = serde_json::Value::Null;
    eventually("the signals are merged", || {
        figures = pointsman.get("/api/metrics").json();
        figures["memory_usage_mb"] == 512.0 && figures["http_requests_total"] == 20
    });
    assert_eq!(
        (figures["database_connections"].as_f64(), figures["cpu_usage_percent"].as_f64()),
        (Some(7.0), Some(35.0))
    );
    for key in
        ["http_requests_duration_seconds", "http_requests_failed", "error_rate_percent", "response_time_ms"]
    {
        assert!(figures[key].is_number(), "{key}: {figures}");
    }
    eventually("all holds", || pointsman.cli(&["status", "web"]).code == 0);
    connections.store(18, Ordering::SeqCst);
    eventually("the database is not well", || pointsman.cli(&["status", "web"]).code == 1);
    let shown = pointsman.cli(&["status", "web"]);
    assert!(shown.out.contains("✗ database_connections"), "{}", shown.out);
    let scraped = pointsman.get("/metrics").text();
    assert!(
        scraped
            .contains("pointsman_signal{pool=\"blue\",service=\"web\",signal=\"database_connections\"} 18")
    );
}
