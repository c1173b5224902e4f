//! The head of a request, from its bytes: parsed after [`Head`](super::head::Head) has let it pass.
//!
//! What the head's type cannot carry of a target is escaped in it for as long as the request is inside, and the
//! target that came is kept beside it.

use super::head::trim;
use super::refused::RefusedHead;
use super::spelling::Spelling;
use super::target;
use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Version};
use pingora_http::{RequestHeader, header_value_from_raw};

/// Fields that most heads have no more of.
pub(super) const USUAL_FIELDS: usize = 24;
/// Room for so many is made in any case, and for another one for so many bytes of a head.
const FEW_FIELDS: usize = 6;
const USUAL_BYTES: usize = 32;

/// A head, and what it was written like.
#[derive(Debug)]
pub(in crate::proxy) struct ParsedRequest {
    pub head: RequestHeader,
    pub spelling: Spelling,
    /// The path and the query that came, where other words stand for them in the head.
    pub target: Option<Box<[u8]>>,
}

/// Parses a whole head.
///
/// # Errors
/// What to refuse it as.
pub(in crate::proxy) fn parse(raw: &Bytes) -> Result<ParsedRequest, RefusedHead> {
    parsed(raw).map_err(|status| RefusedHead::new(status, raw))
}

fn parsed(raw: &Bytes) -> Result<ParsedRequest, u16> {
    let start = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).ok_or(400_u16)?;
    let mut lines = Lines { raw, at: start };
    let (line_start, line_end) = lines.next().ok_or(400_u16)?;
    let mut words = raw.get(line_start..line_end).unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(asked), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(400);
    };
    let method = Method::from_bytes(method).map_err(|_| 400_u16)?;
    let is_old = version == b"HTTP/1.0";
    let whole = target::whole_address(asked);
    let path = whole.map(|(_, rest)| target::path_of(rest, method.as_str().as_bytes()));
    let path = path.as_deref().unwrap_or(asked);
    let is_plain = target::is_carried(path);
    let carried = match (is_plain, whole) {
        (true, None) => raw.slice_ref(path),
        (true, Some(_)) => Bytes::copy_from_slice(path),
        (false, _) => Bytes::from(target::carried(path)),
    };
    if carried.len() > target::LONGEST {
        return Err(414);
    }
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = method;
    parts.uri = PathAndQuery::from_maybe_shared(carried).map_err(|_| 400_u16)?.into();
    parts.version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = HeaderMap::with_capacity((raw.len() / USUAL_BYTES).clamp(FEW_FIELDS, USUAL_FIELDS));
    for (start, end) in lines {
        field(raw, start, end, &mut parts.headers)?;
    }
    if let Some((host, _)) = whole {
        let has_one = parts.headers.contains_key(HOST);
        // HTTP/1.1 names its host in a field too (RFC 9112, 3.2).
        if !super::host::is_host(host) || !(is_old || has_one) {
            return Err(400);
        }
        let host = HeaderValue::from_bytes(host).map_err(|_| 400_u16)?;
        parts.headers.insert(HOST, host);
    }
    let head = RequestHeader::from(parts);
    let target = (!is_plain).then(|| path.into());
    Ok(ParsedRequest { head, spelling: Spelling::new(raw.clone()), target })
}

fn field(raw: &Bytes, start: usize, end: usize, fields: &mut HeaderMap) -> Result<(), u16> {
    let line = raw.get(start..end).unwrap_or_default();
    let colon = line.iter().position(|byte| *byte == b':').ok_or(400_u16)?;
    let name = line.get(..colon).unwrap_or_default();
    let value = trim(line.get(colon + 1..).unwrap_or_default());
    if super::asked::is_own(name) {
        return Ok(());
    }
    let name = HeaderName::from_bytes(name).map_err(|_| 400_u16)?;
    fields.try_append(name, header_value_from_raw(raw.slice_ref(value))).map(drop).map_err(|_| 431)
}

/// Where each line of a head begins and ends, without the empty one.
pub(super) struct Lines<'a> {
    pub(super) raw: &'a [u8],
    pub(super) at: usize,
}

impl Iterator for Lines<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let feed = memchr::memchr(b'\n', self.raw.get(start..)?)?;
        self.at = start + feed + 1;
        let end = if feed > 0 && self.raw.get(start + feed - 1) == Some(&b'\r') { feed - 1 } else { feed };
        (end > 0).then_some((start, start + end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &'static [u8]) -> ParsedRequest {
        parse(&Bytes::from_static(text)).expect("a head")
    }

    #[test]
    fn a_head_keeps_what_it_says() {
        let parsed =
            head(b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nx-A:  1 \r\nX-Pointsman-Asked: /forged\r\n\r\n");
        assert_eq!((parsed.head.raw_path(), parsed.head.version), (&b"/a?b"[..], Version::HTTP_11));
        assert_eq!(
            (parsed.head.headers.len(), &parsed.head.headers["x-a"]),
            (2, &HeaderValue::from_static("1"))
        );
        assert_eq!(parsed.target, None);
    }

    fn status(text: &str) -> Option<u16> {
        parse(&Bytes::from(text.to_owned())).err().map(|refused| refused.status)
    }

    #[test]
    fn a_whole_address_becomes_its_path_and_its_host() {
        for (target, path, host) in [
            ("http://b/x?y", "/x?y", "b"),
            ("HTTPS://B.example:8443", "/", "B.example:8443"),
            ("http://b?y", "/?y", "b"),
            ("http://[::1]:80/", "/", "[::1]:80"),
        ] {
            let text = format!("\r\nGET {target} HTTP/1.1\r\nX: y\r\nHost: a\r\nZ: \r\n\r\n");
            let parsed = parse(&Bytes::from(text)).expect("a head");
            assert_eq!(
                (parsed.head.raw_path(), parsed.head.headers[HOST].as_bytes()),
                (path.as_bytes(), host.as_bytes()),
                "{target}"
            );
            assert_eq!(parsed.head.headers.get_all(HOST).iter().count(), 1);
        }
        let parsed = head(b"OPTIONS http://b HTTP/1.0\r\n\r\n");
        assert_eq!((parsed.head.raw_path(), parsed.head.headers[HOST].as_bytes()), (&b"*"[..], &b"b"[..]));
        for target in ["http://", "http:///x", "http://u@b/", "http://b:99999/", "http://b\\c/"] {
            assert_eq!(status(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), Some(400), "{target}");
        }
        assert_eq!(status("GET http://b/ HTTP/1.1\r\n\r\n"), Some(400), "HTTP/1.1 without Host");
    }

    #[test]
    fn a_target_that_is_no_uri_is_kept_beside_it() {
        let parsed = head(b"GET /<\xff> HTTP/1.7\r\nHost: x\r\n\r\n");
        assert_eq!((parsed.head.raw_path(), parsed.head.version), (&b"/%3C%FF%3E"[..], Version::HTTP_11));
        assert_eq!(parsed.target.as_deref(), Some(&b"/<\xff>"[..]));
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "<".repeat(30_000))), Some(414));
    }
}
