//! The client that trusted proxies speak for, and the trace.

use crate::core::settings::ClientField;
use crate::core::trace::TraceContext;
use crate::proxy::headers::forward::{self, FORWARDED_FOR, join, written};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

const PEERS: [&str; 4] = ["10.0.0.1", "192.0.2.9", "::ffff:10.0.0.1", "2001:db8::1"];
const TRUSTED: [&[&str]; 4] =
    [&[], &["10.0.0.0/8"], &["10.0.0.0/8", "2001:db8::/32"], &["0.0.0.0/0", "::/0"]];

/// A byte for the peer, one for whom to trust, then lines of `X-Forwarded-For`, each read as a `traceparent`, too.
pub fn forwarded(data: &[u8]) {
    let [peer, trusted, lines @ ..] = data else { return };
    let (Some(peer), Some(nets)) =
        (PEERS.get(usize::from(*peer) % 4), TRUSTED.get(usize::from(*trusted) % 4))
    else {
        return;
    };
    let Ok(peer) = peer.parse::<IpAddr>() else { return };
    let trusted: Vec<IpNet> = nets.iter().filter_map(|net| net.parse().ok()).collect();
    let values: Vec<_> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let found = client(peer, &map(&values), &trusted);
    assert_eq!(found, walked(peer, &values, &trusted), "the last that is not trusted");
    a_client_cannot_choose(peer, &values, &trusted, found);
    values.iter().for_each(|value| a_trace_goes_on_as_one_that_is_legal(value.as_bytes()));
    the_next_proxy_agrees(peer, values, &trusted, found);
}

/// What goes on of a `traceparent` is one of the version that is known here, of the same trace and under another parent.
fn a_trace_goes_on_as_one_that_is_legal(sent: &[u8]) {
    let Some(trace) = TraceContext::go_on(sent, u64::MAX) else { return };
    assert_eq!((trace.text().len(), sent.get(3..35)), (55, Some(&trace.id()[..])));
    assert_eq!(trace.parent().map(|parent| &parent[..]), sent.get(36..52));
    let next = TraceContext::go_on(trace.text(), 0);
    let parent = next.as_ref().and_then(TraceContext::parent);
    assert_eq!(
        (next.map(|next| next.is_sampled()), parent),
        (Some(trace.is_sampled()), Some(&trace.span(1)))
    );
}

fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    forward::real_client(peer, headers, trusted, &ClientField::default()).address
}

fn map(values: &[HeaderValue]) -> HeaderMap {
    values.iter().map(|value| (FORWARDED_FOR, value.clone())).collect()
}

fn trusts(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The same by another way: all lines as one list, from its end. What cannot be read is nobody, and never a
/// trusted address.
fn walked(peer: IpAddr, values: &[HeaderValue], trusted: &[IpNet]) -> IpAddr {
    let list = values.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
    let mut client = peer.to_canonical();
    for part in list.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        if !trusts(trusted, client) {
            return client;
        }
        match std::str::from_utf8(part).ok().and_then(written) {
            Some(address) => client = address,
            None => return IpAddr::from([0, 0, 0, 0]),
        }
    }
    client
}

/// Whatever a client says of itself stands before what the first trusted proxy appends.
fn a_client_cannot_choose(peer: IpAddr, values: &[HeaderValue], trusted: &[IpNet], found: IpAddr) {
    if trusts(trusted, found) {
        return;
    }
    for said in [&b"10.6.6.6"[..], b"6.6.6.6, 10.0.0.1", b"\xff", b"\"", b",", b""] {
        let mut lines: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        if let Some(first) = lines.first_mut() {
            *first = [said, b", ", first].concat();
        }
        let forged: Vec<_> = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
        assert_eq!(client(peer, &map(&forged), trusted), found, "after {}", said.escape_ascii());
    }
}

/// The chain is continued so that a server that trusts this proxy as well sees the same client.
fn the_next_proxy_agrees(peer: IpAddr, values: Vec<HeaderValue>, trusted: &[IpNet], found: IpAddr) {
    if !trusts(trusted, peer.to_canonical()) || values.iter().all(HeaderValue::is_empty) {
        return;
    }
    let Ok(last) = HeaderValue::from_str(&peer.to_canonical().to_string()) else { return };
    let chain = join(values.iter(), &last);
    let me = IpAddr::from([127, 0, 0, 9]);
    let all = [trusted, &[IpNet::from(me)]].concat();
    assert_eq!(client(me, &map(&[chain]), &all), found, "the next proxy");
}
