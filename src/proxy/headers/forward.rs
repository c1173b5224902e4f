//! What the upstream learns of the client: `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `X-Real-IP`,
//! `X-Request-Id`.
//!
//! What a client says of itself is replaced. What a trusted proxy says is believed: its
//! `X-Forwarded-For` is continued, its proto, host, port and request id are kept. A route or a pool may choose
//! otherwise ([`Forwarded`]).

use crate::core::hex;
use crate::core::settings::{ClientField, Forwarded, ForwardedField};
use crate::proxy::exchange::Request;
use crate::proxy::listen::trusted::is_trusted;
use crate::proxy::wire::changes::{Changes, FieldName, FieldValue};
use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(in crate::proxy) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const WRITTEN_FOR: FieldName = FieldName::written(FORWARDED_FOR, "X-Forwarded-For");
const FORWARDED_PROTO: FieldName =
    FieldName::written(HeaderName::from_static("x-forwarded-proto"), "X-Forwarded-Proto");
const FORWARDED_HOST: FieldName =
    FieldName::written(HeaderName::from_static("x-forwarded-host"), "X-Forwarded-Host");
const FORWARDED_PORT: FieldName =
    FieldName::written(HeaderName::from_static("x-forwarded-port"), "X-Forwarded-Port");
const REAL_IP: FieldName = FieldName::written(HeaderName::from_static("x-real-ip"), "X-Real-IP");
const REQUEST_ID: FieldName = FieldName::written(HeaderName::from_static("x-request-id"), "X-Request-Id");

/// Who the client is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct RealClient {
    /// The unspecified one where a trusted proxy named a client that cannot be read: that is nobody's, so that
    /// no list of addresses lets it in, and it is never the proxy's own.
    pub address: IpAddr,
    /// Whether the trusted proxy that sent the request names nobody that can be read.
    pub is_nameless: bool,
}

const UNKNOWN: RealClient = RealClient { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), is_nameless: true };

/// The client: the peer, or, where the peer is a trusted proxy, the last address in its field that is not one, as far
/// as it is believed.
pub(in crate::proxy) fn real_client(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
    field: &ClientField,
) -> RealClient {
    let peer = peer.to_canonical();
    let is_nameless = is_trusted(peer, trusted);
    let mut client = RealClient { address: peer, is_nameless };
    if !is_nameless {
        return client;
    }
    let mut left = field.hops.unwrap_or(usize::MAX);
    for value in headers.get_all(&field.name).iter().rev() {
        // By bytes: what a client put before them never hides the addresses that proxies appended.
        for part in value.as_bytes().rsplit(|byte| *byte == b',') {
            let text = std::str::from_utf8(part.trim_ascii());
            if text.is_ok_and(str::is_empty) {
                continue;
            }
            let Some(address) = text.ok().and_then(written) else { return UNKNOWN };
            client = RealClient { address, is_nameless: false };
            left = left.saturating_sub(1);
            if left == 0 || !is_trusted(address, trusted) {
                return client;
            }
        }
    }
    client
}

/// An address in any of the forms that proxies write: with a port, in brackets, in quotes, with a zone, or as a
/// node of `Forwarded` (RFC 7239, 6). `None` for names, `unknown` and the like.
pub(in crate::proxy) fn written(text: &str) -> Option<IpAddr> {
    let mut node = text;
    if text.contains('=') {
        let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        node = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?.1.trim();
    }
    if let Some(quoted) = node.strip_prefix('"') {
        node = quoted.strip_suffix('"')?.trim();
    }
    let address = match node.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            if !port.is_empty() {
                is_port(port.strip_prefix(':')?).then_some(())?;
            }
            without_zone(address).parse::<Ipv6Addr>().ok()?.into()
        }
        None => without_zone(node).parse::<IpAddr>().ok().or_else(|| {
            let (address, _) = node.rsplit_once(':').filter(|(_, port)| is_port(port))?;
            without_zone(address).parse().ok()
        })?,
    };
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// Empty, as `1.2.3.4:`, is none.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn without_zone(address: &str) -> &str {
    address.split_once('%').map_or(address, |(address, _)| address)
}

/// Whether what the peer says of a client counts.
pub(in crate::proxy) fn is_believed(peer: IpAddr, trusted: &[IpNet]) -> bool {
    is_trusted(peer.to_canonical(), trusted)
}

/// Says to the upstream who the client is.
pub(in crate::proxy) fn set<'a>(changes: &mut Changes<'a>, request: &'a Request, mode: Forwarded) {
    let believed = request.inbound.believed;
    let is_told = |changes: &Changes<'_>, name: &FieldName| believed && changes.has(name.name());
    if !is_told(changes, &REQUEST_ID) {
        changes.set(REQUEST_ID, FieldValue::Lent(&request.inbound.own_id));
    }
    set_chain(changes, request, mode.chain);
    let listener = &request.inbound.listener;
    let said = |changes: &mut Changes<'a>, name: FieldName, field, value: Option<FieldValue<'a>>| match field
    {
        ForwardedField::Keep => {}
        ForwardedField::Trusted | ForwardedField::Append if is_told(changes, &name) => {}
        ForwardedField::Off => changes.remove(name.name()),
        _ => match value {
            Some(value) => changes.set(name, value),
            None => changes.remove(name.name()),
        },
    };
    said(changes, FORWARDED_PROTO, mode.proto, Some(listener.scheme().into()));
    let host = Some(request.host()).filter(|host| !host.is_empty());
    said(changes, FORWARDED_HOST, mode.host, host.map(|host| FieldValue::Lent(host.as_bytes())));
    said(changes, FORWARDED_PORT, mode.port, Some(FieldValue::Lent(listener.port_text.as_bytes())));
    match (mode.real_ip, client(request)) {
        (ForwardedField::Keep, _) => {}
        (ForwardedField::Off, _) | (_, None) => changes.remove(REAL_IP.name()),
        (_, Some(client)) => changes.set(REAL_IP, client),
    }
}

/// The address of the client, where it is known. Of most requests it is the peer.
fn client(request: &Request) -> Option<FieldValue<'_>> {
    let client = Some(request.inbound.client).filter(|client| !client.is_unspecified())?;
    Some(match client == request.inbound.peer.to_canonical() {
        true => FieldValue::Lent(request.inbound.peer_text.as_bytes()),
        false => address_value(client).into(),
    })
}

/// `X-Forwarded-For`.
fn set_chain<'a>(changes: &mut Changes<'a>, request: &'a Request, mode: ForwardedField) {
    let peer = &request.inbound.peer_text;
    let continues = match mode {
        ForwardedField::Keep => return,
        ForwardedField::Off => {
            changes.remove(WRITTEN_FOR.name());
            return changes.remove(&FORWARDED);
        }
        ForwardedField::Trusted => request.inbound.believed,
        ForwardedField::Append => true,
        ForwardedField::Replace => false,
    };
    let before = continues.then(|| changes.sent().get_all(FORWARDED_FOR));
    let one = if let Some(before) = before.filter(|before| before.iter().any(|v| !v.is_empty())) {
        join(before.iter(), peer).into()
    } else if mode == ForwardedField::Replace {
        // Not the proxy's own, which would be taken for a client's.
        client(request).unwrap_or_else(|| "unknown".into())
    } else {
        FieldValue::Lent(peer.as_bytes())
    };
    changes.set(WRITTEN_FOR, one);
}

/// An address as a header value, written without a `String` of its own.
pub(in crate::proxy) fn address_value(address: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(46);
    match address {
        IpAddr::V4(address) => write_v4(address, &mut text),
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Every connection has one: by hand it costs a tenth.
fn write_v4(address: Ipv4Addr, out: &mut Vec<u8>) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

pub(in crate::proxy) fn join<'a>(
    values: impl Iterator<Item = &'a HeaderValue>,
    last: &HeaderValue,
) -> HeaderValue {
    let mut all = Vec::with_capacity(128);
    for value in values {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(all)).unwrap_or_else(|_| last.clone())
}

/// 128 random bits as 32 hexadecimal digits.
pub(in crate::proxy) fn id_of(high: u64, low: u64) -> [u8; 32] {
    let mut id = [b'0'; 32];
    let (first, last) = id.split_at_mut(16);
    first.copy_from_slice(&hex::digits(high));
    last.copy_from_slice(&hex::digits(low));
    id
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
            ("10.0.0.1", "203.0.113.7, garbage", "0.0.0.0"),
            ("10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", "0.0.0.0"),
            ("10.0.0.1", "203.0.113.7, 0.0.0.0", "0.0.0.0"),
            ("10.0.0.1", "203.0.113.7:51234", "203.0.113.7"),
            ("10.0.0.1", "6.6.6.6, 203.0.113.7 , , 10.0.0.2:80,", "203.0.113.7"),
            ("10.0.0.1", "[2001:db8::7]:443, 10.0.0.2", "2001:db8::7"),
            ("10.0.0.1", "for=\"[2001:db8::7]:443\"; proto=https", "2001:db8::7"),
            ("10.0.0.1", "203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"),
            ("10.0.0.1", " , ,", "10.0.0.1"),
            ("10.0.0.1", "\u{e4}, 203.0.113.7", "203.0.113.7"),
            ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ];
        for (peer, header, expected) in cases {
            assert_eq!(
                real_client(ip(peer), &chain(header), &trusted, &ClientField::default()).address,
                ip(expected),
                "{peer} with {header}"
            );
        }
        let unnamed = RealClient { address: ip("10.0.0.1"), is_nameless: true };
        let client = |peer: &str, headers: &HeaderMap| {
            real_client(ip(peer), headers, &trusted, &ClientField::default())
        };
        assert_eq!(client("10.0.0.1", &HeaderMap::new()), unnamed);
        assert!(!client("10.0.0.1", &chain("10.0.0.3")).is_nameless);
        assert!(client("10.0.0.1", &chain("_hidden")).is_nameless);
        assert!(!client("192.0.2.9", &chain("_hidden")).is_nameless);
    }

    #[test]
    fn a_listener_says_which_field_and_how_much_of_it_counts() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let name = HeaderName::from_static("cf-connecting-ip");
        let mut headers = chain("6.6.6.6");
        headers.append(name.clone(), HeaderValue::from_static("203.0.113.7, 10.0.0.2, 10.0.0.3"));
        let client = |hops| {
            let field = ClientField { name: name.clone(), hops };
            real_client([10, 0, 0, 1].into(), &headers, &trusted, &field).address
        };
        for (hops, expected) in [
            (None, [203, 0, 113, 7]),
            (Some(1), [10, 0, 0, 3]),
            (Some(2), [10, 0, 0, 2]),
            (Some(9), [203, 0, 113, 7]),
        ] {
            assert_eq!(client(hops), IpAddr::from(expected), "{hops:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:51234",
            "203.0.113.7:",
            "\"203.0.113.7\"",
            "\"203.0.113.7:51234\"",
            "for=203.0.113.7",
            "For=\"203.0.113.7:51234\";proto=https;by=10.0.0.1",
            "proto=https; for=203.0.113.7",
            "::ffff:203.0.113.7",
            "::ffff:203.0.113.7:443",
            "[::ffff:203.0.113.7]:443",
        ] {
            assert_eq!(written(text), Some([203, 0, 113, 7].into()), "{text}");
        }
        for text in
            ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443", "2001:db8::7%eth0", "\"[2001:db8::7]\""]
        {
            assert_eq!(written(text), "2001:db8::7".parse().ok(), "{text}");
        }
        for text in [
            "unknown",
            "_hidden",
            "-",
            "localhost",
            "203.0.113",
            "203.0.113.7:99999",
            "203.0.113.7:http",
            "203.0.113.07",
            "203.0.113.7 203.0.113.8",
            "[203.0.113.7]",
            "[2001:db8::7",
            "[2001:db8::7]443",
            "\"203.0.113.7",
            "by=203.0.113.7",
            "for=",
            "for=unknown",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "=",
            "",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_as_expected() {
        assert_eq!(address_value(IpAddr::from([127, 0, 0, 1])), "127.0.0.1");
        assert_eq!(&id_of(0xab, 1), b"00000000000000ab0000000000000001");
    }
}
