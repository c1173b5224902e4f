//! `health` of a pool: the active check of its upstreams.
//!
//! A pool that says nothing has one, too: whether its upstreams accept connections. It holds nothing against an
//! upstream before it has failed several times in a row, so that a pool serves as it would without. There may be
//! thousands of upstreams that nobody asked to have checked; their checks come in turn then, so that they cost little.

use super::headers;
use super::reader::{Item, Section};
use super::request;
use crate::core::settings::{CheckKind, GrpcCheck, Health, HttpCheck, Service, Upstream};
use crate::core::upstream_address::UpstreamAddress;
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Checks that nobody has asked for, a second, over all upstreams.
const DEFAULT_CHECKS_PER_SECOND: u32 = 50;
/// The longest time between two of them.
const LONGEST_INTERVAL: Duration = Duration::from_secs(128);
/// How long a connection may take to be accepted by default: as long as for requests, within these bounds.
const DEFAULT_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What the check of a pool depends on.
pub(super) struct Checked<'a> {
    pub upstreams: &'a [Upstream],
    pub http2: bool,
    pub tls: bool,
    pub connect_timeout: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Grpc,
    Connect,
}

const KINDS: [(&str, Kind); 3] = [("http", Kind::Http), ("grpc", Kind::Grpc), ("connect", Kind::Connect)];

/// The keys that not every type has, and the types that have them.
const KEYS: [(&str, &[Kind]); 8] = [
    ("path", &[Kind::Http]),
    ("method", &[Kind::Http]),
    ("expect", &[Kind::Http]),
    ("match", &[Kind::Http]),
    ("http2", &[Kind::Http]),
    ("host", &[Kind::Http, Kind::Grpc]),
    ("headers", &[Kind::Http, Kind::Grpc]),
    ("service", &[Kind::Grpc]),
];

/// A table, `false` for no check, or nothing for the default.
pub(super) fn of_pool(pool: &Section<'_>, checked: &Checked<'_>) -> Option<Health> {
    match pool.item("health") {
        None => Some(by_default(checked)),
        Some(item) if item.is_bool() => {
            if item.bool()? {
                item.fault(
                    "does not say what is asked; write { path = \"/health\" } or { type = \"connect\" }",
                );
            }
            None
        }
        Some(item) => table(&item.section()?, checked),
    }
}

fn by_default(checked: &Checked<'_>) -> Health {
    let (shortest, longest) = DEFAULT_TIMEOUT;
    let timeout = checked.connect_timeout.clamp(shortest, longest);
    Health { timeout, is_default: true, ..Health::connect(checked.http2) }
}

fn table(section: &Section<'_>, checked: &Checked<'_>) -> Option<Health> {
    let kind = section.item("type").map_or(Some(Kind::Http), |item| item.choice(&KINDS));
    refuse_unfit(section, kind);
    let http2 = section.read("http2", checked.http2, Item::bool);
    let health = Health {
        port: port(section, checked.upstreams),
        http2: http2 || kind == Some(Kind::Grpc),
        tls: tls(section, checked.tls),
        interval: section.duration("interval", Duration::from_secs(2)),
        timeout: section.duration("timeout", Duration::from_secs(1)),
        rise: section.read("rise", 2, request::count),
        fall: section.read("fall", 3, request::count),
        ..Health::connect(http2)
    };
    let kind = match kind {
        Some(Kind::Http) => http(section).map(CheckKind::Http),
        Some(Kind::Grpc) => Some(CheckKind::Grpc(grpc(section))),
        Some(Kind::Connect) => Some(CheckKind::Connect),
        None => None,
    };
    section.finish();
    Some(Health { kind: kind?, ..health })
}

/// Refuses keys that say nothing to a check of this type.
fn refuse_unfit(section: &Section<'_>, kind: Option<Kind>) {
    for (key, fit) in KEYS {
        let (Some(item), Some(kind)) = (section.item(key), kind.filter(|kind| !fit.contains(kind))) else {
            continue;
        };
        let other = fit.first().map_or("http", |fit| label(*fit));
        let why = match (key, kind) {
            ("http2", Kind::Grpc) => "which is HTTP/2 always; take it out".to_owned(),
            (_, Kind::Grpc) => {
                format!("which asks grpc.health.v1.Health/Check; take it out, or write type = \"{other}\"")
            }
            (_, Kind::Connect) => {
                format!("which asks for a connection alone; take it out, or write type = \"{other}\"")
            }
            (_, Kind::Http) => format!("write type = \"{other}\" with it"),
        };
        item.fault(&format!("has no effect with type = \"{}\", {why}", label(kind)));
    }
}

fn label(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, one)| *one == kind).map_or("http", |(label, _)| label)
}

fn http(section: &Section<'_>) -> Option<HttpCheck> {
    let remedy = "for example \"/health\"; or write type = \"connect\", which asks for a connection alone";
    let path = section.need("path", remedy, |item| item.parsed(request::path));
    let method = request::method(section, Method::GET);
    let matches = request::pattern(section, &method);
    let (host, headers) = (request::host(section), headers::of_own_requests(section));
    let expect = request::expected(section);
    Some(HttpCheck { method, path: path?, host, headers, expect, matches })
}

fn grpc(section: &Section<'_>) -> GrpcCheck {
    let service = section.read("service", String::new(), Item::string);
    GrpcCheck { service, host: request::host(section), headers: headers::of_own_requests(section) }
}

fn port(section: &Section<'_>, upstreams: &[Upstream]) -> Option<u16> {
    let item = section.item("port")?;
    let socket = upstreams.iter().find(|upstream| UpstreamAddress::is_path(&upstream.address));
    if let Some(socket) = socket {
        item.fault(&format!(
            "{} is a socket in the file system, which has no port; take it out",
            socket.address
        ));
    }
    item.integer(1..=u64::from(u16::MAX)).map(|port| port as u16)
}

fn tls(section: &Section<'_>, of_pool: bool) -> bool {
    let item = section.item("tls");
    let wanted = item.as_ref().and_then(Item::bool);
    if let (Some(item), Some(true), false) = (&item, wanted, of_pool) {
        item.fault("has no effect in a pool without tls; set tls of the pool, or take it out");
    }
    wanted.unwrap_or(true)
}

/// Makes the checks that nobody has asked for less often where there are many upstreams. The time doubles, so that
/// one upstream more changes nothing.
pub(super) fn pace(services: &mut BTreeMap<String, Arc<Service>>) {
    let is_default = |health: &Health| health.is_default;
    let pools = services.values().flat_map(|service| service.pools.values());
    let checked = pools.filter(|pool| pool.health.as_ref().is_some_and(is_default));
    let upstreams: usize = checked.map(|pool| pool.upstreams.len()).sum();
    let mut interval = Health::connect(false).interval;
    let shortest = interval;
    while upstreams as f64 > interval.as_secs_f64() * f64::from(DEFAULT_CHECKS_PER_SECOND)
        && interval < LONGEST_INTERVAL
    {
        interval *= 2;
    }
    if interval == shortest {
        return;
    }
    for service in services.values_mut() {
        for pool in Arc::make_mut(service).pools.values_mut() {
            if let Some(health) = pool.health.as_mut().filter(|health| health.is_default) {
                health.interval = interval;
            }
        }
    }
}

#[cfg(test)]
mod tests;
