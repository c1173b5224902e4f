//! The head of an answer, from its bytes: strict where parsers differ from each other.
//!
//! An upstream is trusted more than a client, but not with the framing of what others get on the same
//! connection: what has two readings is malformed.

use super::answer_head::AnswerHead;
use super::body::BodyReader;
use super::head::{is_value, length};
use super::sent_fields::{self, FieldLine, SentFields};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

/// Largest head of an answer, in bytes.
pub(in crate::proxy) const MOST_HEAD_BYTES: usize = 64 << 10;

const NO_STATUS: &str = "a status that is none";

/// A head, and what it says of its body.
#[derive(Debug)]
pub(in crate::proxy) struct ParsedResponse {
    pub head: AnswerHead,
    /// What follows it.
    pub body: BodyReader,
    /// Whether the connection can serve another request after it.
    pub keeps: bool,
}

/// Where the parts of a whole head stand in its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) struct HeadMarks {
    version: Version,
    status: StatusCode,
    reason: Option<(usize, usize)>,
    lines: Vec<FieldLine>,
    /// Where what follows it begins.
    pub end: usize,
}

/// Reads a head; `None` where there is more to come.
///
/// # Errors
/// What is wrong with it.
pub(in crate::proxy) fn read(bytes: &[u8]) -> Result<Option<HeadMarks>, &'static str> {
    let too_large = || if bytes.len() > MOST_HEAD_BYTES { Err("its head is too large") } else { Ok(None) };
    let Some(feed) = memchr::memchr(b'\n', bytes) else { return too_large() };
    let line = bytes.get(..feed).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (version, status) = status_line(line)?;
    let reason = match line.get(12..) {
        None | Some([]) => b"",
        Some([b' ', reason @ ..]) if is_value(reason) => reason,
        Some(_) => return Err(NO_STATUS),
    };
    let is_usual = status.canonical_reason().is_some_and(|usual| usual.as_bytes() == reason);
    let Some((lines, end)) = sent_fields::read(bytes, feed + 1)? else { return too_large() };
    let reason = (!is_usual).then_some((line.len() - reason.len(), line.len()));
    Ok(Some(HeadMarks { version, status, reason, lines, end }))
}

fn status_line(line: &[u8]) -> Result<(Version, StatusCode), &'static str> {
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::HTTP_11,
        Some(b"HTTP/1.0 ") => Version::HTTP_10,
        _ => return Err("not an answer of HTTP/1"),
    };
    let status = line.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
    Ok((version, status.ok_or(NO_STATUS)?))
}

/// Takes what a head says from its bytes, which end with it; `method` is the request's.
///
/// # Errors
/// What is wrong with it.
pub(in crate::proxy) fn parse(
    raw: Bytes,
    marks: HeadMarks,
    method: &Method,
) -> Result<ParsedResponse, &'static str> {
    let reason = marks.reason.map(|(start, end)| raw.slice(start..end));
    let fields = SentFields::new(raw, marks.lines);
    let head = AnswerHead::sent((marks.version, marks.status), reason, fields);
    let (body, is_delimited) = body(&head, method)?;
    let keeps = is_delimited && keeps(&head);
    Ok(ParsedResponse { head, body, keeps })
}

/// What follows a head (RFC 9112, 6.3), and whether it ends before the connection does.
fn body(head: &AnswerHead, method: &Method) -> Result<(BodyReader, bool), &'static str> {
    let status = head.status.as_u16();
    let length = content_length(head)?;
    if *method == Method::HEAD || status < 200 || matches!(status, 204 | 304) {
        return Ok((BodyReader::Done, true));
    }
    if head.has(&TRANSFER_ENCODING) {
        // What a length beside it means, others may read otherwise.
        return if length.is_none() {
            Ok((BodyReader::chunked(), true))
        } else {
            Err("a length and an encoding")
        };
    }
    Ok(match length {
        Some(length) => (BodyReader::length(length), true),
        None => (BodyReader::UntilClose, false),
    })
}

/// The length that a head says; repeated ones have to be equal.
///
/// # Errors
/// When it is none.
pub(in crate::proxy) fn content_length(head: &AnswerHead) -> Result<Option<u64>, &'static str> {
    const UNCLEAR: &str = "a length that is none";
    match head.first(&CONTENT_LENGTH) {
        None => return Ok(None),
        Some((only, true)) if !only.contains(&b',') => return length(only).map(Some).ok_or(UNCLEAR),
        Some(_) => {}
    }
    let values = head.values(&CONTENT_LENGTH);
    let mut lengths = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != first) {
        return Err(UNCLEAR);
    }
    length(first).map(Some).ok_or(UNCLEAR)
}

/// Whether a connection is kept after an answer (RFC 9112, 9.3).
fn keeps(head: &AnswerHead) -> bool {
    let is_new = head.version == Version::HTTP_11;
    let wanted: &[u8] = if is_new { b"close" } else { b"keep-alive" };
    match head.first(&CONNECTION) {
        None => return is_new,
        Some((b"keep-alive", true)) => return true,
        Some(_) => {}
    }
    let mut options = head.values(&CONNECTION).flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted)) != is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static [u8]) -> Result<ParsedResponse, &'static str> {
        let marks = read(text)?.ok_or("more to come")?;
        parse(Bytes::from_static(text), marks, &Method::GET)
    }

    #[test]
    fn a_head_says_what_follows_and_whether_the_connection_stays() {
        let told = |text| parsed(text).map(|parsed| (format!("{:?}", parsed.body), parsed.keeps));
        assert_eq!(told(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Ok(("Length(3)".into(), true)));
        assert_eq!(told(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(("UntilClose".into(), false)));
        assert_eq!(told(b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n"), Ok(("Done".into(), true)));
        assert_eq!(
            told(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: a, Close\r\n\r\n"),
            Ok(("Length(3)".into(), false))
        );
        assert_eq!(told(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), Ok(("Done".into(), false)));
        for wrong in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : 3\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: 3\r\n y\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
        ] {
            assert!(parsed(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn the_end_is_found_once_it_is_there() {
        let bytes = b"HTTP/1.1 200 Fine\r\nA: b\n\r\nbody";
        for cut in 0..bytes.len() - 4 {
            assert_eq!(read(&bytes[..cut]), Ok(None), "{cut}");
        }
        let marks = read(bytes).expect("sound").expect("an end");
        assert_eq!((marks.end, marks.reason), (bytes.len() - 4, Some((13, 17))));
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'x'; MOST_HEAD_BYTES]].concat();
        assert_eq!(read(&endless), Err("its head is too large"));
    }
}
