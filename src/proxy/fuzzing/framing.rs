//! Where a request ends: what is accepted has one reading.
//!
//! Whatever is accepted is read twice more: by another parser, and by one that is as
//! lax as any server ever was. All must agree on where the head ends, how long the body is, and where it
//! ends.

use crate::proxy::wire::chunks::Chunks;
use crate::proxy::wire::head::{BodyFraming, Head, HeadLimits, Scan};
use crate::proxy::wire::request_head;
use bytes::Bytes;
use pingora_http::RequestHeader;

const LIMITS: HeadLimits = HeadLimits { size: 8 << 10, fields: 100 };

/// A byte for the size of the pieces that the rest, the bytes of a connection, comes in.
pub fn http1_head(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let piece = usize::from(*piece) + 1;
    let scan = Head::default().scan(bytes, LIMITS);
    match (scan, in_pieces(bytes, piece)) {
        // Which limit was met first depends on how much was there.
        (Scan::Refused(_), Scan::Refused(_)) => {}
        (whole, pieces) => assert_eq!(whole, pieces, "pieces of {piece}"),
    }
    let Scan::Whole { end, body, is_odd } = scan else { return };
    let (head, rest) = bytes.split_at(end);
    assert_eq!(Head::default().scan(head, LIMITS), scan, "what follows a head is not of it");
    every_line_ends_alike(head);
    let Ok(parsed) = request_head::parse(&Bytes::copy_from_slice(head)) else { return };
    if !is_odd {
        the_next_parser_agrees(head, &parsed.head);
    }
    the_laxest_reader_agrees(head, body);
    if body == BodyFraming::Chunked {
        chunked(rest, piece);
    }
}

fn in_pieces(bytes: &[u8], piece: usize) -> Scan {
    let mut head = Head::default();
    let mut end = 0;
    loop {
        end = bytes.len().min(end + piece);
        let scan = head.scan(bytes.get(..end).unwrap_or_default(), LIMITS);
        if scan != Scan::More || end == bytes.len() {
            return scan;
        }
    }
}

fn every_line_ends_alike(head: &[u8]) {
    let feeds = head.iter().filter(|byte| **byte == b'\n').count();
    let returns = head.iter().filter(|byte| **byte == b'\r').count();
    let both = head.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!((feeds, returns), (both, both), "a line end of its own");
    assert!(!head.contains(&0) && head.ends_with(b"\r\n\r\n"));
}

fn the_next_parser_agrees(bytes: &[u8], head: &RequestHeader) {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(status) => assert_eq!(status, httparse::Status::Complete(bytes.len())),
        Err(error) => panic!("{error}: {}", bytes.escape_ascii()),
    }
    assert_eq!(request.method, Some(head.method.as_str()));
    assert_eq!(request.path.map(str::as_bytes), Some(head.raw_path()));
    for field in request.headers {
        let values = head.headers.get_all(field.name).iter();
        let is_own = field.name.to_ascii_lowercase().starts_with("x-pointsman-");
        assert!(is_own || values.into_iter().any(|value| value.as_bytes() == field.value), "{}", field.name);
    }
}

/// Any line end, folded lines, spaces around names, signs and lists of lengths.
fn the_laxest_reader_agrees(head: &[u8], body: BodyFraming) {
    let fields = lax_fields(head);
    let values = |name: &str| -> Vec<String> {
        let named = fields.iter().filter(|(other, _)| other == name);
        named.flat_map(|(_, value)| value.split(',').map(|one| one.trim().to_owned())).collect()
    };
    let lengths: Vec<Option<u64>> =
        values("content-length").iter().map(|length| length.trim_start_matches('+').parse().ok()).collect();
    let encodings = values("transfer-encoding");
    match body {
        BodyFraming::Length(0) if lengths.is_empty() => assert!(encodings.is_empty(), "{encodings:?}"),
        BodyFraming::Length(length) => {
            assert_eq!(lengths, [Some(length)]);
            assert!(encodings.is_empty(), "{encodings:?}");
        }
        BodyFraming::Chunked => {
            assert!(lengths.is_empty(), "{lengths:?}");
            assert!(matches!(&encodings[..], [one] if one.eq_ignore_ascii_case("chunked")), "{encodings:?}");
        }
    }
    assert!(fields.iter().filter(|(name, _)| name == "host").count() <= 1, "two hosts");
}

/// Names in lower case, and values.
pub(super) fn lax_fields(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines.skip(1) {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => value.push_str(line),
            _ => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
    fields
}

pub(super) fn chunked(bytes: &[u8], piece: usize) {
    let pass = |piece: usize| {
        let (mut chunks, mut passed) = (Chunks::default(), 0);
        for part in bytes.chunks(piece) {
            passed += chunks.decode(part, &mut |_| ()).ok()?;
        }
        Some((passed, chunks.is_done()))
    };
    let whole = pass(bytes.len().max(1));
    assert_eq!(whole, pass(piece), "pieces of {piece}");
    if let Some((passed, true)) = whole {
        let end = lax_end(bytes);
        assert!(end.is_none_or(|end| end == passed), "{end:?} is not {passed}");
    }
}

/// Where the parts of `httparse` see the end of a chunked body; `None` where they refuse it.
fn lax_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(bytes.get(at..)?)
        else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        at += usize::try_from(size).ok()?;
        at += if bytes.get(at..)?.starts_with(b"\r\n") { 2 } else { 1 };
    }
    let mut fields = [httparse::EMPTY_HEADER; 128];
    match httparse::parse_headers(bytes.get(at..)?, &mut fields) {
        Ok(httparse::Status::Complete((trailer, _))) => Some(at + trailer),
        _ => None,
    }
}
