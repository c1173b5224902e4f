//! The mirror: copies of stable's safe requests go to the candidate before it serves anybody.

mod compare;
mod rollouts;

use super::harness::{Connection, Origin, Pointsman, Reaction, Received, eventually, get, send};
use super::listeners::curl;
use http::{Request, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// A policy that nothing here breaks.
const LENIENT: &str = "[policies.default]\nlatency_p95 = { critical = \"90s\" }\n";

/// Mirrors `share` percent for as long as it is let.
fn config(blue: SocketAddr, green: SocketAddr, share: u8, more: &str) -> String {
    with_steps(blue, green, &format!("{{ mirror = {share}, hold = \"1h\" }}, {{ weight = 100 }}"), more)
}

fn with_steps(blue: SocketAddr, green: SocketAddr, steps: &str, more: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\npassive = {{ max_fails = 0 }}\n\
         [services.web.rollout]\nsteps = [{steps}]\n{more}\n"
    )
}

/// Starts a rollout to green and waits until it mirrors; its id.
fn mirroring(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it mirrors", || mirror(pointsman)["share"].is_number());
    id
}

/// What the mirror step has brought.
fn mirror(pointsman: &Pointsman) -> Value {
    pointsman.web()["rollout"]["mirror"].clone()
}

fn metric(pointsman: &Pointsman, name: &str) -> f64 {
    let text = pointsman.get("/metrics").text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains("service=\"web\""));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Everything but the mark and the id, which names the original.
fn asked(request: &Received) -> (String, Vec<(String, String)>) {
    let mut headers = request.headers.clone();
    headers.retain(|(name, _)| name != "x-pointsman-mirror");
    headers.sort();
    (request.line.clone(), headers)
}

#[test]
fn a_share_of_the_requests_is_copied_as_it_is() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let more = format!("{LENIENT}[headers]\nrequest = {{ set = {{ X-From = \"pointsman\" }} }}\n");
    let pointsman = Pointsman::start(&config(blue.address, green.address, 20, &more));
    mirroring(&pointsman);
    let mut connection = Connection::open(pointsman.http());
    for n in 0..500 {
        let request = format!(
            "GET /path/{n}?a=%20b HTTP/1.1\r\nHost: shop.example\r\nCookie: c={n}\r\nX-Pointsman-Mirror: forged\r\n\r\n"
        );
        let answer = connection.send(request.as_bytes());
        assert_eq!((answer.status, answer.text()), (200, "blue".to_owned()));
    }
    eventually("all is counted", || {
        let sent = mirror(&pointsman)["requests"].as_u64();
        sent == Some(green.requests()) && blue.requests() == 500
    });
    let copies = green.all();
    assert!((50..=150).contains(&copies.len()), "{} of 500 at 20 %", copies.len());
    let originals: Vec<_> = blue.all().iter().map(asked).collect();
    for copy in &copies {
        assert_eq!(copy.header("x-pointsman-mirror"), Some("1"));
        assert_eq!(copy.header("x-from"), Some("pointsman"), "as it was rewritten");
        assert!(originals.contains(&asked(copy)), "no original is like {copy:?}");
    }
    assert!(
        blue.all().iter().all(|original| original.header("x-pointsman-mirror").is_none()),
        "nobody forges"
    );
    assert_eq!(pointsman.weight("green"), 0.0);
    let window = pointsman.web()["pools"]["green"]["window"].clone();
    assert_eq!(window["requests"], 0, "no user's: {window}");
    assert_eq!(metric(&pointsman, "pointsman_mirror_requests_total"), copies.len() as f64);
    assert_eq!(metric(&pointsman, "pointsman_mirror_failures_total"), 0.0);
    let text = pointsman.get("/metrics").text();
    assert!(!text.contains("pointsman_requests_total{code=\"2xx\",pool=\"green\""), "no user's");
    assert!(pointsman.cli(&["status", "web"]).out.contains("20 % mirrored to green"));
}

#[test]
fn only_what_is_safe_and_ends_is_copied() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, 100, LENIENT));
    mirroring(&pointsman);
    let host = "HTTP/1.1\r\nHost: localhost\r\n";
    for request in [
        format!("POST /no {host}Content-Length: 4\r\n\r\nbody"),
        format!("PUT /no {host}Content-Length: 4\r\n\r\nbody"),
        format!("DELETE /no {host}\r\n"),
        format!("PATCH /no {host}Content-Length: 0\r\n\r\n"),
        format!("GET /no {host}Content-Length: 4\r\n\r\nbody"),
        format!("GET /no {host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("GET /no {host}Accept: text/html, Text/Event-Stream\r\n\r\n"),
        format!("GET /no {host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        assert_eq!(send(pointsman.http(), &request).text(), "blue", "{request}");
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        send(pointsman.http(), &format!("{method} /yes {host}\r\n"));
    }
    eventually("those that are safe have come", || green.requests() == 3);
    let lines: Vec<String> = green.all().into_iter().map(|request| request.line).collect();
    assert!(lines.iter().all(|line| line.contains("/yes")), "{lines:?}");
    assert_eq!(blue.requests(), 11);
}

#[test]
fn whatever_the_candidate_answers_users_get_stables() {
    let body = "stable ".repeat(3000);
    let stable = body.clone();
    let blue = Origin::new(move |_| Reaction::Answer(200, stable.clone()));
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}", "x".repeat(2_000_000));
    let green = Origin::new(move |request| match request.path() {
        "/500" => Reaction::Answer(500, "broken".into()),
        "/garbage" => Reaction::RawThenClose(b"HTTQ nonsense\r\n\r\n".to_vec()),
        "/close" => Reaction::Close,
        "/short" => Reaction::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".to_vec()),
        "/interim" => {
            Reaction::Raw([&b"HTTP/1.1 103 Hints\r\n\r\n"[..], &super::harness::answer(200, "g")].concat())
        }
        "/101" => Reaction::Upgrade,
        "/endless" => Reaction::Raw(endless.clone().into_bytes()),
        _ => Reaction::Answer(302, "elsewhere".into()),
    });
    let pointsman = Pointsman::start(&config(blue.address, green.address, 100, LENIENT));
    mirroring(&pointsman);
    let paths = ["/", "/500", "/garbage", "/close", "/short", "/interim", "/101", "/endless"];
    for path in paths.iter().cycle().take(paths.len() * 5) {
        let answer = get(pointsman.http(), path);
        assert_eq!((answer.status, answer.text() == body), (200, true), "{path}");
    }
    eventually("all is counted", || {
        let view = mirror(&pointsman);
        (view["requests"].as_u64(), view["failures"].as_u64()) == (Some(40), Some(25))
    });
    let text = pointsman.get("/metrics").text();
    for (reason, count) in [("status", 5), ("malformed", 10), ("reset", 10), ("connect", 0), ("timeout", 0)] {
        let line = format!(
            "pointsman_mirror_failures_total{{pool=\"green\",reason=\"{reason}\",service=\"web\"}} {count}"
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("pointsman_shielded_total{service=\"web\"} 1"));
}

#[test]
fn a_hanging_candidate_takes_no_more_than_its_room() {
    let (blue, green) = (Origin::named("blue"), Origin::new(|_| Reaction::Hang));
    let more = format!("{LENIENT}[services.web.mirror]\nin_flight = 4\n");
    let pointsman = Pointsman::start(&config(blue.address, green.address, 100, &more));
    mirroring(&pointsman);
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..300 {
        assert_eq!(connection.get("/").text(), "blue");
    }
    eventually("the rest is dropped", || mirror(&pointsman)["dropped"] == 296);
    eventually("those that fit are under way", || {
        pointsman.web()["pools"]["green"]["upstreams"][0]["in_flight"] == 4
    });
    assert_eq!((green.requests(), green.connections()), (4, 4));
    assert_eq!(metric(&pointsman, "pointsman_mirror_dropped_total"), 296.0);
    let status = pointsman.cli(&["status", "web"]).out;
    assert!(status.contains("296 dropped for want of room"), "{status}");
}

#[test]
fn connections_to_the_candidate_are_kept_and_a_stale_one_is_not_its_fault() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n{}",
        config(blue.address, green.address, 100, LENIENT)
    ));
    mirroring(&pointsman);
    for n in 1..=20 {
        get(pointsman.http(), "/");
        eventually("the copy is answered", || mirror(&pointsman)["requests"] == n);
    }
    assert!(green.connections() <= 3, "{} connections for 20 copies", green.connections());
    // Answers, and closes without a word: the next copy may find the connection still there.
    green.react(|_| Reaction::RawThenClose(super::harness::answer(200, "green")));
    for n in 21..=40 {
        get(pointsman.http(), "/");
        eventually("the copy is answered", || mirror(&pointsman)["requests"] == n);
    }
    assert_eq!(mirror(&pointsman)["failures"], 0);
}

#[test]
fn requests_over_http_2_are_copied_too() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n";
    let config = config(blue.address, green.address, 100, LENIENT);
    let pointsman = Pointsman::start(&[listener, &config].concat());
    mirroring(&pointsman);
    let url = format!("http://{}/two?x=1", pointsman.http());
    assert_eq!(curl(&["--http2-prior-knowledge", &url]), "blue");
    eventually("the copy has come", || green.requests() == 1);
    assert_eq!(asked(&green.last()), asked(&blue.last()));
    assert_eq!(green.last().header("host"), Some(pointsman.http().to_string().as_str()));
}

/// A candidate that speaks nothing but HTTP/2; it tells what it was asked.
fn http2_origin(runtime: &tokio::runtime::Runtime) -> (SocketAddr, std::sync::mpsc::Receiver<Request<()>>) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, told) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let whole = request.body().is_end_stream();
                    let _ = respond
                        .send_response(Response::builder().status(204).body(()).expect("a head"), true);
                    if whole {
                        // The test may have ended.
                        let _ = asked.send(request.map(drop));
                    }
                }
            });
        }
    });
    (address, told)
}

#[test]
fn a_candidate_of_http_2_gets_copies_of_http_1() {
    let blue = Origin::named("blue");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (green, told) = http2_origin(&runtime);
    let config = config(blue.address, green, 100, LENIENT).replace("passive =", "http2 = true\npassive =");
    let pointsman = Pointsman::start(&config);
    mirroring(&pointsman);
    let request = "GET /one?x=1 HTTP/1.1\r\nHost: shop.example\r\nX-Id: 7\r\n\r\n";
    assert_eq!(send(pointsman.http(), request).text(), "blue");
    let copy = told.recv_timeout(Duration::from_secs(30)).expect("a copy");
    assert_eq!(copy.uri().to_string(), "http://shop.example/one?x=1");
    let header = |name: &str| copy.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("x-id"), header("x-pointsman-mirror"), header("host")), (Some("7"), Some("1"), None));
    eventually("it is counted", || {
        mirror(&pointsman)["requests"] == 1 && mirror(&pointsman)["failures"] == 0
    });
}

#[test]
fn a_dry_run_mirrors_nothing() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, 100, LENIENT));
    pointsman.start_rollout(r#"{"to": "green", "dry_run": true}"#);
    pointsman.row("step");
    for _ in 0..20 {
        get(pointsman.http(), "/");
    }
    assert_eq!((blue.requests(), green.requests()), (20, 0));
    assert!(mirror(&pointsman).is_null());
}
