//! The table: everything live, as the data plane reads it.
//!
//! A new configuration makes a whole new table. Any other change makes anew only the services that it is about
//! ([`following`]); the rest is shared with the table before, however many services there are.

use super::gateway::Gateway;
use super::limits::Limits;
use super::live::Live;
use super::lives::Lives;
use super::maintenance::Stretch;
use crate::core::choice::{Choice, Standing};
use crate::core::policy::Policy;
use crate::core::route::Target;
use crate::core::secret::Secret;
use crate::core::settings::{ADMIN_SERVICE, Config};
use crate::core::shield::Shielding;
use crate::core::table::{Pool, Service, Table};
use crate::core::weight::Picker;
use std::collections::HashMap;
use std::sync::Arc;

/// A whole new table. The admin API comes last among the services, where a route may lead to it.
pub(super) fn table(
    config: &Config,
    lives: &Lives,
    gateway: Option<&Gateway>,
    limits: &mut Limits,
    secret: &Secret,
    revision: u64,
) -> Table {
    let places: HashMap<&str, usize> =
        lives.values().enumerate().map(|(at, live)| (live.name(), at)).collect();
    let leads_to = config.routes.specs().iter().map(|route| match &route.target {
        Target::Service(name) => places.get(&**name).copied(),
        Target::Admin => gateway.map(|_| places.len()),
        _ => None,
    });
    let services = lives.values().map(|live| service(live, config, secret));
    let services = services.chain(gateway.map(Gateway::service)).map(Arc::new).collect();
    Table {
        revision,
        routes: config.routes.clone(),
        leads_to: leads_to.collect(),
        limits: limits.of_routes(config),
        maintenance: config.maintenance.clone(),
        compression: config.compression.clone(),
        services,
    }
}

/// The table that follows one of the same configuration, in which some services are others.
pub(super) fn following<'a>(
    before: &Table,
    changed: impl Iterator<Item = &'a Live>,
    config: &Config,
    secret: &Secret,
) -> Table {
    // The services are in the order of their names, but for the admin API.
    let known = before.services.partition_point(|service| *service.name != *ADMIN_SERVICE);
    let place = |live: &Live| before.services[..known].binary_search_by(|s| (*s.name).cmp(live.name())).ok();
    before.with(changed.filter_map(|live| Some((place(live)?, service(live, config, secret)))))
}

fn service(live: &Live, config: &Config, secret: &Secret) -> Service {
    let named = live.state.running().and_then(|running| running.policy.as_deref());
    let policy: Option<&Policy> =
        named.and_then(|name| config.policies.get(name)).or(live.settings.policy.as_ref()).map(|p| &**p);
    let failures = policy.map(|policy| policy.failures).unwrap_or_default();
    let compared = live.compared();
    let effective = live.effective();
    let (mut set, mut weights) = (Vec::new(), Vec::new());
    let mut pools = Vec::new();
    for (name, pool) in &live.pools {
        let Some(settings) = live.settings.pools.get(name) else { continue };
        let (upstreams, balancer) = pool.upstreams.build(settings);
        set.push(live.state.weights.get(&**name).copied().unwrap_or_default());
        weights.push(effective.get(&**name).copied().unwrap_or_default());
        pools.push(Pool {
            name: name.clone(),
            arm: pool.arm,
            forwarded: settings.forwarded,
            era_us: pool.begun_us(),
            weight: live.state.weights.get(&**name).copied().unwrap_or_default(),
            close_streams: live.settings.close_streams,
            thresholds: policy
                .map(|policy| policy.thresholds(compared.contains(&&**name)))
                .unwrap_or_default(),
            failures,
            timeouts: settings.timeouts,
            keepalive: settings.keepalive,
            tries: settings.tries,
            requests_per_connection: settings.requests_per_connection,
            keepalive_connections: settings.keepalive_connections,
            http2: settings.http2,
            buffer: settings.buffer,
            is_quarantined: live.state.quarantine(name).is_some(),
            tls: settings.tls.clone(),
            balancer,
            upstreams,
        });
    }
    let standing = Standing {
        stable: &live.state.stable,
        candidate: live.state.running().map(|running| running.to.as_str()),
        set: &set,
        effective: &weights,
    };
    Service {
        choice: Choice::new(&live.settings, &pools, &standing, secret),
        name: live.settings.name.clone(),
        maintenance: live.stretch.as_ref().map(Stretch::shown),
        picker: Picker::new(&weights),
        shielding: shielding(live),
        mirroring: live.mirroring(),
        groups: live.group_counting(),
        pools: pools.into(),
    }
}

/// Between which pools the service is shielded: those of a rollout that moves traffic, until it ends.
fn shielding(live: &Live) -> Option<Shielding> {
    let shield = live.settings.shield.clone()?;
    let running = live.state.running().filter(|running| running.rollout.moves_traffic())?;
    let (candidate, stable) = (live.index(&running.to)?, live.index(&live.state.stable)?);
    (candidate != stable).then_some(Shielding { candidate, stable, shield })
}
