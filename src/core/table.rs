//! The immutable snapshot that the data plane reads: routes, services, pools, weights, upstreams.
//!
//! The controller makes a new table for every change and swaps it in at once; a request keeps the one it
//! started with. Health, weights and selection therefore never disagree with each other. A new table shares
//! with the one before everything that has not changed ([`Table::with`]): a change of one service costs the
//! same beside a thousand others. What does change under a table are counters: [`UpstreamLive`] outlives the
//! tables it appears in.

mod changes;
pub(super) mod pool;
mod route_answers;
pub(super) mod upstream;

pub use changes::changes;
pub use pool::Pool;
pub use route_answers::RouteAnswers;
pub use upstream::{InFlight, Upstream, UpstreamLive, UpstreamState};

use super::choice::Choice;
use super::compression::Compression;
use super::group::{Groups, Side};
use super::limit::route::RouteLimits;
use super::maintenance::Maintenance;
use super::mirror::Mirroring;
use super::route::{RouteSpec, Routes};
use super::settings;
use super::shield::Shielding;
use super::trace::Tracing;
use super::weight::Picker;
use std::sync::Arc;

/// Everything a request needs to find its upstream.
#[derive(Debug, Default)]
pub struct Table {
    /// Grows with every table published.
    pub revision: u64,
    pub routes: Arc<Routes>,
    /// The service that each route leads to, by the route's index; `None` for those that lead elsewhere.
    pub leads_to: Arc<[Option<usize>]>,
    /// The service that each route asks about its requests, by the route's index, if it asks one.
    pub authorities: Arc<[Option<usize>]>,
    /// What requests are limited by, by the route's index.
    pub limits: Arc<[RouteLimits]>,
    /// What clients were answered, by the route's index.
    pub answers: Arc<[Arc<RouteAnswers>]>,
    /// Whom maintenance lets pass, and what it answers.
    pub maintenance: Arc<settings::Maintenance>,
    /// How answers are compressed, if they are.
    pub compression: Option<Arc<Compression>>,
    pub tracing: Tracing,
    /// In the order that the indexes in `leads_to` mean.
    pub services: Box<[Arc<Service>]>,
}

impl Table {
    pub fn route(&self, index: Option<usize>) -> Option<&RouteSpec> {
        self.routes.spec(index?)
    }

    /// The index of the service that a route leads to.
    pub fn service_of(&self, route: usize) -> Option<usize> {
        *self.leads_to.get(route)?
    }

    /// The index of the service that a route asks about its requests.
    pub fn authority_of(&self, route: usize) -> Option<usize> {
        *self.authorities.get(route)?
    }

    /// The next table, in which some services are others; each takes the place of the one with its index.
    pub fn with(&self, changed: impl IntoIterator<Item = (usize, Service)>) -> Table {
        let mut services = self.services.clone();
        for (index, service) in changed {
            if let Some(place) = services.get_mut(index) {
                *place = Arc::new(service);
            }
        }
        Table {
            revision: self.revision + 1,
            routes: self.routes.clone(),
            leads_to: self.leads_to.clone(),
            authorities: self.authorities.clone(),
            limits: self.limits.clone(),
            answers: self.answers.clone(),
            maintenance: self.maintenance.clone(),
            compression: self.compression.clone(),
            tracing: self.tracing,
            services,
        }
    }
}

/// One deployable thing with its versions.
#[derive(Debug)]
pub struct Service {
    pub name: Arc<str>,
    /// Its own or the whole site's, whichever ends later; it may be over.
    pub maintenance: Option<Maintenance>,
    /// Splits over `pools` by their effective weights.
    pub picker: Picker,
    /// Between which pools, while a rollout runs.
    pub shielding: Option<Shielding>,
    /// What of it is mirrored, in a rollout's mirror step.
    pub mirroring: Option<Mirroring>,
    /// What goes ahead of chance.
    pub choice: Choice,
    /// How its requests are counted by group, if they are.
    pub groups: Option<GroupCounting>,
    pub pools: Box<[Pool]>,
}

/// How requests are counted by group: those of two pools, by their indexes.
#[derive(Clone, Debug)]
pub struct GroupCounting {
    pub groups: Arc<Groups>,
    pub candidate: Option<usize>,
    pub stable: Option<usize>,
    /// Whether only a sample of them is.
    pub is_sampled: bool,
}

impl GroupCounting {
    /// As what the attempts on a pool are counted, if they are.
    pub fn side(&self, pool: usize) -> Option<Side> {
        match Some(pool) {
            pool if pool == self.candidate => Some(Side::Candidate),
            pool if pool == self.stable => Some(Side::Stable),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Service {
    /// One that does nothing special.
    pub(crate) fn for_tests(name: &str, pools: Vec<Pool>) -> Self {
        let weights: Vec<_> = pools.iter().map(|pool| pool.weight).collect();
        Service {
            name: name.into(),
            maintenance: None,
            picker: Picker::new(&weights),
            shielding: None,
            mirroring: None,
            choice: Choice::default(),
            groups: None,
            pools: pools.into(),
        }
    }
}
