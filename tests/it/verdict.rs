//! What a verdict sees: every kind of badness, with real origins and clients, and nothing else.

mod alone;
mod by_hand;
mod failures;
mod measure;
mod traffic;
mod warm_up;

use super::grpc::{self, Ending};
use super::harness::{Connection, Origin, Pointsman, Reaction, Received, eventually};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use traffic::Traffic;

const PATIENCE: Duration = Duration::from_secs(10);

/// Half of the traffic for a while, then all of it; `policy` has the keys of its policy.
fn config(blue: &Origin, green: &Origin, hold: &str, policy: &str) -> String {
    config_of(&blue.address.to_string(), &green.address.to_string(), hold, policy)
}

fn config_of(blue: &str, green: &str, hold: &str, policy: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         limits = {{ requests_per_connection = 1000000 }}\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\npassive = {{ max_fails = 0 }}\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\npassive = {{ max_fails = 0 }}\n\
         [services.web.rollout]\nmin_attempts = 50\nbake = \"200ms\"\n\
         steps = [{{ weight = 50, hold = \"{hold}\" }}, {{ weight = 100 }}]\n\
         [policies.default]\n{policy}\n",
        blue, green
    )
}

const ERRORS: &str = "error_rate = { critical = \"1%\" }";

struct Run {
    pointsman: Pointsman,
    id: String,
    traffic: Traffic,
}

impl Run {
    /// Starts a rollout beside traffic, after stable has served for a while.
    fn start(config: &str, traffic: impl FnOnce(&Pointsman) -> Traffic) -> Self {
        let pointsman = Pointsman::start(config);
        let traffic = traffic(&pointsman);
        eventually("stable serves", || traffic.requests() >= 300);
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        Run { pointsman, id, traffic }
    }

    fn view(&self) -> Value {
        self.pointsman.get(&format!("/v1/services/web/rollouts/{}", self.id)).json()
    }

    /// How it ended, and why; said with what the candidate had served by then.
    #[track_caller]
    fn ended(&self, what: &str) -> (String, Value) {
        let view = self.pointsman.ended(&self.id);
        self.say(what, &view);
        (view["outcome"].as_str().expect("an outcome").to_owned(), view)
    }

    /// Waits for a verdict that holds by this kind, while nothing has ended.
    #[track_caller]
    fn held(&self, what: &str, kind: &str) -> Value {
        let mut view = Value::Null;
        eventually(what, || {
            view = self.view();
            let reasons = view["verdict"]["reasons"].as_array().cloned().unwrap_or_default();
            assert!(view["outcome"].is_null(), "{what}: {view:#}");
            view["verdict"]["state"] == "hold" && reasons.iter().any(|reason| reason["kind"] == kind)
        });
        self.say(what, &view);
        view
    }

    fn say(&self, what: &str, view: &Value) {
        let window = &self.pointsman.web()["pools"]["green"]["window"];
        let text = view["reason"].as_str().map(str::to_owned);
        let reasons = &view["verdict"]["reasons"];
        println!(
            "{what}: {}; {} attempts on the candidate, {} answers of 5xx seen by users: {}",
            view["outcome"],
            window["requests"],
            self.traffic.failed(),
            text.unwrap_or_else(|| reasons[0]["text"].to_string())
        );
    }
}

/// One in so many requests.
fn one_in(
    n: u64,
    otherwise: &'static str,
    bad: impl Fn() -> Reaction + Send + Sync,
) -> impl Fn(&Received) -> Reaction {
    let count = AtomicU64::new(0);
    move |_: &Received| match count.fetch_add(1, Ordering::SeqCst) % n {
        0 => bad(),
        _ => Reaction::ok(otherwise),
    }
}

#[test]
fn a_version_that_hangs_with_impatient_clients_is_aborted() {
    for (share, one) in [("all", 1), ("a third", 3)] {
        let (blue, green) = (Origin::named("blue"), Origin::new(one_in(one, "green", || Reaction::Hang)));
        let patience = Duration::from_millis(120);
        let run = Run::start(&config(&blue, &green, "1h", ERRORS), |p| Traffic::plain(p.http(), patience));
        let (outcome, view) = run.ended(&format!("{share} of the answers hang"));
        let reason = view["verdict"]["reasons"][0].clone();
        assert_eq!((outcome.as_str(), &reason["kind"]), ("aborted", &"abandoned".into()), "{view:#}");
    }
}

#[test]
fn where_both_are_as_slow_nobody_is_blamed() {
    let hangs = || Reaction::Hang;
    let (blue, green) = (Origin::new(one_in(5, "blue", hangs)), Origin::new(one_in(5, "green", hangs)));
    let patience = Duration::from_millis(120);
    let run = Run::start(&config(&blue, &green, "3s", ERRORS), |p| Traffic::plain(p.http(), patience));
    assert_eq!(run.ended("a fifth of both hangs").0, "promoted");
}

#[test]
fn wrong_answers_to_everything_are_held_and_abort_where_that_is_asked_for() {
    let found = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n";
    let answers: [(&str, &str, Reaction); 3] = [
        ("404 for everything", "4xx", Reaction::Answer(404, "nobody home".into())),
        ("a redirect to the login", "3xx", Reaction::Raw(found.into())),
        ("an empty page", "empty", Reaction::ok("")),
    ];
    for (what, kind, answer) in answers {
        let (blue, green) = (Origin::named("blue"), Origin::named("green"));
        green.react(move |_| answer.clone());
        let run = Run::start(&config(&blue, &green, "1h", ERRORS), |p| Traffic::plain(p.http(), PATIENCE));
        run.held(what, kind);
        drop(run);
        let policy = format!("{ERRORS}\nrelative = \"abort\"");
        let run = Run::start(&config(&blue, &green, "1h", &policy), |p| Traffic::plain(p.http(), PATIENCE));
        let (outcome, view) = run.ended(what);
        assert_eq!(outcome, "aborted");
        assert!(view["verdict"]["reasons"][0]["kind"] == kind, "{view:#}");
    }
}

#[test]
fn what_both_answer_is_nobodys_fault() {
    let missing = || Reaction::Answer(404, "no".into());
    let (blue, green) = (Origin::new(one_in(5, "blue", missing)), Origin::new(one_in(5, "green", missing)));
    let run = Run::start(&config(&blue, &green, "2s", ERRORS), |p| Traffic::plain(p.http(), PATIENCE));
    assert_eq!(run.ended("20 % of 404 on both").0, "promoted");
}

#[test]
fn a_version_far_slower_than_stable_is_held_below_its_limit() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Late(Duration::from_millis(80), 200, "green".into()));
    let policy = format!("{ERRORS}\nlatency_p95 = {{ critical = \"2s\" }}");
    let run = Run::start(&config(&blue, &green, "1h", &policy), |p| Traffic::plain(p.http(), PATIENCE));
    run.held("80 ms, far from the limit of 2 s", "latency");
}

#[test]
fn bodies_that_stall_are_held_though_their_heads_are_fast() {
    let blue = Origin::named("blue");
    let stalls = || Reaction::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec());
    let green = Origin::new(one_in(2, "green", stalls));
    let patience = Duration::from_millis(150);
    let run = Run::start(&config(&blue, &green, "1h", ERRORS), |p| Traffic::plain(p.http(), patience));
    run.held("half of the bodies stall", "duration");
    let policy = format!("{ERRORS}\nduration_p95 = {{ critical = \"100ms\" }}");
    let run = Run::start(&config(&blue, &green, "1h", &policy), |p| Traffic::plain(p.http(), patience));
    assert_eq!(run.ended("half of the bodies stall, under a limit").0, "aborted");
}

/// One of fifty requests is for the route at hand.
fn mostly_others(method: &'static str, path: &'static str) -> impl Fn(usize, u64) -> (&'static str, String) {
    move |client, turn| match (client as u64 * 7 + turn) % 50 {
        0 => (method, path.to_owned()),
        n => ("GET", format!("/page/{}", ["a", "b", "c", "d"][n as usize % 4])),
    }
}

#[test]
fn a_dead_route_is_not_diluted() {
    for method in ["GET", "POST"] {
        let (blue, green) = (Origin::named("blue"), Origin::named("green"));
        green.react(|request| match request.path() {
            "/checkout" => Reaction::Answer(500, "dead".into()),
            _ => Reaction::ok("green"),
        });
        // Two of a hundred requests fail: below the limit.
        let config = config(&blue, &green, "1h", "error_rate = { critical = \"5%\" }");
        let asks = mostly_others(method, "/checkout");
        let run = Run::start(&config, |p| Traffic::start(p.http(), 8, PATIENCE, asks));
        let (outcome, view) = run.ended(&format!("{method} /checkout is dead"));
        let reason = &view["verdict"]["reasons"][0];
        assert_eq!(outcome, "aborted");
        assert_eq!(reason["group"], format!("{method} /checkout"), "{view:#}");
        assert!(view["reason"].as_str().is_some_and(|text| text.contains("/checkout")), "{view:#}");
        let failed = reason["events"].as_u64().expect("a count");
        assert!(failed <= 12, "{failed} failures");
    }
}

#[test]
fn routes_that_fail_or_wait_by_design_on_both_hold_nothing() {
    let by_design = |request: &Received| match request.path() {
        "/feature" => Reaction::Answer(503, "off".into()),
        "/poll" => Reaction::Late(Duration::from_millis(300), 200, "nothing new".into()),
        _ => Reaction::ok("page"),
    };
    let (blue, green) = (Origin::new(by_design), Origin::new(by_design));
    let policy = format!("{ERRORS}\nlatency_p95 = {{ critical = \"200ms\" }}");
    let asks = |client: usize, turn: u64| match (client, turn % 20) {
        (0, _) => ("GET", "/poll".to_owned()),
        (_, 0) => ("GET", "/feature".to_owned()),
        (_, n) => ("GET", format!("/page/{}", ["a", "b", "c"][n as usize % 3])),
    };
    let run =
        Run::start(&config(&blue, &green, "3s", &policy), |p| Traffic::start(p.http(), 8, PATIENCE, asks));
    assert_eq!(run.ended("/feature 503 and /poll slow on both").0, "promoted");
}

#[test]
fn grpc_statuses_fail_a_version_by_head_and_by_trailers() {
    // One client: what is under way at the decision is not what it took.
    let rollout = |ending: Ending, hold: &str, clients: usize| {
        let (blue, green) = (grpc::Origin::ending(Ending::Trailers(0)), grpc::Origin::ending(ending));
        let config = config_of(&blue.address.to_string(), &green.address.to_string(), hold, ERRORS);
        let config = config.replace("passive = {", "http2 = true\npassive = {");
        let asks = |_, _| ("POST", "/shop.Cart/Add".to_owned());
        (Run::start(&config, |p| Traffic::start(p.http(), clients, PATIENCE, asks)), [blue, green])
    };
    for ending in [Ending::Trailers(14), Ending::Trailers(13), Ending::Head(14)] {
        let (run, _origins) = rollout(ending, "1h", 1);
        let (outcome, view) = run.ended(&format!("{ending:?}"));
        let calls = view["verdict"]["reasons"][0]["events"].as_u64().expect("a count");
        assert_eq!(outcome, "aborted");
        assert!(calls <= 12, "{ending:?}: {calls} calls");
        let metrics = run.pointsman.get("/metrics").text();
        assert!(metrics.contains("reason=\"grpc\""), "the reason has its label: {metrics}");
    }
    let (run, _origins) = rollout(Ending::Trailers(5), "1s", 4);
    assert_eq!(run.ended("NOT_FOUND is no failure by default").0, "promoted");
}

#[test]
fn statuses_that_count_as_failures_are_the_policys() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    green.react(|_| Reaction::Answer(404, "gone".into()));
    let policy = format!("{ERRORS}\nfailures = {{ statuses = [404] }}");
    let run = Run::start(&config(&blue, &green, "1h", &policy), |p| Traffic::plain(p.http(), PATIENCE));
    let (outcome, view) = run.ended("404 is a failure");
    assert_eq!((outcome.as_str(), &view["verdict"]["reasons"][0]["kind"]), ("aborted", &"errors".into()));
}

#[test]
fn how_far_it_is_from_an_abort_is_told_by_limit_and_group() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let count = Arc::new(AtomicU64::new(0));
    let seen = count.clone();
    green.react(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        20..23 => Reaction::Answer(500, "three".into()),
        _ => Reaction::ok("green"),
    });
    let config = config(&blue, &green, "1h", "error_rate = { critical = \"5%\" }");
    let pointsman = Pointsman::start(&config);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("half of the traffic", || pointsman.weight("green") == 50.0);
    let traffic = Traffic::plain(pointsman.http(), PATIENCE);
    eventually("it has failed", || count.load(Ordering::SeqCst) >= 23);
    drop(traffic);
    let mut evidence = Vec::new();
    eventually("the evidence is told", || {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        evidence = view["evidence"].as_array().cloned().unwrap_or_default();
        evidence.iter().any(|of| of["metric"] == "error_rate" && of["ln"].as_f64() > Some(0.0))
    });
    let errors =
        evidence.iter().find(|of| of["metric"] == "error_rate" && of["group"].is_null()).expect("the limit");
    let left = errors["events_to_abort"].as_u64().expect("a count");
    assert!((1..12).contains(&left) && errors["needed"].as_f64() > errors["ln"].as_f64(), "{errors}");
    let group = evidence.iter().find(|of| of["group"] == "GET /").expect("the group has evidence");
    assert!(group["needed"].as_f64() > errors["needed"].as_f64(), "the union bound: {group}");
    let printed = pointsman.cli(&["status", "web"]);
    assert!(printed.out.contains("more in a row abort"), "{}", printed.out);
    let metrics = pointsman.get("/metrics").text();
    assert!(
        metrics.contains("pointsman_verdict_evidence_needed{metric=\"error_rate\",pool=\"green\""),
        "{metrics}"
    );
}

#[test]
fn websockets_that_die_at_once_fail_a_version() {
    /// A frame of a server that closes with a status; without one it hangs up.
    fn closes(status: Option<u16>) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            .to_vec();
        if let Some(status) = status {
            bytes.extend([0x88, 2]);
            bytes.extend(status.to_be_bytes());
        }
        bytes
    }
    let ends = |status| Reaction::RawThenClose(closes(status));
    for (what, reaction, outcome) in [
        ("1011", ends(Some(1011)), "aborted"),
        ("no word", ends(None), "aborted"),
        ("1000", ends(Some(1000)), "promoted"),
        ("clients that hang up", Reaction::Upgrade, "promoted"),
    ] {
        let hangs_up = matches!(reaction, Reaction::Upgrade);
        let good = if hangs_up { reaction.clone() } else { ends(Some(1000)) };
        let blue = Origin::new(move |_| good.clone());
        let green = Origin::new(move |_| reaction.clone());
        let pointsman = Pointsman::start(&config(&blue, &green, "1s", ERRORS));
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        let stop = Arc::new(AtomicU64::new(0));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (stop, address) = (stop.clone(), pointsman.http());
                std::thread::spawn(move || {
                    for turn in 0.. {
                        if stop.load(Ordering::SeqCst) > 0 {
                            return;
                        }
                        let mut connection = Connection::open(address);
                        let asks = "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                        let _ = connection.write(asks.as_bytes());
                        let _ = connection.head();
                        // Half of those that hang up have said something that is on its way back.
                        if hangs_up && turn % 2 == 0 {
                            let _ = connection.write(&[0x82, 0x80, 1, 2, 3, 4]);
                        } else if !hangs_up {
                            connection.is_closed();
                        }
                    }
                })
            })
            .collect();
        let view = pointsman.ended(&id);
        stop.store(1, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().expect("no panic"));
        println!("WebSockets end with {what}: {}", view["reason"]);
        assert_eq!(view["outcome"], outcome, "{what}: {view:#}");
    }
}
