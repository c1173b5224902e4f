//! Control frames of HTTP/2: what costs nothing to send and was bounded by nothing.

use super::super::harness::{Origin, Pointsman, Reaction, eventually};
use super::super::hostile::h2::*;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a flood is ended with.
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;
/// Frames of a flood; far more than anybody needs.
const MANY: u64 = 60_000;

fn site() -> (Origin, Pointsman) {
    let origin = Origin::new(|request| match request.path() {
        "/hang" => Reaction::Hang,
        "/large" => Reaction::ok(&"y".repeat(8 << 20)),
        "/echo" => Reaction::Echo,
        _ => Reaction::ok("ok"),
    });
    let pointsman = Pointsman::start(&format!(
        "[access_log]\npath = \"access.log\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntimeouts = {{ header = \"2s\" }}\n\
         limits = {{ requests_per_connection = 1000000 }}\n\
         [services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
        origin.address
    ));
    (origin, pointsman)
}

fn h2(pointsman: &Pointsman) -> H2 {
    // Its preface has the time of a head, which is short here.
    let connect = || H2::plain(pointsman.http()).and_then(H2::begun);
    connect().or_else(|_| connect()).expect("a connection")
}

/// The frames of a flood by its name, the first of them on stream 1.
fn flood(name: &str, n: u64) -> Vec<u8> {
    let stream = 2 * n as u32 + 101;
    match name {
        "WINDOW_UPDATE" => frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
        "WINDOW_UPDATE of a stream" => frame(WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes()),
        "PRIORITY" => frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]),
        "PRIORITY_UPDATE" => frame(0x10, 0, 0, &[0, 0, 0, 1, b'u', b'=', b'3']),
        "SETTINGS" => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        "empty SETTINGS" => frame(SETTINGS, 0, 0, &[]),
        "PING" => frame(PING, 0, 0, &n.to_be_bytes()),
        "answers to PING" => frame(PING, ACK, 0, &n.to_be_bytes()),
        "empty DATA" => frame(DATA, 0, 1, &[]),
        "padding" => frame(DATA, PADDED, 1, &[&[100][..], &[0; 100]].concat()),
        "RST_STREAM" => {
            let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/hang"));
            frames.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
            frames
        }
        "unknown frames" => frame(0x42, 0xff, 0, &[0; 20]),
        _ => frame(CONTINUATION, 0, 99, &[]),
    }
}

const FLOODS: &[&str] = &[
    "WINDOW_UPDATE",
    "WINDOW_UPDATE of a stream",
    "PRIORITY",
    "PRIORITY_UPDATE",
    "SETTINGS",
    "empty SETTINGS",
    "PING",
    "answers to PING",
    "empty DATA",
    "padding",
    "RST_STREAM",
    "unknown frames",
    "CONTINUATION",
];

/// How many frames of a flood were taken until the connection was ended, and with which code.
fn taken(pointsman: &Pointsman, name: &str) -> (u64, Option<u32>) {
    let mut h2 = h2(pointsman);
    h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/hang", &[])).expect("written");
    if name == "CONTINUATION" {
        h2.frame(HEADERS, END_STREAM, 99, &get("/x")).expect("written");
    }
    let mut sent = 0;
    while sent < MANY {
        let batch: Vec<u8> = (sent..sent + 500).flat_map(|n| flood(name, n)).collect();
        if h2.raw(&batch).is_err() {
            break;
        }
        sent += 500;
    }
    (sent, h2.find(|frame| frame.kind == GOAWAY).map(|frame| frame.number(4)))
}

#[test]
fn floods_of_control_frames_end_their_connection() {
    let (_origin, pointsman) = site();
    let mut failed = Vec::new();
    for name in FLOODS {
        let (sent, code) = taken(&pointsman, name);
        println!("{name}: ended by {code:?}, {sent} frames written");
        // A block of fields in so many pieces is malformed before it is a flood.
        let is_malformed = name == &"CONTINUATION" && code == Some(PROTOCOL_ERROR);
        if code != Some(ENHANCE_YOUR_CALM) && !is_malformed {
            failed.push(format!("{name}: {code:?} after {sent} frames"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let log = || std::fs::read_to_string(pointsman.dir.path().join("access.log")).unwrap_or_default();
    let ended = || log().lines().filter(|line| line.contains("\"method\":\"PRI\"")).count();
    eventually("the log tells of them", || ended() > 0);
    assert!(log().contains("\"ended\":\"flood\""));
    let mut good = h2(&pointsman);
    good.get(1, "/ok").expect("written");
    assert_eq!(good.status(1), 200);
}

#[test]
fn an_unfinished_head_ends_in_time_though_others_are_under_way() {
    let (_origin, pointsman) = site();
    for whole in [false, true] {
        let mut h2 = h2(&pointsman);
        h2.get(1, "/hang").expect("written");
        // A block without its end, or a frame without its own.
        if whole {
            h2.frame(HEADERS, END_STREAM, 3, &get("/x")).expect("written");
        } else {
            let head = frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/x"));
            h2.raw(&head[..20]).expect("written");
        }
        let since = Instant::now();
        let end = h2.find(|frame| frame.kind == GOAWAY).map(|frame| frame.number(4));
        println!("ended after {:?}, of 2 s", since.elapsed());
        assert_eq!(end, Some(ENHANCE_YOUR_CALM));
    }
    // Heads that are cut, and whole in time, are fine; each has its own time.
    let mut h2 = h2(&pointsman);
    let since = Instant::now();
    for stream in (0..).map(|n| 2 * n + 1).take_while(|_| since.elapsed() < Duration::from_millis(3000)) {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/ok"));
        h2.raw(&head[..12]).expect("written");
        std::thread::sleep(Duration::from_millis(300));
        h2.raw(&head[12..]).expect("written");
        assert_eq!(h2.status(stream), 200);
    }
}

#[test]
fn clients_that_work_are_never_hit() {
    let (_origin, pointsman) = site();
    // A window update for every frame, of the stream and of the connection; then the same at the end alone.
    let mut h2 = h2(&pointsman);
    for (stream, is_late) in [(1, false), (3, true), (5, false)] {
        if is_late {
            h2.frame(WINDOW_UPDATE, 0, 0, &(16u32 << 20).to_be_bytes()).expect("written");
        }
        h2.get(stream, "/large").expect("written");
        if is_late {
            h2.frame(WINDOW_UPDATE, 0, stream, &(16u32 << 20).to_be_bytes()).expect("written");
        }
        let (mut came, mut pieces) = (0, Vec::new());
        while came < 8 << 20 {
            let frame = h2.next().expect("in time").expect("it goes on");
            assert_ne!(frame.kind, GOAWAY);
            if frame.kind == DATA && frame.stream == stream {
                came += frame.payload.len();
                pieces.push(frame.payload.len() as u32);
            }
            if !is_late {
                updates(&mut h2, stream, &mut pieces);
            }
        }
        // Four for each frame.
        let halves: Vec<u32> = pieces.iter().flat_map(|piece| [piece / 2, piece - piece / 2]).collect();
        updates(&mut h2, stream, &mut halves.into_iter().filter(|piece| *piece > 0).collect());
    }
    // Little messages in both directions, each read and acknowledged for itself.
    h2.frame(HEADERS, END_HEADERS, 7, &request("POST", "/echo", &[])).expect("written");
    for n in 0..2000u32 {
        h2.frame(DATA, 0, 7, b"m").expect("written");
        let echo = h2.find(|frame| frame.stream == 7 && frame.kind == DATA || frame.kind == GOAWAY);
        assert_eq!(echo.map(|frame| frame.kind), Some(DATA), "message {n}");
        updates(&mut h2, 7, &mut vec![1]);
        h2.frame(PING, 0, 0, &[0; 8]).expect("written");
    }
    // Requests with a priority and a change of it each, as browsers send them.
    for n in 0..2000u32 {
        let stream = 2 * n + 9;
        h2.frame(0x10, 0, 0, &[&stream.to_be_bytes()[..], b"u=1"].concat()).expect("written");
        h2.get(stream, "/ok").expect("written");
        h2.frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]).expect("written");
        assert_eq!(h2.status(stream), 200, "request {n}");
    }
}

fn updates(h2: &mut H2, stream: u32, pieces: &mut Vec<u32>) {
    for piece in pieces.drain(..) {
        for which in [0, stream] {
            h2.frame(WINDOW_UPDATE, 0, which, &piece.to_be_bytes()).expect("written");
        }
    }
}

#[test]
fn real_clients_are_never_hit() {
    let (_origin, pointsman) = site();
    let at = |path: &str| format!("http://{}{path}", pointsman.http());
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).env("NO_PROXY", "127.0.0.1").output();
        let output = output.expect("`make setup-test` installs it");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let load = output("h2load", &["-n", "5000", "-c", "2", "-m", "20", &at("/ok")]);
    assert!(load.contains("5000 succeeded, 0 failed, 0 errored"), "{load}");
    let large = output("h2load", &["-n", "6", "-c", "1", "-m", "2", "-w", "16", "-W", "16", &at("/large")]);
    assert!(large.contains("6 succeeded, 0 failed, 0 errored"), "{large}");
    let curl = output(
        "curl",
        &["-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{size_download}", &at("/large")],
    );
    assert_eq!(curl, (8 << 20).to_string());
    let script = "
        const http2 = require('http2');
        const client = http2.connect(process.argv[1].replace('/large', ''), { settings: { initialWindowSize: 16384 } });
        client.on('error', error => { console.log(error); process.exit(1); });
        client.on('goaway', code => { console.log('GOAWAY', code); process.exit(1); });
        let bytes = 0, open = 5;
        for (let n = 0; n < 5; n++) {
          const stream = client.request({ ':path': '/large' });
          stream.on('data', piece => { bytes += piece.length; });
          stream.on('end', () => { if (--open === 0) { console.log(bytes); process.exit(0); } });
        }
    ";
    assert_eq!(output("node", &["-e", script, &at("/large")]).trim(), (5 << 23).to_string());
}
