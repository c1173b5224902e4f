//! What a request may not be, whatever its route and its protocol: too large, or unclear in whom it asks.
//!
//! How the bytes of an HTTP/1 request may look is settled before, by [`head`](crate::proxy::wire::head).

use crate::core::settings::Listener;
use crate::proxy::headers::hop_by_hop;
use crate::proxy::wire::host::is_host;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// The status to refuse a request with. `target` is the target as sent.
pub(in crate::proxy) fn status(request: &Parts, target: &[u8], limits: &Listener) -> Option<u16> {
    // A tunnel, and a look at what others have added on the way (RFC 9110, 9.3.8): neither is for strangers.
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Some(405);
    }
    let headers = &request.headers;
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > limits.max_headers || size + target.len() > limits.max_header_size {
        return Some(431);
    }
    if !hop_by_hop::is_sound(headers)
        || !names_one_host(request)
        || !has_one_length(headers)
        || !is_target(request, target)
    {
        return Some(400);
    }
    (!expects_only_continue(&request.headers)).then_some(417)
}

/// Who sends two lengths, however equal, means something else than one; in HTTP/1 they got no further than
/// [`head`](crate::proxy::wire::head).
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(one), None) => one.as_bytes().iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// A path, or `*` for OPTIONS. HTTP/1 has other forms too, which were looked at with its head.
fn is_target(request: &Parts, target: &[u8]) -> bool {
    request.version != Version::HTTP_2
        || target.starts_with(b"/")
        || (target == b"*" && request.method == Method::OPTIONS)
}

/// HTTP/1.1 must name its host, nobody may name two, and a name is made of the letters of names.
fn names_one_host(request: &Parts) -> bool {
    if request.uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return false;
    }
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version != Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// `100-continue` is the only expectation there is (RFC 9110, 10.1.1).
fn expects_only_continue(headers: &HeaderMap) -> bool {
    headers.get_all(EXPECT).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
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
