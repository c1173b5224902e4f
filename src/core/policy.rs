//! The limits a candidate must keep, and the watch that holds its evidence against them.
//!
//! Every limit is a statement about a proportion of attempts: "at most 1 % fail", "p95 ≤ 2 s" (at most
//! 5 % take longer). So one test ([`Evidence`]) serves them all. A critical level that is broken fails
//! the candidate, a warning level holds it.

mod judge;

use super::evidence::Evidence;
use super::outcome::{MAX_LIMITS, SlowLimits, Totals};
use super::signal::Signal;
use super::verdict::{Level, Verdict};
use super::window::Figures;
use std::sync::Arc;
use std::time::Duration;

/// Threshold of the warning levels: a false hold costs only time, and comes at most about once in this
/// many attempts of a candidate that is exactly at its limit.
const WARNING_THRESHOLD: f64 = 10_000.0;

/// The limits a candidate must keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub name: String,
    pub mode: Mode,
    /// False aborts tolerated within `horizon` attempts, over all critical limits together.
    pub alpha: f64,
    pub horizon: u64,
    /// The plain rule's stretch and least sample (`mode = "window"` only).
    pub window: Duration,
    pub min_sample: u64,
    pub limits: Vec<Limit>,
    /// Numbers of the application itself, scraped from the upstreams.
    pub signals: Vec<Signal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The sequential test of [`super::evidence`].
    Evidence,
    /// The plain rule: the rate in the window against the limit.
    Window,
}

/// One metric with its levels; at least one of the two is set.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// Shares of attempts that may fail (0–1, exclusive).
    ErrorRate { warning: Option<f64>, critical: Option<f64> },
    /// `quantile` (0–1) of the attempts must be answered within the time.
    Latency { quantile: f64, warning: Option<Duration>, critical: Option<Duration> },
}

/// One level of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Errors {
        share: f64,
    },
    /// `slot` is its place in [`SlowLimits`].
    Slow {
        quantile: f64,
        time: Duration,
        slot: usize,
    },
}

impl Policy {
    /// The times that the shards must count by: the latency levels in the order of `limits`, each
    /// limit's warning before its critical level. Those past [`MAX_LIMITS`] have no place; the
    /// configuration refuses that many.
    pub fn slow_limits(&self) -> SlowLimits {
        let mut limits = SlowLimits::default();
        for (_, bound) in self.levels() {
            if let Bound::Slow { time, slot, .. } = bound {
                limits.0[slot] = time.as_micros().min(u128::from(u32::MAX - 1)) as u32;
            }
        }
        limits
    }

    fn levels(&self) -> Vec<(Level, Bound)> {
        let mut levels = Vec::new();
        let mut slots = 0..MAX_LIMITS;
        for limit in &self.limits {
            match limit {
                Limit::ErrorRate { warning, critical } => {
                    let bound = |share: &f64| Bound::Errors { share: *share };
                    levels.extend(warning.as_ref().map(|share| (Level::Warning, bound(share))));
                    levels.extend(critical.as_ref().map(|share| (Level::Critical, bound(share))));
                }
                Limit::Latency { quantile, warning, critical } => {
                    for (level, time) in [(Level::Warning, warning), (Level::Critical, critical)] {
                        let slot = time.and_then(|time| Some((time, slots.next()?)));
                        let bound = slot.map(|(time, slot)| Bound::Slow { quantile: *quantile, time, slot });
                        levels.extend(bound.map(|bound| (level, bound)));
                    }
                }
            }
        }
        levels
    }
}

impl Bound {
    /// The proportion of attempts that it allows to be events.
    fn allowed(&self) -> f64 {
        match self {
            Bound::Errors { share } => *share,
            Bound::Slow { quantile, .. } => 1.0 - quantile,
        }
    }

    fn metric(&self) -> String {
        match self {
            Bound::Errors { .. } => "error_rate".into(),
            Bound::Slow { quantile, .. } => format!("latency_p{:.0}", quantile * 100.0),
        }
    }

    /// Non-events and events so far.
    fn counts(&self, totals: &Totals) -> (u64, u64) {
        match self {
            Bound::Errors { .. } => (totals.attempts.saturating_sub(totals.failures), totals.failures),
            Bound::Slow { slot, .. } => (totals.fast[*slot], totals.slow[*slot]),
        }
    }
}

/// The evidence of one candidate under one policy.
#[derive(Clone, Debug)]
pub struct Watch {
    policy: Arc<Policy>,
    levels: Vec<Watched>,
    attempts_before: u64,
    attempts: u64,
}

#[derive(Clone, Debug)]
struct Watched {
    level: Level,
    bound: Bound,
    evidence: Evidence,
    /// Non-events and events taken in already.
    seen: (u64, u64),
}

impl Watch {
    /// From now on: `totals` is where the candidate's counters stand. With several critical limits,
    /// each gets an equal part of `alpha`, so that the bound on false aborts holds for all together.
    pub fn new(policy: Arc<Policy>, totals: &Totals, now: Duration) -> Self {
        let levels = policy.levels();
        let critical = levels.iter().filter(|(level, _)| *level == Level::Critical).count().max(1);
        let threshold = policy.horizon as f64 / (policy.alpha / critical as f64);
        let watched = |(level, bound): (Level, Bound)| {
            let threshold = if level == Level::Critical { threshold } else { WARNING_THRESHOLD };
            let evidence = Evidence::new(bound.allowed(), threshold, now);
            Watched { level, bound, evidence, seen: bound.counts(totals) }
        };
        let levels = levels.into_iter().map(watched).collect();
        Watch { policy, levels, attempts_before: totals.attempts, attempts: 0 }
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Takes in what came since the last call.
    pub fn observe(&mut self, now: Duration, totals: &Totals) {
        self.attempts = totals.attempts.saturating_sub(self.attempts_before);
        for watched in &mut self.levels {
            let (others, events) = watched.bound.counts(totals);
            let (others_seen, events_seen) = watched.seen;
            // A success whose body broke later moves from one count to the other.
            let (others, events) = (others.max(others_seen), events.max(events_seen));
            watched.evidence.observe(now, others - others_seen, events - events_seen);
            watched.seen = (others, events);
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

    /// What the policy says now; `figures` are the candidate's, over the policy's window.
    pub fn verdict(&self, now: Duration, figures: &Figures) -> Verdict {
        judge::verdict(&self.policy, &self.levels, now, figures)
    }

    /// For each critical level: its metric, the evidence and the evidence needed (ln).
    pub fn evidence(&self) -> impl Iterator<Item = (String, f64, f64)> {
        let critical = self.levels.iter().filter(|watched| watched.level == Level::Critical);
        critical.map(|w| (w.bound.metric(), w.evidence.ln(), w.evidence.needed()))
    }
}
