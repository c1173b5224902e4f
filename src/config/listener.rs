//! `[[listeners]]`: the addresses that accept traffic, and what clients may do there.

use super::front::{TransposeOk, networks};
use super::loops::Surroundings;
use super::reader::{Item, Section};
use super::tls;
use crate::core::settings::{Acme, ClientField, Listener};
use http::{HeaderName, HeaderValue};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// `acme` is what `[acme]` says, `Some(None)` where it is faulty.
pub(super) fn listeners(
    root: &Section<'_>,
    acme: Option<Option<&Acme>>,
    surroundings: Surroundings,
) -> Vec<Listener> {
    let sections = root.tables("listeners");
    if sections.is_empty() {
        root.fault("there is no listener; add [[listeners]] with address = \":80\"");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (entry, section) in sections.iter().enumerate() {
        let Some((listener, addresses)) = listener(section, acme) else { continue };
        for address in addresses.into_iter().filter(|address| address.is_ipv4() || surroundings.has_ipv6()) {
            let taken = listeners.iter().any(|other| other.address == address && address.port() != 0);
            if taken {
                section.fault(&format!("{address} is listened on twice"));
            }
            listeners.push(Listener { address, entry, ..listener.clone() });
        }
    }
    listeners
}

fn listener(section: &Section<'_>, acme: Option<Option<&Acme>>) -> Option<(Listener, Vec<SocketAddr>)> {
    let addresses = section.need("address", "for example \":80\"", addresses);
    let tls = section.item("tls").map(|item| tls::of_listener(&item, acme));
    let hsts = section.item("hsts").and_then(|item| hsts(&item, tls.is_some()));
    let h2c = section.read("h2c", false, Item::bool);
    let timeouts = section.section("timeouts");
    let (header, body, write, keepalive) = (
        timeouts.duration("header", Duration::from_secs(10)),
        timeouts.duration("body", Duration::from_secs(60)),
        timeouts.duration("write", Duration::from_secs(60)),
        timeouts.duration("keepalive", Duration::from_secs(75)),
    );
    timeouts.finish();
    let limits = section.section("limits");
    let mut listener = Listener {
        address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        entry: 0,
        tls: None,
        hsts,
        h2c,
        underscores: section.read("underscores", false, Item::bool),
        header_timeout: header,
        body_timeout: body,
        write_timeout: write,
        keepalive,
        max_body: limits.read("body", 100 << 20, Item::size),
        body_rate: limits.read("body_rate", 1 << 10, Item::size),
        max_header_size: limits.read("header_size", 32 << 10, Item::size) as usize,
        max_headers: limits.read("headers", 100, |item| item.integer(1..=250)) as usize,
        requests_per_connection: limits.read("requests_per_connection", 1000, |i| i.integer(1..=1 << 31))
            as u32,
        max_streams: limits.read("streams", 32, |item| item.integer(1..=1000)) as u32,
        max_connections: limits.read("connections", 0, connections),
        connections_per_client: limits.read("connections_per_client", 0, connections),
        proxy_protocol: false,
        trusted_proxies: networks(section, "trusted_proxies"),
        client_field: client_field(section),
    };
    if let Some(item) = section.item("proxy_protocol") {
        listener.proxy_protocol = item.bool().unwrap_or_default();
        if listener.proxy_protocol && listener.trusted_proxies.is_empty() {
            item.fault("nobody could connect; name the balancers in trusted_proxies = [\"10.0.0.0/8\"]");
        }
    }
    limits.finish();
    section.finish();
    let addresses = addresses?;
    listener.tls = tls.transpose_ok()?;
    Some((listener, addresses))
}

/// `client_header` and `client_hops`.
fn client_field(section: &Section<'_>) -> ClientField {
    let known = ClientField::default();
    let items = ["client_header", "client_hops"].map(|key| section.item(key));
    if section.item("trusted_proxies").is_none() {
        let why =
            "is what trusted proxies say; name them in trusted_proxies = [\"10.0.0.0/8\"], or take it out";
        items.iter().flatten().for_each(|item| item.fault(why));
    }
    let [name, hops] = items;
    let field = |text: &str| {
        HeaderName::try_from(text)
            .map_err(|_| format!("\"{text}\" is no name of a field; write for example \"X-Real-IP\""))
    };
    ClientField {
        name: name.and_then(|item| item.parsed(field)).unwrap_or(known.name),
        hops: hops.and_then(|item| item.integer(1..=100)).map(|hops| hops as usize),
    }
}

pub(super) fn connections(item: &Item<'_>) -> Option<u32> {
    item.integer(0..=1_000_000).map(|count| count as u32)
}

/// Browsers ignore it without TLS, and must (RFC 6797); so it belongs to listeners with TLS only.
fn hsts(item: &Item<'_>, with_tls: bool) -> Option<HeaderValue> {
    if !with_tls {
        item.fault("is for listeners with tls: browsers ignore it in plain HTTP; take it away or add tls");
    }
    item.parsed(|text| {
        let is_age = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            name.trim().eq_ignore_ascii_case("max-age")
                && value.trim().trim_matches('"').parse::<u64>().is_ok()
        };
        let value = HeaderValue::from_str(text).ok().filter(|_| text.split(';').any(is_age));
        value.ok_or_else(|| {
            format!("\"{text}\" has no max-age; write \"max-age=31536000; includeSubDomains\"")
        })
    })
}

/// An address, or `":443"`: all addresses of the machine, those of IPv6 last.
pub(super) fn addresses(item: &Item<'_>) -> Option<Vec<SocketAddr>> {
    let wrong = |text: &str| {
        format!(
            "\"{text}\" is no address with a port; write \":80\" for all interfaces, 0.0.0.0:80 or [::]:80"
        )
    };
    item.parsed(|text| match text.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => {
            let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            Ok(all.map(|address| SocketAddr::new(address, port)).to_vec())
        }
        _ => text.parse().map(|address| vec![address]).map_err(|_| wrong(text)),
    })
}
