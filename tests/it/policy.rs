//! What a policy looks at beside the candidate's own figures: stable, clients, health.

use super::harness::{Connection, Load, Origin, Pointsman, Reaction, Received, eventually};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shifts to 10 % and stays there: stable is heard ten times before the candidate once.
fn config(blue: SocketAddr, green: &[SocketAddr], policy: &str) -> String {
    let green: Vec<_> = green.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [{}]\n\
         health = {{ path = \"/health\", interval = \"50ms\", rise = 1, fall = 2 }}\n\
         [services.web.rollout]\nsteps = [{{ weight = 10, hold = \"1h\" }}, {{ weight = 100 }}]\n{policy}",
        green.join(", ")
    )
}

fn broken() -> impl Fn(&Received) -> Reaction + Send + Sync + 'static {
    |request| match request.path() {
        "/health" => Reaction::ok("well"),
        _ => Reaction::Answer(500, "broken".into()),
    }
}

/// A rollout that is under way, with its load.
struct Course {
    pointsman: Pointsman,
    id: String,
}

impl Course {
    fn start(config: &str) -> Self {
        let pointsman = Pointsman::start(config);
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        eventually("it shifts", || pointsman.weight("green") == 10.0);
        Course { pointsman, id }
    }

    fn view(&self) -> Value {
        self.pointsman.get(&format!("/v1/services/web/rollouts/{}", self.id)).json()
    }

    /// Waits until it is held for this reason; the reason.
    #[track_caller]
    fn held_for(&self, metric: &str) -> Value {
        let mut reason = Value::Null;
        eventually(metric, || {
            let view = self.view();
            assert!(view["outcome"].is_null(), "{view}");
            let reasons = view["verdict"]["reasons"].as_array().cloned().unwrap_or_default();
            let found = reasons.into_iter().find(|reason| reason["metric"] == metric);
            reason = found.unwrap_or_default();
            view["verdict"]["state"] == "hold" && reason.is_object()
        });
        reason
    }

    /// Waits for the abort; the reason.
    #[track_caller]
    fn aborted(&self) -> String {
        let view = self.pointsman.ended(&self.id);
        assert_eq!(view["outcome"], "aborted", "{view}");
        assert_eq!(self.pointsman.weight("green"), 0.0);
        view["reason"].as_str().unwrap_or_default().to_owned()
    }
}

const ONE_PERCENT: &str = "[policies.default]\nerror_rate = { critical = \"1%\" }\n";

#[test]
fn a_shared_outage_holds_until_only_the_candidate_is_left_failing() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let course = Course::start(&config(blue.address, &[green.address], ONE_PERCENT));
    let load = Load::start(course.pointsman.http(), 8);
    eventually("both are served", || green.requests() > 20);
    blue.react(broken());
    green.react(broken());
    let reason = course.held_for("shared_outage");
    assert_eq!(reason["level"], "critical", "{reason}");
    assert!(reason["evidence"].as_f64() >= reason["needed"].as_f64(), "{reason}");
    assert!(reason["text"].as_str().is_some_and(|text| text.contains("both pools fail")), "{reason}");
    let so_far = green.requests();
    eventually("the outage goes on", || green.requests() > so_far + 500);
    course.held_for("shared_outage");
    assert_eq!(course.pointsman.weight("green"), 10.0);
    blue.react(|_| Reaction::ok("blue"));
    let before = green.requests();
    println!("{}; {} more requests to the candidate", course.aborted(), green.requests() - before);
    drop(load);
}

#[test]
fn when_both_recover_the_rollout_goes_on() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let course = Course::start(&config(blue.address, &[green.address], ONE_PERCENT));
    let load = Load::start(course.pointsman.http(), 8);
    eventually("both are served", || green.requests() > 20);
    blue.react(broken());
    green.react(broken());
    course.held_for("shared_outage");
    green.react(|_| Reaction::ok("green"));
    blue.react(|_| Reaction::ok("blue"));
    eventually("it passes again", || course.view()["verdict"]["state"] == "pass");
    assert!(course.view()["outcome"].is_null());
    drop(load);
}

#[test]
fn a_shared_outage_aborts_where_it_is_asked_to() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let policy = format!("{ONE_PERCENT}on_shared_outage = \"abort\"\n");
    let course = Course::start(&config(blue.address, &[green.address], &policy));
    let load = Load::start(course.pointsman.http(), 4);
    blue.react(broken());
    green.react(broken());
    assert!(course.aborted().contains("error rate"));
    drop(load);
}

#[test]
fn a_candidate_within_its_limit_but_worse_than_stable_is_held_or_aborted() {
    for relative in ["hold", "abort"] {
        let (blue, count) = (Origin::named("blue"), AtomicU64::new(1));
        let green = Origin::new(move |_| match count.fetch_add(1, Ordering::SeqCst) % 12 {
            0 => Reaction::Answer(500, "broken".into()),
            _ => Reaction::ok("green"),
        });
        let policy =
            format!("[policies.default]\nerror_rate = {{ critical = \"20%\" }}\nrelative = \"{relative}\"\n");
        let course = Course::start(
            &config(blue.address, &[green.address], &policy)
                .replace("health = { path = \"/health\", interval = \"50ms\", rise = 1, fall = 2 }\n", ""),
        );
        let load = Load::start(course.pointsman.http(), 8);
        if relative == "hold" {
            let reason = course.held_for("error_rate_relative");
            assert_eq!((reason["level"].as_str(), reason["limit"].as_f64()), (Some("warning"), Some(1.5)));
        } else {
            let why = course.aborted();
            assert!(why.contains("more than 1.5 times as often as stable"), "{why}");
        }
        drop(load);
    }
}

#[test]
fn one_client_that_fails_is_not_a_version_that_fails() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
                    limits = { requests_per_connection = 1000000 }\n";
    let policy = format!("{ONE_PERCENT}min_clients = 3\n{listener}");
    let course = Course::start(&config(blue.address, &[green.address], &policy));
    green.react(broken());
    let mut connection = Connection::open(course.pointsman.http());
    let mut fail = |client: &str, times: u64| {
        let text = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n");
        // Nobody sees them: the shield answers from stable.
        let asked = || green.all().iter().filter(|request| request.path() == "/").count() as u64;
        let before = asked();
        while asked() < before + times {
            connection.send(text.as_bytes());
        }
    };
    fail("203.0.113.1", 30);
    let reason = course.held_for("clients");
    assert_eq!((reason["limit"].as_f64(), reason["observed"].as_f64()), (Some(3.0), Some(1.0)), "{reason}");
    // Two addresses of one IPv6 network are one client.
    fail("2001:db8::1", 3);
    fail("2001:db8::2", 3);
    eventually("two are seen", || course.held_for("clients")["observed"] == 2.0);
    fail("203.0.113.2", 1);
    assert!(course.aborted().contains("error rate"));
}

#[test]
fn an_upstream_of_the_candidate_that_goes_down_aborts_by_default() {
    let (blue, green) = (Origin::named("blue"), [Origin::named("one"), Origin::named("two")]);
    green[1].react(|_| Reaction::Answer(503, "starting".into()));
    let text = config(blue.address, &[green[0].address, green[1].address], "");
    let pointsman = Pointsman::start(&text);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let course = Course { pointsman, id };
    eventually("it waits for all upstreams", || {
        let view = course.view();
        view["phase"] == "preparing" && view["reason"].as_str().is_some_and(|why| why.contains("503"))
    });
    green[1].react(|_| Reaction::ok("two"));
    eventually("it shifts", || course.pointsman.weight("green") == 10.0);
    green[1].react(|_| Reaction::Answer(503, "gone".into()));
    let why = course.aborted();
    assert!(why.contains(&green[1].address.to_string()) && why.contains("503"), "{why}");
}

#[test]
fn an_upstream_that_goes_down_may_hold_and_a_draining_one_is_no_matter() {
    let (blue, green) = (Origin::named("blue"), [Origin::named("one"), Origin::named("two")]);
    let policy = "[policies.default]\nhealth = { warning = true }\n";
    let course = Course::start(&config(blue.address, &[green[0].address, green[1].address], policy));
    green[1].react(|_| Reaction::Answer(503, "gone".into()));
    let reason = course.held_for("health");
    assert!(reason["text"].as_str().is_some_and(|text| text.contains("503")), "{reason}");
    let path = format!("/v1/services/web/pools/green/upstreams/{}/drain", green[1].address);
    assert_eq!(course.pointsman.call("POST", &path, "").status, 200);
    eventually("it passes", || course.view()["verdict"]["state"] == "pass");
}

#[test]
fn a_signal_holds_at_its_warning_or_where_it_is_missing_and_aborts_at_its_critical_level() {
    let says = |status: u16, body: &'static str| {
        move |request: &Received| match request.path() {
            "/api/metrics" => Reaction::Answer(status, body.into()),
            _ => Reaction::ok("well"),
        }
    };
    let (blue, green) = (Origin::new(says(200, r#"{"db": 4}"#)), Origin::new(says(200, r#"{"db": 3}"#)));
    let policy = "[policies.default]\nsignals = [{ name = \"connections\", from = \"/api/metrics\", at = \"/db\", \
                  warning = 10, critical = 15, interval = \"50ms\", count = 2 }]\n";
    let course = Course::start(&config(blue.address, &[green.address], policy));
    let shown = |pool: &str| course.pointsman.web()["pools"][pool]["signals"]["connections"].as_f64();
    eventually("both pools' values are shown", || (shown("blue"), shown("green")) == (Some(4.0), Some(3.0)));
    let passes = || course.view()["verdict"]["state"] == "pass";
    eventually("it passes", passes);
    green.react(says(200, r#"{"db": 12}"#));
    let reason = course.held_for("connections");
    assert_eq!((reason["limit"].as_f64(), reason["observed"].as_f64()), (Some(10.0), Some(12.0)), "{reason}");
    green.react(says(200, r#"{"db": 3}"#));
    eventually("it passes again", passes);
    green.react(says(404, ""));
    let reason = course.held_for("connections");
    let text = reason["text"].as_str().unwrap_or_default();
    assert!(text.contains(&green.address.to_string()) && text.contains("404"), "{text}");
    green.react(says(200, r#"{"db": 15.5}"#));
    let why = course.aborted();
    assert!(why.contains("is 15.5, at or over the critical level of 15"), "{why}");
}
