//! What the upstream is told of the client: `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `X-Real-IP`,
//! `X-Request-Id`.
//!
//! What a client says of itself is replaced. What a trusted proxy says is believed: its
//! `X-Forwarded-For` is continued, its proto, host, port and request id are kept.

use super::plan;
use super::request::Request;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use pingora_error::{ErrorType::InternalError, OrErr, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::io::Write;
use std::net::IpAddr;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's address: the peer's, or, where the peer is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not one.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut client = peer;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        // By bytes: what a client put before them never hides the addresses that proxies appended.
        for part in value.as_bytes().rsplit(|byte| *byte == b',') {
            let text = std::str::from_utf8(part.trim_ascii()).unwrap_or_default();
            let Ok(address) = text.parse::<IpAddr>() else { return client };
            client = address.to_canonical();
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// What the request is called: by a trusted proxy, or else by this one.
pub(super) fn request_id<'a>(headers: &'a HeaderMap, request: &'a Request) -> &'a [u8] {
    let given = headers.get(REQUEST_ID).filter(|_| request.believed);
    given.map_or(&request.own_id[..], HeaderValue::as_bytes)
}

/// Whether what the peer says of a client counts.
pub(super) fn is_believed(peer: IpAddr, trusted: &[IpNet]) -> bool {
    is_trusted(peer.to_canonical(), trusted)
}

/// Sets the headers on the request to the upstream.
///
/// # Errors
/// None in practice: every value is made of legal bytes.
pub(super) fn set(session: &Session, upstream: &mut RequestHeader, request: &Request) -> Result<()> {
    let believed = request.believed;
    let peer =
        session.client_addr().and_then(|a| a.as_inet()).map_or(request.client, |a| a.ip().to_canonical());
    let peer_value = address_value(peer);
    let before = upstream.headers.get_all(FORWARDED_FOR).iter().any(|v| !v.is_empty());
    if believed && before {
        let chain = join(upstream.headers.get_all(FORWARDED_FOR).iter(), &peer_value);
        upstream.insert_header(FORWARDED_FOR, chain)?;
    } else {
        upstream.insert_header(FORWARDED_FOR, peer_value.clone())?;
    }
    let real = if request.client == peer { peer_value } else { address_value(request.client) };
    upstream.insert_header(REAL_IP, real)?;
    if !(believed && upstream.headers.contains_key(FORWARDED_PROTO)) {
        let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        upstream
            .insert_header(FORWARDED_PROTO, HeaderValue::from_static(if tls { "https" } else { "http" }))?;
    }
    if !(believed && upstream.headers.contains_key(FORWARDED_HOST)) {
        match HeaderValue::from_str(plan::host(session.req_header())) {
            Ok(host) => upstream.insert_header(FORWARDED_HOST, host)?,
            Err(_) => drop(upstream.remove_header(&FORWARDED_HOST)),
        }
    }
    if !(believed && upstream.headers.contains_key(FORWARDED_PORT)) {
        match request.listener.as_ref().map(|listener| listener.address.port()) {
            Some(port) => upstream.insert_header(FORWARDED_PORT, HeaderValue::from(port))?,
            None => drop(upstream.remove_header(&FORWARDED_PORT)),
        }
    }
    if !(believed && upstream.headers.contains_key(REQUEST_ID)) {
        upstream.insert_header(
            REQUEST_ID,
            HeaderValue::from_bytes(&request.own_id).or_err(InternalError, "id")?,
        )?;
    }
    Ok(())
}

/// An address as a header value, written without a `String` of its own.
fn address_value(address: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(46);
    // Writing to a Vec cannot fail.
    let _ = write!(text, "{address}");
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(HeaderValue::from_static("unknown"))
}

pub(super) fn join<'a>(values: impl Iterator<Item = &'a HeaderValue>, last: &HeaderValue) -> HeaderValue {
    let mut all = Vec::with_capacity(128);
    for value in values {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(all)).unwrap_or_else(|_| last.clone())
}

/// 128 random bits as 32 hexadecimal digits.
pub(super) fn id_of(high: u64, low: u64) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = (u128::from(high) << 64) | u128::from(low);
    std::array::from_fn(|n| DIGITS[(bits >> ((31 - n) * 4)) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(FORWARDED_FOR, HeaderValue::from_bytes(text.as_bytes()).expect("a value"))])
    }

    #[test]
    fn the_client_is_the_last_untrusted_address() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let cases = [
            ("192.0.2.9", "203.0.113.7", "192.0.2.9"),
            ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("10.0.0.1", "garbage, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "203.0.113.7, garbage", "10.0.0.1"),
            ("10.0.0.1", "\u{e4}, 203.0.113.7", "203.0.113.7"),
            ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ];
        for (peer, header, expected) in cases {
            assert_eq!(client(ip(peer), &chain(header), &trusted), ip(expected), "{peer} with {header}");
        }
        assert_eq!(client(ip("10.0.0.1"), &HeaderMap::new(), &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn values_are_as_expected() {
        assert_eq!(address_value(IpAddr::from([127, 0, 0, 1])), "127.0.0.1");
        assert_eq!(&id_of(0xab, 1), b"00000000000000ab0000000000000001");
    }
}
