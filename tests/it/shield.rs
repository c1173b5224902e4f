//! The shield: a candidate's failures are answered from stable, and charged to the candidate all the same.

use super::harness::{Connection, Load, Nginx, Origin, Pointsman, Reaction, eventually, get, median, send};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One worker, so that the budget is one.
const SERVER: &str = "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n";
const POLICY: &str = "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\n";
/// A policy that no failure breaks.
const LENIENT: &str = "[policies.default]\nlatency_p95 = { critical = \"30s\" }\n";

fn config(blue: SocketAddr, green: SocketAddr, weight: u8, more: &str) -> String {
    let timeouts = "timeouts = { connect = \"500ms\", read = \"300ms\" }";
    let last = if weight < 100 { ", { weight = 100 }" } else { "" };
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n{more}\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{timeouts}\n\
         [services.web.rollout]\nsteps = [{{ weight = {weight}, hold = \"1h\" }}{last}]\n"
    )
}

/// Starts a rollout to green and waits until it shifts.
fn shifting(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("green has weight", || pointsman.weight("green") > 0.0);
    id
}

fn shielded(pointsman: &Pointsman) -> u64 {
    let text = pointsman.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("pointsman_shielded_total{service=\"web\"} "));
    line.and_then(|count| count.parse::<f64>().ok()).map_or(0, |count| count as u64)
}

/// 32 clients while a canary at 5 % turns bad, until it is aborted and for a while after; the view of its end.
fn no_user_sees(
    fault: &str,
    pointsman: &Pointsman,
    requests: impl Fn() -> u64,
    turn_bad: impl FnOnce(),
) -> Value {
    let load = Load::start(pointsman.http(), 32);
    let id = shifting(pointsman);
    eventually("users reach the candidate", || requests() > 20);
    turn_bad();
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted", "{fault}: {view}");
    let after = load.good();
    eventually("the load goes on", || load.good() > after + 500);
    let (served, failed, broken) = load.stop();
    let spared = shielded(pointsman);
    println!(
        "{fault}: {failed} of {served} requests failed, {broken} broke, {spared} were shielded; {}",
        view["reason"]
    );
    assert_eq!((failed, broken), (0, 0), "{fault}: no user sees it");
    assert!(spared > 0, "{fault}: and that is the shield's doing");
    view
}

fn with_origin(fault: &str, bad: impl Fn() -> Reaction + Send + Sync + 'static) -> Value {
    let blue = Nginx::start(&["blue"]);
    let green = Origin::named("green");
    let pointsman = Pointsman::start(&(config(blue.addresses[0], green.address, 5, "") + POLICY));
    no_user_sees(fault, &pointsman, || green.requests(), || green.react(move |_| bad()))
}

#[test]
fn no_user_sees_a_candidate_that_fails_every_request() {
    let view = with_origin("failing 100 %", || Reaction::Answer(500, "broken".into()));
    assert!(view["reason"].as_str().is_some_and(|why| why.contains("error rate")), "{view}");
}

#[test]
fn no_user_sees_a_candidate_that_fails_a_fifth() {
    let count = AtomicU64::new(0);
    with_origin("failing 20 %", move || match count.fetch_add(1, Ordering::SeqCst) % 5 {
        0 => Reaction::Answer(503, "broken".into()),
        _ => Reaction::ok("green"),
    });
}

#[test]
fn no_user_sees_a_candidate_that_hangs() {
    with_origin("hanging", || Reaction::Hang);
}

#[test]
fn no_user_sees_a_candidate_that_resets_connections() {
    with_origin("closing", || Reaction::Close);
}

#[test]
fn no_user_sees_a_candidate_that_sends_garbage() {
    with_origin("garbage", || Reaction::RawThenClose(b"HTTQ nonsense\r\n\r\n".to_vec()));
}

#[test]
fn no_user_sees_a_candidate_that_is_killed() {
    let (blue, green) = (Nginx::start(&["blue"]), Nginx::start(&["green"]));
    let pointsman = Pointsman::start(&(config(blue.addresses[0], green.addresses[0], 5, "") + POLICY));
    let served = || pointsman.web()["pools"]["green"]["window"]["requests"].as_u64().unwrap_or(0);
    no_user_sees("killed", &pointsman, served, || green.kill());
}

#[test]
fn the_abort_comes_as_soon_as_without_the_shield() {
    let blue = Nginx::start(&["blue"]);
    let attempts = |more: &str| {
        let rounds = (0..5).map(|_| {
            let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
            let pointsman = Pointsman::start(&(config(blue.addresses[0], green.address, 5, more) + POLICY));
            let load = Load::start(pointsman.http(), 8);
            let id = pointsman.start_rollout(r#"{"to": "green"}"#);
            assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
            let (_, failed, _) = load.stop();
            assert_eq!(failed > 0, more.contains("false"), "{more}: {failed} failed");
            green.requests()
        });
        rounds.collect::<Vec<_>>()
    };
    let (with, without) = (attempts(""), attempts("shield = false"));
    println!("attempts on the candidate until the abort: {with:?} with the shield, {without:?} without");
    assert!(median(&with) <= 10 && median(&without) <= 10, "{with:?} {without:?}");
}

#[test]
fn what_is_not_safe_to_repeat_is_never_carried_out_twice() {
    let executed: &'static Mutex<HashMap<String, u64>> = Box::leak(Box::default());
    let note = |request: &super::harness::Received| {
        let id = request.header("x-id").unwrap_or_default().to_owned();
        *executed.lock().expect("no panic").entry(id).or_default() += 1;
    };
    let blue = Origin::new(move |request| {
        note(request);
        Reaction::ok("blue")
    });
    let count = AtomicU64::new(0);
    let green = Origin::new(move |request| {
        note(request);
        match count.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Reaction::Answer(500, "broken".into()),
            1 => Reaction::Close,
            _ => Reaction::Hang,
        }
    });
    let pointsman = Pointsman::start(&(config(blue.address, green.address, 50, "") + LENIENT));
    shifting(&pointsman);
    let mut statuses = HashMap::new();
    for id in 0..60 {
        let post =
            format!("POST / HTTP/1.1\r\nHost: localhost\r\nX-Id: {id}\r\nContent-Length: 4\r\n\r\nbody");
        *statuses.entry(send(pointsman.http(), &post).status).or_insert(0_u64) += 1;
    }
    let executed = executed.lock().expect("no panic");
    println!("60 POSTs at 50 %: {statuses:?}, {} reached the candidate", green.requests());
    assert_eq!(executed.len(), 60, "each was carried out");
    assert!(executed.values().all(|times| *times == 1), "and none twice: {executed:?}");
    assert_eq!(60 - statuses[&200], green.requests(), "only what the candidate had taken fails");
    assert_eq!(shielded(&pointsman), 0);
}

#[test]
fn what_was_never_sent_is_shielded_whatever_it_is() {
    let blue = Origin::named("blue");
    // Nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let passive = "health = false\npassive = { max_fails = 0 }\n";
    let config = config(blue.address, gone, 50, "").replace("timeouts", &format!("{passive}timeouts"));
    let pointsman = Pointsman::start(&(config + LENIENT));
    shifting(&pointsman);
    for _ in 0..40 {
        let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(send(pointsman.http(), post).status, 200);
    }
    assert!(shielded(&pointsman) > 0);
    assert_eq!(blue.requests(), 40);
}

#[test]
fn a_body_goes_along_as_far_as_it_can_be_sent_again() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let pointsman = Pointsman::start(&(config(blue.address, green.address, 100, "") + LENIENT));
    shifting(&pointsman);
    let put = |length: usize| {
        let head = format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        send(pointsman.http(), &(head + &"x".repeat(length)))
    };
    assert_eq!(put(50_000).text(), "blue");
    assert_eq!(blue.last().body.len(), 50_000);
    assert_eq!((put(200_000).status, blue.requests()), (500, 1), "the candidate's own answer");
}

#[test]
fn the_budget_is_kept_and_the_candidate_charged_in_full() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let more = "shield = { budget = \"0%\", burst = 5 }";
    let config = config(blue.address, green.address, 100, more);
    let pointsman = Pointsman::start(&[SERVER, &config, LENIENT].concat());
    shifting(&pointsman);
    let statuses: Vec<u16> = (0..12).map(|_| get(pointsman.http(), "/").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 500, 500, 500, 500, 500, 500, 500]);
    assert_eq!(shielded(&pointsman), 5);
    let window = pointsman.web()["pools"]["green"]["window"].clone();
    eventually("the figures", || pointsman.web()["pools"]["green"]["window"]["failures"] == 12);
    assert!(window["shielded"].as_u64().is_some_and(|count| count <= 5), "{window}");
}

#[test]
fn half_of_what_is_served_may_be_shielded() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let more = "shield = { budget = \"50%\", burst = 1 }";
    let config = config(blue.address, green.address, 100, more);
    let pointsman = Pointsman::start(&[SERVER, &config, LENIENT].concat());
    shifting(&pointsman);
    let mut connection = Connection::open(pointsman.http());
    let shown = (0..40).filter(|_| connection.get("/").status == 500).count();
    assert!((19..=21).contains(&shown), "{shown} of 40 were shown");
}

#[test]
fn only_the_statuses_named_are_hidden() {
    let blue = Origin::named("blue");
    let green = Origin::new(|request| match request.path() {
        "/501" => Reaction::Answer(501, "never heard of".into()),
        _ => Reaction::Answer(503, "broken".into()),
    });
    let more = "shield = { statuses = [500, \"502-504\"] }";
    let config = config(blue.address, green.address, 100, more);
    let pointsman = Pointsman::start(&(config + LENIENT));
    shifting(&pointsman);
    assert_eq!(get(pointsman.http(), "/501").status, 501);
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
}

#[test]
fn http_2_clients_are_shielded_too() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n";
    let config = config(blue.address, green.address, 100, "");
    let pointsman = Pointsman::start(&[listener, &config, LENIENT].concat());
    shifting(&pointsman);
    let url = format!("http://{}/", pointsman.http());
    let curl = Command::new("curl").args(["-s", "--http2-prior-knowledge", &url]).output().expect("curl");
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "blue");
}

#[test]
fn without_a_rollout_nothing_is_hidden() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let pointsman = Pointsman::start(&(config(blue.address, green.address, 5, "") + LENIENT));
    let put = pointsman.call("PUT", "/v1/services/web/weights", r#"{"blue": 0, "green": 100}"#);
    assert_eq!(put.status, 200);
    assert_eq!(get(pointsman.http(), "/").status, 500);
    assert_eq!((shielded(&pointsman), blue.requests()), (0, 0));
}

#[test]
fn testers_are_told_and_nobody_else() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let testers = "[services.web.testers]\nnetworks = [\"127.0.0.0/8\"]\n";
    let config = config(blue.address, green.address, 50, "") + testers + LENIENT;
    let pointsman = Pointsman::start(&config);
    shifting(&pointsman);
    let asks =
        |line: &str| send(pointsman.http(), &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"));
    let answer = asks("X-Pointsman-Pool: green\r\n");
    assert_eq!((answer.text().as_str(), answer.header("x-pointsman-shielded")), ("blue", Some("green")));
    for _ in 0..10 {
        assert_eq!(asks("").header("x-pointsman-shielded"), None);
    }
    assert!(shielded(&pointsman) > 1);
}

/// A service with three pools, of which red has a dead upstream that nothing has found out about; weights by hand.
struct Failover {
    origins: [Origin; 2],
    pointsman: Pointsman,
}

impl Failover {
    fn start(weights: &str, more: &str) -> Self {
        Failover::start_as("blue", weights, more)
    }

    fn start_as(stable: &str, weights: &str, more: &str) -> Self {
        let origins = ["blue", "green"].map(Origin::named);
        let gone =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let mut config = format!("[services.web]\nstable = \"{stable}\"\nwatch_manual = false\n{more}\n");
        let addresses = [("blue", origins[0].address), ("green", origins[1].address), ("red", gone)];
        for (pool, address) in addresses {
            config += &format!(
                "[services.web.pools.{pool}]\nupstreams = [\"{address}\"]\nhealth = false\n\
                 passive = {{ max_fails = 0 }}\n"
            );
        }
        let pointsman = Pointsman::start(&(config + LENIENT));
        let failover = Failover { origins, pointsman };
        failover.set(weights);
        failover
    }

    fn set(&self, weights: &str) {
        let put = self.pointsman.call("PUT", "/v1/services/web/weights", weights);
        assert_eq!(put.status, 200, "{}", put.text());
    }

    fn post(&self, fields: &str) -> u16 {
        let post = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 4\r\n\r\nbody");
        send(self.pointsman.http(), &post).status
    }

    fn requests(&self) -> [u64; 2] {
        [self.origins[0].requests(), self.origins[1].requests()]
    }

    fn failures(&self) -> u64 {
        let mut failures = 0;
        eventually("the window shows them", || {
            failures =
                self.pointsman.web()["pools"]["red"]["window"]["failures"].as_u64().unwrap_or_default();
            failures > 0
        });
        failures
    }
}

#[test]
fn what_was_never_sent_goes_to_another_pool_with_weight_and_is_charged_to_the_dead_one() {
    let failover = Failover::start(r#"{"blue": 0, "green": 10, "red": 90}"#, "");
    for _ in 0..40 {
        assert_eq!(failover.post(""), 200, "whatever the method");
    }
    assert_eq!(failover.requests(), [0, 40], "stable has no weight");
    assert!(failover.failures() > 10, "the dead pool is charged");
    assert_eq!(shielded(&failover.pointsman), 0, "it is not the shield's doing");
    failover.set(r#"{"blue": 5, "green": 5, "red": 90}"#);
    let before = failover.requests();
    for _ in 0..40 {
        assert_eq!(failover.post(""), 200);
    }
    let [blue, green] = failover.requests();
    assert!(blue > 20 && blue + green == before[1] + 40, "stable first: {blue}, {green}");
    failover.set(r#"{"blue": 0, "green": 0, "red": 100}"#);
    assert_eq!((failover.post(""), failover.requests()), (502, [blue, green]), "nobody else has weight");
}

#[test]
fn testers_and_strict_rules_stay_on_a_dead_pool_and_other_rules_do_not() {
    let rule = |name: &str, strict: bool| {
        format!(
            "[[services.web.rules]]\npool = \"red\"\nheader = {{ name = \"{name}\" }}\nstrict = {strict}\n"
        )
    };
    let testers = "[services.web.testers]\nnetworks = [\"127.0.0.0/8\"]\n";
    let more = rule("x-strict", true) + &rule("x-loose", false) + testers;
    let failover = Failover::start(r#"{"blue": 50, "green": 50}"#, &more);
    let asks = ["X-Pointsman-Pool: red\r\n", "X-Strict: 1\r\n", "X-Loose: 1\r\n", ""];
    assert_eq!(asks.map(|fields| failover.post(fields)), [502, 502, 200, 200]);
}

#[test]
fn nobody_is_sent_to_a_pool_that_waits_at_a_gate_or_is_quarantined() {
    let steps = "steps = [{ weight = 50, hold = \"0s\", gate = true }, { weight = 100 }]";
    let rollout = format!("[services.web.rollout]\nmin_attempts = 0\n{steps}\n");
    let failover = Failover::start_as("red", r#"{"red": 100}"#, &rollout);
    let id = failover.pointsman.start_rollout(r#"{"to": "green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}");
    let at_gate = || failover.pointsman.get(&path).json()["waits_for"] == "approval";
    eventually("it waits at the gate with half of the traffic", at_gate);
    let statuses = || (0..40).map(|_| failover.post("")).collect::<Vec<_>>();
    let seen = statuses();
    assert!(seen.contains(&502) && seen.contains(&200) && at_gate(), "each gets its own: {seen:?}");
    let abort = failover.pointsman.call("POST", &format!("{path}/abort"), "");
    assert_eq!(abort.status, 200, "{}", abort.text());
    failover.set(r#"{"green": 50, "red": 50, "force": true}"#);
    let seen = statuses();
    assert!(seen.contains(&502) && seen.contains(&200), "as much as was forced: {seen:?}");
    failover.set(r#"{"blue": 1, "green": 50, "red": 49}"#);
    assert!(statuses().iter().all(|status| *status == 200), "blue takes over");
    let [blue, green] = failover.requests();
    assert!(blue > 10 && green > 20, "{blue}, {green}");
}
