//! The pools of a service, live: their upstreams, their counters, and the window that is shown of them.
//!
//! What is counted of a pool is about the version that lies in it: it begins from zero when the pool becomes a
//! rollout's candidate, or gets other upstreams. It is read while requests are under way, and as long as the window
//! still shows some; after that time alone changes nothing, and the service sleeps until something begins on it.

use super::grouping::Grouping;
use super::links::Links;
use super::upstreams::Upstreams;
use crate::core::container::PoolContainers;
use crate::core::kind_counts::KindCounts;
use crate::core::mirror::UnderWay;
use crate::core::outcome::{ArmId, SlowLimits, Totals};
use crate::core::policy::readings::Readings;
use crate::core::policy::yardstick::Yardstick;
use crate::core::policy::{GroupCounts, Policy};
use crate::core::service::{HandWatch, ServiceState};
use crate::core::settings;
use crate::core::weight::BasisPoints;
use crate::core::window::{Figures, Window};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How far back the shown figures reach where no policy says otherwise.
pub(super) const SHOWN: Duration = Duration::from_secs(60);
/// Time between two samples of the figures.
const SAMPLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pools {
    /// The service as in the configuration.
    pub configured: Arc<settings::Service>,
    /// The same with the upstreams that are registered, and the containers that run.
    pub settings: Arc<settings::Service>,
    /// The containers of each pool, as Docker tells of them.
    containers: BTreeMap<Arc<str>, PoolContainers>,
    all: BTreeMap<Arc<str>, LivePool>,
    /// The groups of the service's requests, where its policy asks for any.
    pub grouping: Option<Grouping>,
    /// When the figures are sampled next.
    sample_at: Duration,
}

#[derive(Debug)]
pub(super) struct LivePool {
    pub arm: ArmId,
    /// Since when everything that is counted of it is about the version it has now: when it became a rollout's
    /// candidate, or got other upstreams.
    pub begun: Duration,
    /// Of requests that are mirrored to it.
    pub mirror: Option<MirrorArm>,
    pub upstreams: Upstreams,
    /// Whether the log has it that somebody could serve.
    logged_up: Option<bool>,
    /// What is shown of it.
    window: Window,
    /// Whether its counters may have changed since the window's last sample.
    pub is_moving: bool,
    /// What it did in the last minutes, for a candidate that is set beside it.
    yardstick: Yardstick,
    /// What its upstreams say of themselves.
    pub readings: Readings,
}

/// Where what comes of copies to one pool is counted; made when a rollout mirrors to it for the first time.
#[derive(Clone, Debug)]
pub(super) struct MirrorArm {
    pub arm: ArmId,
    pub under_way: Arc<UnderWay>,
}

impl Pools {
    /// None yet: [`Pools::fit`] brings them. `slot` is the service's number.
    pub(super) fn new(configured: Arc<settings::Service>, state: &ServiceState, slot: usize) -> Self {
        let stored = |(pool, known): (&String, &PoolContainers)| (pool.as_str().into(), known.clone());
        let containers: BTreeMap<_, _> = state.containers.iter().map(stored).collect();
        Pools {
            settings: with_registered(&configured, state, &containers),
            configured,
            containers,
            all: BTreeMap::new(),
            grouping: None,
            // Not all of a thousand services at once.
            sample_at: SAMPLE * (slot % 4) as u32 / 4,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&LivePool> {
        self.all.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut LivePool> {
        self.all.get_mut(name)
    }

    /// In the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &LivePool)> + Clone {
        self.all.iter()
    }

    /// Takes over another configuration, or other registered upstreams; `configured` is `None` for the latter.
    ///
    /// # Errors
    /// As [`Pools::fit`].
    pub(super) fn reconfigure(
        &mut self,
        configured: Option<&Arc<settings::Service>>,
        state: &ServiceState,
        links: &Links,
    ) -> Result<(), String> {
        if let Some(configured) = configured {
            self.configured = configured.clone();
        }
        let old =
            std::mem::replace(&mut self.settings, with_registered(&self.configured, state, &self.containers));
        self.fit(Some(&old), state, links)
    }

    pub(super) fn containers(&self) -> &BTreeMap<Arc<str>, PoolContainers> {
        &self.containers
    }

    /// Takes over the containers that there are now; whether there is anything new.
    ///
    /// # Errors
    /// As [`Pools::fit`].
    pub(super) fn contain(
        &mut self,
        now: &BTreeMap<Arc<str>, PoolContainers>,
        state: &ServiceState,
        links: &Links,
    ) -> Result<bool, String> {
        if self.containers == *now {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.containers, now.clone());
        self.reconfigure(None, state, links)?;
        self.all.values_mut().for_each(|pool| pool.upstreams.note_empty(links.clock.now()));
        for (pool, containers) in now {
            if containers.has_more_than(before.get(pool).unwrap_or(&PoolContainers::default())) {
                self.begin(pool, state, links);
            }
        }
        Ok(true)
    }

    /// Brings the pools in line with the settings; `old` are the settings they had.
    ///
    /// # Errors
    /// A sentence, when there are more pools than can be measured.
    pub(super) fn fit(
        &mut self,
        old: Option<&settings::Service>,
        state: &ServiceState,
        links: &Links,
    ) -> Result<(), String> {
        let settings = self.settings.clone();
        self.all.retain(|name, _| settings.pools.contains_key(name));
        let (mut added, mut replaced) = (Vec::new(), Vec::new());
        for (name, pool) in &settings.pools {
            let before = old.and_then(|old| old.pools.get(name));
            if let (Some(live), Some(before)) = (self.all.get_mut(name), before) {
                live.upstreams.reconfigure(before, pool, &links.own);
                if has_others(before, pool) {
                    replaced.push(name.clone());
                }
                continue;
            }
            let arm = links.recorder.arm(&settings.name, name);
            let arm = arm.ok_or("more pools than can be measured have been configured; restart")?;
            // What is registered has no traffic before its first passed check, after a restart either. What had
            // passed one is believed, as the configuration's are: else another version would stand in meanwhile.
            let is_registered = state.upstreams.contains_key(&**name);
            let proven = state.pools.get(&**name).map(|record| &record.proven);
            let is_proven = |upstream: &settings::Upstream| {
                proven.is_some_and(|proven| proven.contains(&upstream.identity()))
            };
            let presumed = |upstream: &settings::Upstream| {
                let must_prove = is_registered || upstream.container.is_some();
                old.is_none() && (!must_prove || is_proven(upstream))
            };
            let upstreams = Upstreams::new(pool, presumed, &links.own);
            self.all.insert(name.clone(), LivePool::new(arm, links.clock.now(), upstreams));
            added.push(name.clone());
        }
        self.all.values_mut().for_each(|pool| pool.upstreams.count_by(links.recorder.workers()));
        added.iter().for_each(|name| self.begin_window(name, links));
        replaced.iter().for_each(|name| self.begin(name, state, links));
        self.drain_as_stored(state);
        Ok(())
    }

    /// The version behind a pool is another one from now on, as far as anybody knows: what is counted, scraped,
    /// checked and held against it begins from zero.
    pub(super) fn begin(&mut self, pool: &str, state: &ServiceState, links: &Links) {
        let serves = state.weights.get(pool).is_some_and(|weight| *weight > BasisPoints::ZERO);
        if let Some(pool) = self.all.get_mut(pool) {
            pool.begun = links.clock.now();
            pool.readings = Readings::default();
            pool.upstreams.begin(serves);
        }
        self.begin_window(pool, links);
        let policy = policy(state, &self.settings, links).cloned();
        self.expect_signals(policy.as_ref(), links.clock.now());
    }

    /// Counts what begins from now on. What is under way counts apart.
    fn begin_window(&mut self, pool: &str, links: &Links) {
        let shown = self.settings.policy.as_ref().map_or(SHOWN, |policy| policy.window);
        let Some(pool) = self.all.get_mut(pool) else { return };
        let begun_us = pool.begun_us();
        links.recorder.begin(pool.arm, begun_us);
        if let Some(mirror) = &pool.mirror {
            links.recorder.begin(mirror.arm, begun_us);
        }
        (pool.window, pool.is_moving) = (Window::new(shown), true);
        let totals = links.recorder.totals(pool.arm, links.clock.now_us(), &SlowLimits::default());
        pool.window.push(pool.begun, &totals);
        pool.yardstick.restart();
        pool.yardstick.push(pool.begun, || KindCounts::from(&totals));
    }

    /// The watch over weights set by hand, where the service has limits for it and wants it.
    pub(super) fn by_hand<'a>(&self, state: &'a ServiceState) -> Option<&'a HandWatch> {
        let is_wanted = self.settings.watch_manual && self.settings.policy.is_some();
        state.watched_by_hand().filter(|_| is_wanted)
    }

    /// As many groups as the policy asks for. Whether the table has to say so.
    pub(super) fn fit_groups(&mut self, state: &ServiceState, links: &Links) -> bool {
        let most = policy(state, &self.settings, links).map_or(0, |policy| policy.groups);
        if self.grouping.as_ref().map_or(0, Grouping::most) == most {
            return false;
        }
        self.grouping = Grouping::of(most, links);
        true
    }

    /// What was counted of each group of requests.
    pub(super) fn groups(&self) -> Vec<GroupCounts> {
        self.grouping.as_ref().map(Grouping::counted).unwrap_or_default()
    }

    pub(super) fn drain_as_stored(&mut self, state: &ServiceState) {
        for (name, pool) in &mut self.all {
            for slot in &mut pool.upstreams.slots {
                let label = &slot.settings.address;
                let ends = self.containers.get(name).is_some_and(|of| of.ending.contains(label));
                slot.drain(ends || state.draining.contains(&(name.to_string(), label.to_string())));
            }
        }
    }

    /// Makes what is needed before the table says that requests are mirrored.
    pub(super) fn ready_mirror(&mut self, state: &ServiceState, links: &Links) {
        let mirrors = state.running().filter(|running| running.rollout.mirrors().is_some());
        let Some(to) = mirrors.map(|running| running.to.as_str()) else { return };
        let Some(pool) = self.all.get_mut(to).filter(|pool| pool.mirror.is_none()) else { return };
        match links.recorder.mirror_arm(&self.settings.name, to) {
            Some(arm) => {
                links.recorder.begin(arm, pool.begun_us());
                pool.mirror = Some(MirrorArm { arm, under_way: Arc::default() });
            }
            None => tracing::error!("nothing can be mirrored to {to}: more pools than can be measured"),
        }
    }

    /// Something has begun or gone wrong on an arm of it, and nothing had until `quiet_until`.
    pub(super) fn moves(&mut self, arm: ArmId, quiet_until: Duration) {
        let is_its = |pool: &&mut LivePool| pool.arm == arm;
        if let Some(pool) = self.all.values_mut().find(is_its).filter(|pool| !pool.is_moving) {
            pool.window.hold(quiet_until);
            pool.is_moving = true;
        }
    }

    /// Whether time alone changes nothing of any.
    pub(super) fn rest(&self) -> bool {
        self.all.iter().all(|(name, pool)| {
            let slow_start = self.settings.pools.get(name).map(|settings| settings.slow_start);
            !pool.is_moving && pool.window.is_still() && pool.upstreams.rest(slow_start.unwrap_or_default())
        })
    }

    /// Takes in ejections and, once a second, the figures. Whether the table must show any of it.
    pub(super) fn observe(&mut self, now: Duration, state: &ServiceState, links: &Links) -> bool {
        let mut changed = false;
        for (name, pool) in &mut self.all {
            if let Some(settings) = self.settings.pools.get(name) {
                changed |= pool.upstreams.observe(settings, now);
            }
        }
        if now >= self.sample_at {
            self.sample_at = now + SAMPLE;
            let policy = policy(state, &self.settings, links).cloned();
            self.sample(now, policy.as_ref(), links);
            let is_calm = state.running().is_none() && state.guard.is_none() && self.by_hand(state).is_none();
            changed |= is_calm && self.grouping.as_mut().is_some_and(|grouping| grouping.turn(now, links));
        }
        changed
    }

    fn sample(&mut self, now: Duration, policy: Option<&Arc<Policy>>, links: &Links) {
        let slow = policy.map(|policy| policy.thresholds(false).slow).unwrap_or_default();
        for pool in self.all.values_mut() {
            if !pool.is_moving {
                pool.window.hold(now);
                continue;
            }
            let totals = links.recorder.totals(pool.arm, links.clock.now_us(), &slow);
            let is_taken = pool.window.push(now, &totals);
            pool.yardstick.push(now, || KindCounts::from(&totals));
            // What is under way may come to a good end, which nobody says.
            pool.is_moving = totals.in_flight > 0 || !is_taken;
        }
        self.expect_signals(policy, links.clock.now());
    }

    /// Brings those who are expected to speak in line with the upstreams: draining ones need not.
    pub(super) fn expect_signals(&mut self, policy: Option<&Arc<Policy>>, now: Duration) {
        if policy.is_none_or(|policy| policy.signals.is_empty()) {
            return;
        }
        for pool in self.all.values_mut() {
            pool.readings.expect(pool.upstreams.open(), now);
        }
    }

    /// Those that have gone up or, with the reason, down since the last call.
    pub(super) fn take_turned(&mut self) -> Vec<(Arc<str>, Option<String>)> {
        let mut turned = Vec::new();
        for (name, pool) in &mut self.all {
            let is_up = pool.upstreams.any_up();
            // A pool that nobody has asked yet is not one that went down.
            if pool.logged_up.replace(is_up).is_some_and(|before| before != is_up) {
                turned.push((name.clone(), pool.upstreams.ready().err().filter(|_| !is_up)));
            }
        }
        turned
    }

    /// Takes note of the upstreams' states, which are shown next.
    pub(super) fn note_states(&mut self, links: &Links) {
        let wall = links.wall_text();
        self.all.values_mut().for_each(|pool| pool.upstreams.note_states(&wall));
    }

    /// The number of a pool in the table.
    pub(super) fn index(&self, pool: &str) -> Option<usize> {
        let mut known = self.all.keys().filter(|name| self.settings.pools.contains_key(*name));
        known.position(|name| **name == *pool)
    }

    /// Whether a pool could serve.
    pub(super) fn is_up(&self, pool: &str) -> bool {
        self.all.get(pool).is_some_and(|pool| pool.upstreams.any_up())
    }

    /// The pools that are known to be down, and why.
    pub(super) fn known_down(&self) -> BTreeMap<String, String> {
        let down = self.all.iter().filter_map(|(name, pool)| {
            let why = pool.upstreams.serves()?.err()?;
            Some((name.to_string(), why))
        });
        down.collect()
    }
}

impl LivePool {
    fn new(arm: ArmId, now: Duration, upstreams: Upstreams) -> Self {
        LivePool {
            arm,
            begun: now,
            mirror: None,
            upstreams,
            logged_up: None,
            window: Window::new(SHOWN),
            is_moving: true,
            yardstick: Yardstick::default(),
            readings: Readings::default(),
        }
    }

    /// [`LivePool::begun`] as the counters have it.
    pub(super) fn begun_us(&self) -> u64 {
        self.begun.as_micros() as u64
    }

    /// What it did in the minutes before, as its counters stand at `counts`.
    pub(super) fn before(&self, counts: &KindCounts) -> Option<KindCounts> {
        self.yardstick.since(counts)
    }

    /// Its figures over its window.
    pub(super) fn figures(&self, slow: &SlowLimits, links: &Links) -> Figures {
        self.window.figures(links.clock.now(), &totals(self.arm, slow, links))
    }

    /// The same, as far as has been noticed.
    pub(super) fn shown_figures(&self, slow: &SlowLimits, links: &Links) -> Figures {
        match self.is_moving {
            true => self.figures(slow, links),
            false => self.window.held_figures(links.clock.now()),
        }
    }
}

/// All that has been counted on an arm.
pub(super) fn totals(arm: ArmId, slow: &SlowLimits, links: &Links) -> Totals {
    links.recorder.totals(arm, links.clock.now_us(), slow)
}

/// The policy that candidates are held against now.
pub(super) fn policy<'a>(
    state: &ServiceState,
    settings: &'a settings::Service,
    links: &'a Links,
) -> Option<&'a Arc<Policy>> {
    let after = state.guard.as_ref().and_then(|guard| guard.policy.as_deref());
    let named = state.running().map_or(after, |running| running.policy.as_deref());
    named.and_then(|name| links.config.policies.get(name)).or(settings.policy.as_ref())
}

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
fn has_others(before: &settings::Pool, after: &settings::Pool) -> bool {
    let of =
        |pool: &settings::Pool| -> BTreeSet<Arc<str>> { others(pool).map(|u| u.address.clone()).collect() };
    of(before) != of(after)
}

/// The upstreams of a pool beside its containers.
fn others(pool: &settings::Pool) -> impl Iterator<Item = &settings::Upstream> {
    pool.upstreams.iter().filter(|upstream| upstream.container.is_none())
}
