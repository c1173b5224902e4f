//! What a client of HTTP/2 makes of an upstream's odd answers: one that breaks off can be taken for whole by
//! nobody, and one that says too much is cut to what it is.

use super::super::harness::{Pointsman, eventually};
use super::h2::{DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, RST_STREAM, request};
use super::upstream::{Scripted, Step};

/// What came on a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    status: u16,
    body: Vec<u8>,
    /// It ended by itself.
    whole: bool,
}

fn ask(h2: &mut H2, stream: u32, method: &str, path: &str) -> Got {
    h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(method, path, &[])).expect("written");
    let mut got = Got::default();
    while let Some(frame) = h2.find(|frame| frame.stream == stream || frame.kind == GOAWAY) {
        match frame.kind {
            HEADERS if got.status < 200 => got.status = frame.status(),
            DATA => got.body.extend_from_slice(&frame.payload),
            RST_STREAM | GOAWAY => return got,
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
            got.whole = true;
            return got;
        }
    }
    got
}

/// A method, what the upstream says and does then, and what must come of it: a status, a body, and whether
/// it is whole.
type Case = (&'static str, String, Option<Step>, u16, &'static str, bool);

fn cases() -> Vec<Case> {
    let length = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
    let chunked = |body: &str| length("Transfer-Encoding: chunked\r\n", body);
    let cut = |bytes: String, end: Step| ("GET", bytes, Some(end), 200, "hello", false);
    let whole = |method, bytes: String, status, body| (method, bytes, None, status, body, true);
    vec![
        cut(length("Content-Length: 10\r\n", "hello"), Step::Close),
        cut(length("Content-Length: 10\r\n", "hello"), Step::Reset),
        cut(length("Content-Length: 10\r\n", "hello"), Step::Hang),
        cut(chunked("5\r\nhello\r\n"), Step::Close),
        cut(chunked("5\r\nhello\r\n0\r\n"), Step::Close),
        cut(chunked("5\r\nhello\r\nxyz\r\n"), Step::Hang),
        whole("GET", length("Content-Length: 5\r\n", "hello and more"), 200, "hello"),
        whole("GET", chunked("5\r\nhello\r\n0\r\nX-Late: y\r\n\r\nand more"), 200, "hello"),
        whole("HEAD", length("Content-Length: 4\r\n", "evil"), 200, ""),
        whole("HEAD", length("Content-Length: 4\r\n", ""), 200, ""),
        whole("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil".into(), 204, ""),
        whole("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n".into(), 304, ""),
        whole(
            "GET",
            format!(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}",
                length("Content-Length: 5\r\n", "hello")
            ),
            200,
            "hello",
        ),
        whole(
            "GET",
            length(
                "Connection: X-Hop\r\nX-Hop: y\r\nKeep-Alive: x\r\nUpgrade: h2c\r\nContent-Length: 5\r\n",
                "hello",
            ),
            200,
            "hello",
        ),
    ]
}

#[test]
fn answers_over_http2_are_whole_or_plainly_not() {
    let upstream = Scripted::start();
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n\
         timeouts = {{ read = \"1s\" }}\nupstreams = [\"{}\"]\n",
        upstream.address
    ));
    let mut h2 = H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    for (count, (method, bytes, end, status, body, whole)) in cases().into_iter().enumerate() {
        upstream.play(&[Step::Send(bytes.clone().into())].into_iter().chain(end).collect::<Vec<_>>());
        let stream = 4 * count as u32 + 1;
        let got = ask(&mut h2, stream, method, "/x");
        // What breaks off may do so before any of it, or all of it, has gone out.
        let is_status = got.status == status || (!whole && got.status == 0);
        let is_body = got.body == body.as_bytes() || (!whole && body.as_bytes().starts_with(&got.body));
        assert!(is_status && is_body && got.whole == whole, "{method} {bytes:?}: {got:?}");
        let probe = ask(&mut h2, stream + 2, "GET", "/probe");
        assert_eq!((probe.status, &probe.body[..]), (200, &b"probe"[..]), "after {bytes:?}");
        eventually("the script is over", || !upstream.is_playing());
    }
}
