//! The upstreams that pools have beside those of the configuration: registered ones in their place, and containers.

use crate::core::container::PoolContainers;
use crate::core::service::ServiceState;
use crate::core::settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The settings with the upstreams that are registered and the containers that run. The check that a pool has by default
/// counts in full then, so that what is new is proven first.
pub(super) fn with_registered(
    configured: &Arc<settings::Service>,
    state: &ServiceState,
    containers: &BTreeMap<Arc<str>, PoolContainers>,
) -> Arc<settings::Service> {
    let mut settings = configured.clone();
    for (name, set) in &state.upstreams {
        if let Some(pool) = Arc::make_mut(&mut settings).pools.get_mut(name.as_str()) {
            pool.upstreams.clone_from(set);
            check_in_full(pool);
        }
    }
    for (name, of) in containers.iter().filter(|(_, of)| !of.upstreams.is_empty()) {
        if let Some(pool) = Arc::make_mut(&mut settings).pools.get_mut(name) {
            // A name that stands in the file, too, is one upstream.
            let is_other =
                |one: &&settings::Upstream| pool.upstreams.iter().all(|u| u.address != one.address);
            let containers: Vec<_> = of.upstreams.iter().filter(is_other).cloned().collect();
            pool.upstreams.extend(containers);
            check_in_full(pool);
        }
    }
    settings
}

fn check_in_full(pool: &mut settings::Pool) {
    if let Some(health) = pool.health.as_mut().filter(|health| health.is_default) {
        *health = settings::Health::connect(health.http2);
    }
}

/// The addresses that the pools of a service have, without their containers.
pub(super) fn addresses(settings: &settings::Service) -> BTreeMap<String, BTreeSet<String>> {
    let set = |pool: &settings::Pool| others(pool).map(|upstream| upstream.address.to_string()).collect();
    settings.pools.iter().map(|(name, pool)| (name.to_string(), set(pool))).collect()
}

/// Whether a pool has other addresses; their weights say nothing of the version behind them.
pub(super) fn has_others(before: &settings::Pool, after: &settings::Pool) -> bool {
    let of =
        |pool: &settings::Pool| -> BTreeSet<Arc<str>> { others(pool).map(|u| u.address.clone()).collect() };
    of(before) != of(after)
}

/// The upstreams of a pool beside its containers.
fn others(pool: &settings::Pool) -> impl Iterator<Item = &settings::Upstream> {
    pool.upstreams.iter().filter(|upstream| upstream.container.is_none())
}
