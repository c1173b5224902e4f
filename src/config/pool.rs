//! `[services.*.pools.*]`: upstreams, and how they are spoken to.

use super::health::{self, Checked};
use super::loops::Loops;
use super::reader::{Item, Section};
use super::{buffer, forwarded, retry, upstream_tls};
use crate::core::balance::{Balance, HashBy};
use crate::core::settings::{Forwarded, HostSent, Passive, Pool, Timeouts, Upstream};
use crate::core::template::{Template, Vocabulary};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn pool(name: Arc<str>, section: &Section<'_>, upstreams: Vec<Upstream>) -> Pool {
    let hash_by = section.read("hash_by", HashBy::ClientIp, |item| item.worded(false, None, hash_by));
    let kinds = [
        ("round_robin", Balance::RoundRobin),
        ("least_conn", Balance::LeastConn),
        ("p2c", Balance::P2c),
        ("hash", Balance::Hash(hash_by.clone())),
    ];
    let balance = section.read("balance", Balance::RoundRobin, |item| item.choice(&kinds));
    if let Some(item) = section.item("hash_by").filter(|_| !matches!(balance, Balance::Hash(_))) {
        item.fault("has no effect without balance = \"hash\"");
    }
    let http2 = section.read("http2", false, Item::bool);
    let tls = section.item("tls").and_then(|item| upstream_tls::of_pool(&item, &upstreams));
    let timeouts = timeouts(&section.section("timeouts"));
    let checked =
        Checked { upstreams: &upstreams, http2, tls: tls.is_some(), connect_timeout: timeouts.connect };
    let health = health::of_pool(section, &checked);
    let pool = Pool {
        name,
        timeouts,
        passive: passive(&section.section("passive")),
        keepalive: section.duration("keepalive", Duration::from_secs(4)),
        slow_start: slow_start(section, &balance),
        keepalive_connections: section.read("keepalive_connections", 0, |item| item.integer(0..=1_000_000))
            as u32,
        requests_per_connection: section
            .read("requests_per_connection", 0, |item| item.integer(0..=u64::from(u16::MAX)))
            as u16,
        http2,
        tls,
        buffer: buffer::of_pool(&section.section("buffer")),
        retry: retry::of_pool(section),
        accel: section.read("accel", false, Item::bool),
        balance,
        upstreams,
        health,
        forwarded: section.read("forwarded", Forwarded::default(), forwarded::read),
        host: section.read("host", HostSent::Client, |item| item.parsed(host)),
    };
    section.finish();
    pool
}

/// `client`, `upstream`, or a host with its port, if it has one.
fn host(text: &str) -> Result<HostSent, String> {
    match text {
        "client" => Ok(HostSent::Client),
        "upstream" => Ok(HostSent::Upstream),
        text => match text.parse::<http::uri::Authority>() {
            Ok(name) if !text.contains('@') && !name.host().is_empty() => {
                HeaderValue::from_str(text).map(HostSent::Named).map_err(|error| error.to_string())
            }
            _ => Err(format!("\"{text}\" is no host; write client, upstream, or a name such as app.example")),
        },
    }
}

fn slow_start(section: &Section<'_>, balance: &Balance) -> Duration {
    let length = section.duration("slow_start", Duration::ZERO);
    if let Some(item) = section.item("slow_start").filter(|_| matches!(balance, Balance::Hash(_))) {
        item.fault("has no effect with balance = \"hash\": keys would move at every step; take it out");
    }
    length
}

fn hash_by(text: &str, vocabulary: &Vocabulary<'_>) -> Result<HashBy, String> {
    match text {
        "client_ip" => Ok(HashBy::ClientIp),
        "uri" => Ok(HashBy::Uri),
        text if text.contains('$') => Template::parse(text, vocabulary).map(HashBy::Text),
        text => match text.strip_prefix("header:").filter(|name| http::HeaderName::try_from(*name).is_ok()) {
            Some(name) => Ok(HashBy::Header(name.to_ascii_lowercase())),
            None => Err(format!(
                "\"{text}\" is none of client_ip, uri, header:NAME, and has no variable such as $cookie_session"
            )),
        },
    }
}

fn timeouts(section: &Section<'_>) -> Timeouts {
    let timeouts = Timeouts {
        connect: section.duration("connect", Duration::from_secs(1)),
        read: section.duration("read", Duration::from_secs(60)),
        write: section.duration("write", Duration::from_secs(30)),
    };
    section.finish();
    timeouts
}

fn passive(section: &Section<'_>) -> Passive {
    let passive = Passive {
        max_fails: section.read("max_fails", 3, |item| item.integer(0..=1_000_000)) as u32,
        fail_timeout: section.duration("fail_timeout", Duration::from_secs(30)),
    };
    section.finish();
    passive
}

/// The upstreams of a pool; `containers` says that it may get others from Docker, so that it needs none of its own.
pub(super) fn upstreams(
    section: &Section<'_>,
    items: &[Item<'_>],
    loops: &Loops,
    containers: bool,
) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for item in items {
        let Some(upstream) = upstream(item) else { continue };
        if upstreams.iter().any(|other| other.address == upstream.address) {
            item.fault(&format!("{} stands twice in this pool; give it a weight instead", upstream.address));
        }
        if let Some(why) = loops.back(&upstream) {
            item.fault(&why);
        }
        upstreams.push(upstream);
    }
    if items.is_empty() && !containers {
        section.fault("has no upstream");
    }
    upstreams
}

fn upstream(item: &Item<'_>) -> Option<Upstream> {
    if item.is_string() {
        let (address, host) = item.parsed(Upstream::place)?;
        return Some(Upstream::plain(address, host));
    }
    let section = item.section()?;
    let place = section.need("address", "for example \"10.0.0.1:3000\"", |item| item.parsed(Upstream::place));
    let weight = section.read("weight", 1, |item| item.integer(1..=100)) as u16;
    let backup = section.read("backup", false, Item::bool);
    let max_conns = section.read("max_conns", 0, |item| item.integer(0..=1_000_000)) as u32;
    section.finish();
    let (address, host) = place?;
    Some(Upstream { weight, backup, max_conns, ..Upstream::plain(address, host) })
}
