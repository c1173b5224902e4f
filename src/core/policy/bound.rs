//! One level of one limit.

use super::kind::Kind;
use crate::core::kind_counts::KindCounts;
use std::time::Duration;

/// `slot` is the place of a time in [`crate::core::outcome::Thresholds`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum KindBound {
    Errors { share: f64 },
    Abandoned { share: f64 },
    Slow { quantile: f64, time: Duration, slot: usize },
    Long { quantile: f64, time: Duration, slot: usize },
    Differences { share: f64 },
}

impl KindBound {
    pub(super) fn kind(&self) -> Kind {
        match self {
            KindBound::Errors { .. } => Kind::Errors,
            KindBound::Abandoned { .. } => Kind::Abandoned,
            KindBound::Slow { .. } => Kind::Latency,
            KindBound::Long { .. } => Kind::Duration,
            KindBound::Differences { .. } => Kind::Differences,
        }
    }

    /// The proportion of attempts that it allows to be events.
    pub(super) fn allowed(&self) -> f64 {
        match self {
            KindBound::Errors { share }
            | KindBound::Abandoned { share }
            | KindBound::Differences { share } => *share,
            KindBound::Slow { quantile, .. } | KindBound::Long { quantile, .. } => 1.0 - quantile,
        }
    }

    pub(super) fn metric(&self) -> String {
        match self {
            KindBound::Errors { .. } => "error_rate".into(),
            KindBound::Abandoned { .. } => "abandoned".into(),
            KindBound::Differences { .. } => "differences".into(),
            KindBound::Slow { quantile, .. } => format!("latency_p{:.0}", quantile * 100.0),
            KindBound::Long { quantile, .. } => format!("duration_p{:.0}", quantile * 100.0),
        }
    }

    /// The metric of the comparison with stable.
    pub(super) fn relative_metric(&self) -> String {
        format!("{}_relative", self.metric())
    }

    /// Whether stable can break it too.
    pub(super) fn is_of_stable_too(&self) -> bool {
        !matches!(self, KindBound::Differences { .. })
    }

    /// Non-events and events so far.
    pub(super) fn counts(&self, counts: &KindCounts) -> (u64, u64) {
        match self {
            KindBound::Errors { .. } => (counts.attempts.saturating_sub(counts.failures), counts.failures),
            KindBound::Abandoned { .. } => (counts.attempts, counts.abandoned),
            KindBound::Differences { .. } => {
                (counts.compared.saturating_sub(counts.differing), counts.differing)
            }
            KindBound::Slow { slot, .. } => at(&counts.fast, &counts.slow, *slot),
            KindBound::Long { slot, .. } => at(&counts.brief, &counts.long, *slot),
        }
    }
}

fn at(others: &[u64], events: &[u64], slot: usize) -> (u64, u64) {
    (others.get(slot).copied().unwrap_or_default(), events.get(slot).copied().unwrap_or_default())
}
