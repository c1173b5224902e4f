//! One service, live: its durable state, its pools, and the watch on a running rollout.
//!
//! What is changed here is only noted; the controller carries the notes out for all services together
//! ([`Todo`]): publish, mark, journal, answer, in this order.

use super::command::Refusal;
use super::jobs::Jobs;
use super::journal::Started;
use super::links::Links;
use super::log::LogLine;
use super::maintenance::Stretch;
use super::mirroring::MirrorArm;
use super::saving::{Answer, Extra, Saving};
use super::upstreams::Upstreams;
use super::watching::Watching;
use super::{sampling, shown};
use crate::core::outcome::{ArmId, SlowLimits, Totals};
use crate::core::policy::readings::Readings;
use crate::core::service::{Applied, Coverage, Order, ServiceState};
use crate::core::settings;
use crate::core::weight::BasisPoints;
use crate::core::window::{Figures, Window};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How the controller signs its own decisions.
pub(super) const SELF: &str = "pointsman";
/// How far back the shown figures reach where no policy says otherwise.
pub(super) const SHOWN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Live {
    /// As in the configuration.
    pub configured: Arc<settings::Service>,
    /// The same with the upstreams that are registered.
    pub settings: Arc<settings::Service>,
    /// Its place in the file of marks.
    pub slot: usize,
    pub state: ServiceState,
    pub pools: BTreeMap<Arc<str>, LivePool>,
    pub watch: Option<Watching>,
    /// Who served when the history was told last.
    pub coverage: Coverage,
    /// When receivers were told last that others serve, or nobody.
    pub outage_told_at: Option<Duration>,
    /// Its maintenance, or the site's.
    pub stretch: Option<Stretch>,
    /// Rollouts by idempotency key.
    pub keys: HashMap<String, Started>,
    /// Why its state is not the one that was stored, if it is not.
    pub degraded: Option<String>,
    /// From where the command came that is being carried out.
    pub asked_from: Option<String>,
    pub saving: Saving,
    pub jobs: Jobs,
    pub todo: Todo,
    /// When its figures are sampled next.
    pub sample_at: Duration,
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
    pub logged_up: Option<bool>,
    /// What is shown of it.
    pub window: Window,
    /// Whether its counters may have changed since the window's last sample.
    pub is_moving: bool,
    /// What its upstreams say of themselves.
    pub readings: Readings,
}

/// What is left to be done when an input has been taken in.
#[derive(Debug, Default)]
pub(super) struct Todo {
    pub publish: bool,
    /// Whether other upstreams are to be checked or scraped.
    pub watch: bool,
    /// An abort that takes effect with the next table: the rollout's id.
    pub mark: Option<String>,
    /// When the bell was rung that led to it (µs).
    pub rung_us: Option<u64>,
    /// To be written to the process's log once the table is out.
    pub log: Vec<LogLine>,
    /// To be answered once the table is out.
    pub answers: Vec<Answer>,
    /// To be answered with what went wrong.
    pub refusals: Vec<(Answer, Refusal)>,
}

impl Todo {
    pub(super) fn is_pending(&self) -> bool {
        let is_noted = self.publish || self.watch || self.mark.is_some() || !self.log.is_empty();
        is_noted || !self.answers.is_empty() || !self.refusals.is_empty()
    }
}

impl Live {
    pub(super) fn new(settings: Arc<settings::Service>, slot: usize, state: ServiceState) -> Self {
        Live {
            settings: with_registered(&settings, &state),
            configured: settings,
            slot,
            state,
            pools: BTreeMap::new(),
            watch: None,
            coverage: Coverage::default(),
            outage_told_at: None,
            stretch: None,
            keys: HashMap::new(),
            degraded: None,
            asked_from: None,
            saving: Saving::default(),
            jobs: Jobs::default(),
            todo: Todo { publish: true, watch: true, ..Todo::default() },
            // Not all of a thousand services at once.
            sample_at: sampling::first(slot),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Brings the pools in line with the settings; `old` are the settings they had.
    ///
    /// # Errors
    /// A sentence, when there are more pools than can be measured.
    pub(super) fn fit_pools(&mut self, old: Option<&settings::Service>, links: &Links) -> Result<(), String> {
        self.pools.retain(|name, _| self.settings.pools.contains_key(name));
        let now = links.clock.now();
        let (mut added, mut replaced) = (Vec::new(), Vec::new());
        for (name, pool) in &self.settings.pools {
            let before = old.and_then(|old| old.pools.get(name));
            if let (Some(live), Some(before)) = (self.pools.get_mut(name), before) {
                live.upstreams.reconfigure(before, pool, &links.own);
                if has_others(before, pool) {
                    replaced.push(name.clone());
                }
                continue;
            }
            let arm = links.recorder.arm(&self.settings.name, name);
            let arm = arm.ok_or("more pools than can be measured have been configured; restart")?;
            // What is registered has no traffic before its first passed check, after a restart either. What had
            // passed one is believed, as the configuration's are: else another version would stand in meanwhile.
            let is_registered = self.state.upstreams.contains_key(&**name);
            let proven = self.state.pools.get(&**name).map(|record| &record.proven);
            let is_proven = |label: &str| proven.is_some_and(|proven| proven.contains(label));
            let presumed = |label: &str| old.is_none() && (!is_registered || is_proven(label));
            let upstreams = Upstreams::new(pool, presumed, &links.own);
            let (window, readings) = (Window::new(SHOWN), Readings::default());
            let pool = LivePool {
                arm,
                begun: now,
                mirror: None,
                upstreams,
                logged_up: None,
                window,
                is_moving: true,
                readings,
            };
            self.pools.insert(name.clone(), pool);
            added.push(name.clone());
        }
        added.iter().for_each(|name| self.begin_window(name, links));
        replaced.iter().for_each(|name| self.begin_anew(name, links));
        self.drain_as_stored();
        (self.todo.publish, self.todo.watch) = (true, true);
        Ok(())
    }

    /// The version behind a pool is another one from now on, as far as anybody knows: what is counted, scraped,
    /// checked and held against it begins anew.
    fn begin_anew(&mut self, pool: &str, links: &Links) {
        let serves = self.state.weights.get(pool).is_some_and(|weight| *weight > BasisPoints::ZERO);
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.begun = links.clock.now();
            pool.readings = Readings::default();
            pool.upstreams.begin_anew(serves);
        }
        self.begin_window(pool, links);
        self.expect_signals(links);
        self.todo.publish = true;
    }

    /// Counts what begins from now on. What is under way counts apart.
    fn begin_window(&mut self, pool: &str, links: &Links) {
        let shown = self.settings.policy.as_ref().map_or(SHOWN, |policy| policy.window);
        let Some(pool) = self.pools.get_mut(pool) else { return };
        let begun_us = pool.begun_us();
        links.recorder.begin(pool.arm, begun_us);
        if let Some(mirror) = &pool.mirror {
            links.recorder.begin(mirror.arm, begun_us);
        }
        (pool.window, pool.is_moving) = (Window::new(shown), true);
        let totals = links.recorder.totals(pool.arm, links.clock.now_us(), &SlowLimits::default());
        pool.window.push(pool.begun, &totals);
    }

    /// Remembers that a registered upstream has passed a check.
    pub(super) fn note_proven(&mut self, pool: &str, upstream: &str) {
        if !self.state.upstreams.contains_key(pool) {
            return;
        }
        let record = self.state.pools.entry(pool.to_owned()).or_default();
        if record.proven.insert(upstream.to_owned()) {
            self.saving.write_now();
        }
    }

    fn drain_as_stored(&mut self) {
        for (name, pool) in &mut self.pools {
            for slot in &mut pool.upstreams.slots {
                let place = (name.to_string(), slot.settings.address.to_string());
                slot.drain(self.state.draining.contains(&place));
            }
        }
    }

    /// What is to be checked and scraped for this service.
    pub(super) fn watched(&self, links: &Links) -> Arc<settings::Service> {
        let policy = self.policy(links);
        match policy == self.settings.policy {
            true => self.settings.clone(),
            false => Arc::new(settings::Service { policy, ..settings::Service::clone(&self.settings) }),
        }
    }

    /// Whether something is going on that wants frequent looks.
    pub(super) fn is_watchful(&self) -> bool {
        self.state.running().is_some() || self.state.guard.is_some()
    }

    pub(super) fn slow_limits(&self, links: &Links) -> SlowLimits {
        self.policy(links).map(|policy| policy.slow_limits()).unwrap_or_default()
    }

    pub(super) fn totals(&self, pool: &LivePool, links: &Links) -> Totals {
        links.recorder.totals(pool.arm, links.clock.now_us(), &self.slow_limits(links))
    }

    /// The number of a pool in the table.
    pub(super) fn index(&self, pool: &str) -> Option<usize> {
        let mut known = self.pools.keys().filter(|name| self.settings.pools.contains_key(*name));
        known.position(|name| **name == *pool)
    }

    /// Whether a pool could serve.
    pub(super) fn is_up(&self, pool: &str) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.upstreams.any_up())
    }

    pub(super) fn upstreams_changed(&mut self) {
        self.state.revision += 1;
        self.todo.publish = true;
    }

    /// What the controller decided by itself.
    pub(super) fn decided(&mut self, applied: Applied, links: &Links, rung_us: Option<u64>) {
        let aborts = applied.notes.iter().any(|note| matches!(note.action, "aborted" | "returned"));
        // What others are asked for is durable first, so that a restart asks for the same.
        let asks = applied.order == Order::Quiet && applied.state.work() != self.state.work();
        let order = if asks { Order::JournalFirst } else { applied.order };
        if !aborts && !self.saving.takes(order, links.clock.now()) {
            // Nothing but an abort overtakes what is being written; the rest comes up again.
            return;
        }
        match order {
            Order::Quiet => self.state = applied.state,
            Order::JournalFirst => {
                self.save(applied.state, &applied.notes, SELF, Extra::default(), links);
            }
            Order::EffectFirst => {
                self.todo.rung_us = rung_us;
                self.take_effect(applied, SELF, links);
            }
        }
    }

    /// Puts a new state into effect: the table follows with the next publication.
    pub(super) fn enter(&mut self, state: ServiceState, links: &Links) {
        let ended = self.state.running().is_some_and(|before| {
            state.rollout.as_ref().is_some_and(|now| now.id == before.id && now.rollout.has_ended())
        });
        // Upstreams may have changed in the meantime, and revisions never repeat.
        let revision = state.revision.max(self.state.revision + 1);
        let registered = self.state.upstreams != state.upstreams;
        let candidate = candidate_from(&self.state, &state).map(str::to_owned);
        self.state = ServiceState { revision, ..state };
        self.todo.publish = true;
        if registered {
            let old = std::mem::replace(&mut self.settings, with_registered(&self.configured, &self.state));
            if let Err(why) = self.fit_pools(Some(&old), links) {
                tracing::error!(service = %self.settings.name, "{why}");
            }
        }
        self.drain_as_stored();
        if let Some(candidate) = candidate {
            self.begin_anew(&candidate, links);
        }
        self.follow_rollout(links);
        if ended && let Some(view) = shown::rollout(self) {
            links.metrics.rollout_ended(&self.settings.name, &view.phase);
            links.remember(view);
        }
    }

    /// The pools that own limits have kept requests from lately.
    pub(super) fn kept_out(&self, links: &Links) -> Vec<String> {
        let is_kept_out = |pool: &LivePool| self.figures(pool, links).own_limits > 0;
        let pools = self.pools.iter().filter(|(_, pool)| is_kept_out(pool));
        pools.map(|(name, _)| format!("{}/{name}", self.settings.name)).collect()
    }

    /// The pool whose rollout is given up by what is published next.
    pub(super) fn aborting(&self) -> Option<ArmId> {
        self.todo.mark.as_ref()?;
        let to = self.state.rollout.as_ref().map(|last| last.to.as_str())?;
        self.pools.get(to).map(|pool| pool.arm)
    }

    /// The figures of a pool over its window.
    pub(super) fn figures(&self, pool: &LivePool, links: &Links) -> Figures {
        pool.window.figures(links.clock.now(), &self.totals(pool, links))
    }

    /// The same beside a state that is about to be entered: nothing, where the pool begins anew with it.
    pub(super) fn figures_in(&self, next: &ServiceState, name: &str, links: &Links) -> Figures {
        let begins = candidate_from(&self.state, next) == Some(name)
            || self.state.upstreams.get(name) != next.upstreams.get(name);
        let pool = self.pools.get(name).filter(|_| !begins);
        pool.map(|pool| self.figures(pool, links)).unwrap_or_default()
    }
}

impl LivePool {
    /// [`LivePool::begun`] as the counters have it.
    pub(super) fn begun_us(&self) -> u64 {
        self.begun.as_micros() as u64
    }
}

/// The pool that becomes a candidate between two states.
fn candidate_from<'a>(before: &ServiceState, after: &'a ServiceState) -> Option<&'a str> {
    let running = after.running()?;
    let is_new = before.rollout.as_ref().is_none_or(|last| last.id != running.id);
    is_new.then_some(running.to.as_str())
}

/// Whether a pool has other addresses; their weights say nothing of the version behind them.
fn has_others(before: &settings::Pool, after: &settings::Pool) -> bool {
    let of = |pool: &settings::Pool| -> BTreeSet<Arc<str>> {
        pool.upstreams.iter().map(|upstream| upstream.address.clone()).collect()
    };
    of(before) != of(after)
}

/// The settings with the upstreams that are registered. The check that a pool has by default counts in full then, so
/// that what is new is proven first.
pub(super) fn with_registered(
    configured: &Arc<settings::Service>,
    state: &ServiceState,
) -> Arc<settings::Service> {
    let mut settings = configured.clone();
    for (name, set) in &state.upstreams {
        if let Some(pool) = Arc::make_mut(&mut settings).pools.get_mut(name.as_str()) {
            pool.upstreams.clone_from(set);
            if let Some(health) = pool.health.as_mut().filter(|health| health.is_default) {
                *health = settings::Health::connect(health.http2);
            }
        }
    }
    settings
}
