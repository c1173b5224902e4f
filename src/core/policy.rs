//! The limits a candidate must keep, and the watch that holds its evidence against them.
//!
//! Every limit is a statement about a proportion of attempts: "at most 1 % fail", "p95 ≤ 2 s" (at most
//! 5 % take longer). So one test ([`super::evidence`]) serves them all. A critical level that is broken
//! fails the candidate, a warning level holds it; where stable breaks the same limit and the candidate
//! is not worse, it is a shared outage and nobody's fault. Health and signals are plain conditions.

pub mod conditions;
mod judge;
mod looks;
pub mod readings;
mod reasons;
#[cfg(test)]
mod simulation;
mod stable;
#[cfg(test)]
mod tests;
mod watch;

pub use looks::Looks;
pub use watch::{Circumstances, Watch};

use super::client::ClientCount;
use super::outcome::{MAX_LIMITS, SlowLimits, Totals};
use super::signal::Signal;
use super::verdict::Level;
use std::time::Duration;

/// How many clients that failed are told apart.
pub const MAX_CLIENTS: usize = 16;
/// From so many clients events must come at least, of the kinds that a client can bring about by itself: a
/// slow answer may be the work of whoever asks for it, and a cookie lets it stay on the candidate.
const LEAST_CLIENTS: usize = 3;
/// An upstream is broken of which at least this share of the attempts failed that it was taken out for.
const BROKEN: f64 = 0.5;

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
    /// What a candidate comes to that keeps its limit, but fails more often than stable.
    pub relative: Reaction,
    /// How many times as often as stable it may fail (r₀).
    pub relative_ratio: f64,
    /// What a candidate comes to that breaks a limit together with stable, and is not worse.
    pub on_shared_outage: Reaction,
    /// Failures must come from that many clients before they break a critical level; at most [`MAX_CLIENTS`].
    /// Of slow answers it is three at least.
    pub min_clients: usize,
    /// What it comes to when an upstream of the candidate is found down: critical fails, warning holds.
    pub health: Option<Level>,
    pub signals: Vec<Signal>,
}

/// What a finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Off,
    Hold,
    Abort,
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
    /// Shares of the compared answers to mirrored requests that may differ from stable's.
    Differences { warning: Option<f64>, critical: Option<f64> },
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
    Differences {
        share: f64,
    },
}

impl Default for Policy {
    /// Without any limit: it never fails anybody.
    fn default() -> Self {
        Policy {
            name: "none".into(),
            mode: Mode::Evidence,
            alpha: 0.001,
            horizon: 1_000_000,
            window: Duration::from_secs(60),
            min_sample: 500,
            limits: Vec::new(),
            relative: Reaction::Hold,
            relative_ratio: 1.5,
            on_shared_outage: Reaction::Hold,
            min_clients: 1,
            health: None,
            signals: Vec::new(),
        }
    }
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

    /// From how many clients slow answers must come that came to `met`: behind a trusted proxy that names
    /// nobody, clients cannot be told apart.
    fn slow_clients(&self, met: ClientCount) -> usize {
        if met.is_untold() { 1 } else { self.min_clients.max(LEAST_CLIENTS) }
    }

    /// Whether more of an upstream's requests failed than may be: any, where no limit says how many.
    fn is_too_much(&self, share: f64) -> bool {
        let critical = self.limits.iter().filter_map(|limit| match limit {
            Limit::ErrorRate { critical, .. } => *critical,
            _ => None,
        });
        critical.reduce(f64::min).is_none_or(|tolerated| share > tolerated)
    }

    fn levels(&self) -> Vec<(Level, Bound)> {
        let mut levels = Vec::new();
        let mut slots = 0..MAX_LIMITS;
        for limit in &self.limits {
            match limit {
                Limit::ErrorRate { warning, critical } => {
                    levels.extend(warning.map(|share| (Level::Warning, Bound::Errors { share })));
                    levels.extend(critical.map(|share| (Level::Critical, Bound::Errors { share })));
                }
                Limit::Differences { warning, critical } => {
                    levels.extend(warning.map(|share| (Level::Warning, Bound::Differences { share })));
                    levels.extend(critical.map(|share| (Level::Critical, Bound::Differences { share })));
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
            Bound::Errors { share } | Bound::Differences { share } => *share,
            Bound::Slow { quantile, .. } => 1.0 - quantile,
        }
    }

    fn metric(&self) -> String {
        match self {
            Bound::Errors { .. } => "error_rate".into(),
            Bound::Differences { .. } => "differences".into(),
            Bound::Slow { quantile, .. } => format!("latency_p{:.0}", quantile * 100.0),
        }
    }

    /// The metric of the comparison with stable.
    fn relative_metric(&self) -> String {
        format!("{}_relative", self.metric())
    }

    fn is_errors(&self) -> bool {
        matches!(self, Bound::Errors { .. })
    }

    /// Whether stable can break it too.
    fn is_of_stable_too(&self) -> bool {
        !matches!(self, Bound::Differences { .. })
    }

    /// Non-events and events so far.
    fn counts(&self, totals: &Totals) -> (u64, u64) {
        match self {
            Bound::Errors { .. } => (totals.attempts.saturating_sub(totals.failures), totals.failures),
            Bound::Differences { .. } => (totals.compared.saturating_sub(totals.differing), totals.differing),
            Bound::Slow { slot, .. } => (totals.fast[*slot], totals.slow[*slot]),
        }
    }
}
