//! One service, live: its durable state, its pools, and the watch on a running rollout.
//!
//! What is changed here is only noted; the controller carries the notes out for all services together
//! ([`Todo`]): publish, mark, journal, answer, in this order.

use super::command::Refusal;
use super::jobs::Jobs;
use super::links::Links;
use super::maintenance::Stretch;
use super::mirroring::MirrorArm;
use super::saving::{Answer, Extra, Saving};
use super::shown;
use super::upstreams::Upstreams;
use super::watching::Watching;
use crate::core::outcome::{ArmId, SlowLimits, Totals};
use crate::core::policy::readings::Readings;
use crate::core::service::{Applied, Order, ServiceState};
use crate::core::settings;
use crate::core::window::{Figures, Window};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How the controller signs its own decisions.
pub(super) const SELF: &str = "pointsman";
/// How far back the shown figures reach where no policy says otherwise.
pub(super) const SHOWN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Live {
    /// As in the configuration.
    pub configured: settings::Service,
    /// The same with the upstreams that are registered.
    pub settings: settings::Service,
    /// Its place in the file of marks.
    pub slot: usize,
    pub state: ServiceState,
    pub pools: BTreeMap<Arc<str>, LivePool>,
    pub watch: Option<Watching>,
    /// Its maintenance, or the site's.
    pub stretch: Option<Stretch>,
    /// Rollout ids by idempotency key.
    pub keys: HashMap<String, String>,
    pub saving: Saving,
    pub jobs: Jobs,
    pub todo: Todo,
}

#[derive(Debug)]
pub(super) struct LivePool {
    pub arm: ArmId,
    /// Of requests that are mirrored to it.
    pub mirror: Option<MirrorArm>,
    pub upstreams: Upstreams,
    /// What is shown of it.
    pub window: Window,
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
    /// To be answered once the table is out.
    pub answers: Vec<Answer>,
    /// To be answered with what went wrong.
    pub refusals: Vec<(Answer, Refusal)>,
}

impl Live {
    pub(super) fn new(settings: settings::Service, slot: usize, state: ServiceState) -> Self {
        Live {
            settings: with_registered(&settings, &state),
            configured: settings,
            slot,
            state,
            pools: BTreeMap::new(),
            watch: None,
            stretch: None,
            keys: HashMap::new(),
            saving: Saving::default(),
            jobs: Jobs::default(),
            todo: Todo { publish: true, watch: true, ..Todo::default() },
        }
    }

    /// Brings the pools in line with the settings; `old` are the settings they had.
    ///
    /// # Errors
    /// A sentence, when there are more pools than can be measured.
    pub(super) fn fit_pools(&mut self, old: Option<&settings::Service>, links: &Links) -> Result<(), String> {
        self.pools.retain(|name, _| self.settings.pools.contains_key(name));
        let shown = self.settings.policy.as_ref().map_or(SHOWN, |policy| policy.window);
        for (name, pool) in &self.settings.pools {
            let before = old.and_then(|old| old.pools.get(name));
            if let (Some(live), Some(before)) = (self.pools.get_mut(name), before) {
                live.upstreams.reconfigure(before, pool, &links.own);
                continue;
            }
            let arm = links.recorder.arm(&self.settings.name, name);
            let arm = arm.ok_or("more pools than can be measured have been configured; restart")?;
            // What is registered has no traffic before its first passed check, after a restart either.
            let presumed = old.is_none() && !self.state.upstreams.contains_key(&**name);
            let upstreams = Upstreams::new(pool, presumed, &links.own);
            let mut window = Window::new(shown);
            let totals = links.recorder.totals(arm, links.clock.now_us(), &SlowLimits::default());
            window.push(links.clock.now(), &totals);
            let pool = LivePool { arm, mirror: None, upstreams, window, readings: Readings::default() };
            self.pools.insert(name.clone(), pool);
        }
        self.drain_as_stored();
        (self.todo.publish, self.todo.watch) = (true, true);
        Ok(())
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
    pub(super) fn watched(&self, links: &Links) -> settings::Service {
        settings::Service { policy: self.policy(links), ..self.settings.clone() }
    }

    /// Whether something is going on that wants frequent looks.
    pub(super) fn is_watchful(&self) -> bool {
        self.state.running().is_some() || self.state.guard.is_some()
    }

    pub(super) fn totals(&self, pool: &LivePool, links: &Links) -> Totals {
        let slow = self.policy(links).map(|policy| policy.slow_limits()).unwrap_or_default();
        links.recorder.totals(pool.arm, links.clock.now_us(), &slow)
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

    /// Takes in ejections and, once a second, the figures.
    pub(super) fn observe_pools(&mut self, now: Duration, links: &Links, sample: bool) {
        let mut changed = false;
        for (name, pool) in &mut self.pools {
            if let Some(settings) = self.settings.pools.get(name) {
                changed |= pool.upstreams.observe(settings, now);
            }
        }
        if changed {
            self.upstreams_changed();
        }
        if sample {
            let totals: Vec<_> = self.pools.values().map(|pool| self.totals(pool, links)).collect();
            for (pool, totals) in self.pools.values_mut().zip(&totals) {
                pool.window.push(now, totals);
            }
            self.expect_signals(links);
        }
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
        self.state = ServiceState { revision, ..state };
        self.todo.publish = true;
        if registered {
            let old = std::mem::replace(&mut self.settings, with_registered(&self.configured, &self.state));
            if let Err(why) = self.fit_pools(Some(&old), links) {
                tracing::error!(service = %self.settings.name, "{why}");
            }
        }
        self.drain_as_stored();
        self.follow_rollout(links);
        if ended && let Some(view) = shown::rollout(self) {
            links.metrics.rollout_ended(&self.settings.name, &view.phase);
            links.remember(view);
        }
    }

    /// The pool whose rollout is given up by what is published next.
    pub(super) fn aborting(&self) -> Option<ArmId> {
        self.todo.mark.as_ref()?;
        let to = self.state.rollout.as_ref().map(|last| last.to.as_str())?;
        self.pools.get(to).map(|pool| pool.arm)
    }

    /// The pools that own limits have kept requests from lately.
    pub(super) fn kept_out(&self, links: &Links) -> Vec<String> {
        let is_kept_out = |pool: &LivePool| self.figures(pool, links).own_limits > 0;
        let pools = self.pools.iter().filter(|(_, pool)| is_kept_out(pool));
        pools.map(|(name, _)| format!("{}/{name}", self.settings.name)).collect()
    }

    /// The figures of a pool over its window.
    pub(super) fn figures(&self, pool: &LivePool, links: &Links) -> Figures {
        pool.window.figures(links.clock.now(), &self.totals(pool, links))
    }
}

/// The settings with the upstreams that are registered. A pool without a check gets one then: whether it
/// accepts connections; so that what is new can be proven.
pub(super) fn with_registered(configured: &settings::Service, state: &ServiceState) -> settings::Service {
    let mut settings = configured.clone();
    for (name, set) in &state.upstreams {
        if let Some(pool) = settings.pools.get_mut(name.as_str()) {
            pool.upstreams.clone_from(set);
            pool.health.get_or_insert_with(settings::Health::accepts);
        }
    }
    settings
}
