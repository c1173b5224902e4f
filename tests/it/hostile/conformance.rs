//! HTTP/2 by the letter (RFC 9113 and 7541): what has to be answered, what ends a stream, what ends the
//! connection. Written after the sections of the RFC, as the known conformance suites are.

mod accepted;
mod refused;

use super::h2::*;

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Stream 1 is answered with this status.
    Status(u16),
    /// The connection goes on: another request on this stream is answered 200.
    Alive(u32),
    /// PING is answered, by these bytes.
    Pong([u8; 8]),
    /// SETTINGS are acknowledged.
    Acknowledged,
    /// The stream is reset with one of these codes, or answered 4xx; or the connection ends.
    Reset(u32, &'static [u32]),
    /// The connection ends: GOAWAY with one of these codes, or a plain close.
    Ends(&'static [u32]),
    /// So many bytes of an answer's body come on stream 1, and no more at a time.
    Data(usize),
    /// The other side closes, whatever it says before.
    Closed,
}

type Steps = Box<dyn Fn(&mut H2) -> std::io::Result<()>>;

pub struct Case {
    pub name: String,
    /// Whether preface and settings are exchanged before.
    opened: bool,
    steps: Steps,
    then: Then,
}

const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;
const CALM: u32 = 11;

fn case(name: &str, then: Then, steps: impl Fn(&mut H2) -> std::io::Result<()> + 'static) -> Case {
    Case { name: name.to_owned(), opened: true, steps: Box::new(steps), then }
}

fn fresh(name: &str, then: Then, steps: impl Fn(&mut H2) -> std::io::Result<()> + 'static) -> Case {
    Case { opened: false, ..case(name, then, steps) }
}

/// A frame that is answered by the end of the connection.
fn ends(name: &str, codes: &'static [u32], kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Case {
    let payload = payload.to_vec();
    case(name, Then::Ends(codes), move |h2| h2.frame(kind, flags, stream, &payload))
}

/// Fields with which a request on stream 1 is reset.
fn malformed(name: &str, fields: Vec<u8>) -> Case {
    case(name, Then::Reset(1, &[PROTOCOL, REFUSED]), move |h2| {
        h2.frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)
    })
}

fn open(h2: &mut H2, stream: u32) -> std::io::Result<()> {
    h2.frame(HEADERS, END_HEADERS, stream, &request("POST", "/x", &[]))
}

const WHOLE: u8 = END_HEADERS | END_STREAM;

fn connections() -> Vec<Case> {
    let settings = |h2: &mut H2| h2.frame(SETTINGS, 0, 0, &[]);
    vec![
        fresh("3.4 preface, settings, request", Then::Status(200), move |h2| {
            h2.raw(PREFACE)?;
            settings(h2)?;
            h2.get(1, "/x")
        }),
        fresh("3.4 a wrong preface", Then::Ends(&[PROTOCOL]), |h2| {
            h2.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x00")
        }),
        fresh("3.4 HTTP/1 for a preface", Then::Ends(&[PROTOCOL]), |h2| {
            h2.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }),
        fresh("3.4 a preface without settings", Then::Ends(&[PROTOCOL]), |h2| {
            h2.raw(PREFACE)?;
            h2.frame(PING, 0, 0, &[0; 8])
        }),
        fresh("3.4 the preface in two pieces", Then::Status(200), move |h2| {
            h2.raw(&PREFACE[..10])?;
            h2.raw(&PREFACE[10..])?;
            settings(h2)?;
            h2.get(1, "/x")
        }),
        fresh("3.4 all at once", Then::Status(200), |h2| {
            let all = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, WHOLE, 1, &get("/x"))].concat();
            h2.raw(&all)
        }),
        case("4.1 an unknown frame", Then::Alive(1), |h2| h2.frame(0x42, 0xff, 0, b"anything")),
        case("4.1 an unknown frame on a stream", Then::Alive(1), |h2| h2.frame(0x42, 0, 5, &[0; 100])),
        case("4.1 unknown flags", Then::Pong(*b"pingpong"), |h2| h2.frame(PING, 0xfe, 0, b"pingpong")),
        case("4.1 the reserved bit", Then::Pong(*b"pingpong"), |h2| {
            h2.frame(PING, 0, 0x8000_0000, b"pingpong")
        }),
        case("4.2 the largest DATA", Then::Status(200), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, END_STREAM, 1, &[b'x'; 16384])
        }),
        case("4.2 DATA too large", Then::Reset(1, &[SIZE]), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, END_STREAM, 1, &[b'x'; 16385])
        }),
        ends("4.2 HEADERS too large", &[SIZE], HEADERS, WHOLE, 1, &[0; 16385]),
        ends("4.2 SETTINGS too large", &[SIZE], SETTINGS, 0, 0, &[0; 16386]),
        ends("4.3 a block that breaks off", &[COMPRESSION], HEADERS, WHOLE, 1, &[0x00, 0x05, b'x']),
        ends("4.3 an index of zero", &[COMPRESSION], HEADERS, WHOLE, 1, &[0x80]),
        ends("4.3 an index beyond the table", &[COMPRESSION], HEADERS, WHOLE, 1, &[0xff, 0x80, 0x01]),
        ends("4.3 a name beyond the table", &[COMPRESSION], HEADERS, WHOLE, 1, &[0x7f, 0x80, 0x01, 1, b'x']),
        ends("4.3 a number without end", &[COMPRESSION], HEADERS, WHOLE, 1, &[0xff; 20]),
        ends(
            "4.3 a table beyond the limit",
            &[COMPRESSION],
            HEADERS,
            WHOLE,
            1,
            &[&[0x3f, 0xff, 0xff, 0x03][..], &get("/x")].concat(),
        ),
        ends(
            "4.3 a table's size at the end",
            &[COMPRESSION],
            HEADERS,
            WHOLE,
            1,
            &[&get("/x")[..], &[0x20]].concat(),
        ),
        ends(
            "4.3 padding of Huffman's code with zeros",
            &[COMPRESSION],
            HEADERS,
            WHOLE,
            1,
            &[0x00, 1, b'x', 0x81, 0x00],
        ),
        ends(
            "4.3 padding of Huffman's code too long",
            &[COMPRESSION],
            HEADERS,
            WHOLE,
            1,
            &[0x00, 1, b'x', 0x82, 0x1f, 0xff],
        ),
        ends(
            "4.3 the end of Huffman's code",
            &[COMPRESSION],
            HEADERS,
            WHOLE,
            1,
            &[0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff],
        ),
        case("4.3 a frame between HEADERS and CONTINUATION", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.frame(PING, 0, 0, &[0; 8])
        }),
        case("4.3 another stream between", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.get(3, "/x")
        }),
        case("4.3 an unknown frame between", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.frame(0x42, 0, 1, &[])
        }),
    ]
}

fn states() -> Vec<Case> {
    let closed = |h2: &mut H2| -> std::io::Result<()> {
        h2.get(1, "/x")?;
        h2.find(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
        Ok(())
    };
    vec![
        ends("5.1 DATA on an idle stream", &[PROTOCOL, CLOSED], DATA, END_STREAM, 1, b"x"),
        ends("5.1 RST_STREAM on an idle stream", &[PROTOCOL], RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        ends("5.1 WINDOW_UPDATE on an idle stream", &[PROTOCOL], WINDOW_UPDATE, 0, 1, &[0, 0, 0, 8]),
        ends("5.1 CONTINUATION on an idle stream", &[PROTOCOL], CONTINUATION, END_HEADERS, 1, &get("/x")),
        case("5.1 DATA after the end", Then::Reset(1, &[CLOSED]), |h2| {
            h2.get(1, "/late")?;
            h2.frame(DATA, END_STREAM, 1, b"x")
        }),
        case("5.1 HEADERS after the end", Then::Reset(1, &[CLOSED, PROTOCOL]), |h2| {
            h2.get(1, "/late")?;
            h2.get(1, "/late")
        }),
        case("5.1 CONTINUATION after the end", Then::Ends(&[CLOSED, PROTOCOL]), |h2| {
            h2.get(1, "/late")?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("5.1 DATA after a reset", Then::Reset(1, &[CLOSED]), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            h2.frame(DATA, END_STREAM, 1, b"x")
        }),
        case("5.1 HEADERS after a reset", Then::Ends(&[CLOSED, PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            h2.get(1, "/x")
        }),
        case("5.1 CONTINUATION after a reset", Then::Ends(&[CLOSED, PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("5.1 DATA on a closed stream", Then::Reset(1, &[CLOSED]), move |h2| {
            closed(h2)?;
            h2.frame(DATA, END_STREAM, 1, b"x")
        }),
        case("5.1 HEADERS on a closed stream", Then::Ends(&[CLOSED, PROTOCOL]), move |h2| {
            closed(h2)?;
            h2.get(1, "/x")
        }),
        case("5.1 WINDOW_UPDATE on a closed stream", Then::Alive(3), move |h2| {
            closed(h2)?;
            h2.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 8])
        }),
        case("5.1 RST_STREAM on a closed stream", Then::Alive(3), move |h2| {
            closed(h2)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])
        }),
        case("5.1 PRIORITY on a closed stream", Then::Alive(3), move |h2| {
            closed(h2)?;
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 8])
        }),
        ends("5.1.1 an even stream", &[PROTOCOL], HEADERS, WHOLE, 2, &get("/x")),
        case("5.1.1 a stream that is lower", Then::Ends(&[PROTOCOL, CLOSED]), |h2| {
            h2.get(5, "/x")?;
            h2.get(3, "/x")
        }),
        ends("5.1.1 stream zero", &[PROTOCOL], HEADERS, WHOLE, 0, &get("/x")),
        case("5.1.1 streams may be left out", Then::Alive(201), |h2| h2.get(101, "/x")),
        case("5.1.2 more streams than allowed", Then::Reset(401, &[PROTOCOL, REFUSED]), |h2| {
            (0..=200).try_for_each(|n| h2.get(2 * n + 1, "/hang"))
        }),
        case("5.1.2 one stream more than announced", Then::Reset(65, &[PROTOCOL, REFUSED]), |h2| {
            (0..=32).try_for_each(|n| h2.get(2 * n + 1, "/hang"))
        }),
        case("5.3 a stream that depends on itself", Then::Reset(1, &[PROTOCOL]), |h2| {
            h2.frame(HEADERS, WHOLE | PRIORITY_FLAG, 1, &[&[0, 0, 0, 1, 8][..], &get("/x")].concat())
        }),
        case("5.3 PRIORITY on itself", Then::Reset(1, &[PROTOCOL]), |h2| {
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 8])
        }),
        case("5.4 a stream's error leaves the others", Then::Alive(3), |h2| {
            h2.frame(HEADERS, WHOLE, 1, &request("GET", "/x", &[("connection", "close")]))
        }),
    ]
}

fn frames() -> Vec<Case> {
    let padded = |pad: u8, data: &[u8], padding: usize| [&[pad][..], data, &vec![0; padding]].concat();
    vec![
        ends("6.1 DATA on stream zero", &[PROTOCOL], DATA, END_STREAM, 0, b"x"),
        case("6.1 padded DATA", Then::Status(200), move |h2| {
            open(h2, 1)?;
            h2.frame(DATA, PADDED | END_STREAM, 1, &padded(5, b"hello", 5))
        }),
        case("6.1 padding beyond the frame", Then::Ends(&[PROTOCOL]), move |h2| {
            open(h2, 1)?;
            h2.frame(DATA, PADDED | END_STREAM, 1, &padded(6, b"hello", 0))
        }),
        case("6.1 padding without a length", Then::Ends(&[PROTOCOL, SIZE]), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, PADDED | END_STREAM, 1, &[])
        }),
        case("6.2 padded HEADERS", Then::Status(200), move |h2| {
            h2.frame(HEADERS, PADDED | WHOLE, 1, &padded(5, &get("/x"), 5))
        }),
        ends(
            "6.2 padding beyond HEADERS",
            &[PROTOCOL],
            HEADERS,
            PADDED | WHOLE,
            1,
            &padded(200, &get("/x"), 0),
        ),
        case("6.2 HEADERS with a priority", Then::Status(200), |h2| {
            h2.frame(HEADERS, WHOLE | PRIORITY_FLAG, 1, &[&[0, 0, 0, 0, 8][..], &get("/x")].concat())
        }),
        case("6.2 HEADERS and CONTINUATION", Then::Status(200), |h2| {
            let fields = get("/x");
            h2.frame(HEADERS, END_STREAM, 1, &fields[..10])?;
            h2.frame(CONTINUATION, 0, 1, &fields[10..20])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &fields[20..])
        }),
        case("6.2 an empty HEADERS before CONTINUATION", Then::Status(200), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &[])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("6.3 PRIORITY", Then::Alive(1), |h2| h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 8])),
        ends("6.3 PRIORITY on stream zero", &[PROTOCOL], PRIORITY, 0, 0, &[0, 0, 0, 0, 8]),
        case("6.3 PRIORITY of a wrong size", Then::Reset(1, &[SIZE]), |h2| {
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 1])
        }),
        case("6.4 RST_STREAM", Then::Alive(3), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])
        }),
        ends("6.4 RST_STREAM on stream zero", &[PROTOCOL], RST_STREAM, 0, 0, &[0, 0, 0, 8]),
        case("6.4 RST_STREAM of a wrong size", Then::Ends(&[SIZE]), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 8])
        }),
        case("6.5 SETTINGS", Then::Acknowledged, |h2| h2.frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        case("6.5 unknown SETTINGS", Then::Acknowledged, |h2| {
            h2.frame(SETTINGS, 0, 0, &[0, 0xff, 0, 0, 0, 1])
        }),
        case("6.5 the last of equal SETTINGS counts", Then::Alive(1), |h2| {
            h2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1, 0, 4, 0, 0, 255, 255])
        }),
        ends("6.5 SETTINGS on a stream", &[PROTOCOL], SETTINGS, 0, 1, &[]),
        ends("6.5 SETTINGS of a wrong size", &[SIZE], SETTINGS, 0, 0, &[0, 3, 0, 0, 0]),
        ends("6.5 an acknowledgement that says something", &[SIZE], SETTINGS, ACK, 0, &[0, 3, 0, 0, 0, 100]),
        ends("6.5 ENABLE_PUSH of two", &[PROTOCOL], SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        ends("6.5 a window beyond 31 bits", &[FLOW], SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
        ends("6.5 frames too small", &[PROTOCOL], SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]),
        ends("6.5 frames too large", &[PROTOCOL], SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0]),
        ends(
            "6.6 PUSH_PROMISE",
            &[PROTOCOL],
            PUSH_PROMISE,
            END_HEADERS,
            1,
            &[&[0, 0, 0, 2][..], &get("/x")].concat(),
        ),
        case("6.7 PING", Then::Pong(*b"12345678"), |h2| h2.frame(PING, 0, 0, b"12345678")),
        case("6.7 an answer to PING", Then::Alive(1), |h2| h2.frame(PING, ACK, 0, b"12345678")),
        ends("6.7 PING on a stream", &[PROTOCOL], PING, 0, 1, &[0; 8]),
        ends("6.7 PING of a wrong size", &[SIZE], PING, 0, 0, &[0; 6]),
        ends("6.8 GOAWAY on a stream", &[PROTOCOL], GOAWAY, 0, 1, &[0; 8]),
        case("6.8 a request before GOAWAY is answered", Then::Status(200), |h2| {
            h2.get(1, "/x")?;
            h2.frame(GOAWAY, 0, 0, &[0; 8])
        }),
        ends("6.9 WINDOW_UPDATE of zero", &[PROTOCOL], WINDOW_UPDATE, 0, 0, &[0; 4]),
        case("6.9 WINDOW_UPDATE of zero on a stream", Then::Reset(1, &[PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(WINDOW_UPDATE, 0, 1, &[0; 4])
        }),
        ends("6.9 WINDOW_UPDATE of a wrong size", &[SIZE], WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
        case("6.9.1 the window overflows", Then::Ends(&[FLOW]), |h2| {
            (0..2).try_for_each(|_| h2.frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()))
        }),
        case("6.9.1 a stream's window overflows", Then::Reset(1, &[FLOW]), |h2| {
            open(h2, 1)?;
            (0..2).try_for_each(|_| h2.frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes()))
        }),
        case("6.9.2 a window that settings overflow", Then::Ends(&[FLOW]), |h2| {
            open(h2, 1)?;
            h2.frame(WINDOW_UPDATE, 0, 1, &0x7fff_0000_u32.to_be_bytes())?;
            h2.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])
        }),
        case("6.9.2 a window of one, then more", Then::Alive(3), |h2| {
            h2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])?;
            h2.get(1, "/x")?;
            h2.find(|frame| frame.kind == DATA && frame.payload.len() == 1);
            h2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])
        }),
        ends("6.10 CONTINUATION on stream zero", &[PROTOCOL], CONTINUATION, END_HEADERS, 0, &get("/x")),
        case("6.10 CONTINUATION after the end of HEADERS", Then::Ends(&[PROTOCOL, CLOSED]), |h2| {
            open(h2, 1)?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("6.10 CONTINUATION after DATA", Then::Ends(&[PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, 0, 1, b"x")?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("7 an unknown error code", Then::Alive(3), |h2| {
            open(h2, 1)?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])
        }),
    ]
}

fn messages() -> Vec<Case> {
    let with = |more: &[(&str, &str)]| request("GET", "/x", more);
    let pseudo = |fields: &[(&str, &str)]| {
        block(&fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Vec<_>>())
    };
    let (method, scheme, path, host) =
        ((":method", "GET"), (":scheme", "https"), (":path", "/x"), (":authority", "localhost"));
    let mut cases = vec![
        case("8.1 a request", Then::Status(200), |h2| h2.get(1, "/x")),
        case("8.1 HEAD", Then::Status(200), |h2| h2.frame(HEADERS, WHOLE, 1, &request("HEAD", "/x", &[]))),
        case("8.1 a request with a body and trailers", Then::Status(200), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, 0, 1, b"x")?;
            h2.frame(HEADERS, WHOLE, 1, &block(&[(b"x-late", b"y")]))
        }),
        case("8.1 trailers that do not end it", Then::Reset(1, &[PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, 0, 1, b"x")?;
            h2.frame(HEADERS, END_HEADERS, 1, &block(&[(b"x-late", b"y")]))
        }),
        case("8.1 a pseudo field in trailers", Then::Reset(1, &[PROTOCOL]), |h2| {
            open(h2, 1)?;
            h2.frame(DATA, 0, 1, b"x")?;
            h2.frame(HEADERS, WHOLE, 1, &block(&[(b":path", b"/y")]))
        }),
        case("8.1.1 a body shorter than its length", Then::Reset(1, &[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[("content-length", "5")]))?;
            h2.frame(DATA, END_STREAM, 1, b"x")
        }),
        case("8.1.1 a body longer than its length", Then::Reset(1, &[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[("content-length", "1")]))?;
            h2.frame(DATA, END_STREAM, 1, b"hello")
        }),
        case("8.1.1 the same over several frames", Then::Reset(1, &[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[("content-length", "3")]))?;
            h2.frame(DATA, 0, 1, b"he")?;
            h2.frame(DATA, END_STREAM, 1, b"llo")
        }),
        malformed("8.1.1 a length and no body", request("POST", "/x", &[("content-length", "5")])),
        malformed("8.2 a name in capitals", with(&[("X-Test", "ok")])),
        malformed("8.2.1 a space in a name", with(&[("x y", "ok")])),
        malformed("8.2.1 LF in a value", with(&[("x", "a\nb")])),
        malformed("8.2.1 NUL in a value", with(&[("x", "a\0b")])),
        malformed("8.2.2 Connection", with(&[("connection", "keep-alive")])),
        malformed("8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")])),
        malformed("8.2.2 Keep-Alive", with(&[("keep-alive", "timeout=5")])),
        malformed("8.2.2 Proxy-Connection", with(&[("proxy-connection", "keep-alive")])),
        malformed("8.2.2 Upgrade", with(&[("upgrade", "websocket")])),
        malformed("8.2.2 TE other than trailers", with(&[("te", "trailers, deflate")])),
        case("8.2.2 TE: trailers", Then::Status(200), |h2| {
            h2.frame(HEADERS, WHOLE, 1, &request("GET", "/x", &[("te", "trailers")]))
        }),
        malformed("8.3 an unknown pseudo field", with(&[(":test", "ok")])),
        malformed("8.3 a pseudo field of answers", with(&[(":status", "200")])),
        malformed("8.3 a pseudo field after others", pseudo(&[method, scheme, host, ("x", "y"), path])),
        malformed("8.3.1 an empty path", pseudo(&[method, scheme, (":path", ""), host])),
        malformed("8.3.1 no method", pseudo(&[scheme, path, host])),
        malformed("8.3.1 no scheme", pseudo(&[method, path, host])),
        malformed("8.3.1 no path", pseudo(&[method, scheme, host])),
        malformed("8.3.1 two methods", pseudo(&[method, method, scheme, path, host])),
        malformed("8.3.1 two schemes", pseudo(&[method, scheme, scheme, path, host])),
        malformed("8.3.1 two paths", pseudo(&[method, scheme, path, path, host])),
        malformed("8.3.1 two authorities", pseudo(&[method, scheme, path, host, host])),
        malformed(
            "8.3.1 a user in the authority",
            pseudo(&[method, scheme, path, (":authority", "u@localhost")]),
        ),
        malformed("8.3.1 a path that is none", pseudo(&[method, scheme, (":path", "x"), host])),
        malformed("8.3.1 nothing at all", Vec::new()),
        malformed("8.3.1 another host", with(&[("host", "other")])),
        malformed("8.5 CONNECT with a path", pseudo(&[(":method", "CONNECT"), path, host])),
        malformed("8.5 CONNECT with a scheme", pseudo(&[(":method", "CONNECT"), scheme, host])),
        malformed("8.5 CONNECT to nobody", pseudo(&[(":method", "CONNECT")])),
        malformed("8.5 CONNECT", pseudo(&[(":method", "CONNECT"), (":authority", "localhost:443")])),
    ];
    let indexed: [(&str, &[u8]); 7] = [
        ("2.3 fields of the static table", &[0x82, 0x87, 0x84, 0x41, 9]),
        ("2.3 a literal that is indexed", &[0x42, 3, b'G', b'E', b'T', 0x87, 0x84, 0x41, 9]),
        ("2.3 a literal that is never indexed", &[0x12, 3, b'G', b'E', b'T', 0x87, 0x84, 0x41, 9]),
        ("2.3 a literal that is not indexed", &[0x02, 3, b'G', b'E', b'T', 0x87, 0x84, 0x41, 9]),
        ("2.3 an entry of one's own", &[0x82, 0x87, 0x84, 0x40, 1, b'x', 1, b'y', 0xbe, 0x41, 9]),
        ("4.2 the table's size at the front", &[0x20, 0x82, 0x87, 0x84, 0x41, 9]),
        ("4.2 two sizes at the front", &[0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x87, 0x84, 0x41, 9]),
    ];
    for (name, fields) in indexed {
        let is_order = name.contains("of one's own");
        let fields = [fields, b"localhost"].concat();
        if is_order {
            // A regular field before a pseudo one.
            cases.push(malformed(name, fields));
        } else {
            cases.push(case(name, Then::Status(200), move |h2| h2.frame(HEADERS, WHOLE, 1, &fields)));
        }
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let own = [connections(), states(), frames(), messages()];
    own.into_iter().chain([accepted::cases(), refused::cases()]).flatten().collect()
}

/// Runs all, and prints how many hold; those that do not, and what came instead.
pub fn failures(how: &str, cases: &[Case], connect: &dyn Fn() -> std::io::Result<H2>) -> Vec<String> {
    let fault = |case: &Case| Some(format!("{how}: {}: {}", case.name, run(case, connect).err()?));
    let failed: Vec<String> = cases.iter().filter_map(fault).collect();
    println!("HTTP/2 {how}: {} of {}", cases.len() - failed.len(), cases.len());
    failed
}

/// Runs one.
///
/// # Errors
/// What came instead.
fn run(case: &Case, connect: &dyn Fn() -> std::io::Result<H2>) -> Result<(), String> {
    let h2 = if case.opened { connect().and_then(H2::begun) } else { connect() };
    let mut h2 = h2.map_err(|error| error.to_string())?;
    // The other side may have had enough before all is sent.
    let sent = (case.steps)(&mut h2);
    let mut seen = Vec::new();
    if let Then::Alive(stream) = case.then {
        sent.and_then(|()| h2.get(stream, "/x")).map_err(|error| error.to_string())?;
    }
    loop {
        let frame = h2.next().map_err(|error| format!("{error}; {seen:?} came, {:?} was due", case.then))?;
        seen.push(frame.as_ref().map_or("the end".to_owned(), |frame| {
            format!("{} on {}, {:x?}", frame.kind, frame.stream, frame.payload)
        }));
        let done = match (&frame, case.then) {
            (None, Then::Ends(_) | Then::Reset(..) | Then::Closed) => true,
            (None, _) => return Err(format!("it ended; {:?} was due, {seen:?} came", case.then)),
            (Some(frame), then) => is(frame, then)?,
        };
        if done {
            return Ok(());
        }
    }
}

/// Whether a frame is what was due; one that excludes it is an error.
fn is(frame: &super::h2::Frame, then: Then) -> Result<bool, String> {
    let wrong = || Err(format!("{frame:?} for {then:?}"));
    let answers = |stream: u32| frame.kind == HEADERS && frame.stream == stream;
    match then {
        Then::Status(status) if answers(1) => {
            if frame.status() == status {
                Ok(true)
            } else {
                wrong()
            }
        }
        Then::Alive(stream) if answers(stream) => {
            if frame.status() == 200 {
                Ok(true)
            } else {
                wrong()
            }
        }
        Then::Pong(bytes) if frame.kind == PING && frame.flags & ACK != 0 => {
            if frame.payload == bytes {
                Ok(true)
            } else {
                wrong()
            }
        }
        Then::Data(length) if frame.kind == DATA && frame.stream == 1 => {
            if frame.payload.len() == length {
                Ok(true)
            } else {
                wrong()
            }
        }
        Then::Closed => Ok(false),
        Then::Acknowledged => Ok(frame.kind == SETTINGS && frame.flags & ACK != 0),
        Then::Reset(stream, codes) if frame.kind == RST_STREAM && frame.stream == stream => {
            if codes.contains(&frame.number(0)) { Ok(true) } else { wrong() }
        }
        Then::Reset(stream, _) if answers(stream) => {
            if (400..500).contains(&frame.status()) {
                Ok(true)
            } else {
                wrong()
            }
        }
        Then::Reset(_, codes) | Then::Ends(codes) if frame.kind == GOAWAY => {
            let code = frame.number(4);
            // PROTOCOL_ERROR may stand for any more specific code (RFC 9113, 7).
            if codes.contains(&code) || code == PROTOCOL || code == CALM { Ok(true) } else { wrong() }
        }
        _ if frame.kind == GOAWAY && frame.number(4) != 0 => wrong(),
        _ => Ok(false),
    }
}
