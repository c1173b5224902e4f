//! What a request may not be, whatever its route and its protocol: too large, or unclear in whom it asks.
//!
//! How the bytes of an HTTP/1 request may look is settled before, by [`head`](crate::proxy::wire::head).

use crate::core::settings::Listener;
use crate::proxy::headers::hop_by_hop;
use crate::proxy::wire::host::is_host;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// The status to refuse a request with. `target` is the target as sent.
pub(in crate::proxy) fn status(request: &Parts, target: &[u8], limits: &Listener) -> Option<u16> {
    // A tunnel, and a look at what others have added on the way (RFC 9110, 9.3.8): neither is for strangers.
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Some(405);
    }
    let fields = Fields::of(&request.headers);
    if request.headers.len() > limits.max_headers || fields.size + target.len() > limits.max_header_size {
        return Some(431);
    }
    if fields.is_nominating && !hop_by_hop::is_sound(&request.headers)
        || !names_one_host(request, &fields)
        || !fields.has_one_length
        || !is_target(request, target)
    {
        return Some(400);
    }
    (!fields.expects_only_continue).then_some(417)
}

/// What a request's fields say, looked at once.
struct Fields<'a> {
    /// Bytes of all of them.
    size: usize,
    /// One of the hosts, and how many there are.
    host: &'a [u8],
    hosts: usize,
    /// Whether there is a `Connection`.
    is_nominating: bool,
    /// Who sends two lengths, however equal, means something else than one; in HTTP/1 they got no further than
    /// [`head`](crate::proxy::wire::head).
    has_one_length: bool,
    /// `100-continue` is the only expectation there is (RFC 9110, 10.1.1).
    expects_only_continue: bool,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Fields {
            size: 0,
            host: b"",
            hosts: 0,
            is_nominating: false,
            has_one_length: true,
            expects_only_continue: true,
        };
        let mut lengths = 0;
        for (name, value) in headers {
            fields.size += name.as_str().len() + value.len() + 4;
            if *name == HOST {
                (fields.host, fields.hosts) = (value.as_bytes(), fields.hosts + 1);
            } else if *name == CONTENT_LENGTH {
                lengths += 1;
                fields.has_one_length = lengths == 1 && value.as_bytes().iter().all(u8::is_ascii_digit);
            } else if *name == CONNECTION {
                fields.is_nominating = true;
            } else if *name == EXPECT {
                fields.expects_only_continue &= value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            }
        }
        fields
    }
}

/// A path, or `*` for OPTIONS. HTTP/1 has other forms too, which were looked at with its head.
fn is_target(request: &Parts, target: &[u8]) -> bool {
    request.version != Version::HTTP_2
        || target.starts_with(b"/")
        || (target == b"*" && request.method == Method::OPTIONS)
}

/// HTTP/1.1 must name its host, nobody may name two, and a name is made of the letters of names.
fn names_one_host(request: &Parts, fields: &Fields<'_>) -> bool {
    if request.uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return false;
    }
    match fields.hosts {
        0 => request.version != Version::HTTP_11,
        1 => is_host(fields.host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names() {
        for host in
            ["a", "shop.example", "shop.example:8080", "[::1]:80", "a_b", "a.", "[::1]", "10.0.0.1:65535"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", "a b", "a,b", "a/b", "a@b", "a\u{e9}", "a?b", "[", "[]", "::1", "a:", "a:0", "a:99999",
            "a:80:90",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
