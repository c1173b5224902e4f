//! The table: everything live, as the data plane reads it. Its one writer.
//!
//! A new configuration makes a whole new table. Any other change makes only the services it is about
//! ([`following`]); the rest is shared with the table before, however many services there are.

use super::answers::Answers;
use super::facts::ServiceFacts;
use super::gateway::Gateway;
use super::limits::Limits;
use super::links::Links;
use super::maintenance::Maintenance;
use super::service::ServiceController;
use super::services::Services;
use super::stretches::Stretch;
use crate::core::choice::{Choice, Standing};
use crate::core::outcome::ArmId;
use crate::core::policy::Policy;
use crate::core::recall;
use crate::core::route::Target;
use crate::core::secret::Secret;
use crate::core::settings::{ADMIN_SERVICE, Config};
use crate::core::shield::Shielding;
use crate::core::table::{Pool, Service, Table};
use crate::core::weight::Picker;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Publisher {
    table: Arc<ArcSwap<Table>>,
    limits: Limits,
    answers: Answers,
    secret: Secret,
    /// For routes to the admin API, once there is one, and where it listens.
    gateway: Option<Gateway>,
    admin: SocketAddr,
}

/// What a table has brought.
#[derive(Debug)]
pub(super) enum Published {
    Nothing,
    /// These services are others.
    Changes(Vec<Arc<str>>),
    /// A new configuration.
    All(Vec<Arc<str>>),
}

impl Published {
    /// The services that are others.
    pub(super) fn names(&self) -> &[Arc<str>] {
        match self {
            Published::Nothing => &[],
            Published::Changes(names) | Published::All(names) => names,
        }
    }
}

/// Two tables, one after the other, and the pools that lose their traffic between them.
pub(super) struct Transition {
    before: Arc<Table>,
    now: Arc<Table>,
    aborted: Vec<ArmId>,
}

impl Transition {
    /// Takes back what waits on upstreams that get no requests any more, and closes streams there.
    pub(super) fn follow(&self, links: &Links) {
        links.recorder.recalls.give(recall::recalls(&self.before, &self.now, &self.aborted));
        links.recorder.streams.follow(&self.before, &self.now, links.clock.now_us());
    }
}

impl Publisher {
    pub(super) fn new(table: Arc<ArcSwap<Table>>, secret: Secret, admin: SocketAddr) -> Self {
        Publisher {
            table,
            limits: Limits::default(),
            answers: Answers::default(),
            secret,
            gateway: None,
            admin,
        }
    }

    /// Publishes those of the touched services that have put it out, or all after a new configuration.
    pub(super) fn publish(
        &mut self,
        touched: &[Arc<str>],
        services: &mut Services,
        maintenance: &Maintenance,
        links: &Links,
    ) -> (Published, Option<Transition>) {
        let before = self.table.load_full();
        // A site without services has routes all the same.
        let is_new = !Arc::ptr_eq(&before.routes, &links.config.routes);
        let publishes = |name: &&Arc<str>| services.get(name).is_some_and(|s| s.outputs.publishes());
        let changed: Vec<_> =
            if is_new { services.names() } else { touched.iter().filter(publishes).cloned().collect() };
        if !is_new && changed.is_empty() {
            return (Published::Nothing, None);
        }
        services.each(&changed, |service| {
            service.stretch = maintenance.stretch(service.name()).cloned();
        });
        let now = Arc::new(self.table_after(&before, &changed, is_new, services, links));
        self.table.store(now.clone());
        let aborted = changed.iter().filter_map(|name| aborting(services.get(name)?)).collect();
        let published = if is_new { Published::All(changed) } else { Published::Changes(changed) };
        (published, Some(Transition { before, now, aborted }))
    }

    fn table_after(
        &mut self,
        before: &Table,
        changed: &[Arc<str>],
        is_new: bool,
        services: &Services,
        links: &Links,
    ) -> Table {
        let config = &links.config;
        if is_new {
            self.fit_gateway(links);
            let table = whole(config, services, self.gateway.as_ref(), &self.secret);
            return Table {
                revision: before.revision + 1,
                limits: self.limits.of_routes(config),
                answers: self.answers.of_routes(config, &links.recorder),
                ..table
            };
        }
        let changed = changed.iter().filter_map(|name| services.get(name));
        following(before, changed, config, &self.secret)
    }

    /// Before a table of a new configuration: gives a route to the admin API its end.
    fn fit_gateway(&mut self, links: &Links) {
        let leads_to_admin = links.config.routes.specs().iter().any(|route| route.target == Target::Admin);
        if leads_to_admin && self.gateway.is_none() {
            self.gateway = Gateway::to(self.admin, links);
        }
    }
}

/// The pool whose version loses its traffic by what has just been published.
fn aborting(service: &ServiceController) -> Option<ArmId> {
    service.pools.get(service.outputs.marked()?).map(|pool| pool.arm)
}

/// A whole new table, but for what outlives tables. The admin API comes last among the services, where a route may
/// lead to it.
fn whole(config: &Config, services: &Services, gateway: Option<&Gateway>, secret: &Secret) -> Table {
    let places: HashMap<&str, usize> =
        services.values().enumerate().map(|(at, service)| (service.name(), at)).collect();
    let leads_to = config.routes.specs().iter().map(|route| match &route.target {
        Target::Service(name) => places.get(&**name).copied(),
        Target::Admin => gateway.map(|_| places.len()),
        _ => None,
    });
    let authorities = config.routes.specs().iter().map(|route| {
        let authorize = route.access.as_ref()?.authorize.as_ref()?;
        places.get(&*authorize.service).copied()
    });
    let services = services.values().map(|live| service(live.facts(), config, secret));
    let services = services.chain(gateway.map(Gateway::service)).map(Arc::new).collect();
    Table {
        routes: config.routes.clone(),
        leads_to: leads_to.collect(),
        authorities: authorities.collect(),
        maintenance: config.maintenance.clone(),
        compression: config.compression.clone(),
        tracing: config.server.tracing,
        services,
        ..Table::default()
    }
}

/// The table that follows one of the same configuration, in which some services are others.
fn following<'a>(
    before: &Table,
    changed: impl Iterator<Item = &'a ServiceController>,
    config: &Config,
    secret: &Secret,
) -> Table {
    // The services are in the order of their names, but for the admin API.
    let known = before.services.partition_point(|service| *service.name != *ADMIN_SERVICE);
    let place = |name: &str| before.services[..known].binary_search_by(|s| (*s.name).cmp(name)).ok();
    before.with(changed.filter_map(|live| Some((place(live.name())?, service(live.facts(), config, secret)))))
}

fn service(facts: ServiceFacts<'_>, config: &Config, secret: &Secret) -> Service {
    let (state, settings) = (facts.state, &facts.pools.settings);
    let named = state.running().and_then(|running| running.policy.as_deref());
    let policy: Option<&Policy> =
        named.and_then(|name| config.policies.get(name)).or(settings.policy.as_ref()).map(|p| &**p);
    let failures = policy.map(|policy| policy.failures).unwrap_or_default();
    let effective = facts.effective();
    let (mut set, mut weights) = (Vec::new(), Vec::new());
    let mut pools = Vec::new();
    for (name, pool) in facts.pools.iter() {
        let Some(configured) = settings.pools.get(name) else { continue };
        let (upstreams, balancer) = pool.upstreams.build(configured);
        set.push(state.weights.get(&**name).copied().unwrap_or_default());
        weights.push(effective.get(&**name).copied().unwrap_or_default());
        pools.push(Pool {
            name: name.clone(),
            arm: pool.arm,
            forwarded: configured.forwarded,
            host: configured.host.clone(),
            era_us: pool.begun_us(),
            warm_up: settings.warm_up,
            weight: state.weights.get(&**name).copied().unwrap_or_default(),
            close_streams: settings.close_streams,
            thresholds: policy.map(|policy| policy.thresholds(facts.is_compared(name))).unwrap_or_default(),
            failures,
            timeouts: configured.timeouts,
            keepalive: configured.keepalive,
            retry: configured.retry.clone(),
            requests_per_connection: configured.requests_per_connection,
            keepalive_connections: configured.keepalive_connections,
            http2: configured.http2,
            buffer: configured.buffer,
            accel: configured.accel,
            is_quarantined: state.quarantine(name).is_some(),
            takes_over: state.takes_over(name),
            tls: configured.tls.clone(),
            balancer,
            upstreams,
        });
    }
    let standing = Standing {
        stable: &state.stable,
        candidate: state.running().map(|running| running.to.as_str()),
        set: &set,
        effective: &weights,
    };
    Service {
        choice: Choice::new(settings, &pools, &standing, secret),
        name: settings.name.clone(),
        maintenance: facts.stretch.map(Stretch::shown),
        picker: Picker::new(&weights),
        shielding: shielding(facts),
        mirroring: facts.mirroring(),
        groups: facts.group_counting(),
        pools: pools.into(),
    }
}

/// Between which pools the service is shielded: those of a rollout that moves traffic, until it ends.
fn shielding(facts: ServiceFacts<'_>) -> Option<Shielding> {
    let shield = facts.pools.settings.shield.clone()?;
    let running = facts.state.running().filter(|running| running.rollout.moves_traffic())?;
    let (candidate, stable) = (facts.pools.index(&running.to)?, facts.pools.index(&facts.state.stable)?);
    (candidate != stable).then_some(Shielding { candidate, stable, shield })
}
