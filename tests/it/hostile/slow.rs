//! Clients that take their time, so that others have none.

use super::super::harness::{Connection, Origin, Pointsman, Reaction, eventually};
use super::h2::{DATA, END_HEADERS, H2, HEADERS, RST_STREAM, SETTINGS, certificate, frame, get, request};
use super::upstream::{Scripted, Step};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const TIMEOUTS: &str =
    "timeouts = { header = \"400ms\", body = \"300ms\", write = \"400ms\", keepalive = \"500ms\" }";

fn before(origin: &Origin, listener: &str) -> Pointsman {
    Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{TIMEOUTS}\n{listener}\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
        origin.address
    ))
}

fn nothing_in_flight(pointsman: &Pointsman) {
    let in_flight = || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"] == 0;
    eventually("the upstream is free again", in_flight);
}

#[test]
fn a_handshake_a_preface_and_a_first_request_are_waited_for_only_so_long() {
    let origin = Origin::named("blue");
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = certificate(dir.path());
    let pointsman = before(&origin, &tls);
    let mut silent = Connection::open(pointsman.http());
    assert!(silent.is_closed(), "before the handshake");
    let mut half = TcpStream::connect(pointsman.http()).expect("a connection");
    half.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    half.write_all(b"\x16\x03\x01\x02\x00\x01").expect("written");
    assert!(half.read(&mut [0; 1]).is_ok_and(|count| count == 0), "within the handshake");
    // The preface, then the first request, then the rest of its fields.
    let mut mute = H2::connect(pointsman.http(), &root).expect("a connection");
    mute.raw(b"PRI * ").expect("written");
    assert!(mute.find(|_| false).is_none() && mute.next().is_ok_and(|frame| frame.is_none()), "no preface");
    let mut idle = H2::open(pointsman.http(), &root).expect("a connection");
    while idle.next().expect("it ends in time").is_some() {}
    let mut open = H2::open(pointsman.http(), &root).expect("a connection");
    open.frame(HEADERS, 0, 1, &get("/x")).expect("written");
    while open.next().expect("it ends in time").is_some() {}
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_body_that_stalls_gives_its_upstream_back() {
    let origin = Origin::named("blue");
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = certificate(dir.path());
    let pointsman = before(&origin, &tls);
    for length in [&[][..], &[("content-length", "100")], &[("content-length", "0")]] {
        let mut h2 = H2::open(pointsman.http(), &root).expect("a connection");
        h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", length)).expect("written");
        if length.first().is_none_or(|(_, length)| *length != "0") {
            h2.frame(DATA, 0, 1, b"begun").expect("written");
        }
        assert!(h2.find(|frame| frame.kind == RST_STREAM && frame.stream == 1).is_some(), "{length:?}");
        h2.get(3, "/x").expect("written");
        assert_eq!(h2.status(3), 200, "the connection goes on");
    }
    nothing_in_flight(&pointsman);
    assert_eq!(pointsman.web()["pools"]["blue"]["window"]["failures"], 0, "it is the client's fault");
}

#[test]
fn a_body_must_keep_its_rate() {
    let origin = Origin::named("blue");
    let keys = "limits = { body_rate = \"1M\" }";
    let pointsman = before(&origin, keys);
    let mut client = Connection::open(pointsman.http());
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").expect("written");
    let mut writer = client.reader.get_ref().try_clone().expect("a socket");
    let drip = std::thread::spawn(move || {
        // Never silent for long, and never fast.
        while writer.write_all(b"y").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut seen = Vec::new();
    client.reader.read_to_end(&mut seen).expect("an end, though the client goes on sending");
    assert!(seen.starts_with(b"HTTP/1.1 408 "), "{}", seen.escape_ascii());
    // It goes on for as long as the connection lingers, or until here.
    client.reader.get_ref().shutdown(Shutdown::Both).expect("a socket");
    drip.join().expect("it was cut");
    nothing_in_flight(&pointsman);
    let quick = before(&origin, keys);
    let mut client = Connection::open(quick.http());
    let answer = client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.text(), "blue");
}

#[test]
fn an_answer_that_is_not_taken_gives_its_upstream_back() {
    let large = "y".repeat(20_000_000);
    let origin = Origin::new(move |_| Reaction::ok(&large));
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = certificate(dir.path());
    let plain = before(&origin, "");
    let mut lazy = Connection::open(plain.http());
    lazy.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    eventually("it was asked", || origin.requests() == 1);
    nothing_in_flight(&plain);
    let secure = before(&origin, &tls);
    let mut h2 = H2::open(secure.http(), &root).expect("a connection");
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    h2.raw(&no_window).expect("written");
    h2.get(1, "/").expect("written");
    eventually("it was asked", || origin.requests() == 2);
    nothing_in_flight(&secure);
    for pointsman in [&plain, &secure] {
        assert_eq!(pointsman.web()["pools"]["blue"]["window"]["failures"], 0, "it is the client's fault");
    }
    drop(lazy);
}

/// How many attempts were charged as timeouts.
fn timeouts(pointsman: &Pointsman) -> u64 {
    let metrics = pointsman.get("/metrics").text();
    let mut lines = metrics.lines().filter(|line| line.starts_with("pointsman_attempt_failures_total"));
    let line = lines.find(|line| line.contains("reason=\"timeout\""));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a number")
}

#[test]
fn the_head_of_an_answer_must_arrive_in_time_over_http2_too() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let half = "HTTP/1.1 200 OK\r\nContent-Le";
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let drip = |bytes: Vec<u8>| Step::Drip(bytes, Duration::from_millis(100));
    let scripts = [
        vec![drip(ok.repeat(10).into_bytes())],
        vec![Step::Send(half.into()), drip(vec![b'y'; 500])],
        vec![Step::Send(hints.into()), drip(ok.repeat(10).into_bytes())],
        vec![Step::Send(half.into()), Step::Hang],
    ];
    let upstream = Scripted::start();
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n\
         timeouts = {{ read = \"1s\" }}\nupstreams = [\"{}\"]\n",
        upstream.address
    ));
    let mut h2 = H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    for (count, script) in scripts.iter().enumerate() {
        upstream.play(script);
        let stream = 4 * count as u32 + 1;
        h2.get(stream, "/x").expect("written");
        assert_eq!(h2.final_status(stream), 504, "script {count}");
        assert_eq!(timeouts(&pointsman), count as u64 + 1, "script {count}");
        h2.get(stream + 2, "/probe").expect("written");
        assert_eq!(h2.status(stream + 2), 200, "the connection goes on, script {count}");
        eventually("the upstream is let go", || !upstream.is_playing());
    }
    nothing_in_flight(&pointsman);
}

#[test]
fn a_late_head_over_http2_is_tried_again_elsewhere() {
    let (upstream, fine) = (Scripted::start(), Origin::named("fine"));
    let begun = Step::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec());
    upstream.play(&[begun, Step::Drip(vec![b'y'; 500], Duration::from_millis(100))]);
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n\
         timeouts = {{ read = \"1s\" }}\nupstreams = [\"{}\", \"{}\"]\n",
        upstream.address, fine.address
    ));
    let mut h2 = H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    for stream in [1, 3, 5, 7] {
        h2.get(stream, "/x").expect("written");
        assert_eq!(h2.status(stream), 200, "stream {stream}");
    }
    assert!(timeouts(&pointsman) > 0);
    nothing_in_flight(&pointsman);
}
