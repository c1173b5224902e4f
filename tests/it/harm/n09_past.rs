//! The past of a pool speaks neither for nor against the version that follows.

use super::super::harness::{Connection, Load, Origin, Pointsman, Reaction, Received, eventually, send};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn config(blue: &Origin, green: &Origin, rollout: &str, policy: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\n{rollout}\n[policies.default]\n{policy}\n",
        blue.address, green.address
    )
}

/// Half of the traffic, for as long as a test looks.
const STAYS: &str = "steps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\nmin_attempts = 1";

fn weights(pointsman: &Pointsman, body: &str) {
    let set = pointsman.call("PUT", "/v1/services/web/weights", body);
    assert_eq!(set.status, 200, "{}", set.text());
}

fn set_upstreams(pointsman: &Pointsman, pool: &str, origins: &[&Origin]) {
    let all: Vec<_> = origins.iter().map(|origin| origin.address.to_string()).collect();
    let body = format!("{{\"upstreams\": {all:?}}}");
    let set = pointsman.call("PUT", &format!("/v1/services/web/pools/{pool}/upstreams"), &body);
    assert_eq!(set.status, 200, "{}", set.text());
}

fn window(pointsman: &Pointsman, pool: &str) -> Value {
    pointsman.web()["pools"][pool]["window"].clone()
}

fn db(connections: u32) -> impl Fn(&Received) -> Reaction + Send + Sync + 'static {
    move |request| match request.path() {
        "/metrics" => Reaction::ok(&format!("{{\"db\": {connections}}}")),
        _ => Reaction::ok("served"),
    }
}

/// The former version had too many connections. The next one is there before it is scraped again.
#[test]
fn a_signal_scraped_before_the_rollout_aborts_nothing() {
    let (blue, green) = (Origin::new(db(3)), Origin::new(db(20)));
    let policy = "signals = [{ name = \"connections\", from = \"/metrics\", at = \"/db\", critical = 15, \
                  interval = \"2s\", count = 1 }]";
    let steps =
        "steps = [{ weight = 50, hold = \"100ms\" }, { weight = 100 }]\nbake = \"100ms\"\nidle = \"advance\"";
    let pointsman = Pointsman::start(&config(&blue, &green, steps, policy));
    let shown = || pointsman.web()["pools"]["green"]["signals"]["connections"].as_f64();
    eventually("the former version's value is known", || shown() == Some(20.0));
    green.react(db(4));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    println!("right after the start: connections of green {:?}", shown());
    assert_ne!(shown(), Some(20.0), "a value of the version that was there before");
    let view = pointsman.ended(&id);
    println!("signals: {}; {}", view["outcome"], view["reason"]);
    assert_eq!(view["outcome"], "promoted", "{view}");
}

/// A round of scraping is under way when the rollout begins: its answer is the former version's.
#[test]
fn a_scrape_that_had_begun_before_counts_no_more() {
    let blue = Origin::new(db(3));
    let is_free = Arc::new(AtomicBool::new(false));
    let (free, scrapes) = (is_free.clone(), Arc::new(AtomicU64::new(0)));
    let count = scrapes.clone();
    let green = Origin::new(move |request| {
        if request.path() != "/metrics" {
            return Reaction::ok("served");
        }
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        eventually("it may answer", || free.load(Ordering::SeqCst));
        if is_first { Reaction::ok("{\"db\": 20}") } else { Reaction::ok("{\"db\": 4}") }
    });
    let policy = "signals = [{ name = \"connections\", from = \"/metrics\", at = \"/db\", critical = 15, \
                  interval = \"1s\", timeout = \"20s\", count = 1 }]";
    let pointsman = Pointsman::start(&config(&blue, &green, STAYS, policy));
    eventually("it is asked", || scrapes.load(Ordering::SeqCst) == 1);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    is_free.store(true, Ordering::SeqCst);
    eventually("it is asked once more", || scrapes.load(Ordering::SeqCst) >= 2);
    let shown = || pointsman.web()["pools"]["green"]["signals"]["connections"].as_f64();
    eventually("the new value is there", || shown() == Some(4.0) || shown() == Some(20.0));
    let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    println!("a scrape under way: {}; {:?}", view["phase"], view["reason"]);
    assert!(view["outcome"].is_null(), "{view}");
}

/// Status, notices, the history and the rollout's own view are about the version they name.
#[test]
fn the_window_of_a_candidate_shows_what_it_does_itself() {
    let (blue, green, receiver) = (Origin::named("blue"), Origin::named("green"), Origin::named("chat"));
    let policy = format!(
        "error_rate = {{ critical = \"39%\" }}\nwindow = \"10m\"\n[[notify]]\nkind = \"webhook\"\n\
         url = \"http://{}/hook\"\nsecret = \"s3cret\"\non = [\"started\", \"aborted\"]\n",
        receiver.address
    );
    let pointsman = Pointsman::start(&config(&blue, &green, STAYS, &policy));
    weights(&pointsman, r#"{"blue": 0, "green": 100}"#);
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..2000 {
        assert_eq!(connection.get("/").status, 200);
    }
    weights(&pointsman, r#"{"blue": 100, "green": 0}"#);
    let count = AtomicU64::new(0);
    green.react(move |_| match count.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => Reaction::Answer(500, "broken".into()),
        _ => Reaction::ok("green"),
    });
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let before = green.requests();
    while green.requests() < before + 60 {
        connection.get("/");
    }
    let has_all = || window(&pointsman, "green")["requests"].as_u64().is_some_and(|requests| requests >= 60);
    eventually("the figures have all of them", has_all);
    let shown = window(&pointsman, "green");
    println!(
        "a version that fails 25 %: shown {:.2} % of {}",
        percent(&shown["error_rate"]),
        shown["requests"]
    );
    let abort = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(abort.status, 200, "{}", abort.text());
    let told = |kind: &str| {
        let all = receiver.all();
        let mut told = all.iter().filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
        told.find(|notice| notice["event"] == kind || notice["kind"] == kind)
    };
    eventually("both notices are sent", || told("started").is_some() && told("aborted").is_some());
    let (started, aborted) = (told("started").expect("sent"), told("aborted").expect("sent"));
    let row = pointsman.row("started")["figures"]["window"]["green"].clone();
    println!("notices: started {}, aborted {}; history {row}", started["error_rate"], aborted["error_rate"]);
    assert!(shown["error_rate"].as_f64().is_some_and(|rate| rate > 0.15), "{shown}");
    assert!(shown["requests"].as_u64().is_some_and(|requests| requests < 300), "{shown}");
    assert!(started["error_rate"].is_null(), "nothing is known of it yet: {started}");
    assert!(aborted["error_rate"].as_f64().is_some_and(|rate| rate > 0.15), "{aborted}");
    assert_eq!(row["requests"], 0, "{row}");
}

fn percent(share: &Value) -> f64 {
    share.as_f64().unwrap_or_default() * 100.0
}

#[test]
fn other_upstreams_begin_with_an_empty_window_whatever_way_they_come() {
    let (blue, green, next) = (Origin::named("blue"), Origin::named("green"), Origin::named("next"));
    let policy = "error_rate = { critical = \"39%\" }\nwindow = \"10m\"";
    let pointsman = Pointsman::start(&config(&blue, &green, STAYS, policy));
    weights(&pointsman, r#"{"blue": 50, "green": 50}"#);
    let mut connection = Connection::open(pointsman.http());
    (0..200).for_each(|_| drop(connection.get("/")));
    let requests = |pool| window(&pointsman, pool)["requests"].as_u64().unwrap_or_default();
    eventually("both are counted", || requests("green") > 50 && requests("blue") > 50);
    set_upstreams(&pointsman, "green", &[&green, &next]);
    println!("after upstreams set: {} of green", requests("green"));
    assert_eq!(requests("green"), 0);
    assert!(requests("blue") > 50, "the other pool's stays");
    // Of a configuration that is read again, too.
    pointsman.configure(&config(&next, &green, STAYS, policy));
    let reload = pointsman.cli(&["reload"]);
    assert_eq!(reload.code, 0, "{}", reload.err);
    println!("after a reload: {} of blue", requests("blue"));
    assert_eq!(requests("blue"), 0);
}

/// Forty requests hang on the former version while the next one is brought, and fail afterwards.
#[test]
fn what_hangs_on_the_former_version_is_not_charged_to_the_next() {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let (blue, next) = (Origin::named("blue"), Origin::named("next"));
    let green = Origin::new(move |_| {
        eventually("it ends", || over.load(Ordering::SeqCst));
        Reaction::Close
    });
    let policy = "error_rate = { critical = \"1%\" }\nlatency_p95 = { critical = \"500ms\" }";
    let pointsman = Pointsman::start(&config(&blue, &green, STAYS, policy));
    weights(&pointsman, r#"{"blue": 0, "green": 100}"#);
    let http = pointsman.http();
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let clients: Vec<_> = (0..40).map(|_| std::thread::spawn(move || send(http, post).status)).collect();
    eventually("they hang", || pointsman.web()["pools"]["green"]["upstreams"][0]["in_flight"] == 40);
    weights(&pointsman, r#"{"blue": 100, "green": 0}"#);
    set_upstreams(&pointsman, "green", &[&next]);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    eventually("it shifts", || pointsman.weight("green") == 50.0 || view()["outcome"].is_string());
    is_over.store(true, Ordering::SeqCst);
    let statuses: Vec<_> = clients.into_iter().map(|client| client.join().expect("a status")).collect();
    let load = Load::start(http, 2);
    eventually("the next one serves", || next.requests() > 100 || view()["outcome"].is_string());
    let (view, shown) = (view(), window(&pointsman, "green"));
    let metrics = pointsman.get("/metrics").text();
    let lost =
        metrics.lines().filter(|line| line.starts_with("pointsman_attempt_failures_total{pool=\"green\""));
    let counted: u64 = lost.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    println!(
        "{} of 40 failed on the former version; the next one: {} of {} in its window, {}; {}",
        statuses.iter().filter(|status| **status != 200).count(),
        shown["failures"],
        shown["requests"],
        view["phase"],
        view["reason"]
    );
    assert!(view["outcome"].is_null(), "{view}");
    assert_eq!(shown["failures"], 0, "{shown}");
    assert!(counted >= 40, "they are counted all the same: {counted}");
    drop(load);
}

/// The evidence, the step's time and its attempts begin again with other upstreams under way.
#[test]
fn a_candidate_that_gets_other_upstreams_under_way_begins_its_step_anew() {
    let (blue, green, next) = (Origin::named("blue"), Origin::named("green"), Origin::named("next"));
    let steps =
        "steps = [{ weight = 50, hold = \"100ms\" }, { weight = 100 }]\nmin_attempts = 60\nbake = \"1h\"";
    let pointsman = Pointsman::start(&config(&blue, &green, steps, "error_rate = { critical = \"1%\" }"));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let mut connection = Connection::open(pointsman.http());
    let served = || green.requests() + next.requests();
    let mut serve = |attempts: u64| {
        let before = served();
        while served() < before + attempts {
            connection.get("/");
        }
    };
    serve(50);
    set_upstreams(&pointsman, "green", &[&green, &next]);
    serve(30);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    // Fifty of the sixty are of no account any more.
    let missing = || -> Option<u64> {
        let reason = view()["reason"].as_str()?.strip_prefix("needs ")?.to_owned();
        reason.split(' ').next()?.parse().ok()
    };
    eventually("it waits for the rest, or goes on", || {
        missing().is_some_and(|missing| (20..=35).contains(&missing)) || pointsman.weight("green") == 100.0
    });
    println!("after 50 and 30 of 60 attempts: green {} %; {}", pointsman.weight("green"), view()["reason"]);
    assert_eq!(pointsman.weight("green"), 50.0, "{}", view());
    serve(40);
    eventually("it goes on", || pointsman.weight("green") == 100.0);
}

/// A check that had passed before says nothing of the version that is there now.
#[test]
fn a_candidate_is_checked_once_more_before_it_serves() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let checks = |green: &Origin| green.all().iter().filter(|request| request.path() == "/health").count();
    let text = config(&blue, &green, STAYS, "error_rate = { critical = \"1%\" }").replace(
        "[services.web.rollout]",
        "health = { path = \"/health\", interval = \"3s\", rise = 1, fall = 1 }\n[services.web.rollout]",
    );
    let pointsman = Pointsman::start(&text);
    eventually("it is up", || {
        checks(&green) > 0 && pointsman.web()["pools"]["green"]["upstreams"][0]["state"] == "ready"
    });
    green.react(|_| Reaction::Answer(503, "starting".into()));
    let before = checks(&green);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it is checked, or serves", || checks(&green) > before || pointsman.weight("green") > 0.0);
    let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    println!(
        "checked {} more times: green {} %, {}",
        checks(&green) - before,
        pointsman.weight("green"),
        view["reason"]
    );
    assert_eq!(pointsman.weight("green"), 0.0, "{view}");
}
