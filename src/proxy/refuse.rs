//! What a request may not be, whatever its route: too large, or open to two readings.
//!
//! Pingora itself refuses a malformed `Content-Length` and a `Transfer-Encoding` that does not end in
//! `chunked`; what it normalises where a refusal is safer, or lets pass, is refused here.

use crate::core::settings::Listener;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// Longest name of a host, with its port.
const LONGEST_HOST: usize = 255 + 6;

/// The status to refuse a request with. `path_bytes` is the length of its target as sent;
/// `connection_ends` is whether pingora gives up the connection after it.
pub(super) fn status(
    request: &Parts,
    path_bytes: usize,
    connection_ends: bool,
    limits: &Listener,
) -> Option<u16> {
    if request.method == Method::CONNECT {
        return Some(405);
    }
    let headers = &request.headers;
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > limits.max_headers || size + path_bytes > limits.max_header_size {
        return Some(431);
    }
    if !names_one_host(request) || has_two_lengths(request, connection_ends) {
        return Some(400);
    }
    None
}

/// HTTP/1.1 must name its host, nobody may name two, and a name is made of the letters of names.
fn names_one_host(request: &Parts) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version != Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

pub(super) fn is_host(bytes: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    !bytes.is_empty() && bytes.len() <= LONGEST_HOST && bytes.iter().all(legal)
}

/// `Content-Length` beside `Transfer-Encoding`: pingora has taken the first away by now, and ends the
/// connection though nobody asked it to. An encoding other than `chunked` alone is as bad.
fn has_two_lengths(request: &Parts, connection_ends: bool) -> bool {
    let mut encodings = request.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return false };
    let plain = encoding.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
    !plain || (connection_ends && request.version == Version::HTTP_11 && !asks_for_close(&request.headers))
}

fn asks_for_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names() {
        for host in ["a", "shop.example", "shop.example:8080", "[::1]:80", "a_b"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", "a b", "a,b", "a/b", "a@b", "a\u{e9}", "a?b"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
