//! Streams that were cut by the least rate of bodies, and cuts that no line of the log told of.

use super::super::harness::{Connection, Origin, Pointsman, Reaction, blue_green, eventually};
use super::super::hostile::h2::{
    DATA, END_HEADERS, END_STREAM, H2, HEADERS, RST_STREAM, SETTINGS, frame, get, request,
};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Listeners that wait for nobody: half a second for a head, and a megabyte a second of a body.
const IMPATIENT: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
    timeouts = { header = \"400ms\", body = \"200ms\", write = \"400ms\" }\nlimits = { body_rate = \"1M\", streams = 2 }\n";
/// Longer than such a listener waits for a body.
const LONG: Duration = Duration::from_millis(2500);

/// The site, with these keys of its route, of its service and of its pool.
fn site(address: SocketAddr, route: &str, service: &str, pool: &str) -> Pointsman {
    Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\ngrace = \"1s\"\n[access_log]\npath = \"access.log\"\n{IMPATIENT}\
         [[routes]]\nservice = \"web\"\n{route}\n\
         [services.web]\nstable = \"blue\"\n{service}\n\
         [services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n{pool}\nupstreams = [\"{address}\"]\n\
         [services.web.pools.green]\nupstreams = [\"127.0.0.1:1\"]\n"
    ))
}

fn lines(dir: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("access.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Sends a byte now and then, for longer than a body may take, and reads what `heard` reads for each.
fn drip(mut one: impl FnMut()) {
    let since = Instant::now();
    while since.elapsed() < LONG {
        one();
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_stream_in_both_directions_is_not_cut_by_the_rate_of_bodies() {
    let origin = Origin::new(|_| Reaction::Echo);
    let pointsman = site(origin.address, "", "", "");
    let mut h2 = H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[])).expect("written");
    assert_eq!(h2.status(1), 200);
    let mut client = Connection::open(pointsman.http());
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").expect("written");
    assert_eq!(client.head().expect("a head").status, 200);
    let mut echoes = 0;
    drip(|| {
        h2.frame(DATA, 0, 1, b"x").expect("written");
        let echo = h2.find(|frame| frame.stream == 1);
        assert_eq!(echo.map(|frame| (frame.kind, frame.payload)), Some((DATA, b"x".to_vec())));
        client.write(b"1\r\ny\r\n").expect("written");
        assert_eq!(client.chunk().expect("an echo"), b"y");
        echoes += 1;
    });
    h2.frame(DATA, END_STREAM, 1, b"").expect("written");
    assert!(
        h2.find(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0).is_some(),
        "it ends as it should"
    );
    client.write(b"0\r\n\r\n").expect("written");
    assert_eq!(client.chunk().expect("the end"), b"");
    println!("{echoes} echoes on each stream, 300 ms apart, where a body may be silent for 200 ms");
    eventually("both are logged", || lines(pointsman.dir.path()).len() == 2);
    assert!(lines(pointsman.dir.path()).iter().all(|line| line["ended"].is_null() && line["status"] == 200));
}

/// The status of an upload that takes its time, by HTTP/2 and by HTTP/1.
fn slow_uploads(pointsman: &Pointsman, headers: &[(&str, &str)]) -> (u16, u16) {
    let mut h2 = H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    let head = request("POST", "/slow", headers);
    h2.frame(HEADERS, END_HEADERS, 1, &head).expect("written");
    let mut client = Connection::open(pointsman.http());
    client.write(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").expect("written");
    let mut sent = 0;
    drip(|| {
        let _ = h2.frame(DATA, 0, 1, b"x");
        sent += usize::from(client.write(b"y").is_ok());
    });
    let _ = h2.frame(DATA, END_STREAM, 1, b"x");
    let _ = client.write(&vec![b'y'; 100 - sent]);
    (h2.status(1), client.answer(false).status)
}

#[test]
fn a_body_that_an_answer_waits_for_keeps_its_rate_unless_it_is_grpc_or_its_route_says_so() {
    let origin = Origin::named("blue");
    let strict = site(origin.address, "", "", "");
    assert_eq!(slow_uploads(&strict, &[]), (408, 408));
    let lines = || lines(strict.dir.path());
    eventually("both are logged", || lines().len() == 2);
    for line in lines() {
        assert_eq!(
            (&line["ended"], &line["uri"], &line["method"]),
            (&"slow_body".into(), &"/slow".into(), &"POST".into())
        );
    }
    assert_eq!(slow_uploads(&strict, &[("content-type", "application/grpc+proto")]).0, 200, "gRPC");
    let patient = "timeouts = { body = \"off\" }\nlimits = { body_rate = \"0\" }";
    assert_eq!(slow_uploads(&site(origin.address, patient, "", ""), &[]), (200, 200), "{patient}");
    let slow = "timeouts = { body = \"5s\" }\nlimits = { body_rate = \"1\" }";
    assert_eq!(slow_uploads(&site(origin.address, slow, "", ""), &[]), (200, 200), "{slow}");
    let silent = "timeouts = { body = \"5s\" }";
    assert_eq!(
        slow_uploads(&site(origin.address, silent, "", ""), &[]),
        (408, 408),
        "{silent}: the rate is the listener's"
    );
}

/// What the log says of requests that are cut: the path, how it is brought about, and the word.
type Scene = (&'static str, &'static str, fn(&Pointsman));

fn h2(pointsman: &Pointsman) -> H2 {
    H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection")
}

const SCENES: &[Scene] = &[
    ("/late1", "late_answer", |pointsman| {
        assert_eq!(Connection::open(pointsman.http()).get("/late1").status, 504);
    }),
    ("/late2", "late_answer", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.get(1, "/late2").expect("written");
        assert_eq!(h2.status(1), 504);
    }),
    ("/broken1", "upstream_broke", |pointsman| {
        assert_eq!(Connection::open(pointsman.http()).get("/broken1").status, 0, "half an answer is none");
    }),
    ("/broken2", "upstream_broke", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.get(1, "/broken2").expect("written");
        assert!(h2.find(|frame| frame.kind == RST_STREAM && frame.stream == 1).is_some());
    }),
    ("/hang-left1", "client_left", |pointsman| {
        let mut client = Connection::open(pointsman.http());
        client.write(b"GET /hang-left1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        asked(pointsman);
    }),
    ("/hang-left2", "client_left", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.get(1, "/hang-left2").expect("written");
        asked(pointsman);
        h2.frame(RST_STREAM, 0, 1, &8u32.to_be_bytes()).expect("written");
        h2.frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/ok")).expect("written");
        assert_eq!(h2.status(3), 200);
    }),
    ("/hang-gone2", "client_left", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.get(1, "/hang-gone2").expect("written");
        asked(pointsman);
    }),
    ("/large1", "client_stalled", |pointsman| {
        let mut client = Connection::open(pointsman.http());
        client.write(b"GET /large1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        logged(pointsman, "/large1");
    }),
    ("/large2", "client_stalled", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.raw(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).expect("written");
        h2.get(1, "/large2").expect("written");
        logged(pointsman, "/large2");
    }),
    ("/hang-third", "refused_stream", |pointsman| {
        let mut h2 = h2(pointsman);
        for (stream, path) in [(1, "/hang"), (3, "/hang"), (5, "/hang-third")] {
            h2.get(stream, path).expect("written");
        }
        let refused = h2.find(|frame| frame.kind == RST_STREAM).expect("one too many");
        assert_eq!((refused.stream, refused.number(0)), (5, 7));
    }),
    ("*", "slow_head", |pointsman| {
        let mut h2 = h2(pointsman);
        h2.frame(HEADERS, END_STREAM, 1, &get("/x")).expect("written");
        while h2.next().expect("it ends in time").is_some() {}
    }),
];

/// Waits until the upstream has got a request.
fn asked(pointsman: &Pointsman) {
    let in_flight = || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"].as_u64() > Some(0);
    eventually("the upstream is asked", in_flight);
}

fn line(dir: &std::path::Path, path: &str) -> Value {
    let found = || lines(dir).into_iter().find(|line| line["uri"] == path);
    eventually(&format!("{path} is logged"), || found().is_some());
    found().expect("found")
}

fn logged(pointsman: &Pointsman, path: &str) -> Value {
    line(pointsman.dir.path(), path)
}

#[test]
fn whatever_is_cut_stands_in_the_log_with_its_reason() {
    let large = "y".repeat(20_000_000);
    let origin = Origin::new(move |request| match request.path() {
        path if path.starts_with("/hang") || path.starts_with("/late") => Reaction::Hang,
        path if path.starts_with("/broken") => {
            Reaction::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec())
        }
        path if path.starts_with("/large") => Reaction::ok(&large),
        _ => Reaction::ok("ok"),
    });
    let short = site(origin.address, "timeouts = { read = \"700ms\" }", "", "");
    let long = site(origin.address, "", "", "");
    for (path, word, scene) in SCENES {
        let pointsman = if path.starts_with("/late") { &short } else { &long };
        scene(pointsman);
        let line = logged(pointsman, path);
        println!("{path}: {} {}", line["status"], line["ended"]);
        assert_eq!(line["ended"], *word, "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
    }
    let mut slow = Connection::open(long.http());
    assert_eq!(slow.send(b"GET /x HTT").status, 408);
    let is_slow = |line: &Value| line["status"] == 408 && line["ended"] == "slow_head";
    eventually("it is logged", || lines(long.dir.path()).iter().any(is_slow));
    // What ends as it should says nothing.
    assert_eq!(logged(&long, "/ok")["ended"], Value::Null);
}

#[test]
fn orders_to_leave_and_the_end_of_the_grace_are_logged() {
    let event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    let origin = Origin::new(|request| match request.path() {
        path if path.starts_with("/hang") => Reaction::Hang,
        _ => Reaction::Raw(event.to_vec()),
    });
    let green = Origin::named("green");
    let head = format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\ngrace = \"500ms\"\n[access_log]\npath = \"access.log\"\n{IMPATIENT}"
    );
    let services = blue_green(origin.address, green.address).replacen(
        "[services.web]",
        "[services.web]\nclose_streams = \"100ms\"",
        1,
    );
    let pointsman = Pointsman::start(&(head + &services));
    let mut one = Connection::open(pointsman.http());
    one.write(b"GET /events1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    assert_eq!(one.head().expect("a head").status, 200);
    let mut two = h2(&pointsman);
    two.get(1, "/events2").expect("written");
    assert_eq!(two.status(1), 200);
    let mut hang = Connection::open(pointsman.http());
    hang.write(b"GET /hang1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    let mut hangs = h2(&pointsman);
    hangs.get(1, "/hang2").expect("written");
    eventually("all are asked for", || origin.requests() == 4);
    assert_eq!(pointsman.call("PUT", "/v1/services/web/weights", r#"{"blue": 0, "green": 100}"#).status, 200);
    for path in ["/events1", "/events2"] {
        let line = logged(&pointsman, path);
        assert_eq!((&line["ended"], &line["status"]), (&"leave_order".into(), &200.into()), "{line}");
    }
    assert!(logged(&pointsman, "/events2")["bytes"].as_u64() > Some(0), "what was sent before");
    let (status, dir) = pointsman.terminate();
    assert!(status.success());
    for path in ["/hang1", "/hang2"] {
        let line = line(dir.path(), path);
        assert_eq!((&line["ended"], &line["status"]), (&"shutdown".into(), &0.into()), "{line}");
        assert_eq!((&line["pool"], &line["outcome"]), (&"blue".into(), &"ignored".into()), "{line}");
    }
}
