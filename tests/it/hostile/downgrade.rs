//! Requests of HTTP/2 that would be two things, or another one, in HTTP/1.

use super::case::{Expected, arrives};
use super::h2::{DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, RST_STREAM, block};
use super::recorder::{Log, Recorder};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;

/// A request: its fields, its DATA frames, its trailers, and what may arrive; `None`: nothing.
pub struct Case {
    pub name: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<&'static str>,
    trailers: Vec<(&'static str, &'static str)>,
    arrives: Option<Expected>,
    may_be_refused: bool,
}

fn case(name: &str, fields: &[(&[u8], &[u8])], arrives: Option<Expected>) -> Case {
    let fields = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let (body, trailers) = (Vec::new(), Vec::new());
    Case { name: name.to_owned(), fields, body, trailers, may_be_refused: false, arrives }
}

impl Case {
    fn body(mut self, body: &[&'static str]) -> Self {
        self.body = body.to_vec();
        self
    }

    fn trailers(mut self, trailers: &[(&'static str, &'static str)]) -> Self {
        self.trailers = trailers.to_vec();
        self
    }

    fn or_refused(mut self) -> Self {
        self.may_be_refused = true;
        self
    }
}

/// An ordinary request with these fields more.
fn with(name: &str, more: &[(&[u8], &[u8])], arrives: Option<Expected>) -> Case {
    let mut fields: Vec<(&[u8], &[u8])> =
        vec![(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"localhost")];
    fields.extend_from_slice(more);
    case(name, &fields, arrives)
}

/// An ordinary request with another value of a pseudo field.
fn instead(pseudo: &str, value: &[u8], arrives: Option<Expected>) -> Case {
    let mut fields: Vec<(&[u8], &[u8])> =
        vec![(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"localhost")];
    for field in &mut fields {
        if field.0 == pseudo.as_bytes() {
            field.1 = value;
        }
    }
    case(&format!("{pseudo} {}", value.escape_ascii()), &fields, arrives)
}

fn post(name: &str, more: &[(&[u8], &[u8])], body: &[&'static str], arrives: Option<Expected>) -> Case {
    let mut post = with(name, more, arrives);
    post.fields[0].1 = b"POST".to_vec();
    post.body(body)
}

pub fn cases() -> Vec<Case> {
    let x = || arrives("GET /x").with("Host: localhost");
    let p = |body: &str| arrives("POST /x").body(body);
    let mut cases = vec![
        with(
            "an ordinary one",
            &[(b"x-kept", b"yes")],
            Some(x().with("x-kept: yes").with("x-forwarded-proto: https")),
        ),
        with(
            "cookies in crumbs",
            &[(b"cookie", b"a=b"), (b"cookie", b"c=d")],
            Some(x().with("cookie: a=b; c=d")),
        ),
        with("the same host again", &[(b"host", b"localhost")], Some(x())).or_refused(),
        with("another host", &[(b"host", b"evil")], None),
        with("two hosts", &[(b"host", b"localhost"), (b"host", b"evil")], None),
        with("an empty host", &[(b"host", b"")], None),
        with("TE: trailers", &[(b"te", b"trailers")], Some(x().without("te"))),
        with("TE: chunked", &[(b"te", b"chunked")], None),
        with("an underscore", &[(b"x_real_ip", b"6.6.6.6")], Some(x().without("x_real_ip"))),
        with(
            "what it says of itself",
            &[(b"x-forwarded-for", b"6.6.6.6")],
            Some(x().with("x-forwarded-for: 127.0.0.1")),
        ),
        with("an expectation of its own", &[(b"expect", b"miracles")], None),
        with("bytes above ASCII", &[(b"x", b"\xc3\xa9")], Some(x())),
        with("spaces about a value", &[(b"x", b" y ")], Some(x())).or_refused(),
        with("a long value", &[(b"x", &[b'y'; 8000])], Some(x())),
        with("a value beyond the limit", &[(b"x", &[b'y'; 20_000])], None),
        with("too many fields", &[(&b"x"[..], &b"y"[..]); 70], None),
        case(
            "no authority but a host",
            &[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x"), (b"host", b"localhost")],
            Some(x()),
        )
        .or_refused(),
        case(
            "neither authority nor host",
            &[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x")],
            None,
        ),
        case("CONNECT", &[(b":method", b"CONNECT"), (b":authority", b"localhost:443")], None),
        case(
            "a CONNECT to a WebSocket",
            &[
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":path", b"/x"),
                (b":authority", b"localhost"),
            ],
            None,
        ),
        post(
            "a body of known length",
            &[(b"content-length", b"5")],
            &["hello"],
            Some(p("hello").with("content-length: 5")),
        ),
        post(
            "a body of unknown length",
            &[],
            &["hel", "lo"],
            Some(p("hello").with("transfer-encoding: chunked")),
        ),
        post("an empty body", &[(b"content-length", b"0")], &[], Some(p(""))),
        post(
            "a body that is a request",
            &[],
            &["0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"],
            Some(p("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")),
        ),
        post("trailers", &[], &["hello"], Some(p("hello").without("x-late"))).trailers(&[("x-late", "y")]),
        post("a length that is too long", &[(b"content-length", b"50")], &["hello"], None),
        post("a length that is too short", &[(b"content-length", b"2")], &["hello"], None),
        post(
            "a length of zero with a body",
            &[(b"content-length", b"0")],
            &["GET /smuggled HTTP/1.1\r\n\r\n"],
            None,
        ),
        post("a length and a smuggled body", &[(b"content-length", b"0")], &["0\r\n\r\n"], None),
        post(
            "lengths that differ",
            &[(b"content-length", b"5"), (b"content-length", b"6")],
            &["hello"],
            None,
        ),
        post(
            "equal lengths",
            &[(b"content-length", b"5"), (b"content-length", b"5")],
            &["hello"],
            Some(p("hello")),
        )
        .or_refused(),
        post("a list of lengths", &[(b"content-length", b"5, 5")], &["hello"], Some(p("hello"))).or_refused(),
        post(
            "an encoding",
            &[(b"transfer-encoding", b"chunked")],
            &["0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"],
            None,
        ),
        post(
            "an encoding and a length",
            &[(b"transfer-encoding", b"chunked"), (b"content-length", b"5")],
            &["hello"],
            None,
        ),
        post("identity", &[(b"transfer-encoding", b"identity")], &["hello"], None),
    ];
    for length in ["-5", "+5", "0x5", "5 ", " 5", "", "five", "5,6", "18446744073709551617", "5\0"] {
        cases.push(post(
            &format!("the length {length:?}"),
            &[(b"content-length", length.as_bytes())],
            &["hello"],
            None,
        ));
    }
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings-x:"] {
        cases.push(with(&format!("the field {name}"), &[(name.as_bytes(), b"close")], None));
    }
    for value in [
        "a\r\nX: y",
        "a\nb",
        "a\rb",
        "a\0b",
        "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{7f}",
        "\u{1}",
    ] {
        cases.push(with(&format!("the value {value:?}"), &[(b"x", value.as_bytes())], None));
        cases.push(with(&format!("the cookie {value:?}"), &[(b"cookie", value.as_bytes())], None));
    }
    for name in [
        "x y",
        "x:y",
        "x\r\ny",
        "x\ny",
        "x\0",
        "",
        "X",
        "x\u{7f}",
        "x(y)",
        ":x",
        "x: y\r\nz",
        "\u{e9}",
        "x\t",
    ] {
        cases.push(with(&format!("the name {name:?}"), &[(name.as_bytes(), b"z")], None));
    }
    for path in [
        "",
        "x",
        "?q",
        "/x y",
        "/x\r\n",
        "/x HTTP/1.1\r\nX: y\r\n\r\nGET /smuggled",
        "/x\nX: y",
        "/\0",
        "/x#y",
        "/x\t",
        "*",
        "http://evil/x",
        "//",
        "/\u{7f}",
        "/\u{1}",
    ] {
        // A fragment is cut off before anybody sees it: one reading, if not the client's.
        let expected = match path {
            "//" => Some(arrives("GET //")),
            "/x#y" => Some(arrives("GET /x")),
            _ => None,
        };
        let case = instead(":path", path.as_bytes(), expected);
        cases.push(if path == "/x#y" { case.or_refused() } else { case });
    }
    for method in
        ["", "get /smuggled", "G ET", "GET /smuggled HTTP/1.1\r\nX: ", "GET\r\n", "G\0", "GET\t", "get"]
    {
        let expected = (method == "get").then(|| arrives("get /x"));
        let case = instead(":method", method.as_bytes(), expected);
        cases.push(if method == "get" { case.or_refused() } else { case });
    }
    for host in
        ["", "a b", "a,b", "a/b", "a\r\nX: y", "a@b", "a\0", "a?b", "a#b", "localhost:x y", "a\\b", "\u{e9}"]
    {
        cases.push(instead(":authority", host.as_bytes(), None));
    }
    for scheme in ["", "ht tp", "http://x/", "https\r\n", "1x", "javascript"] {
        cases.push(instead(":scheme", scheme.as_bytes(), Some(arrives("GET /x"))).or_refused());
    }
    cases
}

/// Sends one.
///
/// # Errors
/// What was not as it should be.
pub fn run(
    case: &Case,
    address: SocketAddr,
    root: &CertificateDer<'static>,
    recorder: &Recorder,
) -> Result<(), String> {
    let refused = |log: &Log, status: u16| match (log.whole.first(), status) {
        (Some(request), _) => Err(format!("forwarded {:?} {:?}", request.line, request.fields)),
        (None, 200..=299 | 500..=599) => Err(format!("answered {status}")),
        (None, _) => Ok(()),
    };
    let status = send(case, address, root).map_err(|error| error.to_string())?;
    let mut fence = H2::open(address, root).map_err(|error| error.to_string())?;
    fence.get(1, "/fence").map_err(|error| error.to_string())?;
    match fence.status(1) {
        200 => {}
        other => return Err(format!("the next client was answered {other}")),
    }
    let log = recorder.take();
    if let Some(fault) = log.faults.first() {
        return Err(format!("forwarded with {fault}"));
    }
    match &case.arrives {
        None => refused(&log, status),
        Some(_) if case.may_be_refused && log.whole.is_empty() => refused(&log, status),
        Some(expected) => match &log.whole[..] {
            [request] if status == 200 => expected.matches(request),
            _ => Err(format!("answered {status}, forwarded {:?}", log.whole)),
        },
    }
}

/// The status; 0 for a reset or an end.
fn send(case: &Case, address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<u16> {
    let mut h2 = H2::open(address, root)?;
    let fields: Vec<(&[u8], &[u8])> =
        case.fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let ends = case.body.is_empty() && case.trailers.is_empty();
    let block = block(&fields);
    let mut pieces = block.chunks(16_000);
    let first = pieces.next().unwrap_or_default();
    let whole = if block.len() <= 16_000 { END_HEADERS } else { 0 };
    h2.frame(HEADERS, whole | u8::from(ends), 1, first)?;
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        h2.frame(super::h2::CONTINUATION, if index + 1 == count { END_HEADERS } else { 0 }, 1, piece)?;
    }
    for (index, piece) in case.body.iter().enumerate() {
        let last = index + 1 == case.body.len() && case.trailers.is_empty();
        // The other side may have had enough.
        let _ = h2.frame(DATA, if last { END_STREAM } else { 0 }, 1, piece.as_bytes());
    }
    if !case.trailers.is_empty() {
        let trailers: Vec<(&[u8], &[u8])> =
            case.trailers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let _ = h2.frame(HEADERS, END_HEADERS | END_STREAM, 1, &super::h2::block(&trailers));
    }
    let answer = h2.find(|frame| {
        frame.kind == GOAWAY || frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM)
    });
    Ok(answer.filter(|frame| frame.kind == HEADERS).map_or(0, |frame| frame.status()))
}
