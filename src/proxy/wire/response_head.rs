//! The head of an answer, from its bytes: strict where parsers differ from each other.
//!
//! An upstream is trusted more than a client, but not with the framing of what others get on the same
//! connection: what has two readings is malformed.

use super::body::BodyReader;
use super::head::{is_name, is_value, length, trim};
use super::request_head::{Lines, USUAL_FIELDS};
use super::spelling::Spelling;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora_http::{ResponseHeader, header_value_from_raw};

/// Largest head of an answer, in bytes.
pub(in crate::proxy) const MOST_HEAD_BYTES: usize = 64 << 10;

/// Most fields of one.
const MOST_FIELDS: usize = 256;

/// A head, and how it was written.
#[derive(Debug)]
pub(in crate::proxy) struct ParsedResponse {
    pub head: ResponseHeader,
    pub spelling: Spelling,
    /// What follows it.
    pub body: BodyReader,
    /// Whether the connection can serve another request after it.
    pub keeps: bool,
}

/// Where a head ends among these bytes, of which the first `seen` hold no end.
///
/// # Errors
/// When it is too large.
pub(in crate::proxy) fn end(bytes: &[u8], seen: &mut usize) -> Result<Option<usize>, &'static str> {
    loop {
        let Some(feed) = bytes.get(*seen..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
            // A line feed may stand behind what was seen: the line itself is looked at again.
            return if bytes.len() > MOST_HEAD_BYTES { Err("its head is too large") } else { Ok(None) };
        };
        let line = bytes.get(*seen..*seen + feed).unwrap_or_default();
        *seen += feed + 1;
        if line.is_empty() || line == b"\r" {
            return Ok(Some(*seen));
        }
    }
}

/// Parses a whole head; `method` is the request's.
///
/// # Errors
/// What is wrong with it.
pub(in crate::proxy) fn parse(raw: &Bytes, method: &Method) -> Result<ParsedResponse, &'static str> {
    let mut lines = Lines { raw, at: 0 };
    let (start, end) = lines.next().ok_or("no status line")?;
    let mut fields = HeaderMap::with_capacity(USUAL_FIELDS);
    for (count, (start, end)) in lines.enumerate() {
        if count >= MOST_FIELDS {
            return Err("it has too many header fields");
        }
        field(raw, start, end, &mut fields)?;
    }
    let head = status_line(raw.get(start..end).unwrap_or_default(), fields)?;
    let (body, is_delimited) = body(&head, method)?;
    let keeps = is_delimited && keeps(&head.headers, head.version);
    Ok(ParsedResponse { head, spelling: Spelling::new(raw.clone()), body, keeps })
}

fn status_line(line: &[u8], fields: HeaderMap) -> Result<ResponseHeader, &'static str> {
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::HTTP_11,
        Some(b"HTTP/1.0 ") => Version::HTTP_10,
        _ => return Err("not an answer of HTTP/1"),
    };
    let digits = line.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    let status = status.filter(|status| *status >= 100).ok_or("a status that is none")?;
    let reason = match line.get(12..) {
        None | Some([]) => b"",
        Some([b' ', reason @ ..]) if is_value(reason) => reason,
        Some(_) => return Err("a status that is none"),
    };
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).map_err(|_| "a status that is none")?;
    (parts.version, parts.headers) = (version, fields);
    let mut head = ResponseHeader::from(parts);
    if head.status.canonical_reason().is_none_or(|usual| usual.as_bytes() != reason)
        && let Ok(reason) = std::str::from_utf8(reason)
    {
        // Only what is no text cannot be kept.
        let _ = head.set_reason_phrase(Some(reason));
    }
    Ok(head)
}

fn field(raw: &Bytes, start: usize, end: usize, fields: &mut HeaderMap) -> Result<(), &'static str> {
    const MALFORMED: &str = "a malformed header field";
    let line = raw.get(start..end).unwrap_or_default();
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err("a folded header field");
    }
    let colon = memchr::memchr(b':', line).ok_or(MALFORMED)?;
    let name = line.get(..colon).unwrap_or_default();
    let value = trim(line.get(colon + 1..).unwrap_or_default());
    if !is_name(name) || !is_value(value) {
        return Err(MALFORMED);
    }
    let name = HeaderName::from_bytes(name).map_err(|_| MALFORMED)?;
    fields.try_append(name, header_value_from_raw(raw.slice_ref(value))).map(drop).map_err(|_| MALFORMED)
}

/// What follows a head (RFC 9112, 6.3), and whether it ends before the connection does.
fn body(head: &ResponseHeader, method: &Method) -> Result<(BodyReader, bool), &'static str> {
    let status = head.status.as_u16();
    let length = content_length(&head.headers)?;
    if *method == Method::HEAD || status < 200 || matches!(status, 204 | 304) {
        return Ok((BodyReader::Done, true));
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
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
pub(in crate::proxy) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    const UNCLEAR: &str = "a length that is none";
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != first) {
        return Err(UNCLEAR);
    }
    length(first).map(Some).ok_or(UNCLEAR)
}

/// Whether a connection is kept after an answer (RFC 9112, 9.3).
fn keeps(headers: &HeaderMap, version: Version) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let wanted: &[u8] = if version == Version::HTTP_11 { b"close" } else { b"keep-alive" };
    let is_said = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted));
    is_said != (version == Version::HTTP_11)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static [u8]) -> Result<ParsedResponse, &'static str> {
        parse(&Bytes::from_static(text), &Method::GET)
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
    fn the_end_is_found_wherever_the_pieces_break() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody";
        for cut in 0..bytes.len() {
            let mut seen = 0;
            let first = end(&bytes[..cut], &mut seen);
            let found = if let Ok(Some(found)) = first {
                found
            } else {
                end(bytes, &mut seen).expect("small").expect("an end")
            };
            assert_eq!(found, bytes.len() - 4, "{cut}");
        }
    }
}
