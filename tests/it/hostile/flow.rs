//! What is for one hop only, several requests on a connection, and requests that stop halfway.

use super::case::{Case, arrives, broken, either, forwarded, refused};

fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

pub fn hop_by_hop() -> Vec<Case> {
    let x = || arrives("GET /x");
    let post =
        |fields: &str| format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\nhello");
    let mut cases = vec![
        forwarded(
            "a nominated field",
            get("Connection: x-mine\r\nX-Mine: 1\r\nX-Other: 2\r\n"),
            [x().without("x-mine").without("connection").with("X-Other: 2")],
        ),
        either("a nominated host", get("Connection: Host\r\n"), x().with("Host: a")),
        either(
            "the nominated forwarding",
            get("Connection: X-Forwarded-For, X-Real-IP\r\n"),
            x().with("X-Forwarded-For: 127.0.0.1").with("X-Real-IP: 127.0.0.1"),
        ),
        forwarded(
            "a nominated length",
            post("Connection: Content-Length\r\n"),
            [arrives("POST /x").body("hello")],
        ),
        forwarded("a nominated connection", get("Connection: Connection\r\n"), [x().without("connection")]),
        forwarded("a nominated cookie", get("Connection: Cookie\r\nCookie: a=b\r\n"), [x()]),
        forwarded(
            "close, and a nominated one",
            get("Connection: close, X-Mine\r\nX-Mine: 1\r\n"),
            [x().without("x-mine")],
        ),
        forwarded(
            "two Connection fields",
            get("Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2\r\n"),
            [x().without("x-a").without("x-b")],
        ),
        forwarded(
            "an upgrade to HTTP/2",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            [x().without("upgrade").without("http2-settings").without("connection")],
        ),
        forwarded(
            "an upgrade to anything",
            get("Connection: Upgrade\r\nUpgrade: x/1\r\n"),
            [x().without("upgrade")],
        ),
        forwarded(
            "an upgrade that Connection does not name",
            get("Upgrade: websocket\r\n"),
            [x().without("upgrade")],
        ),
        forwarded(
            "an upgrade to a WebSocket that is refused",
            get(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
            ),
            [x().with("Sec-WebSocket-Version: 13")],
        ),
        forwarded(
            "Expect: 100-continue",
            post("Expect: 100-continue\r\n"),
            [arrives("POST /x").body("hello")],
        ),
    ];
    for name in [
        "TE: trailers",
        "Trailer: X",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: x",
    ] {
        let field = name.split(':').next().unwrap_or_default();
        cases.push(forwarded(field, get(&format!("{name}\r\n")), [x().without(field)]));
    }
    cases
}

pub fn pipelines() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in 2..=10 {
        let bytes: String = (0..count).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        let expected: Vec<_> = (0..count).map(|n| arrives(&format!("GET /{n}"))).collect();
        cases.push(forwarded(&format!("{count} requests at once"), bytes, expected));
    }
    let post = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let plain = "GET /g HTTP/1.1\r\nHost: a\r\n\r\n";
    let (p, c, g) = (arrives("POST /p").body("hello"), arrives("POST /c").body("hello"), arrives("GET /g"));
    cases.extend([
        forwarded("a GET after a body", format!("{post}{plain}"), [p.clone(), g.clone()]),
        forwarded("a body after a GET", format!("{plain}{post}{plain}"), [g.clone(), p.clone(), g.clone()]),
        forwarded(
            "bodies of both kinds",
            format!("{post}{chunked}{post}{chunked}{plain}"),
            [p.clone(), c.clone(), p.clone(), c.clone(), g.clone()],
        ),
        forwarded(
            "empty lines between",
            format!("{post}\r\n{plain}\r\n{plain}"),
            [p.clone(), g.clone(), g.clone()],
        ),
        forwarded(
            "a HEAD between",
            format!("{plain}HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n{plain}"),
            [g.clone(), arrives("HEAD /h"), g.clone()],
        ),
        forwarded(
            "none after a close",
            format!("GET /g HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{plain}"),
            [g.clone()],
        ),
        forwarded("none after HTTP/1.0", format!("GET /g HTTP/1.0\r\n\r\n{plain}"), [g.clone()]),
        forwarded(
            "the good one before a bad one",
            format!("{plain}GET /x HTTP/1.1\r\nHost : a\r\n\r\n{plain}"),
            [g.clone()],
        ),
        forwarded(
            "the good one before a wrong length",
            format!("{post}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
            [p],
        ),
        forwarded(
            "a request in a body",
            format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{plain}{plain}", plain.len()),
            [arrives("POST /p").body(plain), g],
        ),
    ]);
    cases
}

pub fn unfinished() -> Vec<Case> {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\n";
    let mut cases: Vec<_> =
        ["G", "GET", "GET /x", "GET /x HTTP/1.1", "GET /x HTTP/1.1\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"]
            .map(|part| broken(&format!("it ends after {part:?}"), part).closing())
            .into();
    cases.push(broken("a body cut short", format!("{head}Content-Length: 10\r\n\r\nhello")).closing());
    cases.push(broken("a body that never comes", format!("{head}Content-Length: 10\r\n\r\n")).closing());
    cases.push(
        broken("a chunk cut short", format!("{head}Transfer-Encoding: chunked\r\n\r\na\r\nhello")).closing(),
    );
    cases.push(refused("too large a body", format!("{head}Content-Length: 999999999999\r\n\r\nhello")));
    cases
}
