//! What is to be watched, and the tasks that do it.
//!
//! Health checks and scrapes go the same way: the newest configuration says which upstreams, a name stands
//! for several addresses that come and go, and every address has a task. What the task does is the
//! [`Work`]; this module only keeps the right tasks running.

use super::resolve::{Found, Names, Resolver};
use crate::control::command::{Controller, LookUp};
use crate::core::hash::{FixedHash, Purpose};
use crate::core::settings::{Config, Pool, Service, Upstream, UpstreamHost};
use crate::core::upstream_address::UpstreamAddress;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The upstream that something is done to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub service: Arc<str>,
    pub pool: Arc<str>,
    pub upstream: Arc<str>,
}

/// What is done to every address of one upstream.
pub(super) trait Work: Clone + PartialEq + Send + Sync + 'static {
    /// The work on this upstream; `None` where there is nothing to do.
    fn wanted(service: &Service, pool: &Pool, upstream: &Upstream) -> Option<Self>;

    /// Does it to one address, again and again, until the controller stops.
    fn run(
        self,
        controller: Controller,
        place: Place,
        address: UpstreamAddress,
    ) -> impl Future<Output = ()> + Send;

    /// What the name resolves to has changed; false once the controller has stopped.
    fn resolved(
        &self,
        _controller: &Controller,
        _place: &Place,
        _found: &Found,
        _again: Arc<LookUp>,
    ) -> impl Future<Output = bool> + Send {
        async { true }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Target<W> {
    host: UpstreamHost,
    /// Its id: another container is checked at once, wherever it is.
    container: Option<Arc<str>>,
    work: W,
}

/// Does the work on the upstreams of the newest configuration, until the channel closes. Tasks of
/// upstreams whose work stays the same go on undisturbed.
pub(super) async fn follow<W: Work>(
    controller: Controller,
    mut configs: Receiver<Arc<Config>>,
    resolver: Resolver,
) {
    let mut running: HashMap<Arc<str>, Followed<W>> = HashMap::new();
    loop {
        let config = configs.borrow_and_update().clone();
        running.retain(|service, _| config.services.contains_key(&**service));
        for service in config.services.values() {
            let followed = running.entry(service.name.clone());
            followed.or_insert_with(Followed::new).follow(service, &controller, &resolver);
        }
        drop(config);
        if configs.changed().await.is_err() {
            return;
        }
    }
}

/// What is done for one service.
struct Followed<W> {
    /// As it was last: one that is shared with the configuration before needs no look.
    service: Option<Arc<Service>>,
    running: HashMap<Place, (Target<W>, Tasks)>,
}

impl<W: Work> Followed<W> {
    fn new() -> Self {
        Followed { service: None, running: HashMap::new() }
    }

    fn follow(&mut self, service: &Arc<Service>, controller: &Controller, resolver: &Resolver) {
        if self.service.as_ref().is_some_and(|before| Arc::ptr_eq(before, service)) {
            return;
        }
        self.service = Some(service.clone());
        let targets = targets(service);
        self.running.retain(|place, (target, _)| targets.get(place) == Some(target));
        for (place, target) in targets {
            let at = place.clone();
            let start = || (target.clone(), Tasks::start(controller.clone(), at, target, resolver));
            self.running.entry(place).or_insert_with(start);
        }
    }
}

fn targets<W: Work>(service: &Service) -> HashMap<Place, Target<W>> {
    let mut targets = HashMap::new();
    for pool in service.pools.values() {
        for upstream in &pool.upstreams {
            let Some(work) = W::wanted(service, pool, upstream) else { continue };
            let place = Place {
                service: service.name.clone(),
                pool: pool.name.clone(),
                upstream: upstream.address.clone(),
            };
            targets.insert(
                place,
                Target { host: upstream.host.clone(), container: upstream.container.clone(), work },
            );
        }
    }
    targets
}

/// The tasks of one target, or the one of one address; they end when this is dropped.
struct Tasks(JoinHandle<()>);

impl Tasks {
    fn start<W: Work>(controller: Controller, place: Place, target: Target<W>, resolver: &Resolver) -> Self {
        let resolver = resolver.clone();
        Tasks(tokio::spawn(async move {
            match target.host {
                UpstreamHost::Address(address) => target.work.run(controller, place, address).await,
                UpstreamHost::Name { host, port } => {
                    addresses(controller, place, target.work, resolver.names(host, port)).await;
                }
            }
        }))
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One task for each address of the name; those of addresses that are gone end.
async fn addresses<W: Work>(controller: Controller, place: Place, work: W, mut names: Names) {
    let mut running: HashMap<UpstreamAddress, Tasks> = HashMap::new();
    loop {
        let found = names.changed().await;
        if !work.resolved(&controller, &place, &found, names.again()).await {
            return;
        }
        let Ok(found) = found else { continue };
        let found: Vec<UpstreamAddress> = found.into_iter().map(Into::into).collect();
        running.retain(|address, _| found.contains(address));
        for address in found {
            let one = || work.clone().run(controller.clone(), place.clone(), address);
            running.entry(address).or_insert_with(|| Tasks(tokio::spawn(one())));
        }
    }
}

/// When a round begins.
#[allow(clippy::disallowed_methods, reason = "the timer's own clock")]
pub(super) fn begin() -> Instant {
    Instant::now()
}

/// The rounds after a first one that is made at once: spread over the interval by place and address, so
/// that a hundred upstreams are not asked at the same moment.
#[allow(clippy::disallowed_methods, reason = "the timer's own clock")]
pub(super) fn rounds(place: &Place, address: UpstreamAddress, interval: Duration) -> Interval {
    let interval = interval.max(Duration::from_millis(1));
    let Place { service, pool, upstream } = place;
    let names = [service, pool, upstream].into_iter();
    let hash = names.fold(FixedHash::of(Purpose::Round), |hash, name| hash.bytes(name.as_bytes()));
    let part = hash.upstream(address).finish() as f64 / u64::MAX as f64;
    let first = Instant::now() + Duration::from_millis(1) + interval.mul_f64(part);
    let mut rounds = interval_at(first, interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}
