//! Requests under way on a frozen candidate go to stable when it is aborted or marked down.

pub mod h2;

use crate::harness::{Connection, Origin, Pointsman, Reaction, eventually};
use h2::{Client, Origin as Http2, Reaction as Answer2, runtime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 40;

/// A candidate that gets all of the traffic.
fn config(blue: SocketAddr, green: SocketAddr, http2: bool) -> String {
    config_with(blue, green, http2, "60s")
}

/// The same, whose candidate may take so long.
fn config_with(blue: SocketAddr, green: SocketAddr, http2: bool, limit: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
         [services.web.pools.blue]\nhttp2 = {http2}\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nhttp2 = {http2}\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 100, hold = \"1h\" }}]\n\
         [policies.default]\nlatency_p95 = {{ critical = \"{limit}\" }}\n"
    )
}

/// Starts a rollout that gives all traffic to green.
fn all_to_green(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("green has all", || pointsman.weight("green") == 100.0);
    id
}

type Given = (Instant, u16, String);

/// Aborts it by hand once so many requests wait there; when that was.
fn abort_with(pointsman: &Pointsman, id: &str, count: u64, requests: impl Fn() -> u64) -> Instant {
    eventually("all wait", || requests() >= count);
    let answer = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    Instant::now()
}

/// Clients of HTTP/1, each of its own address, that each ask once; when each got what.
fn ask(address: SocketAddr, method: &'static str) -> Vec<std::thread::JoinHandle<Given>> {
    let one = |n| {
        std::thread::spawn(move || {
            let fields = format!("Host: a\r\nX-Forwarded-For: 10.0.0.{n}\r\nContent-Length: 0");
            let answer =
                Connection::open(address).send(format!("{method} / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
            (Instant::now(), answer.status, answer.text())
        })
    };
    (0..CLIENTS).map(one).collect()
}

fn all(clients: Vec<std::thread::JoinHandle<Given>>) -> Vec<Given> {
    clients.into_iter().map(|client| client.join().expect("a client")).collect()
}

/// The same over connections of HTTP/2, ten requests on each.
fn ask_http2(address: SocketAddr, runtime: &tokio::runtime::Runtime) -> Vec<tokio::task::JoinHandle<Given>> {
    let mut waiting = Vec::new();
    for _ in 0..CLIENTS / 10 {
        let client = Arc::new(runtime.block_on(Client::open(address)));
        for _ in 0..10 {
            let client = client.clone();
            waiting.push(runtime.spawn(async move {
                let (status, text) = client.send("GET", "/", &[]).await;
                (Instant::now(), status, text)
            }));
        }
    }
    waiting
}

fn all_http2(waiting: Vec<tokio::task::JoinHandle<Given>>, runtime: &tokio::runtime::Runtime) -> Vec<Given> {
    waiting.into_iter().map(|client| runtime.block_on(client).expect("a client")).collect()
}

/// How long after the verdict the last was answered by stable, and how many were.
fn figures(case: &str, verdict: Instant, answers: &[Given]) -> usize {
    let good = answers.iter().filter(|(_, status, text)| (*status, &**text) == (200, "blue"));
    let last = good.clone().map(|(at, ..)| at.saturating_duration_since(verdict)).max().unwrap_or_default();
    let count = good.count();
    let others: Vec<_> =
        answers.iter().filter(|(_, status, text)| (*status, &**text) != (200, "blue")).collect();
    if !others.is_empty() {
        println!("n04: {case}: {others:?}");
    }
    println!(
        "n04: {case}: {count} of {} answered by stable, the last {last:?} after the abort was seen",
        answers.len()
    );
    count
}

#[test]
fn requests_that_wait_for_a_frozen_candidate_are_answered_by_stable_at_its_abort() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Hang);
    let pointsman = Pointsman::start(&config_with(blue.address, green.address, false, "500ms"));
    let id = all_to_green(&pointsman);
    let waiting = ask(pointsman.http(), "GET");
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    let verdict = Instant::now();
    let answers = all(waiting);
    assert_eq!(figures("HTTP/1 clients, HTTP/1 upstreams", verdict, &answers), CLIENTS);
    let window = &pointsman.web()["pools"]["green"]["window"];
    assert_eq!(window["failures"], 0, "what the proxy took back is no failure: {window}");
}

#[test]
fn so_are_those_of_http2_clients() {
    let blue = Origin::named("blue");
    let green = Origin::new(|_| Reaction::Hang);
    let pointsman = Pointsman::start(&config(blue.address, green.address, false));
    let id = all_to_green(&pointsman);
    let runtime = runtime();
    let waiting = ask_http2(pointsman.http(), &runtime);
    let verdict = abort_with(&pointsman, &id, CLIENTS as u64, || green.requests());
    let answers = all_http2(waiting, &runtime);
    assert_eq!(figures("HTTP/2 clients, HTTP/1 upstreams", verdict, &answers), CLIENTS);
}

#[test]
fn so_are_those_on_http2_upstreams() {
    let blue = Http2::new(|_| Answer2::Answer(200, "blue".into()));
    let green = Http2::new(|_| Answer2::Hang);
    let pointsman = Pointsman::start(&config(blue.address, green.address, true));
    let id = all_to_green(&pointsman);
    let runtime = runtime();
    let waiting = ask_http2(pointsman.http(), &runtime);
    let others = ask(pointsman.http(), "GET");
    let verdict = abort_with(&pointsman, &id, 2 * CLIENTS as u64, || green.requests());
    let answers = all(others);
    assert_eq!(figures("HTTP/1 clients, HTTP/2 upstreams", verdict, &answers), CLIENTS);
    let answers = all_http2(waiting, &runtime);
    assert_eq!(figures("HTTP/2 clients, HTTP/2 upstreams", verdict, &answers), CLIENTS);
}

#[test]
fn what_is_not_safe_to_repeat_waits_on_and_what_has_begun_goes_on() {
    let late = Duration::from_secs(5);
    let blue = Origin::named("blue");
    let green = Origin::new(move |request| match request.line.split(' ').next() {
        Some("POST") => Reaction::Late(late, 200, "green".into()),
        _ => Reaction::Hang,
    });
    let pointsman = Pointsman::start(&config(blue.address, green.address, false));
    let id = all_to_green(&pointsman);
    let posts = ask(pointsman.http(), "POST");
    let gets = ask(pointsman.http(), "PUT");
    abort_with(&pointsman, &id, 2 * CLIENTS as u64, || green.requests());
    for (_, status, text) in all(posts) {
        assert_eq!((status, &*text), (200, "green"), "each POST was answered by the one that has it");
    }
    for (_, status, text) in all(gets) {
        assert_eq!((status, &*text), (200, "blue"));
    }
    assert_eq!(blue.requests(), CLIENTS as u64, "no POST was sent twice");
}

#[test]
fn an_answer_under_way_on_a_shared_connection_is_not_cut() {
    let blue = Http2::new(|_| Answer2::Answer(200, "blue".into()));
    let green = Http2::new(|head| match head.uri.path() {
        "/long" => Answer2::Trickle,
        _ => Answer2::Hang,
    });
    let pointsman =
        Pointsman::start(&config(blue.address, green.address, true).replace("threads = 2", "threads = 1"));
    let id = all_to_green(&pointsman);
    let mut long = Connection::open(pointsman.http());
    long.write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    assert_eq!(long.head().expect("a head").status, 200);
    let waiting = ask(pointsman.http(), "GET");
    abort_with(&pointsman, &id, 1 + CLIENTS as u64, || green.requests());
    for _ in 0..30 {
        assert!(!long.chunk().expect("a piece").is_empty());
    }
    let answered = |client: &std::thread::JoinHandle<_>| client.is_finished();
    println!(
        "n04: with an answer under way on the connection: {} of {CLIENTS} answered",
        waiting.iter().filter(|c| answered(c)).count()
    );
    drop(long);
    let answers = all(waiting);
    assert_eq!(figures("after it has ended", Instant::now(), &answers), CLIENTS);
}

/// One pool of two upstreams; the first freezes, its checks too.
#[test]
fn an_upstream_marked_down_hands_what_waits_for_it_to_another() {
    let frozen = Arc::new(AtomicBool::new(false));
    let is_frozen = frozen.clone();
    let first = Origin::new(move |request| match (is_frozen.load(Ordering::SeqCst), request.path()) {
        (false, "/slow") | (true, _) => Reaction::Hang,
        _ => Reaction::ok("first"),
    });
    let second = Origin::named("blue");
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[services.web]\n[services.web.pools.blue]\n\
         balance = \"round_robin\"\nupstreams = [\"{}\", \"{}\"]\n\
         health = {{ path = \"/health\", interval = \"50ms\", timeout = \"1s\", fall = 2, rise = 1 }}\n",
        first.address, second.address
    );
    let pointsman = Pointsman::start(&text);
    eventually("both are up", || {
        let upstreams = &pointsman.web()["pools"]["blue"]["upstreams"];
        upstreams.as_array().is_some_and(|all| all.iter().all(|one| one["state"] == "ready"))
    });
    let one = |_| {
        let address = pointsman.http();
        std::thread::spawn(move || {
            let answer = Connection::open(address).get("/slow");
            (Instant::now(), answer.status, answer.text())
        })
    };
    let waiting: Vec<_> = (0..CLIENTS).map(one).collect();
    eventually("half of them wait", || first.all().len() >= CLIENTS / 2);
    frozen.store(true, Ordering::SeqCst);
    eventually("it is down", || pointsman.web()["pools"]["blue"]["upstreams"][0]["state"] == "down");
    let down = Instant::now();
    let answers = all(waiting);
    assert_eq!(figures("an upstream marked down", down, &answers), CLIENTS);
}

#[test]
fn the_only_upstream_keeps_what_it_has_when_it_is_marked_down() {
    let late = Duration::from_millis(800);
    let sick = Arc::new(AtomicBool::new(false));
    let is_sick = sick.clone();
    let first = Origin::new(move |request| match request.path() {
        "/health" if is_sick.load(Ordering::SeqCst) => Reaction::Answer(500, String::new()),
        "/health" => Reaction::ok("well"),
        _ => Reaction::Late(late, 200, "first".into()),
    });
    let text = format!(
        "[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         health = {{ path = \"/health\", interval = \"50ms\", timeout = \"10s\", fall = 2, rise = 1 }}\n",
        first.address
    );
    let pointsman = Pointsman::start(&text);
    let waiting = ask(pointsman.http(), "GET");
    eventually("all wait", || first.all().iter().filter(|one| one.path() == "/").count() == CLIENTS);
    sick.store(true, Ordering::SeqCst);
    for (_, status, text) in all(waiting) {
        assert_eq!((status, &*text), (200, "first"), "nobody else could have answered");
    }
}
