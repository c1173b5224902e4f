//! The watch over one candidate: its evidence under a policy, with stable's beside it.

use super::readings::Readings;
use super::stable::Beside;
use super::{Bound, Mode, Policy, Reaction, judge};
use crate::core::client::ClientCount;
use crate::core::evidence::Evidence;
use crate::core::evidence::relative::Batch;
use crate::core::outcome::{MAX_LIMITS, Totals};
use crate::core::passive::Accusation;
use crate::core::verdict::{Level, Verdict};
use crate::core::window::Figures;
use std::sync::Arc;
use std::time::Duration;

/// Threshold of the warning levels: a false hold costs only time, and comes at most about once in this
/// many attempts of a candidate that is exactly at its limit.
const WARNING_THRESHOLD: f64 = 10_000.0;

/// The evidence of one candidate under one policy.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) policy: Arc<Policy>,
    pub(super) levels: Vec<Watched>,
    pub(super) began: Duration,
    attempts_before: u64,
    attempts: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub level: Level,
    pub bound: Bound,
    pub evidence: Evidence,
    /// Stable beside the candidate; of critical levels only, and where there is a stable pool.
    pub beside: Option<Beside>,
    /// Non-events and events taken in already.
    seen: (u64, u64),
}

/// What is known of the candidate beside its counters.
#[derive(Clone, Debug, Default)]
pub struct Circumstances<'a> {
    /// The candidate's, over the policy's window.
    pub figures: Figures,
    /// Clients that met failures since [`Watch::clients_since`]; of no account where that is `None`.
    pub clients: usize,
    /// The same of answers slower than each limit, by its place: see [`Watch::slow_since`].
    pub slow_clients: [ClientCount; MAX_LIMITS],
    /// An upstream of the candidate that active checks found down, with its last answer.
    pub down: Option<String>,
    /// The upstream of the candidate that fails the most of its requests, of those that were taken out for it;
    /// and whether stable has one that fails more than it may.
    pub ejected: Option<Accusation>,
    pub stable_ejected: bool,
    /// Whether a stable upstream is up. `true` where there is no stable pool.
    pub stable_up: bool,
    /// What the candidate's upstreams say of themselves.
    pub readings: Option<&'a Readings>,
}

impl Watch {
    /// From now on: `totals` and `stable` are where the counters of the candidate and of the pool it is
    /// compared with stand. Without a `stable` only the candidate's own limits count. With several
    /// critical limits, each gets an equal part of `alpha`, and so does each comparison that may abort, so
    /// that the bound on false aborts holds for all together.
    pub fn new(policy: Arc<Policy>, totals: &Totals, stable: Option<&Totals>, now: Duration) -> Self {
        let levels = policy.levels();
        let critical = levels.iter().filter(|(level, _)| *level == Level::Critical).count().max(1);
        let tests = if policy.relative == Reaction::Abort { 2 * critical } else { critical };
        let threshold = policy.horizon as f64 / (policy.alpha / tests as f64);
        let stable = stable.filter(|_| policy.mode == Mode::Evidence);
        let watched = |(level, bound): (Level, Bound)| {
            let is_critical = level == Level::Critical;
            let beside = |totals| Beside::new(bound, policy.relative_ratio, threshold, totals, now);
            let threshold = if is_critical { threshold } else { WARNING_THRESHOLD };
            let evidence = Evidence::new(bound.allowed(), threshold, now);
            let beside = stable.filter(|_| is_critical && bound.is_of_stable_too()).map(beside);
            Watched { level, bound, evidence, beside, seen: bound.counts(totals) }
        };
        let levels = levels.into_iter().map(watched).collect();
        Watch { policy, levels, began: now, attempts_before: totals.attempts, attempts: 0 }
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Takes in what came since the last call. `stable` as in [`Watch::new`].
    pub fn observe(&mut self, now: Duration, totals: &Totals, stable: Option<&Totals>) {
        self.attempts = totals.attempts.saturating_sub(self.attempts_before);
        let mut recovered = Vec::new();
        for watched in &mut self.levels {
            if watched.observe(now, totals, stable) {
                recovered.push(watched.bound.metric());
            }
        }
        for watched in &mut self.levels {
            if !recovered.is_empty() && recovered.contains(&watched.bound.metric()) {
                watched.evidence.restart(now);
            }
        }
    }

    /// Attempts since the watch began.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Events so far, over all limits: whether anything got worse.
    pub fn events(&self) -> u64 {
        self.levels.iter().map(|watched| watched.seen.1).sum()
    }

    /// Since when the clients must be counted that failures came to, where the verdict asks for it.
    pub fn clients_since(&self, now: Duration) -> Option<Duration> {
        if self.policy.min_clients <= 1 {
            return None;
        }
        let mut errors = self.levels.iter().filter(|w| w.level == Level::Critical && w.bound.is_errors());
        match self.policy.mode {
            Mode::Window => errors.next().map(|_| now.saturating_sub(self.policy.window).max(self.began)),
            Mode::Evidence => errors.filter_map(Watched::accused_since).min(),
        }
    }

    /// The same of slow answers, for each limit that has to be asked for, by its place.
    pub fn slow_since(&self, now: Duration) -> impl Iterator<Item = (usize, Duration)> {
        let critical = self.levels.iter().filter(|watched| watched.level == Level::Critical);
        critical.filter_map(move |watched| {
            let Bound::Slow { slot, .. } = watched.bound else { return None };
            let since = match self.policy.mode {
                Mode::Window => Some(now.saturating_sub(self.policy.window).max(self.began)),
                Mode::Evidence => watched.accused_since(),
            };
            Some((slot, since?))
        })
    }

    /// Whether an upstream that was taken out for failing requests failed more of them than may be.
    pub fn is_too_much(&self, accused: &Accusation) -> bool {
        self.policy.is_too_much(accused.ended.share())
    }

    /// What the policy says now.
    pub fn verdict(&self, now: Duration, seen: &Circumstances<'_>) -> Verdict {
        judge::verdict(self, now, seen)
    }

    /// For each critical level: its metric, the evidence and the evidence needed (ln); then the same of
    /// the comparison with stable.
    pub fn evidence(&self) -> impl Iterator<Item = (String, f64, f64)> {
        let critical = self.levels.iter().filter(|watched| watched.level == Level::Critical);
        critical.flat_map(|w| {
            let own = (w.bound.metric(), w.evidence.ln(), w.evidence.needed());
            let relative = w.beside.as_ref().map(|beside| &beside.relative);
            let relative = relative.map(|r| (w.bound.relative_metric(), r.ln(), r.needed()));
            std::iter::once(own).chain(relative)
        })
    }
}

impl Watched {
    /// Whether stable is over its trouble, so that the evidence begins anew.
    fn observe(&mut self, now: Duration, totals: &Totals, stable: Option<&Totals>) -> bool {
        let (others, events) = self.bound.counts(totals);
        let (others_seen, events_seen) = self.seen;
        // A success whose body broke later moves from one count to the other.
        let (others, events) = (others.max(others_seen), events.max(events_seen));
        self.seen = (others, events);
        let (others, events) = (others - others_seen, events - events_seen);
        let was_shared = self.is_shared_outage();
        let stood_at_zero = self.evidence.observe(now, others, events);
        let (Some(beside), Some(stable)) = (&mut self.beside, stable) else { return false };
        if stood_at_zero {
            beside.begin();
        }
        beside.observe(now, Batch { attempts: others + events, events }, stable);
        let goes_on = beside.is_failing() && self.evidence.exceeded();
        let is_over = beside.has_recovered() || (was_shared && !goes_on);
        if is_over {
            beside.begin();
            self.evidence.restart(now);
        }
        is_over
    }

    /// The limit is broken, stable breaks it too, and the candidate is not worse.
    pub(super) fn is_shared_outage(&self) -> bool {
        let beside = self.beside.as_ref().filter(|beside| beside.is_failing());
        self.evidence.exceeded() && beside.is_some_and(|beside| !beside.relative.exceeded())
    }

    /// Since when the events came that speak against the candidate.
    fn accused_since(&self) -> Option<Duration> {
        let own = self.evidence.exceeded().then(|| self.evidence.since());
        let relative = self.beside.as_ref().map(|beside| &beside.relative);
        own.or_else(|| relative.filter(|relative| relative.exceeded()).map(|relative| relative.since()))
    }
}
