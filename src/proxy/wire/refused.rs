//! A head that is refused: what came of it, for the log, and the status that its client hears.

use super::asked::parts;
use http::Method;
use pingora_http::RequestHeader;

/// Bytes that are kept of it.
const MOST_TARGET_BYTES: usize = 8192;
const MOST_HOST_BYTES: usize = 300;

/// What is known of a refused head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct RefusedHead {
    pub status: u16,
    /// As far as there was one.
    pub method: Method,
    pub host: Vec<u8>,
    pub target: Vec<u8>,
}

impl RefusedHead {
    /// `came` is all that has come of the head.
    pub(in crate::proxy) fn new(status: u16, came: &[u8]) -> Self {
        let (method, target, host) = parts(came);
        let method = method.get(..method.len().min(32)).unwrap_or_default();
        let short =
            |bytes: &[u8], most: usize| bytes.get(..bytes.len().min(most)).unwrap_or_default().to_vec();
        RefusedHead {
            status,
            method: Method::from_bytes(method).or_else(|_| Method::from_bytes(b"-")).unwrap_or_default(),
            host: short(host, MOST_HOST_BYTES),
            target: short(target, MOST_TARGET_BYTES),
        }
    }

    /// A head that stands for it: an answer to HEAD has no body, whatever else was wrong.
    pub(in crate::proxy) fn stand_in(&self) -> Option<RequestHeader> {
        let method = if self.method == Method::HEAD { Method::HEAD } else { Method::GET };
        RequestHeader::build_no_case(method, b"/", None).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_known_whatever_it_was() {
        let refused = |method: &[u8], target: &[u8], host: &[u8]| RefusedHead {
            status: 400,
            method: Method::from_bytes(method).expect("a method"),
            host: host.to_vec(),
            target: target.to_vec(),
        };
        for (came, expected) in [
            (&b"GET /\x01 HTTP/1.1\r\nX: y\r\nhOst : a b\r\n\r\n"[..], refused(b"GET", b"/\x01", b"a b")),
            (b"\r\nGET /a b HTTP/3", refused(b"GET", b"/a b", b"")),
            (b"\x16\x03\x01", refused(b"-", b"\x16\x03\x01", b"")),
            (b"", refused(b"-", b"", b"")),
        ] {
            assert_eq!(RefusedHead::new(400, came), expected);
        }
        assert_eq!(RefusedHead::new(400, &[b'A'; 20_000]).target.len(), MOST_TARGET_BYTES);
        let head = RefusedHead::new(400, b"HEAD /x\0 HTTP/1.1\r\n").stand_in().expect("a head");
        assert_eq!(head.method, Method::HEAD, "an answer without a body");
    }
}
