//! What a server must not take, beside what the sections' own tables have: connections that begin
//! otherwise than with SETTINGS, trailers with pseudo-header fields in all forms, and their like.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    [beginnings(), trailers(), others()].into_iter().flatten().collect()
}

fn beginnings() -> Vec<Case> {
    let begins = |name: &str, frame: Vec<u8>| {
        fresh(&format!("3.4 it begins with {name}"), Then::Ends(&[PROTOCOL]), move |h2| {
            h2.raw(&[PREFACE, &frame].concat())
        })
    };
    vec![
        begins("a request", frame(HEADERS, WHOLE, 1, &get("/x"))),
        begins("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        begins("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        begins("an unknown frame", frame(0x42, 0, 0, b"anything")),
        begins("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8])),
        begins("an acknowledgement", frame(SETTINGS, ACK, 0, &[])),
        fresh("3.4 the same, byte by byte", Then::Ends(&[PROTOCOL]), |h2| {
            let bytes = [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat();
            bytes.iter().try_for_each(|byte| h2.raw(&[*byte]))
        }),
    ]
}

fn trailers() -> Vec<Case> {
    let after_body = |h2: &mut H2| {
        open(h2, 1)?;
        h2.frame(DATA, 0, 1, b"x")
    };
    let of = |name: &str, then: Then, flags: u8, block: Vec<u8>| {
        case(&format!("8.1 trailers with {name}"), then, move |h2| {
            after_body(h2)?;
            h2.frame(HEADERS, flags, 1, &block)
        })
    };
    let reset = Then::Reset(1, &[PROTOCOL]);
    let ordinary = block(&[(b"x-late", b"y")]);
    let behind = |field: &[u8]| [&ordinary[..], field].concat();
    let coded = [0x00, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 1, b'y'];
    let all_at_once = [
        frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[])),
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, WHOLE, 1, &behind(&[0x83])),
    ]
    .concat();
    vec![
        of("a pseudo field of the static table", reset, WHOLE, behind(&[0x83])),
        of("such a name, not indexed", reset, WHOLE, behind(&[0x04, 1, b'/'])),
        of("such a name, indexed", reset, WHOLE, behind(&[0x44, 1, b'/'])),
        of("such a name, never indexed", reset, WHOLE, behind(&[0x14, 1, b'/'])),
        of("the status of an answer", reset, WHOLE, behind(&[0x88])),
        of("an unknown pseudo field", reset, WHOLE, block(&[(b":x", b"y")])),
        of("one by Huffman's code", reset, WHOLE, coded.to_vec()),
        of("one and padding", reset, WHOLE | PADDED, [&[2][..], &behind(&[0x83]), &[0, 0]].concat()),
        of("nothing", Then::Status(200), WHOLE, Vec::new()),
        of(
            "padding that looks like one",
            Then::Status(200),
            WHOLE | PADDED,
            [&[2][..], &ordinary, &[0x83; 2]].concat(),
        ),
        of("a value that looks like one", Then::Status(200), WHOLE, block(&[(b"x-late", b":path\x20:y")])),
        of("a field of the static table", Then::Status(200), WHOLE, behind(&[0x90])),
        case("8.1 trailers with a pseudo field in CONTINUATION", reset, move |h2| {
            after_body(h2)?;
            h2.frame(HEADERS, END_STREAM, 1, &[0, 1, b'x', 1])?;
            h2.frame(CONTINUATION, 0, 1, b"y")?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &[0x83])
        }),
        case("8.1 trailers in several pieces", Then::Status(200), move |h2| {
            after_body(h2)?;
            h2.frame(HEADERS, END_STREAM, 1, &[0, 1, b'x', 1])?;
            h2.frame(CONTINUATION, 0, 1, b"\x83")?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &[0, 1, b'z', 0])
        }),
        case("8.1 the same, all at once", reset, move |h2| h2.raw(&all_at_once)),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case("5.4.1 an error of the connection closes it", Then::Closed, |h2| h2.frame(PING, 0, 3, &[0; 8])),
        case("5.1 CONTINUATION on a closed stream", Then::Ends(&[CLOSED, PROTOCOL]), |h2| {
            h2.get(1, "/x")?;
            h2.find(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/x"))
        }),
        case("6.2 PRIORITY between HEADERS and CONTINUATION", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &[])
        }),
        case("6.4 RST_STREAM between HEADERS and CONTINUATION", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])
        }),
        case("6.10 CONTINUATION after the end of another", Then::Ends(&[PROTOCOL]), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/hang")[..10])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &get("/hang")[10..])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &block(&[(b"x", b"y")]))
        }),
        malformed("8.2.2 TE: gzip", request("GET", "/x", &[("te", "gzip")])),
        malformed("8.2 a name without letters", block(&[(b"", b"y")])),
        malformed("8.2 a name with a colon", request("GET", "/x", &[("x:y", "z")])),
        malformed(
            "8.2.2 HTTP2-Settings and what names it",
            request("GET", "/x", &[("connection", "http2-settings"), ("http2-settings", "AAMAAABk")]),
        ),
        malformed(
            "8.3.1 an empty authority",
            block(&[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"")]),
        ),
        malformed(
            "8.3.1 an empty method",
            block(&[(b":method", b""), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"a")]),
        ),
    ]
}
