//! Long streams follow the weights: within `close_streams`, those of a pool that has lost its weight end.

use super::harness::{Connection, Load, Origin, Pointsman, Reaction, eventually, get};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";

/// Bytes of a download that come at first.
const PART: usize = 20_000;

fn config(blue: &[SocketAddr], green: SocketAddr, more: &str) -> String {
    let blue: Vec<_> = blue.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "[services.web]\nstable = \"blue\"\n{more}\n\
         [services.web.pools.blue]\nupstreams = [{}]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"1h\" }}, {{ weight = 100 }}]\n",
        blue.join(", ")
    )
}

/// A WebSocket server by name: what a client sends comes back.
fn echo() -> Origin {
    Origin::new(|request| match request.header("upgrade") {
        Some(_) => Reaction::Upgrade,
        None => Reaction::ok("plain"),
    })
}

fn open(pointsman: &Pointsman) -> Connection {
    let mut socket = Connection::open(pointsman.http());
    assert_eq!(socket.send(UPGRADE).status, 101);
    socket
}

/// Whether a WebSocket still carries bytes.
fn is_alive(socket: &mut Connection) -> bool {
    let mut back = [0; 4];
    socket.write(b"ping").is_ok() && socket.reader.read_exact(&mut back).is_ok()
}

fn weights(pointsman: &Pointsman, blue: u8, green: u8) {
    let body = format!("{{\"blue\": {blue}, \"green\": {green}}}");
    assert_eq!(pointsman.call("PUT", "/v1/services/web/weights", &body).status, 200);
}

#[test]
fn websockets_of_an_aborted_candidate_end_and_come_back_on_stable() {
    let (blue, green) = (echo(), echo());
    let pointsman = Pointsman::start(&config(&[blue.address], green.address, "close_streams = \"300ms\""));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("green has weight", || pointsman.weight("green") == 50.0);
    let mut on_green = Vec::new();
    let mut on_blue = Vec::new();
    while on_green.len() < 8 || on_blue.len() < 2 {
        let before = green.requests();
        let socket = open(&pointsman);
        if green.requests() > before { on_green.push(socket) } else { on_blue.push(socket) }
    }
    assert!(on_green.iter_mut().chain(&mut on_blue).all(is_alive));
    let path = format!("/v1/services/web/rollouts/{id}/abort");
    assert_eq!(pointsman.call("POST", &path, "").status, 200);
    for mut socket in on_green {
        assert!(socket.is_closed(), "the candidate's end");
    }
    assert!(on_blue.iter_mut().all(is_alive), "stable's stay");
    let before = green.requests();
    let mut again = open(&pointsman);
    assert!(is_alive(&mut again) && green.requests() == before, "a client that comes back is on stable");
    let in_flight = || pointsman.web()["pools"]["green"]["upstreams"][0]["in_flight"].as_u64();
    eventually("nothing is in flight on the candidate", || in_flight() == Some(0));
}

#[test]
fn they_do_not_all_end_at_once() {
    let (blue, green) = (echo(), echo());
    let pointsman = Pointsman::start(&config(&[blue.address], green.address, "close_streams = \"2s\""));
    let mut sockets: Vec<_> = (0..40).map(|_| open(&pointsman)).collect();
    weights(&pointsman, 0, 100);
    let since = Instant::now();
    for socket in &mut sockets {
        assert!(socket.is_closed());
    }
    // Of 40 lots, hardly all lie in the first quarter: once in 4⁴⁰.
    assert!(since.elapsed() > Duration::from_millis(500), "{:?}", since.elapsed());
}

#[test]
fn weight_that_comes_back_keeps_them() {
    let (blue, green) = (echo(), echo());
    let pointsman = Pointsman::start(&config(&[blue.address], green.address, "close_streams = \"1h\""));
    let mut sockets: Vec<_> = (0..5).map(|_| open(&pointsman)).collect();
    weights(&pointsman, 0, 100);
    weights(&pointsman, 100, 0);
    assert!(sockets.iter_mut().all(is_alive));
}

#[test]
fn without_a_limit_they_stay() {
    let (blue, green) = (echo(), echo());
    let pointsman = Pointsman::start(&config(&[blue.address], green.address, ""));
    let mut socket = open(&pointsman);
    weights(&pointsman, 0, 100);
    assert_eq!(get(pointsman.http(), "/").text(), "plain");
    assert!(is_alive(&mut socket));
}

#[test]
fn a_drained_upstream_sheds_its_streams_and_requests_finish() {
    let (one, two, green) = (echo(), echo(), echo());
    let text = config(&[one.address, two.address], green.address, "close_streams = \"200ms\"");
    let pointsman = Pointsman::start(&text);
    let mut sockets: Vec<_> = (0..4).map(|_| open(&pointsman)).collect();
    let load = Load::start(pointsman.http(), 4);
    let drained = pointsman.cli(&["drain", "web", "blue", &one.address.to_string()]);
    assert_eq!(drained.code, 0, "{drained:?}");
    eventually("half of them end", || {
        sockets.iter_mut().filter_map(|s| is_alive(s).then_some(())).count() == 2
    });
    let served = load.good();
    eventually("the load goes on", || load.good() > served + 200);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

/// The begin of an event stream, which never ends by itself.
fn event() -> Reaction {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    Reaction::Raw(format!("{head}c\r\ndata: hello\n\r\n").into_bytes())
}

#[test]
fn event_streams_end_too_but_downloads_do_not() {
    let green = Origin::named("green");
    let blue = Origin::new(|request| match request.path() {
        "/events" => event(),
        // The rest of it never comes.
        _ => Reaction::Raw(
            ["HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", &"x".repeat(PART)].concat().into(),
        ),
    });
    let pointsman = Pointsman::start(&config(&[blue.address], green.address, "close_streams = \"100ms\""));
    let mut stream = Connection::open(pointsman.http());
    stream.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    assert_eq!(stream.head().expect("a head").status, 200);
    assert_eq!(stream.chunk().expect("an event"), b"data: hello\n");
    let mut download = Connection::open(pointsman.http());
    download.write(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    assert_eq!(download.head().expect("a head").status, 200);
    weights(&pointsman, 0, 100);
    assert!(stream.chunk().is_err(), "the stream ends");
    let in_flight = || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"].as_u64();
    eventually("only the download is left", || in_flight() == Some(1));
    download.reader.read_exact(&mut [0; PART]).expect("what there is of it");
}

/// `curl` that shows what it gets as it comes.
fn curl(url: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new("curl")
        .args(["-sN", "--max-time", "20", "--http2-prior-knowledge", url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    (child, out)
}

#[test]
fn event_streams_over_http_2_end_too() {
    let (blue, green) = (Origin::new(|_| event()), Origin::named("green"));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n";
    let text = config(&[blue.address], green.address, "close_streams = \"100ms\"");
    let pointsman = Pointsman::start(&(listener.to_owned() + &text));
    let (mut child, mut out) = curl(&format!("http://{}/", pointsman.http()));
    let mut line = String::new();
    out.read_line(&mut line).expect("an event");
    assert_eq!(line, "data: hello\n");
    weights(&pointsman, 0, 100);
    let status = child.wait().expect("an end");
    assert_ne!(status.code(), Some(28), "it ends before curl's patience does");
}
