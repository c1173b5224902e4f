//! What the limits of a policy are held against: counts of events and of what was no event, by kind.

use super::outcome::{MAX_LIMITS, Totals};

/// Counts that only grow; of a pool, or of one group of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// As in [`Totals`].
    pub attempts: u64,
    pub failures: u64,
    pub abandoned: u64,
    pub slow: [u64; MAX_LIMITS],
    pub fast: [u64; MAX_LIMITS],
    pub long: [u64; MAX_LIMITS],
    pub brief: [u64; MAX_LIMITS],
    pub compared: u64,
    pub differing: u64,
}

impl KindCounts {
    /// What has been counted since `earlier`.
    pub fn since(&self, earlier: &KindCounts) -> KindCounts {
        let of = |now: &[u64; MAX_LIMITS], then: &[u64; MAX_LIMITS]| {
            std::array::from_fn(|slot| now[slot].saturating_sub(then[slot]))
        };
        KindCounts {
            attempts: self.attempts.saturating_sub(earlier.attempts),
            failures: self.failures.saturating_sub(earlier.failures),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            slow: of(&self.slow, &earlier.slow),
            fast: of(&self.fast, &earlier.fast),
            long: of(&self.long, &earlier.long),
            brief: of(&self.brief, &earlier.brief),
            compared: self.compared.saturating_sub(earlier.compared),
            differing: self.differing.saturating_sub(earlier.differing),
        }
    }

    /// Both together.
    pub fn plus(&self, other: &KindCounts) -> KindCounts {
        let of = |one: &[u64; MAX_LIMITS], other: &[u64; MAX_LIMITS]| {
            std::array::from_fn(|slot| one[slot].saturating_add(other[slot]))
        };
        KindCounts {
            attempts: self.attempts.saturating_add(other.attempts),
            failures: self.failures.saturating_add(other.failures),
            abandoned: self.abandoned.saturating_add(other.abandoned),
            slow: of(&self.slow, &other.slow),
            fast: of(&self.fast, &other.fast),
            long: of(&self.long, &other.long),
            brief: of(&self.brief, &other.brief),
            compared: self.compared.saturating_add(other.compared),
            differing: self.differing.saturating_add(other.differing),
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
        }
    }
}
