//! The limits a candidate must keep, and the evaluation that holds its evidence against them.
//!
//! Every limit is a statement about a proportion of attempts: "at most 1 % fail", "p95 ≤ 2 s" (at most
//! 5 % take longer). So one test ([`super::evidence`]) serves them all. A critical level that is broken
//! fails the candidate, a warning level holds it; where stable breaks the same limit and the candidate
//! is not worse, it is a shared outage and nobody's fault. Health and signals are plain conditions.

pub mod baseline;
mod bound;
mod circumstances;
pub mod conditions;
mod evaluation;
#[cfg(test)]
mod evidence {
    mod simulation;
}
mod gathered;
mod groups;
mod judge;
mod kind;
mod kind_comparison;
mod limit_evidence;
mod looks;
mod past;
pub mod readings;
mod reasons;
mod reported;
#[cfg(test)]
mod simulation;
mod stable_comparison;
#[cfg(test)]
mod tests;
pub mod yardstick;

pub use circumstances::{Circumstances, Witnesses};
pub use evaluation::{Counted, PolicyEvaluation};
pub use groups::GroupCounts;
pub use kind::{Kind, Reaction, RelativeReactions};
pub use kind_comparison::ArmCounts;
pub use looks::Looks;
pub use reported::Reported;

use super::client::ClientCount;
use super::failure_statuses::FailureStatuses;
use super::outcome::{MAX_LIMITS, SlowLimits, Thresholds};
use super::signal::Signal;
use super::verdict::Level;
use bound::KindBound;
use std::time::Duration;

/// Groups of requests that are distinguished.
pub const MAX_GROUPS: usize = 64;
/// How many clients that failed are distinguished.
pub const MAX_CLIENTS: usize = 16;
/// From so many clients events must come at least, of the kinds that a client can bring about by itself: a
/// slow answer may be the work of the one who asks for it, and a cookie lets it stay on the candidate.
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
    /// Which answers are failures.
    pub failures: FailureStatuses,
    /// Groups of requests that are held against the limits of their own, at most [`MAX_GROUPS`]; 0 is none.
    pub groups: usize,
    /// The reaction to a candidate that keeps its limits, but has more events of a kind than stable.
    pub relative: RelativeReactions,
    /// How many times as often as stable it may fail (r₀).
    pub relative_ratio: f64,
    /// What becomes of a candidate that breaks a limit together with stable, and is not worse.
    pub on_shared_outage: Reaction,
    /// Failures must come from that many clients before they break a critical level; at most [`MAX_CLIENTS`].
    /// Of slow answers it is three at least.
    pub min_clients: usize,
    /// What becomes of it when an upstream of the candidate is found down: critical fails, warning holds.
    pub health: Option<Level>,
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
    /// Shares of attempts that clients may leave before they are answered.
    Abandoned { warning: Option<f64>, critical: Option<f64> },
    /// `quantile` (0–1) of the attempts must be answered within the time.
    Latency { quantile: f64, warning: Option<Duration>, critical: Option<Duration> },
    /// `quantile` of the answers must be whole within the time.
    Duration { quantile: f64, warning: Option<Duration>, critical: Option<Duration> },
    /// Shares of the compared answers to mirrored requests that may differ from stable's.
    Differences { warning: Option<f64>, critical: Option<f64> },
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
            failures: FailureStatuses::default(),
            groups: MAX_GROUPS,
            relative: RelativeReactions::default(),
            relative_ratio: 1.5,
            on_shared_outage: Reaction::Hold,
            min_clients: 1,
            health: None,
            signals: Vec::new(),
        }
    }
}

impl Policy {
    /// What the shards must count by: the times of each kind in the order of `limits`, each limit's warning before its
    /// critical level. Those past [`MAX_LIMITS`] have no place; the configuration refuses that many.
    pub fn thresholds(&self, is_compared: bool) -> Thresholds {
        let (mut slow, mut long) = (SlowLimits::default(), SlowLimits::default());
        for (_, bound) in self.levels() {
            let (limits, time, slot) = match bound {
                KindBound::Slow { time, slot, .. } => (&mut slow, time, slot),
                KindBound::Long { time, slot, .. } => (&mut long, time, slot),
                _ => continue,
            };
            if let Some(limit) = limits.0.get_mut(slot) {
                *limit = time.as_micros().min(u128::from(u32::MAX - 1)) as u32;
            }
        }
        Thresholds { slow, long, is_compared }
    }

    /// The same for one of two tests that watch a candidate beside each other, each over all of its attempts: that of
    /// the whole fleet, or those of its members, which together see each attempt once. Each has half of `alpha`, so
    /// that the bound on false aborts holds for both together.
    pub fn in_fleet(&self) -> Policy {
        Policy { alpha: self.alpha / 2.0, ..self.clone() }
    }

    /// The evidence (A) that a test needs where `tests` share `alpha`.
    fn threshold(&self, tests: usize) -> f64 {
        self.horizon as f64 / (self.alpha / tests as f64)
    }

    /// From how many clients events must come that a client can bring about by itself, and that came to `met`:
    /// behind a trusted proxy that names nobody, clients cannot be told apart.
    fn clients_needed(&self, met: ClientCount) -> usize {
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

    fn levels(&self) -> Vec<(Level, KindBound)> {
        let mut levels = Vec::new();
        let (mut slow, mut long) = (0..MAX_LIMITS, 0..MAX_LIMITS);
        for limit in &self.limits {
            match *limit {
                Limit::ErrorRate { warning, critical } => {
                    levels.extend(both(warning, critical, |share| KindBound::Errors { share }));
                }
                Limit::Abandoned { warning, critical } => {
                    levels.extend(both(warning, critical, |share| KindBound::Abandoned { share }));
                }
                Limit::Differences { warning, critical } => {
                    levels.extend(both(warning, critical, |share| KindBound::Differences { share }));
                }
                Limit::Latency { quantile, warning, critical } => {
                    let placed = [warning, critical].map(|time| Some((time?, slow.next()?)));
                    let bound = |(time, slot)| KindBound::Slow { quantile, time, slot };
                    levels.extend(both(placed[0], placed[1], bound));
                }
                Limit::Duration { quantile, warning, critical } => {
                    let placed = [warning, critical].map(|time| Some((time?, long.next()?)));
                    let bound = |(time, slot)| KindBound::Long { quantile, time, slot };
                    levels.extend(both(placed[0], placed[1], bound));
                }
            }
        }
        levels
    }
}

fn both<T>(
    warning: Option<T>,
    critical: Option<T>,
    bound: impl Fn(T) -> KindBound,
) -> impl Iterator<Item = (Level, KindBound)> {
    let levels = [(Level::Warning, warning), (Level::Critical, critical)];
    levels.into_iter().filter_map(move |(level, value)| Some((level, bound(value?))))
}
