//! Broken upstreams: what the client gets, what the pool is charged with, and whether the connection is
//! used again.

use super::super::harness::{Pointsman, eventually, get};
use super::upstream::{Scripted, Step};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What an upstream does, and what must come of it.
pub struct Fault {
    name: String,
    request: Vec<u8>,
    steps: Vec<Step>,
    ends: Ends,
    /// The reason charged, of `pointsman_attempt_failures_total`; `None` for none.
    charged: Option<&'static str>,
}

enum Ends {
    /// A whole answer with this status and body, these fields in it and those not.
    Whole { status: u16, body: &'static str, with: &'static [&'static str], without: &'static [&'static str] },
    /// One of two ways: the answer as it stands in `Whole`, or a 502.
    WholeOr502 { body: &'static str },
    /// An answer of the proxy's own.
    Own(u16),
    /// The head of an answer, and then an end that nobody can take for a whole one.
    CutShort,
}

/// The upstream's read timeout.
const READ: Duration = Duration::from_millis(2000);
const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

fn fault(name: &str, steps: Vec<Step>, ends: Ends, charged: Option<&'static str>) -> Fault {
    Fault { name: name.to_owned(), request: GET.into(), steps, ends, charged }
}

fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Send(bytes.into())
}

fn whole(name: &str, bytes: impl Into<Vec<u8>>, status: u16, body: &'static str) -> Fault {
    fault(name, vec![send(bytes)], Ends::Whole { status, body, with: &[], without: &[] }, None)
}

fn closed(name: &str, bytes: impl Into<Vec<u8>>, status: u16, body: &'static str) -> Fault {
    let ends = Ends::Whole { status, body, with: &[], without: &[] };
    fault(name, vec![send(bytes), Step::Close], ends, None)
}

fn malformed(name: &str, bytes: impl Into<Vec<u8>>) -> Fault {
    fault(name, vec![send(bytes), Step::Hang], Ends::Own(502), Some("malformed"))
}

fn cut(name: &str, bytes: impl Into<Vec<u8>>, end: Step, charged: &'static str) -> Fault {
    fault(name, vec![send(bytes), end], Ends::CutShort, Some(charged))
}

impl Fault {
    fn asked(mut self, request: &str) -> Self {
        self.request = request.into();
        self
    }

    fn fields(mut self, has: &'static [&'static str], has_not: &'static [&'static str]) -> Self {
        if let Ends::Whole { with, without, .. } = &mut self.ends {
            (*with, *without) = (has, has_not);
        }
        self
    }
}

const OLD: &str = "GET /x HTTP/1.0\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "transfer-encoding";
const HEAD: &str = "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub fn harmless() -> Vec<Fault> {
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let upload =
        format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n{}", "y".repeat(2_000_000));
    vec![
        whole("an answer", OK, 200, "ok"),
        whole("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok"),
        whole("a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", 200, "ok"),
        closed("until it closes", "HTTP/1.1 200 OK\r\n\r\nok", 200, "ok"),
        closed("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        closed("HTTP/1.0 until it closes", "HTTP/1.0 200 OK\r\n\r\nok", 200, "ok"),
        whole("HTTP/1.0, kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        whole("no reason phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        whole("an empty reason phrase", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        whole("an odd reason phrase", "HTTP/1.1 200 All \"fine\"; here\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        whole("equal lengths", with("Content-Length: 2\r\n"), 200, "ok").fields(&["content-length: 2"], &[]),
        whole("a list of equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 200, "ok").fields(&["content-length: 2"], &[]),
        whole("hints first", format!("{hints}{OK}"), 200, "ok"),
        whole("a few hints first", format!("{}{OK}", hints.repeat(5)), 200, "ok"),
        whole("100 first", format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"), 200, "ok"),
        whole("a nominated field", with("Connection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\n"), 200, "ok").fields(&["x-kept: 2"], &["x-hop"]),
        whole("fields for one hop", with("Keep-Alive: timeout=9\r\nProxy-Connection: x\r\nTE: x\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\n"), 200, "ok")
            .fields(&[], &["keep-alive", "proxy-connection", "te", "trailer", "upgrade"]),
        whole("a nominated length", with("Connection: Content-Length\r\n"), 200, "ok"),
        whole("a large head", with(&format!("X: {}\r\n", "y".repeat(20_000))), 200, "ok"),
        closed("a client of HTTP/1.0", "HTTP/1.1 200 OK\r\n\r\nok", 200, "ok").asked(OLD).fields(&[], &[CHUNKED]),
        whole("chunks for a client of HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok")
            .asked(OLD)
            .fields(&[], &[CHUNKED]),
        whole("204", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        whole("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", 204, ""),
        whole("204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", 204, ""),
        whole("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", 304, ""),
        whole("304 with a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", 304, ""),
        whole("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 200, "").asked(HEAD).fields(&["content-length: 4"], &[]),
        whole("HEAD with a body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "").asked(HEAD),
        whole("HEAD with chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", 200, "").asked(HEAD),
        whole("more bytes than the length", format!("{OK}evil"), 200, "ok"),
        whole("a second answer behind the first", format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), 200, "ok"),
        whole("more bytes than the chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil", 200, "ok"),
        fault("bytes on an idle connection", vec![send(OK), Step::Drip(b"HTTP/1.1 200 OK\r\n\r\nevil".to_vec(), Duration::ZERO)],
            Ends::Whole { status: 200, body: "ok", with: &[], without: &[] }, None),
        closed("an answer before the body is read", "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", 413, "no").asked(&upload),
        closed("close is told", with("Connection: close\r\n"), 200, "ok"),
        closed("it closes although it was to stay", OK, 200, "ok"),
        fault("a late body", vec![send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), Step::Drip(b"ok".to_vec(), READ / 4)],
            Ends::Whole { status: 200, body: "ok", with: &[], without: &[] }, None),
        fault("CR LF byte by byte", vec![Step::Drip(OK.into(), Duration::ZERO)],
            Ends::Whole { status: 200, body: "ok", with: &[], without: &[] }, None),
        fault("500 is an answer", vec![send("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno")],
            Ends::Whole { status: 500, body: "no", with: &[], without: &[] }, Some("status")),
    ]
}

pub fn heads() -> Vec<Fault> {
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\nok");
    let mut faults: Vec<Fault> = [
        "HTTP/1.1 abc OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "FOO 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200 O\0K",
        "GET / HTTP/1.1",
        "hello",
        "{}",
        "<html>",
        "SSH-2.0-OpenSSH_9.0",
        "220 mail ESMTP",
        "\u{1}\u{2}\u{3}",
        "HTTP/1.1 0x1 OK",
    ]
    .iter()
    .map(|line| malformed(&format!("the line {line:?}"), format!("{line}\r\nContent-Length: 2\r\n\r\nok")))
    .collect();
    let fields = [
        ("lengths that differ", "Content-Length: 2\r\nContent-Length: 3\r\n"),
        ("a list of lengths that differ", "Content-Length: 2, 3\r\n"),
        ("a negative length", "Content-Length: -2\r\n"),
        ("a signed length", "Content-Length: +2\r\n"),
        ("a length in words", "Content-Length: two\r\n"),
        ("an empty length", "Content-Length:\r\n"),
        ("a length beyond 64 bits", "Content-Length: 18446744073709551618\r\n"),
        ("a length in hexadecimal", "Content-Length: 0x2\r\n"),
        ("NUL in a value", "X: a\0b\r\nContent-Length: 2\r\n"),
        ("CR in a value", "X: a\rSet-Cookie: evil\r\nContent-Length: 2\r\n"),
        ("ESC in a value", "X: \u{1b}\r\nContent-Length: 2\r\n"),
        ("DEL in a value", "X: \u{7f}\r\nContent-Length: 2\r\n"),
        ("no colon", "X\r\nContent-Length: 2\r\n"),
        ("an empty name", ": x\r\nContent-Length: 2\r\n"),
        ("a space in a name", "X Y: z\r\nContent-Length: 2\r\n"),
        ("NUL in a name", "X\0: z\r\nContent-Length: 2\r\n"),
        ("an encoding unknown", "Transfer-Encoding: gzip\r\n"),
        ("an encoding before chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("identity", "Transfer-Encoding: identity\r\nContent-Length: 2\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked, chunked", "Transfer-Encoding: chunked, chunked\r\n"),
        ("chunked, identity", "Transfer-Encoding: chunked, identity\r\n"),
        ("xchunked", "Transfer-Encoding: xchunked\r\n"),
    ];
    faults.extend(fields.map(|(name, fields)| malformed(name, with(fields))));
    let long = "y".repeat(100_000);
    let many: String = (0..300).map(|n| format!("X-{n}: y\r\n")).collect();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let either = |name: &str, bytes: String| {
        fault(name, vec![send(bytes), Step::Close], Ends::WholeOr502 { body: "ok" }, None)
    };
    faults.extend([
        malformed("chunked in HTTP/1.0", format!("HTTP/1.0 200 OK\r\n{chunked}")),
        malformed("a head too large", with(&format!("X: {long}\r\nContent-Length: 2\r\n"))),
        malformed("too many fields", with(&format!("{many}Content-Length: 2\r\n"))),
        either("length and encoding", format!("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n{chunked}")),
        either(
            "encoding and length",
            format!(
                "HTTP/1.1 200 OK\r\n{}",
                chunked.replacen("\r\n\r\n", "\r\nContent-Length: 50\r\n\r\n", 1)
            ),
        ),
        either("a folded value", with("X: a\r\n b\r\nContent-Length: 2\r\n")),
        either("a folded length", with("Content-Length:\r\n 2\r\n")),
        either("a space before a colon", with("X : a\r\nContent-Length: 2\r\n")),
        either("LF for line ends", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into()),
        fault(
            "fields without end",
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Endless(b"X: y\r\n".repeat(100))],
            Ends::Own(502),
            Some("malformed"),
        ),
        fault(
            "a field without end",
            vec![send("HTTP/1.1 200 OK\r\nX: "), Step::Endless(vec![b'y'; 10_000])],
            Ends::Own(502),
            Some("malformed"),
        ),
        fault(
            "a line without end",
            vec![Step::Endless(vec![b'y'; 10_000])],
            Ends::Own(502),
            Some("malformed"),
        ),
        fault(
            "hints without end",
            vec![Step::Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())],
            Ends::Own(502),
            Some("malformed"),
        ),
        fault(
            "100 without end",
            vec![Step::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
            Ends::Own(502),
            Some("malformed"),
        ),
        malformed(
            "101 nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil",
        ),
        malformed(
            "101 to another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil",
        )
        .asked("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        malformed(
            "101 to an upgrade that was not passed on",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil",
        )
        .asked("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    ]);
    faults
}

pub fn ends() -> Vec<Fault> {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    let own =
        |name: &str, steps: Vec<Step>, status, charged| fault(name, steps, Ends::Own(status), Some(charged));
    let half = "HTTP/1.1 200 OK\r\nContent-Le";
    vec![
        own("it closes before a head", vec![Step::Close], 502, "reset"),
        own("it resets before a head", vec![Step::Reset], 502, "reset"),
        own("it closes in a head", vec![send(half), Step::Close], 502, "reset"),
        own("it resets in a head", vec![send(half), Step::Reset], 502, "reset"),
        own(
            "it closes after hints",
            vec![send("HTTP/1.1 103 Early Hints\r\n\r\n"), Step::Close],
            502,
            "reset",
        ),
        own("it hangs before a head", vec![Step::Hang], 504, "timeout"),
        own("it hangs in a head", vec![send(half), Step::Hang], 504, "timeout"),
        own(
            "it hangs after hints",
            vec![send("HTTP/1.1 103 Early Hints\r\n\r\n"), Step::Hang],
            504,
            "timeout",
        ),
        own("it drips a head", vec![Step::Drip(OK.repeat(10).into(), READ / 8)], 504, "timeout"),
        own("it drips a field", vec![send(half), Step::Drip(vec![b'y'; 200], READ / 8)], 504, "timeout"),
        cut("a body cut short", length, Step::Close, "reset"),
        cut("a body cut short by a reset", length, Step::Reset, "reset"),
        cut("a body that stops", length, Step::Hang, "timeout"),
        cut("no body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Step::Close, "reset"),
        cut("no last chunk", chunked("5\r\nhello\r\n"), Step::Close, "reset"),
        cut("half a chunk", chunked("a\r\nhello"), Step::Close, "reset"),
        cut("half a last chunk", chunked("5\r\nhello\r\n0\r\n"), Step::Close, "reset"),
        cut("chunks that stop", chunked("5\r\nhello\r\n"), Step::Hang, "timeout"),
        cut("chunks cut short by a reset", chunked("5\r\nhello\r\n"), Step::Reset, "reset"),
        cut("a chunk's size that is none", chunked("5\r\nhello\r\nxyz\r\n"), Step::Hang, "malformed"),
        cut("a negative chunk", chunked("5\r\nhello\r\n-5\r\n"), Step::Hang, "malformed"),
        cut(
            "a chunk beyond 64 bits",
            chunked("5\r\nhello\r\n10000000000000005\r\n"),
            Step::Hang,
            "malformed",
        ),
        cut("a chunk without its end", chunked("5\r\nhelloevil\r\n0\r\n\r\n"), Step::Hang, "malformed"),
        cut("LF after a chunk's size", chunked("5\r\nhello\r\n5\nhello\r\n"), Step::Hang, "malformed"),
    ]
}

/// Plays all faults, one after the other, on one proxy; returns what did not go as it should.
pub fn failures(faults: &[Fault]) -> Vec<String> {
    let upstream = Scripted::start();
    let pointsman = Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n\
         timeouts = {{ read = \"{}ms\" }}\nupstreams = [\"{}\"]\n",
        READ.as_millis(),
        upstream.address
    ));
    let mut failed = Vec::new();
    for fault in faults {
        upstream.play(&fault.steps);
        if let Err(reason) = run(fault, &pointsman, &upstream) {
            failed.push(format!("{}: {reason}", fault.name));
        }
    }
    assert!(upstream.connections() > 1, "the upstream was used");
    failed
}

fn run(fault: &Fault, pointsman: &Pointsman, upstream: &Scripted) -> Result<(), String> {
    let before = charged(pointsman);
    let since = Instant::now();
    let answer = ask(pointsman.http(), &fault.request)?;
    if since.elapsed() > READ * 8 {
        return Err(format!("took {:?}", since.elapsed()));
    }
    judge(fault, &answer)?;
    // Bytes that cross the next request on their way can be told from its answer by nobody.
    eventually("the script is over", || !upstream.is_playing());
    for _ in 0..2 {
        let probe = get(pointsman.http(), "/probe");
        if (probe.status, probe.text().as_str()) != (200, "probe") {
            return Err(format!("the next one was answered {} {:?}", probe.status, probe.text()));
        }
    }
    let is_own = answer.status == 502;
    let expected: Vec<&str> = match (&fault.ends, fault.charged) {
        (Ends::WholeOr502 { .. }, _) if is_own => vec!["malformed"],
        (_, charged) => charged.into_iter().collect(),
    };
    let after = charged(pointsman);
    let new: Vec<&str> = after
        .iter()
        .zip(&before)
        .flat_map(|((reason, now), (_, then))| vec![reason.as_str(); (now - then) as usize])
        .collect();
    if new == expected { Ok(()) } else { Err(format!("charged {new:?}")) }
}

fn judge(fault: &Fault, answer: &Got) -> Result<(), String> {
    let wrong = || Err(format!("got {answer:?}"));
    match &fault.ends {
        Ends::Own(status) if answer.status == *status && answer.whole && !answer.text.contains("evil") => {
            Ok(())
        }
        Ends::CutShort if answer.status == 200 && !answer.whole => Ok(()),
        Ends::WholeOr502 { .. } if answer.status == 502 && answer.whole => Ok(()),
        Ends::WholeOr502 { body } if answer.status == 200 && answer.whole && answer.body == *body => Ok(()),
        Ends::Whole { status, body, with, without } => {
            let fields = answer.text.to_ascii_lowercase();
            let count = |text: &str| fields.matches(&format!("\r\n{text}")).count();
            let fine = answer.status == *status
                && answer.whole
                && answer.body == *body
                && with.iter().all(|field| count(field) == 1)
                && without.iter().all(|name| count(&format!("{name}:")) == 0);
            if fine { Ok(()) } else { wrong() }
        }
        _ => wrong(),
    }
}

/// What a client got, as strictly as a client can read.
#[derive(Debug, Default)]
struct Got {
    status: u16,
    body: String,
    /// By its own framing; without any, only HTTP/1.0 has an end.
    whole: bool,
    framed: bool,
    text: String,
}

fn ask(proxy: SocketAddr, request: &[u8]) -> Result<Got, String> {
    let mut stream = TcpStream::connect(proxy).map_err(|e| e.to_string())?;
    let timeout = stream.set_read_timeout(Some(READ * 12));
    timeout.map_err(|e| e.to_string())?;
    let mut writer = stream.try_clone().map_err(|e| e.to_string())?;
    let request = request.to_vec();
    let is_head = request.starts_with(b"HEAD ");
    let is_old = request.starts_with(OLD.as_bytes());
    let writing = std::thread::spawn(move || {
        // An answer may come before all is sent.
        let _ = writer.write_all(&request);
    });
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    let mut got = Got::default();
    loop {
        let count = stream.read(&mut piece);
        let count = count.unwrap_or(0);
        bytes.extend_from_slice(&piece[..count]);
        got = parse(&bytes, is_head).unwrap_or(got);
        got.whole |= is_old && count == 0 && !got.framed;
        if got.whole || count == 0 || bytes.len() > 10_000_000 {
            break;
        }
    }
    // What comes although nothing more should.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(5)));
    if let Ok(count @ 1..) = stream.read(&mut piece) {
        return Err(format!("more bytes: {}", piece[..count].escape_ascii()));
    }
    drop(stream);
    writing.join().map_err(|_| "the writer panicked")?;
    Ok(got)
}

/// `None` while there is no final head.
fn parse(bytes: &[u8], is_head: bool) -> Option<Got> {
    let mut end = 0;
    let (mut text, mut status) = (String::new(), 100);
    while (100..200).contains(&status) && status != 101 {
        let start = end;
        end = start + bytes[start..].windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
        status = text.get(9..12)?.parse().ok()?;
    }
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let framed = value("content-length").is_some() || value("transfer-encoding").is_some();
    let mut got = Got { status, text: text.clone(), framed, ..Got::default() };
    let rest = &bytes[end..];
    if is_head || matches!(status, 204 | 304) {
        (got.whole, got.body) = (true, String::from_utf8_lossy(rest).into_owned());
    } else if let Some(length) = value("content-length").and_then(|length| length.parse::<usize>().ok()) {
        (got.whole, got.body) = (rest.len() == length, String::from_utf8_lossy(rest).into_owned());
    } else if value("transfer-encoding").is_some() {
        got.whole = rest.ends_with(b"0\r\n\r\n");
        let text = String::from_utf8_lossy(rest).into_owned();
        got.body = text.split("\r\n").skip(1).step_by(2).collect();
    } else {
        got.body = String::from_utf8_lossy(rest).into_owned();
    }
    Some(got)
}

/// Reasons and their counts.
fn charged(pointsman: &Pointsman) -> Vec<(String, u64)> {
    let metrics = pointsman.get("/metrics").text();
    let lines = metrics.lines().filter(|line| line.starts_with("pointsman_attempt_failures_total"));
    lines
        .filter_map(|line| {
            let reason = line.split("reason=\"").nth(1)?.split('"').next()?;
            Some((reason.to_owned(), line.rsplit(' ').next()?.parse().ok()?))
        })
        .collect()
}
