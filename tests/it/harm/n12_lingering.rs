//! Refusals that nobody heard: an answer given while its client still sends reached it as a reset.

use super::super::harness::{
    Authority, Connection, Origin, Pointsman, Reaction, TlsClient, answer, eventually,
};
use super::super::hostile::h2::{
    DATA, END_HEADERS, END_STREAM, H2, HEADERS, RST_STREAM, certificate, request,
};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

/// More than the buffers of a connection hold.
const BODY: usize = 20 << 20;

/// Refusals of every kind: the path, and the status.
const REFUSALS: &[(&str, u16)] = &[
    ("/limited", 413),
    ("/denied", 403),
    ("/moved", 301),
    ("/fixed", 200),
    ("/rated", 429),
    ("/dead", 502),
    ("/closed", 503),
    ("/early", 401),
    ("/%2e%2e%2f", 400),
];

const ROUTES: &str = r#"
[rate_limits.one]
rate = "1/m"
[[routes]]
path = "/limited"
service = "web"
limits = { body = "1k" }
[[routes]]
path = "/denied"
deny = true
[[routes]]
path = "/moved"
redirect = { to = "https://other.example/", status = 301 }
[[routes]]
path = "/fixed"
reply = { status = 200, body = "fixed\n" }
[[routes]]
path = "/rated"
service = "web"
limits = { rates = ["one"] }
[[routes]]
path = "/dead"
service = "dead"
[[routes]]
path = "/closed"
service = "closed"
[[routes]]
path = "/early"
service = "early"
[[routes]]
path = "/"
service = "web"
"#;

/// An origin that refuses before it has read the body, and closes.
fn early() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(&answer(401, "who are you?"));
                let _ = stream.shutdown(Shutdown::Write);
                while stream.read(&mut [0; 65536]).is_ok_and(|count| count > 0) {}
            });
        }
    });
    address
}

/// `listener` is what the listeners have beside their address.
fn site(origin: &Origin, listeners: &str) -> Pointsman {
    let pool = |name: &str, address: SocketAddr| {
        format!(
            "[services.{name}.pools.blue]\nhealth = false\npassive = {{ max_fails = 0 }}\nupstreams = [\"{address}\"]\n"
        )
    };
    let nobody: SocketAddr = ([127, 0, 0, 1], 1).into();
    let services = [("web", origin.address), ("dead", nobody), ("closed", nobody), ("early", early())];
    let services: String = services.map(|(name, address)| pool(name, address)).concat();
    let pointsman =
        Pointsman::start(&format!("[access_log]\npath = \"access.log\"\n{listeners}\n{ROUTES}\n{services}"));
    // The first request has the rate; the second finds it used up. One service is under maintenance.
    let _ = Connection::open(pointsman.http()).get("/rated");
    let body = r#"{"status": "maintenance", "service": "closed"}"#;
    assert_eq!(pointsman.call("POST", "/api/maintenance", body).status, 200);
    pointsman
}

/// A client that sends everything before it reads anything, as `http.client` does: the status it gets.
fn sends_first<S: Read + Write>(mut client: Connection<S>, head: &str, is_chunked: bool) -> Option<u16> {
    client.write(head.as_bytes()).ok()?;
    let piece = vec![b'x'; 1 << 16];
    for _ in 0..BODY / piece.len() {
        if is_chunked {
            client.write(format!("{:x}\r\n", piece.len()).as_bytes()).ok()?;
        }
        client.write(&piece).ok()?;
        if is_chunked {
            client.write(b"\r\n").ok()?;
        }
    }
    if is_chunked {
        client.write(b"0\r\n\r\n").ok()?;
    }
    Some(client.answer(false).status).filter(|status| *status > 0)
}

fn framing(is_chunked: bool) -> String {
    if is_chunked { "Transfer-Encoding: chunked\r\n".into() } else { format!("Content-Length: {BODY}\r\n") }
}

#[test]
fn refusals_are_heard_by_clients_that_send_first() {
    let origin = Origin::named("blue");
    let authority = Authority::new();
    let certificate = authority.write("site", &["site.example"]);
    let listeners = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         tls = {{ certificates = [{{ {certificate} }}], http2 = false }}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n"
    );
    let pointsman = site(&origin, &listeners);
    let (plain, tls) = (pointsman.listeners[0], pointsman.listeners[1]);
    let mut missed = Vec::new();
    let mut tried = 0;
    let mut hears = |what: String, heard: Option<u16>, wanted: u16| {
        tried += 1;
        if heard != Some(wanted) {
            missed.push(format!("{what}: {heard:?} where {wanted} was said"));
        }
    };
    for (path, status) in REFUSALS {
        for is_chunked in [false, true] {
            let framing = framing(is_chunked);
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n");
            hears(
                format!("{path} {framing}"),
                sends_first(Connection::open(plain), &head, is_chunked),
                *status,
            );
        }
    }
    let framing = framing(false);
    let old = format!("POST /limited HTTP/1.0\r\n{framing}\r\n");
    hears("HTTP/1.0".into(), sends_first(Connection::open(plain), &old, false), 413);
    let last = format!("POST /limited HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n");
    hears("Connection: close".into(), sends_first(Connection::open(plain), &last, false), 413);
    let wrong = format!("POST /limited HTTP/1.1\r\nHost : a\r\n{framing}\r\n");
    hears("a head that is refused".into(), sends_first(Connection::open(plain), &wrong, false), 400);
    for path in ["/limited", "/denied"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n");
        let client = TlsClient::new(&authority).open(tls, "site.example").expect("a connection").0;
        let status = if path == "/denied" { 403 } else { 413 };
        hears(format!("{path} over TLS"), sends_first(client, &head, false), status);
    }
    let named = format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{last}");
    let behind = Connection::open(pointsman.listeners[2]);
    hears("behind the PROXY protocol".into(), sends_first(behind, &named, false), 413);
    println!("{} of {tried} refusals were heard", tried - missed.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Counts the answers that real clients hear, by the last line that they print.
fn heard(program: &str, arguments: &[&str], script: &str, address: SocketAddr) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(script)
        .args([&address.port().to_string(), &BODY.to_string()])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("`make setup-test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const PYTHON: &str = "
import http.client, sys
heard = 0
for _ in range(20):
    client = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=40)
    try:
        client.request('POST', '/limited', body=b'x' * int(sys.argv[2]))
        heard += client.getresponse().status == 413
    except OSError:
        pass
print(heard, 'of 20')
";

const NODE: &str = "
const http = require('http');
const [port, size] = process.argv.slice(-2);
let heard = 0;
const once = () => new Promise(done => {
  const request = http.request({ port, host: '127.0.0.1', path: '/limited', method: 'POST', agent: false,
    headers: { 'Content-Length': size } }, answer => {
      answer.resume();
      answer.on('end', () => { heard += answer.statusCode === 413; done(); });
      answer.on('error', done);
    });
  request.on('error', done);
  request.end(Buffer.alloc(Number(size), 'x'));
});
(async () => { for (let i = 0; i < 10; i++) await once(); console.log(heard, 'of 10'); process.exit(0); })();
";

#[test]
fn a_413_is_heard_by_python_and_node() {
    let origin = Origin::named("blue");
    let pointsman = site(&origin, "");
    let python = heard("python3", &["-c"], PYTHON, pointsman.http());
    let node = heard("node", &["-e"], NODE, pointsman.http());
    println!("http.client heard {python}, Node {node}");
    assert_eq!((python.as_str(), node.as_str()), ("20 of 20", "10 of 10"));
    // The line says what the request came to, and not how long its connection lingered.
    let log = pointsman.dir.path().join("access.log");
    let lines = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        text.lines().map(line).filter(|line| line["uri"] == "/limited").collect::<Vec<_>>()
    };
    eventually("every request is logged", || lines().len() == 30);
    assert!(lines().iter().all(|line| line["status"] == 413 && line["bytes"].as_u64() > Some(0)));
}

#[test]
fn a_connection_whose_request_is_whole_goes_on_after_an_error() {
    let origin = Origin::new(|request| match request.path() {
        "/break" => Reaction::Close,
        _ => Reaction::ok("ok"),
    });
    let pointsman = site(&origin, "");
    let mut client = Connection::open(pointsman.http());
    let requests = [
        "GET /dead HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /break HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /dead HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /break HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /break HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    ];
    for request in requests.iter().chain(&requests) {
        let answer = client.send(request.as_bytes());
        assert!(answer.status >= 400, "{request}");
        assert_eq!(answer.header("connection"), Some("keep-alive"), "{request}");
        let answer = client.get("/fine");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "after {request}");
    }
    // Two at once: the second waits for its turn.
    let both = "GET /dead HTTP/1.1\r\nHost: a\r\n\r\nGET /fine HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!((client.send(both.as_bytes()).status, client.answer(false).status), (502, 200));
    let last = client.send(b"GET /dead HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((last.status, last.header("connection")), (502, Some("close")));
    assert!(client.is_closed());
    let half = "POST /dead HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = Connection::open(pointsman.http());
    let answer = client.send(half.as_bytes());
    assert_eq!((answer.status, answer.header("connection")), (502, Some("close")), "its body may never come");
    assert!(client.is_closed());
}

/// A connection whose refusal has been heard, and whose client stays.
fn lingering(address: SocketAddr) -> Connection {
    let mut client = Connection::open(address);
    client.write(b"POST /limited HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nx").expect("written");
    assert_eq!(client.answer(false).status, 413);
    assert!(client.is_closed(), "its writing side");
    client
}

#[test]
fn connections_that_linger_stay_within_the_limits() {
    let origin = Origin::named("blue");
    let limits = "[[listeners]]\naddress = \"127.0.0.1:0\"\n\
                  [[listeners]]\naddress = \"127.0.0.1:0\"\nlimits = { connections = 3 }\n\
                  [[listeners]]\naddress = \"127.0.0.1:0\"\nlimits = { connections_per_client = 3 }\n";
    let pointsman = site(&origin, limits);
    let mut first: Vec<_> = (0..3).map(|_| lingering(pointsman.listeners[1])).collect();
    // Each of these takes the place of one that lingers, and keeps it.
    let mut kept: Vec<_> = (0..3).map(|_| Connection::open(pointsman.listeners[1])).collect();
    for client in &mut kept {
        assert_eq!(client.get("/fine").status, 200);
    }
    for client in &mut first {
        eventually("its place was taken", || client.write(b"y").is_err());
    }
    assert_eq!(Connection::open(pointsman.listeners[1]).get("/fine").status, 0, "there is no place left");
    assert_eq!(kept[0].get("/fine").status, 200);
    // A client's own limit counts those that linger.
    let lingering: Vec<_> = (0..3).map(|_| lingering(pointsman.listeners[2])).collect();
    assert_eq!(Connection::open(pointsman.listeners[2]).get("/fine").status, 0, "the fourth of a client");
    drop(lingering);
    eventually("its places are free again", || {
        Connection::open(pointsman.listeners[2]).get("/fine").status == 200
    });
}

#[test]
fn a_shutdown_does_not_wait_for_those_that_linger() {
    let origin = Origin::named("blue");
    let pointsman = site(&origin, "");
    let client = lingering(pointsman.http());
    let mut writer = client.reader.get_ref().try_clone().expect("a socket");
    let drip = std::thread::spawn(move || {
        while writer.write_all(b"y").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let since = Instant::now();
    assert!(pointsman.terminate().0.success());
    println!("ended after {:?}, of a grace of 5 s", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(20), "30 s is how long it may linger");
    drip.join().expect("it was cut");
}

#[test]
fn an_early_answer_of_http2_ends_its_stream_alone() {
    let origin = Origin::named("blue");
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = certificate(dir.path());
    let pointsman = site(&origin, &format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}\n"));
    let mut h2 = H2::open(pointsman.http(), &root).expect("a connection");
    let length = BODY.to_string();
    // The first with a rate would have it; and an upstream may still want what comes after its answer.
    let refusals = REFUSALS.iter().filter(|(path, _)| !matches!(*path, "/rated" | "/early"));
    let mut wanted = Vec::new();
    for (path, status) in refusals {
        for length in [&[("content-length", length.as_str())][..], &[]] {
            let stream = 2 * wanted.len() as u32 + 1;
            h2.frame(HEADERS, END_HEADERS, stream, &request("POST", path, length)).expect("written");
            h2.frame(DATA, 0, stream, &[b'x'; 16000]).expect("written");
            wanted.push((stream, *path, *status));
        }
    }
    let (mut heard, mut ended) = (Vec::new(), Vec::new());
    while ended.len() < wanted.len() {
        let frame = h2.next().expect("in time").expect("the connection goes on");
        match frame.kind {
            HEADERS => heard.push((frame.stream, frame.status())),
            // The rest is not needed.
            RST_STREAM => ended.push((frame.stream, frame.number(0))),
            _ => {}
        }
        if frame.kind == HEADERS {
            // What is on its way meanwhile is dropped.
            h2.frame(DATA, 0, frame.stream, &[b'x'; 16000]).expect("written");
        }
    }
    heard.sort_unstable();
    ended.sort_unstable();
    println!("{} refusals of HTTP/2 were heard", heard.len());
    assert_eq!(heard, wanted.iter().map(|(stream, _, status)| (*stream, *status)).collect::<Vec<_>>());
    assert!(ended.iter().all(|(_, code)| *code == 0), "{ended:?}");
    let stream = 2 * wanted.len() as u32 + 1;
    h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/fine", &[])).expect("written");
    assert_eq!(h2.status(stream), 200, "the connection goes on");
}

const NODE_HTTP2: &str = "
const http2 = require('http2');
const [port, size] = process.argv.slice(-2);
const client = http2.connect('http://127.0.0.1:' + port);
// What waits to be sent counts towards the memory that a session may have.
const pieces = function* () { for (let n = 0; n < size / 65536; n++) yield Buffer.alloc(65536); };
let heard = 0, over = 0;
for (let n = 0; n < 10; n++) {
  const stream = client.request({ ':method': 'POST', ':path': '/limited', 'content-length': size });
  stream.on('response', head => { heard += head[':status'] === 413; });
  stream.on('error', () => {});
  stream.on('close', () => {
    if (++over < 10) return;
    const next = client.request({ ':path': '/fine' });
    next.on('response', head => { console.log(heard, 'of 10, then', head[':status']); process.exit(0); });
    next.end();
  });
  stream.resume();
  require('stream').Readable.from(pieces(), { objectMode: false }).pipe(stream);
}
";

#[test]
fn an_early_answer_of_http2_is_heard_by_curl_and_node() {
    let origin = Origin::named("blue");
    let pointsman = site(&origin, "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n");
    let node = heard("node", &["-e"], NODE_HTTP2, pointsman.http());
    let file = pointsman.dir.path().join("upload");
    std::fs::write(&file, vec![b'x'; BODY]).expect("a file");
    let curl = |path: &str| {
        let output = Command::new("curl")
            .args(["-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}", "-T"])
            .arg(&file)
            .arg(format!("http://{}{path}", pointsman.http()))
            .env("NO_PROXY", "127.0.0.1")
            .output();
        String::from_utf8_lossy(&output.expect("`make setup-test` installs it").stdout).into_owned()
    };
    let curl: Vec<_> = ["/limited", "/denied", "/moved", "/dead"].map(curl).into();
    println!("Node heard {node}; curl heard {curl:?}");
    assert_eq!(node, "10 of 10, then 200");
    assert_eq!(curl, ["413", "403", "301", "502"]);
}
