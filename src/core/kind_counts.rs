//! What the limits of a policy are held against: counts of events and of what was no event, by kind.

use super::outcome::{MAX_LIMITS, Totals};
use super::sparse;
use serde::{Deserialize, Serialize};

/// Counts that only grow; of a pool, or of one group of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindCounts {
    /// As in [`Totals`].
    pub attempts: u64,
    pub failures: u64,
    pub abandoned: u64,
    #[serde(with = "sparse")]
    pub slow: [u64; MAX_LIMITS],
    #[serde(with = "sparse")]
    pub fast: [u64; MAX_LIMITS],
    #[serde(with = "sparse")]
    pub long: [u64; MAX_LIMITS],
    #[serde(with = "sparse")]
    pub brief: [u64; MAX_LIMITS],
    pub compared: u64,
    pub differing: u64,
    /// Answers, and those of a status of 4xx, or of 3xx but for 304; of a pool alone.
    pub answers: u64,
    pub client_errors: u64,
    pub redirects: u64,
}

impl KindCounts {
    /// What has been counted since `earlier`.
    pub fn since(&self, earlier: &KindCounts) -> KindCounts {
        self.with(earlier, u64::saturating_sub)
    }

    /// Both together.
    pub fn plus(&self, other: &KindCounts) -> KindCounts {
        self.with(other, u64::saturating_add)
    }

    /// Each count with its counterpart.
    fn with(&self, other: &KindCounts, each: impl Fn(u64, u64) -> u64) -> KindCounts {
        let all = |one: &[u64; MAX_LIMITS], other: &[u64; MAX_LIMITS]| {
            std::array::from_fn(|slot| each(one[slot], other[slot]))
        };
        KindCounts {
            attempts: each(self.attempts, other.attempts),
            failures: each(self.failures, other.failures),
            abandoned: each(self.abandoned, other.abandoned),
            slow: all(&self.slow, &other.slow),
            fast: all(&self.fast, &other.fast),
            long: all(&self.long, &other.long),
            brief: all(&self.brief, &other.brief),
            compared: each(self.compared, other.compared),
            differing: each(self.differing, other.differing),
            answers: each(self.answers, other.answers),
            client_errors: each(self.client_errors, other.client_errors),
            redirects: each(self.redirects, other.redirects),
        }
    }
}

impl From<&Totals> for KindCounts {
    fn from(totals: &Totals) -> Self {
        KindCounts {
            attempts: totals.attempts,
            failures: totals.failures,
            abandoned: totals.abandoned,
            slow: totals.slow,
            fast: totals.fast,
            long: totals.long,
            brief: totals.brief,
            compared: totals.compared,
            differing: totals.differing,
            answers: totals.codes.iter().skip(1).sum(),
            client_errors: totals.codes[4],
            redirects: totals.codes[3].saturating_sub(totals.not_modified),
        }
    }
}
