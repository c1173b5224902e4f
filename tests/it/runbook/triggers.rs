//! Automatic rollback: each trigger by a real fault in the origin while load runs, with the failed requests
//! of clients and the time it took.

use crate::harness::{Load, NAMELESS, Nginx, Origin, Pointsman, Reaction, eventually};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const POLICY: &str = "[policies.default]\n\
     error_rate = { warning = \"0.5%\", critical = \"1%\" }\n\
     latency_p95 = { warning = \"150ms\", critical = \"300ms\" }\n\
     health = { critical = true }\n";
const SIGNALS: &str = "signals = [\n\
       { name = \"database_connections\", from = \"/api/metrics\", at = \"/database_connections\", \
         warning = 10, critical = 15, interval = \"50ms\", timeout = \"500ms\", count = 2 },\n\
       { name = \"cpu_usage_percent\", from = \"/api/metrics\", at = \"/cpu_usage_percent\", \
         warning = 40, critical = 70, interval = \"50ms\", timeout = \"500ms\", count = 2 },\n]\n";

fn config(blue: SocketAddr, green: SocketAddr, policy: &str) -> String {
    let check = "health = { path = \"/api/health\", interval = \"50ms\", rise = 1, fall = 2 }";
    format!(
        "{NAMELESS}[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n{check}\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{check}\n\
         [services.web.rollout]\nsteps = [{{ weight = 5, hold = \"1h\" }}, {{ weight = 100 }}]\n{policy}"
    )
}

/// What the app says of itself when all is well.
fn metrics(database_connections: u64, cpu_usage_percent: u64) -> Reaction {
    Reaction::ok(&format!(
        "{{\"database_connections\": {database_connections}, \"cpu_usage_percent\": {cpu_usage_percent}}}"
    ))
}

fn well(path: &str) -> Reaction {
    match path {
        "/api/metrics" => metrics(4, 20),
        _ => Reaction::ok("green"),
    }
}

/// A canary at 5 % whose origin turns to `fault` while load runs; the view of its end.
fn aborted_by(
    trigger: &str,
    metric: &str,
    fault: impl Fn(&str) -> Reaction + Send + Sync + 'static,
) -> Value {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|request| well(request.path()));
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, &[POLICY, SIGNALS].concat()));
    let load = Load::start(pointsman.http(), 32);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("users reach the candidate", || green.requests() > 50 && pointsman.weight("green") == 5.0);
    let good = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    assert!(good["outcome"].is_null() && good["verdict"]["state"] != "fail", "it is well: {good}");
    let first = Arc::new(OnceLock::new());
    let seen = first.clone();
    green.react(move |request| {
        let reaction = fault(request.path());
        seen.get_or_init(Instant::now);
        reaction
    });
    let view = pointsman.ended(&id);
    let took = first.get().map_or(Duration::ZERO, |first| first.elapsed());
    assert_eq!(view["outcome"], "aborted", "{trigger}: {view}");
    let reasons = &view["verdict"]["reasons"];
    assert_eq!(reasons[0]["metric"], metric, "its own reason: {view}");
    assert_eq!((pointsman.weight("green"), pointsman.weight("blue")), (0.0, 100.0));
    let before = load.good();
    eventually("the load goes on", || load.good() > before + 200);
    let (served, failed, broken) = load.stop();
    println!(
        "{trigger}: aborted {} ms after the first sign, {failed} of {} requests of clients failed, {broken} broke; {}",
        took.as_millis(),
        served + failed,
        view["reason"].as_str().unwrap_or_default()
    );
    view
}

#[test]
fn automatic_rollback_for_errors() {
    aborted_by("errors", "error_rate", |path| match path {
        "/api/health" | "/api/metrics" => well(path),
        _ => Reaction::Answer(500, "broken".into()),
    });
}

#[test]
fn automatic_rollback_for_response_time() {
    let view = aborted_by("response time", "latency_p95", |path| match path {
        "/api/health" | "/api/metrics" => well(path),
        _ => Reaction::Late(Duration::from_millis(1500), 200, "late".into()),
    });
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("longer than 300ms"), "{reason}");
}

#[test]
fn automatic_rollback_for_a_failing_health_check() {
    let view = aborted_by("health", "health", |path| match path {
        "/api/health" => Reaction::Answer(503, "database unreachable".into()),
        _ => well(path),
    });
    assert!(view["reason"].as_str().is_some_and(|why| why.contains("status 503")), "{view}");
}

#[test]
fn automatic_rollback_for_database_connections() {
    let view = aborted_by("database connections", "database_connections", |path| match path {
        "/api/metrics" => metrics(18, 20),
        _ => well(path),
    });
    let reason = &view["verdict"]["reasons"][0];
    assert_eq!((reason["observed"].as_f64(), reason["limit"].as_f64()), (Some(18.0), Some(15.0)));
}

#[test]
fn levels_normal_goes_on_warning_holds_critical_aborts() {
    let nginx = Nginx::start(&["blue"]);
    let level = Arc::new(std::sync::atomic::AtomicU64::new(20));
    let cpu = level.clone();
    let missing = Arc::new(AtomicBool::new(false));
    let gone = missing.clone();
    let green = Origin::new(move |request| match request.path() {
        "/api/metrics" if gone.load(Ordering::SeqCst) => Reaction::Answer(404, "no".into()),
        "/api/metrics" => metrics(4, cpu.load(Ordering::SeqCst)),
        _ => Reaction::ok("green"),
    });
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, &[POLICY, SIGNALS].concat()));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    let verdict = |state: &str, about: &str| {
        let view = pointsman.get(&path).json();
        let told = view["reason"].as_str().unwrap_or_default().to_owned();
        view["verdict"]["state"] == state && told.contains(about)
    };
    eventually("normal passes", || pointsman.weight("green") == 5.0 && verdict("pass", ""));
    level.store(55, Ordering::SeqCst);
    eventually("a warning holds and tells", || verdict("hold", "cpu_usage_percent"));
    assert!(pointsman.row("held")["text"].as_str().is_some_and(|text| text.contains("cpu_usage_percent")));
    level.store(20, Ordering::SeqCst);
    eventually("it goes on", || verdict("pass", ""));
    missing.store(true, Ordering::SeqCst);
    eventually("a missing signal holds with its reason", || verdict("hold", "404"));
    missing.store(false, Ordering::SeqCst);
    eventually("it goes on again", || verdict("pass", ""));
    level.store(90, Ordering::SeqCst);
    let view = pointsman.ended(&id);
    assert_eq!(view["verdict"]["reasons"][0]["metric"], "cpu_usage_percent", "{view}");
    load.stop();
}

#[test]
fn a_shared_outage_is_a_hold_and_an_incident_and_no_blame() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let receiver = Origin::named("noted");
    // At 5 %, stable is heard long before the candidate has failed often enough.
    let text = config(blue.address, green.address, POLICY)
        + &format!("[[notify]]\nkind = \"webhook\"\nurl = \"http://{}/\"\n", receiver.address);
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 8);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("users reach both", || pointsman.weight("green") == 5.0 && green.requests() > 50);
    for origin in [&blue, &green] {
        origin.react(|request| match request.path() {
            "/api/health" => Reaction::ok("well"),
            _ => Reaction::Answer(500, "the database is gone".into()),
        });
    }
    let kinds = || {
        let bodies = receiver.all().into_iter();
        bodies.filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok()).collect::<Vec<_>>()
    };
    eventually("an incident is told", || kinds().iter().any(|notice| notice["kind"] == "incident"));
    let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    assert_eq!((view["verdict"]["state"].as_str(), view["outcome"].as_str()), (Some("hold"), None), "{view}");
    assert_eq!(pointsman.weight("green"), 5.0);
    blue.react(|_| Reaction::ok("blue"));
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted", "the candidate alone is left failing: {view}");
    load.stop();
}
