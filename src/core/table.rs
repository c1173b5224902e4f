//! The immutable snapshot that the data plane reads: routes, services, pools, weights, upstreams.
//!
//! The controller makes a new table for every change and swaps it in at once; a request keeps the one it
//! started with. Health, weights and selection therefore never disagree with each other. A new table shares
//! with the one before everything that has not changed ([`Table::with`]): a change of one service costs the
//! same beside a thousand others. What does change under a table are counters: [`UpstreamLive`] outlives the
//! tables it appears in.

mod changes;

pub use changes::changes;

use super::balance::Balancer;
use super::choice::Choice;
use super::compression::Compression;
use super::failure_statuses::FailureStatuses;
use super::group::{Groups, Side};
use super::hash::{FixedHash, Purpose};
use super::limit::route::RouteLimits;
use super::maintenance::Maintenance;
use super::mirror::Mirroring;
use super::outcome::{ArmId, Thresholds};
use super::route::{RouteSpec, Routes};
use super::settings::{self, Timeouts, UpstreamTls};
use super::shield::Shielding;
use super::upstream_address::UpstreamAddress;
use super::weight::{BasisPoints, Picker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything a request needs to find its upstream.
#[derive(Debug, Default)]
pub struct Table {
    /// Grows with every table published.
    pub revision: u64,
    pub routes: Arc<Routes>,
    /// The service that each route leads to, by the route's index; `None` for those that lead elsewhere.
    pub leads_to: Arc<[Option<usize>]>,
    /// What requests are limited by, by the route's index.
    pub limits: Arc<[RouteLimits]>,
    /// Whom maintenance lets pass, and what it answers.
    pub maintenance: Arc<settings::Maintenance>,
    /// How answers are compressed, if they are.
    pub compression: Option<Arc<Compression>>,
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
            limits: self.limits.clone(),
            maintenance: self.maintenance.clone(),
            compression: self.compression.clone(),
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

/// One version's upstreams, and how they are used.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    /// Where its outcomes are counted.
    pub arm: ArmId,
    /// What its upstreams are told of clients.
    pub forwarded: settings::Forwarded,
    /// Since when they are those of the version it has now, µs on the process clock.
    pub era_us: u64,
    /// Its share of the traffic, whether or not it is up.
    pub weight: BasisPoints,
    /// What its policy counts attempts by, and which answers are failures.
    pub thresholds: Thresholds,
    pub failures: FailureStatuses,
    pub timeouts: Timeouts,
    /// How long an idle connection to an upstream is kept.
    pub keepalive: Duration,
    /// Attempts one request may make in all.
    pub tries: u8,
    /// Requests over one connection to an upstream; 0 is no limit.
    pub requests_per_connection: u16,
    /// Connections to one upstream that are kept; 0 is no limit.
    pub keepalive_connections: u32,
    /// Whether its upstreams speak HTTP/2.
    pub http2: bool,
    pub buffer: settings::Buffer,
    /// Whether its version was aborted, taken back or rolled back: rules pass it over.
    pub is_quarantined: bool,
    /// By when long streams have left it once it has no weight, if they must.
    pub close_streams: Option<Duration>,
    /// `None`: they are spoken to in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    pub balancer: Balancer,
    pub upstreams: Box<[Upstream]>,
}

impl Pool {
    /// Whether an upstream of it is ready.
    pub fn is_ready(&self) -> bool {
        self.upstreams.iter().any(Upstream::is_ready)
    }
}

#[cfg(test)]
impl Service {
    /// One that does nothing special.
    pub(super) fn for_tests(name: &str, pools: Vec<Pool>) -> Self {
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

#[cfg(test)]
impl Pool {
    /// One that does nothing special.
    pub(super) fn for_tests(name: &str, upstreams: Box<[Upstream]>) -> Self {
        let second = Duration::from_secs(1);
        Pool {
            name: name.into(),
            arm: ArmId(0),
            forwarded: settings::Forwarded::default(),
            era_us: 0,
            weight: BasisPoints::FULL,
            thresholds: Thresholds::default(),
            failures: FailureStatuses::default(),
            timeouts: Timeouts { connect: second, read: second, write: second },
            keepalive: second,
            tries: 1,
            requests_per_connection: 0,
            keepalive_connections: 0,
            http2: false,
            buffer: settings::Buffer::default(),
            is_quarantined: false,
            close_streams: None,
            tls: None,
            balancer: Balancer::new(super::balance::Balance::RoundRobin, &upstreams, Arc::default()),
            upstreams,
        }
    }
}

/// What an upstream is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    Ready,
    /// Requests in flight finish, no new ones come.
    Draining,
    Down,
}

impl UpstreamState {
    pub fn label(self) -> &'static str {
        match self {
            UpstreamState::Ready => "ready",
            UpstreamState::Draining => "draining",
            UpstreamState::Down => "down",
        }
    }
}

/// One address of a pool.
#[derive(Debug)]
pub struct Upstream {
    /// As configured.
    pub label: Arc<str>,
    pub address: UpstreamAddress,
    pub weight: u16,
    pub backup: bool,
    /// 0 is no limit.
    pub max_conns: u32,
    pub state: UpstreamState,
    pub live: Arc<UpstreamLive>,
    /// Of the address; places it in the balancer's hash.
    pub hash: u64,
}

impl Upstream {
    /// Ready, primary and without limit.
    pub fn new(label: Arc<str>, address: impl Into<UpstreamAddress>, weight: u16) -> Self {
        let (live, address) = (Arc::default(), address.into());
        let hash = FixedHash::of(Purpose::Upstream).upstream(address).finish();
        Upstream {
            label,
            address,
            weight,
            backup: false,
            max_conns: 0,
            state: UpstreamState::Ready,
            live,
            hash,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.state == UpstreamState::Ready
    }

    /// Whether it has as many requests in flight as it may.
    pub fn is_full(&self) -> bool {
        self.max_conns > 0 && self.live.in_flight() >= self.max_conns
    }
}

/// The counters of one upstream, shared by all workers and all tables it appears in.
#[derive(Debug, Default)]
pub struct UpstreamLive {
    /// Attempts under way in the lower half; attempts ever, which wrap around, in the upper: one counter, so
    /// that the request path pays for one.
    attempts: AtomicU64,
    /// Attempts that failed on the way to or from it, ever. A 5xx answer is not one.
    failed: AtomicU64,
}

impl UpstreamLive {
    pub fn in_flight(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed) as u32
    }

    /// Attempts that have come to their end, ever. It wraps around.
    pub fn ended(&self) -> u32 {
        let attempts = self.attempts.load(Ordering::Relaxed);
        ((attempts >> 32) as u32).wrapping_sub(attempts as u32)
    }

    /// Counts one request in flight until the guard is dropped.
    pub fn enter(self: Arc<Self>) -> InFlight {
        self.attempts.fetch_add(1 << 32 | 1, Ordering::Relaxed);
        InFlight(self)
    }

    pub fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// One request in flight on an upstream.
#[derive(Debug)]
pub struct InFlight(Arc<UpstreamLive>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.attempts.fetch_sub(1, Ordering::Relaxed);
    }
}
