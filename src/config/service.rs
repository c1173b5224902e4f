//! `[services.*]`: its pools, and what is said of the service as a whole.

use super::health;
use super::loops::Loops;
use super::mirror;
use super::reader::{Item, Section};
use super::{cohort, pool, rollout, rule, shield};
use crate::core::policy::Policy;
use crate::core::refuge::Refuge;
use crate::core::settings::{Pool, Service};
use http::HeaderName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pool of a service that has `upstreams` of its own, by the name that the first of two mostly has.
const ONLY: &str = "blue";

/// `containers` says that pools may get upstreams from Docker.
pub(super) fn services(
    root: &Section<'_>,
    policies: &BTreeMap<String, Arc<Policy>>,
    expose_pool: Option<&HeaderName>,
    (loops, containers): (&Loops, bool),
) -> BTreeMap<String, Arc<Service>> {
    let entries = root.section("services").entries();
    // A site may consist of redirects, replies and files.
    if entries.is_empty() && root.tables("routes").is_empty() {
        root.fault("there is no service; add [services.web] with upstreams = [\"10.0.0.1:3000\"]");
    }
    let service = |(name, item): &(String, Item<'_>)| {
        named(name, item)?;
        let service = service(name, &item.section()?, policies, (loops, containers))?;
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
    (loops, containers): (&Loops, bool),
) -> Option<Service> {
    let pools = pools(section, loops, containers);
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

fn pools(section: &Section<'_>, loops: &Loops, containers: bool) -> BTreeMap<Arc<str>, Pool> {
    let inner = section.section("pools");
    let entries = inner.entries();
    let pool_of = |(name, item): &(String, Item<'_>)| {
        named(name, item)?;
        let (name, section): (Arc<str>, _) = (name.as_str().into(), item.section()?);
        let items = match containers {
            true => section.item("upstreams").and_then(|item| item.array()),
            false => section.need("upstreams", "for example [\"10.0.0.1:3000\"]", Item::array),
        };
        let upstreams = pool::upstreams(&section, &items.unwrap_or_default(), loops, containers);
        Some((name.clone(), pool::pool(name, &section, upstreams)))
    };
    let mut pools: BTreeMap<_, _> = entries.iter().filter_map(pool_of).collect();
    match section.item("upstreams") {
        None if entries.is_empty() => section.fault(
            "has no pool; add upstreams = [\"10.0.0.1:3000\"], or [services.NAME.pools.blue] with the same",
        ),
        None => {}
        Some(item) if entries.is_empty() => {
            let upstreams = pool::upstreams(section, &item.array().unwrap_or_default(), loops, containers);
            let only: Arc<str> = ONLY.into();
            pools.insert(only.clone(), pool::pool(only, &inner.absent(ONLY), upstreams));
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
