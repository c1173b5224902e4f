//! `buffer` of a pool: slow clients hold no upstream.

use super::harness::{
    Answer, Connection, Origin, Pointsman, Printed, Reaction, answer, eventually, get, send,
};
use super::listeners::curl;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// An answer that no buffer of the system takes for a client that reads nothing.
const LARGE_BYTES: usize = 12_000_000;
/// A body that is more than is kept of any.
const BODY_BYTES: usize = 600_000;

fn config(upstreams: &[SocketAddr], more: &str) -> String {
    let list = upstreams.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntimeouts = {{ body = \"500ms\" }}\n\
         [services.web.pools.blue]\nupstreams = [{list}]\n\
         buffer = {{ request = \"1M\", response = \"16M\" }}\n{more}\n"
    )
}

fn large() -> String {
    static LARGE: OnceLock<String> = OnceLock::new();
    LARGE.get_or_init(|| (0..LARGE_BYTES / 10).map(|n| format!("{n:09}\n")).collect()).clone()
}

fn body() -> String {
    large()[..BODY_BYTES].to_owned()
}

fn in_flight(pointsman: &Pointsman) -> u64 {
    let web = pointsman.web();
    let upstreams = web["pools"]["blue"]["upstreams"].as_array().expect("upstreams").clone();
    upstreams.iter().filter_map(|upstream| upstream["in_flight"].as_u64()).sum()
}

/// Asks, and reads nothing for now; little of the answer fits on the way.
fn unread(to: SocketAddr, request: &str) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&to.into()).expect("connected");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream.write_all(request.as_bytes()).expect("sent");
    Connection::over(stream)
}

/// An application of two workers that do one thing at a time: read a request, answer it, close.
struct TwoWorkers {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl TwoWorkers {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answered = Arc::new(AtomicU64::new(0));
        for _ in 0..2 {
            let (listener, answered) = (listener.try_clone().expect("a socket"), answered.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if serve(stream).is_ok() {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        TwoWorkers { address, answered }
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut request, mut bytes) = (Vec::new(), [0; 64 << 10]);
    loop {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().expect("a length"))
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let said = match head.contains("/large") {
            true => large(),
            false => format!("{} bytes", body.len()),
        };
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", said.len());
        return stream.write_all((head + &said).as_bytes());
    }
}

#[test]
fn two_workers_serve_others_while_eight_clients_are_slow() {
    let app = TwoWorkers::start();
    let text = config(&[app.address], "").replace("body = \"500ms\"", "body = \"60s\"");
    let pointsman = Pointsman::start(&text);
    let http = pointsman.http();
    let head = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    let mut uploads: Vec<_> =
        (0..4).map(|_| unread(http, &(head.to_owned() + &"x".repeat(100_000)))).collect();
    let mut downloads: Vec<_> =
        (0..4).map(|_| unread(http, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    for _ in 0..20 {
        assert_eq!(get(http, "/").text(), "0 bytes");
    }
    eventually("all large answers have left the workers", || app.answered.load(Ordering::SeqCst) == 24);
    eventually("nothing is in flight", || in_flight(&pointsman) == 0);
    for upload in &mut uploads {
        upload.write("x".repeat(100_000).as_bytes()).expect("sent");
        assert_eq!(upload.answer(false).text(), "200000 bytes");
    }
    for download in &mut downloads {
        assert!(download.answer(false).text() == large(), "whole");
    }
    eventually("all are counted, none as a failure", || {
        let window = pointsman.web()["pools"]["blue"]["window"].clone();
        window["requests"] == 28 && window["failures"] == 0
    });
}

#[test]
fn a_body_is_whole_before_an_upstream_hears_of_it() {
    let origin = Origin::new(|_| Reaction::Echo);
    let pointsman = Pointsman::start(&config(&[origin.address], ""));
    let mut client = Connection::open(pointsman.http());
    client
        .write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        .expect("sent");
    assert_eq!(client.head().expect("an interim answer").status, 100);
    assert_eq!((origin.connections(), in_flight(&pointsman)), (0, 0), "nobody is bothered yet");
    client.write(b"5\r\nhello\r\n").expect("sent");
    assert_eq!((get(pointsman.http(), "/").status, origin.requests()), (200, 1), "others pass by");
    client.write(b"6\r\n world\r\n0\r\n\r\n").expect("sent");
    assert_eq!(client.answer(false).text(), "hello world");
    let received = origin.last();
    assert_eq!((received.header("content-length"), received.header("transfer-encoding")), (Some("11"), None));
    assert_eq!(client.get("/").status, 200, "the connection goes on");
}

#[test]
fn a_body_that_is_larger_is_streamed_with_what_has_come() {
    let origin = Origin::new(|_| Reaction::Echo);
    let text = config(&[origin.address], "").replace("request = \"1M\"", "request = \"100k\"");
    let pointsman = Pointsman::start(&text);
    let body = body();
    // By its length, which is known at once.
    let mut known = Connection::open(pointsman.http());
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    known.write(head.as_bytes()).expect("sent");
    eventually("its upstream waits with it", || in_flight(&pointsman) == 1);
    known.write(body.as_bytes()).expect("sent");
    assert!(known.answer(false).text() == body);
    // By what has come.
    let mut unknown = Connection::open(pointsman.http());
    unknown.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").expect("sent");
    let (first, second) = body.split_at(400_000);
    let chunk = |piece: &str| format!("{:x}\r\n{piece}\r\n", piece.len());
    unknown.write(chunk(first).as_bytes()).expect("sent");
    let head = unknown.head().expect("the echo begins before the request has ended");
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")));
    unknown.write((chunk(second) + "0\r\n\r\n").as_bytes()).expect("sent");
    let mut back = Vec::new();
    while let Some(piece) = unknown.chunk().ok().filter(|piece| !piece.is_empty()) {
        back.extend(piece);
    }
    assert!(back == body.as_bytes(), "all of it, in order: {}", back.len());
}

#[test]
fn a_slow_body_is_408_and_charged_to_nobody() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&[origin.address], ""));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nnot all";
    assert_eq!(send(pointsman.http(), post).status, 408);
    let large = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    assert_eq!(send(pointsman.http(), large).status, 408);
    let wrong = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n";
    assert_eq!(send(pointsman.http(), wrong).status, 400);
    assert_eq!(origin.connections(), 0);
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    eventually("one request is counted", || pointsman.web()["pools"]["blue"]["window"]["requests"] == 1);
}

#[test]
fn a_body_that_is_too_large_is_413_before_an_upstream_hears_of_it() {
    let origin = Origin::named("blue");
    let text = config(&[origin.address], "").replace("timeouts", "limits = { body = \"200k\" }\ntimeouts");
    let pointsman = Pointsman::start(&text);
    let mut client = Connection::open(pointsman.http());
    let chunk = format!("{:x}\r\n{}\r\n", 300_000, "x".repeat(300_000));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent = client.write((head.to_owned() + &chunk).as_bytes());
    assert_eq!((client.answer(false).status, origin.connections()), (413, 0), "{sent:?}");
}

#[test]
fn a_large_body_that_was_taken_in_can_be_tried_again() {
    let bad = Origin::new(|_| Reaction::Close);
    let good = Origin::new(|_| Reaction::Echo);
    let more = "passive = { max_fails = 0 }";
    let pointsman = Pointsman::start(&config(&[bad.address, good.address], more));
    let body = body();
    let put = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n{body}");
    for _ in 0..4 {
        assert!(send(pointsman.http(), &put).text() == body);
    }
    assert!(bad.requests() > 0, "some were tried there first");
}

#[test]
fn an_answer_is_taken_at_once_and_its_connection_serves_others() {
    let body = large();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let origin = Origin::new(move |request| match request.path() {
        "/large" => Reaction::Raw(answer(200, &large())),
        "/chunked" => Reaction::Raw(chunked.clone().into_bytes()),
        _ => Reaction::ok("small"),
    });
    // It takes one request at a time.
    let (plain, alone) =
        (format!("\"{}\"", origin.address), format!("{{ address = \"{}\", max_conns = 1 }}", origin.address));
    let pointsman = Pointsman::start(&config(&[origin.address], "").replace(&plain, &alone));
    for path in ["/large", "/chunked"] {
        let before = origin.requests();
        let mut slow = unread(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        eventually("it is under way", || origin.requests() > before);
        eventually("its attempt is over", || get(pointsman.http(), "/").text() == "small");
        assert_eq!(origin.connections(), 1, "the same connection");
        assert!(slow.answer(false).text() == body, "{path}");
        assert_eq!(slow.get("/").text(), "small", "and so does the client's");
    }
}

#[test]
fn an_answer_beyond_the_size_is_streamed() {
    let origin = Origin::new(|request| match request.path() {
        "/larger" => Reaction::Raw(answer(200, &large().repeat(3))),
        _ => Reaction::ok("small"),
    });
    let pointsman = Pointsman::start(&config(&[origin.address], ""));
    let mut slow = unread(pointsman.http(), "GET /larger HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is asked for", || origin.requests() == 1);
    for _ in 0..100 {
        assert_eq!(get(pointsman.http(), "/").text(), "small");
    }
    eventually("its upstream waits for the client", || in_flight(&pointsman) == 1);
    assert_eq!(origin.connections(), 2, "its connection serves nobody else");
    assert!(slow.answer(false).text() == large().repeat(3));
    eventually("it is over", || in_flight(&pointsman) == 0);
}

#[test]
fn streams_are_never_held() {
    let origin = Origin::new(|request| match request.path() {
        "/events" => Reaction::EchoAs("text/event-stream".into()),
        "/endless" => Reaction::Echo,
        "/held" => Reaction::Raw(answer(200, &large())),
        _ => {
            let head = "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nContent-Type: text/event-stream\r\n";
            let kind = if request.path() == "/accel" {
                head.replace("text/event-stream", "text/plain")
            } else {
                head.to_owned()
            };
            Reaction::Raw(format!("{kind}Content-Length: {LARGE_BYTES}\r\n\r\n{}", large()).into_bytes())
        }
    });
    let pointsman = Pointsman::start(&config(&[origin.address], "").replace("request = \"1M\", ", ""));
    // Each piece passes when it comes.
    for path in ["/events", "/endless"] {
        let mut client = Connection::open(pointsman.http());
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.write(head.as_bytes()).expect("sent");
        client.head().expect("a head");
        for event in ["one", "another"] {
            client.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).expect("sent");
            assert_eq!(client.chunk().expect("a piece"), event.as_bytes());
        }
    }
    eventually("their clients have left", || in_flight(&pointsman) == 0);
    // None waits in memory for a client that does not take it.
    for path in ["/accel", "/stream"] {
        let before = origin.requests();
        let mut slow = unread(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        eventually("it is asked for", || origin.requests() > before && in_flight(&pointsman) == 1);
        let mut held = unread(pointsman.http(), "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("another has been taken whole meanwhile", || {
            origin.requests() == before + 2 && in_flight(&pointsman) == 1
        });
        let streamed = slow.answer(false);
        assert!(streamed.text() == large() && streamed.header("x-accel-buffering").is_none(), "{path}");
        assert!(held.answer(false).text() == large());
    }
}

#[test]
fn answers_that_are_held_are_compressed_all_the_same() {
    let body = large();
    let text = body.clone();
    let origin = Origin::new(move |_| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
        Reaction::Raw((head + &text).into_bytes())
    });
    let pointsman = Pointsman::start(&config(&[origin.address], "[compression]"));
    let mut slow = unread(pointsman.http(), "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    eventually("its attempt is over", || origin.requests() == 1 && in_flight(&pointsman) == 0);
    let packed: Answer = slow.answer(false);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut plain).expect("gzip");
    assert!(plain == body);
}

#[test]
fn a_client_that_takes_nothing_at_all_is_given_up() {
    let origin = Origin::new(|_| Reaction::Raw(answer(200, &large())));
    let text = config(&[origin.address], "[access_log]\npath = \"access.log\"");
    let text = text.replace("body =", "write = \"300ms\", body =");
    let pointsman = Pointsman::start(&text);
    let mut slow = unread(pointsman.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is logged", || {
        let log = std::fs::read_to_string(pointsman.dir.path().join("access.log"));
        log.is_ok_and(|log| log.contains("client_stalled"))
    });
    let mut all = Vec::new();
    let ended = slow.reader.read_to_end(&mut all);
    assert!(all.len() < LARGE_BYTES, "cut short: {} {ended:?}", all.len());
    let window = pointsman.web()["pools"]["blue"]["window"].clone();
    assert_eq!(window["failures"], 0, "charged to nobody: {window}");
}

#[test]
fn an_upstream_that_breaks_is_charged_though_its_client_is_slow() {
    let origin = Origin::new(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n");
        Reaction::RawThenClose((head + &large()[..LARGE_BYTES / 2]).into_bytes())
    });
    let pointsman = Pointsman::start(&config(&[origin.address], ""));
    let mut slow = unread(pointsman.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is known", || pointsman.web()["pools"]["blue"]["window"]["failures"] == 1);
    assert!(slow.answer(false).body.len() < LARGE_BYTES);
}

#[test]
fn clients_and_upstreams_of_http2_are_buffered_too() {
    let origin = Origin::new(|request| match request.path() {
        "/large" => Reaction::Raw(answer(200, &large())),
        _ => Reaction::Echo,
    });
    let pointsman = Pointsman::start(&config(&[origin.address], ""));
    let http = pointsman.http();
    let url = format!("http://{http}");
    let body = large();
    assert!(curl(&["--http2-prior-knowledge", &format!("{url}/large")]) == body);
    let file = pointsman.dir.path().join("body");
    let sent = &body[..BODY_BYTES];
    std::fs::write(&file, sent).expect("a file");
    let data = format!("@{}", file.display());
    let said = curl(&["--http2-prior-knowledge", "--data-binary", &data, &format!("{url}/")]);
    assert!(said == sent);
    // One that opens no window: its answer waits here.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut stream = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(http).await.expect("connected");
        let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let request = http::Request::get(format!("{url}/large")).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("sent");
        answer.await.expect("an answer").into_body()
    });
    eventually("its attempt is over", || origin.requests() == 3 && in_flight(&pointsman) == 0);
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        while let Some(Ok(piece)) = stream.data().await {
            all.extend_from_slice(&piece);
            let _ = stream.flow_control().release_capacity(piece.len());
        }
        all
    });
    assert!(all == body.as_bytes());
}

#[test]
fn an_impossible_size_is_told() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = dir.path().join("pointsman.toml");
    let text =
        config(&["127.0.0.1:1".parse().expect("one")], "").replace("response = \"16M\"", "response = \"2G\"");
    std::fs::write(&file, super::harness::whole(&text)).expect("a file");
    let checked = Printed::of(&["check", "--config", &file.display().to_string()], dir.path());
    let place = "services.web.pools.blue.buffer.response";
    assert!(checked.code == 1 && checked.err.contains(place) && checked.err.contains("1G"), "{checked:?}");
}
