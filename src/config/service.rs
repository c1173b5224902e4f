//! `[services.*]`: pools, upstreams, health checks and rollout defaults.

use super::health::{self, Checked};
use super::loops::Loops;
use super::mirror;
use super::reader::{Item, Section};
use super::{buffer, cohort, rollout, rule, shield, upstream_tls};
use crate::core::balance::{Balance, HashBy};
use crate::core::policy::Policy;
use crate::core::service::Refuge;
use crate::core::settings::{Forwarded, Passive, Pool, Service, Timeouts, Upstream};
use http::HeaderName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The pool of a service that has `upstreams` of its own, by the name that the first of two mostly has.
const ONLY: &str = "blue";

/// What upstreams may be told of clients, by pool or by route.
pub(super) const FORWARDED: [(&str, Forwarded); 4] = [
    ("trusted", Forwarded::Trusted),
    ("append", Forwarded::Append),
    ("replace", Forwarded::Replace),
    ("off", Forwarded::Off),
];

pub(super) fn services(
    root: &Section<'_>,
    policies: &BTreeMap<String, Arc<Policy>>,
    expose_pool: Option<&HeaderName>,
    loops: &Loops,
) -> BTreeMap<String, Arc<Service>> {
    let entries = root.section("services").entries();
    // A site may consist of redirects, replies and files.
    if entries.is_empty() && root.tables("routes").is_empty() {
        root.fault("there is no service; add [services.web] with upstreams = [\"10.0.0.1:3000\"]");
    }
    let service = |(name, item): &(String, Item<'_>)| {
        named(name, item)?;
        let service = service(name, &item.section()?, policies, loops)?;
        let expose_pool = service.expose_pool.or_else(|| expose_pool.cloned());
        Some((name.clone(), Arc::new(Service { expose_pool, ..service })))
    };
    let mut services = entries.iter().filter_map(service).collect();
    health::pace(&mut services);
    services
}

pub(super) fn named(name: &str, item: &Item<'_>) -> Option<()> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=63).contains(&name.len()) && name.chars().all(legal) {
        return Some(());
    }
    item.fault("a name has 1 to 63 characters out of a-z, 0-9, - and _");
    None
}

fn service(
    name: &str,
    section: &Section<'_>,
    policies: &BTreeMap<String, Arc<Policy>>,
    loops: &Loops,
) -> Option<Service> {
    let pools = pools(section, loops);
    let policy = section.read("policy", policies.get("default").cloned(), |item| {
        let name = item.string()?;
        let policy = policies.get(&name).cloned();
        if policy.is_none() {
            item.fault(&format!("there is no policy {name}; add [policies.{name}]"));
        }
        Some(policy)
    });
    let close_streams = section.item("close_streams").and_then(|item| item.any_duration());
    let stable = stable(section, &pools);
    let shield = section.read("shield", Some(Arc::default()), shield::shield);
    let mirror = Arc::new(mirror::read(&section.section("mirror")));
    let rollout::Read { plan, warm_up, smoke, hooks, update } = rollout::read(&section.section("rollout"));
    let (cohort, testers) = cohort::of_service(section);
    let refuges = [("healthy", Refuge::Healthy), ("none", Refuge::None), ("any", Refuge::Any)];
    let refuge = section.read("refuge", Refuge::Healthy, |item| item.choice(&refuges));
    let watch_manual = section.read("watch_manual", true, |item| item.bool());
    let rules = rule::rules(section, &pools);
    let expose_pool = cohort::expose_pool(section);
    section.finish();
    Some(Service {
        name: name.into(),
        stable: stable?,
        policy,
        shield,
        mirror,
        refuge,
        watch_manual,
        close_streams,
        pools,
        cohort,
        testers,
        rules,
        expose_pool,
        rollout: plan,
        warm_up,
        smoke,
        hooks,
        update,
    })
}

fn pools(section: &Section<'_>, loops: &Loops) -> BTreeMap<Arc<str>, Pool> {
    let inner = section.section("pools");
    let entries = inner.entries();
    let pool_of = |(name, item): &(String, Item<'_>)| {
        named(name, item)?;
        let (name, section): (Arc<str>, _) = (name.as_str().into(), item.section()?);
        let items = section.need("upstreams", "for example [\"10.0.0.1:3000\"]", Item::array);
        let upstreams = upstreams(&section, &items.unwrap_or_default(), loops);
        Some((name.clone(), pool(name, &section, upstreams)))
    };
    let mut pools: BTreeMap<_, _> = entries.iter().filter_map(pool_of).collect();
    match section.item("upstreams") {
        None if entries.is_empty() => section.fault(
            "has no pool; add upstreams = [\"10.0.0.1:3000\"], or [services.NAME.pools.blue] with the same",
        ),
        None => {}
        Some(item) if entries.is_empty() => {
            let upstreams = upstreams(section, &item.array().unwrap_or_default(), loops);
            let only: Arc<str> = ONLY.into();
            pools.insert(only.clone(), pool(only, &inner.absent(ONLY), upstreams));
        }
        Some(item) => {
            item.fault("stands beside pools, and is short for a single one; put it into one of them")
        }
    }
    pools
}

fn stable(section: &Section<'_>, pools: &BTreeMap<Arc<str>, Pool>) -> Option<Arc<str>> {
    let names = || pools.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    match section.item("stable") {
        Some(item) => {
            let name = item.string()?;
            let known = pools.keys().find(|pool| ***pool == *name).cloned();
            if known.is_none() {
                item.fault(&format!("there is no pool {name}; there are: {}", names()));
            }
            known
        }
        None if pools.len() == 1 => pools.keys().next().cloned(),
        None => {
            if !pools.is_empty() {
                section.fault(&format!("has several pools, so it needs stable = one of: {}", names()));
            }
            None
        }
    }
}

fn pool(name: Arc<str>, section: &Section<'_>, upstreams: Vec<Upstream>) -> Pool {
    let hash_by = section.read("hash_by", HashBy::ClientIp, |item| item.parsed(hash_by));
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
        tries: section.read("tries", 2, |item| item.integer(1..=10)) as u8,
        balance,
        upstreams,
        health,
        forwarded: section.read("forwarded", Forwarded::default(), |item| item.choice(&FORWARDED)),
    };
    section.finish();
    pool
}

fn slow_start(section: &Section<'_>, balance: &Balance) -> Duration {
    let length = section.duration("slow_start", Duration::ZERO);
    if let Some(item) = section.item("slow_start").filter(|_| matches!(balance, Balance::Hash(_))) {
        item.fault("has no effect with balance = \"hash\": keys would move at every step; take it out");
    }
    length
}

fn hash_by(text: &str) -> Result<HashBy, String> {
    match text {
        "client_ip" => Ok(HashBy::ClientIp),
        "uri" => Ok(HashBy::Uri),
        text => match text.strip_prefix("header:").filter(|name| http::HeaderName::try_from(*name).is_ok()) {
            Some(name) => Ok(HashBy::Header(name.to_ascii_lowercase())),
            None => Err(format!("\"{text}\" is none of client_ip, uri, header:NAME")),
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

fn upstreams(section: &Section<'_>, items: &[Item<'_>], loops: &Loops) -> Vec<Upstream> {
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
    if items.is_empty() {
        section.fault("has no upstream");
    }
    upstreams
}

fn upstream(item: &Item<'_>) -> Option<Upstream> {
    if item.is_string() {
        let (address, host) = item.parsed(Upstream::place)?;
        return Some(Upstream { address, host, weight: 1, backup: false, max_conns: 0 });
    }
    let section = item.section()?;
    let place = section.need("address", "for example \"10.0.0.1:3000\"", |item| item.parsed(Upstream::place));
    let weight = section.read("weight", 1, |item| item.integer(1..=100)) as u16;
    let backup = section.read("backup", false, Item::bool);
    let max_conns = section.read("max_conns", 0, |item| item.integer(0..=1_000_000)) as u32;
    section.finish();
    let (address, host) = place?;
    Some(Upstream { address, host, weight, backup, max_conns })
}

/// `200`, or `"200-399"`.
pub(super) fn expect(item: &Item<'_>) -> Option<(u16, u16)> {
    let code = 100..=599;
    if !item.is_string() {
        return item.integer(code).map(|status| (status as u16, status as u16));
    }
    item.parsed(|text| {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let pair = low.trim().parse().ok().zip(high.trim().parse().ok());
        let range = pair.filter(|(low, high): &(u16, u16)| low <= high && *low >= 100 && *high <= 599);
        range.ok_or_else(|| format!("\"{text}\" is no range of statuses; write 200 or \"200-399\""))
    })
}
