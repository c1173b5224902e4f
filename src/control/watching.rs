//! The watch over a running rollout: what it is fed with, and when it begins and ends.

use super::links::Links;
use super::live::{Live, LivePool, SHOWN};
use crate::core::outcome::{SlowLimits, Totals};
use crate::core::policy::{Circumstances, Policy, Watch};
use crate::core::rollout::{Observation, Phase};
use crate::core::service::{Change, Running};
use crate::core::verdict::Level;
use crate::core::window::Window;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A failure is stamped a moment before it is counted.
const SLACK: Duration = Duration::from_millis(10);

/// The evidence of the running rollout.
#[derive(Debug)]
pub(super) struct Watching {
    id: String,
    pub watch: Watch,
    /// The times that count as slow, kept at hand since every bell asks for them.
    slow: SlowLimits,
    /// Since the rollout began, for the plain rule.
    window: Window,
}

impl Live {
    /// The policy that candidates are held against now.
    pub(super) fn policy(&self, links: &Links) -> Option<Arc<Policy>> {
        let named = self.state.running().and_then(|running| running.policy.as_deref());
        named.and_then(|name| links.config.policies.get(name)).or(self.settings.policy.as_ref()).cloned()
    }

    /// Holds the running rollout against what its candidate did. `rung_us` is when the bell was rung
    /// that this follows. Whether the candidate had new failures.
    pub(super) fn judge(&mut self, links: &Links, rung_us: Option<u64>) -> bool {
        let Some(running) = self.state.running() else { return false };
        let Some(candidate) = self.pools.get(running.to.as_str()) else { return false };
        let stable = stable_of(&self.pools, running);
        let stable_up = stable.is_none_or(|stable| stable.upstreams.any_up());
        let stable_ready = self.is_up(&running.from);
        let is_rolling = running.rollout.is_rolling();
        let upstreams = if is_rolling { candidate.upstreams.seen() } else { BTreeMap::new() };
        let Some(watching) = &mut self.watch else { return false };
        let now = links.clock.now();
        let totals = totals(candidate, links, &watching.slow);
        let stable = stable.map(|stable| self::totals(stable, links, &watching.slow));
        let events = watching.watch.events();
        watching.watch.observe(now, &totals, stable.as_ref());
        watching.window.push(now, &totals);
        let seen = Circumstances {
            figures: watching.window.figures(now, &totals),
            clients: watching.clients(candidate, links, now),
            down: candidate.upstreams.found_down(),
            stable_up,
            readings: Some(&candidate.readings),
        };
        let observation = Observation {
            verdict: watching.watch.verdict(now, &seen),
            attempts: watching.watch.attempts(),
            candidate: watching.readiness(candidate, running.rollout.phase),
            stable_ready,
            upstreams,
        };
        let worse = watching.watch.events() > events;
        let wall = links.wall_text();
        if let Ok(applied) = self.state.apply(Change::Observed(&observation), links.moment(&wall)) {
            self.decided(applied, links, rung_us);
        }
        worse
    }

    /// The watch begins and ends with the rollout, and anew under another policy.
    pub(super) fn follow_rollout(&mut self, links: &Links) {
        let Some(running) = self.state.running() else {
            self.watch = None;
            return;
        };
        let no_limits = || Arc::new(Policy { window: SHOWN, ..Policy::default() });
        let policy = self.policy(links).unwrap_or_else(no_limits);
        let same = |w: &Watching| w.id == running.id && *w.watch.policy() == policy;
        if self.watch.as_ref().is_some_and(same) {
            return;
        }
        let Some(candidate) = self.pools.get(running.to.as_str()) else { return };
        let (now, slow) = (links.clock.now(), policy.slow_limits());
        let totals = totals(candidate, links, &slow);
        let stable = stable_of(&self.pools, running).map(|stable| self::totals(stable, links, &slow));
        let mut window = Window::new(policy.window);
        window.push(now, &totals);
        let watch = Watch::new(policy, &totals, stable.as_ref(), now);
        self.watch = Some(Watching { id: running.id.clone(), watch, slow, window });
    }
}

impl Watching {
    /// Clients of the candidate that met failures, where the policy asks for them.
    fn clients(&self, candidate: &LivePool, links: &Links, now: Duration) -> usize {
        let since = self.watch.clients_since(now).map(|since| since.saturating_sub(SLACK));
        since.map_or(0, |since| links.recorder.failed_clients(candidate.arm, since.as_micros() as u64))
    }

    /// Whether the candidate could serve. Where one upstream that is down fails it, all of them must be
    /// up before it begins.
    fn readiness(&self, candidate: &LivePool, phase: Phase) -> Result<(), String> {
        if phase == Phase::Preparing && self.watch.policy().health == Some(Level::Critical) {
            return candidate.upstreams.all_ready();
        }
        candidate.upstreams.ready()
    }
}

/// The pool that the candidate is compared with. A pool that follows itself (its hosts get a new version
/// one after the other) has none.
fn stable_of<'a>(pools: &'a BTreeMap<Arc<str>, LivePool>, running: &Running) -> Option<&'a LivePool> {
    pools.get(running.from.as_str()).filter(|_| running.from != running.to)
}

fn totals(pool: &LivePool, links: &Links, slow: &SlowLimits) -> Totals {
    links.recorder.totals(pool.arm, links.clock.now_us(), slow)
}
