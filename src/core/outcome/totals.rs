//! The counters of one arm, added up over all workers.

use super::{MAX_LIMITS, Reason};
use crate::core::latency::BUCKETS;
use crate::core::sparse;
use serde::{Deserialize, Serialize};

/// Everything ever counted on one arm, added up over all workers. Only grows, but for `in_flight`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Attempts that came to success or failure.
    pub attempts: u64,
    pub failures: u64,
    /// Failures by [`Reason`], in the order of [`Reason::ALL`].
    #[serde(with = "sparse")]
    pub reasons: [u64; Reason::ALL.len()],
    /// Answers by status class: index 1 is 1xx … 5 is 5xx; index 0 counts attempts without an answer.
    #[serde(with = "sparse")]
    pub codes: [u64; 6],
    /// Of these, answers of 304, which are no redirects.
    pub not_modified: u64,
    /// Attempts slower than the limit of that index: answered late, or still unanswered past it.
    #[serde(with = "sparse")]
    pub slow: [u64; MAX_LIMITS],
    /// Attempts answered within the limit of that index.
    #[serde(with = "sparse")]
    pub fast: [u64; MAX_LIMITS],
    /// Attempts with a latency, and its sum in µs. Latency is the time to the head of the answer.
    pub answered: u64,
    pub latency_sum_us: u64,
    /// Latency by bucket, see [`crate::core::latency`].
    #[serde(with = "sparse")]
    pub latency: [u64; BUCKETS],
    /// Failed attempts that were answered from stable instead.
    pub shielded: u64,
    /// Of a mirror's arm: answers that were compared with stable's, how many of them differ, and copies that
    /// were dropped for want of room.
    pub compared: u64,
    pub differing: u64,
    pub dropped: u64,
    /// Requests that were kept from it by what the proxy itself is short of: no attempts.
    pub own_limits: u64,
    /// Attempts that are no evidence since their upstream warmed up: no attempts otherwise.
    pub warming: u64,
    /// Attempts started and not yet answered, now.
    pub in_flight: u64,
    /// Attempts that their clients left after they had been kept waiting: no attempts otherwise.
    pub abandoned: u64,
    /// Answers longer in coming than the limit of that index, to their last byte; and those within it.
    #[serde(with = "sparse")]
    pub long: [u64; MAX_LIMITS],
    #[serde(with = "sparse")]
    pub brief: [u64; MAX_LIMITS],
    /// Answers of 200 or 204 to a GET without a byte of body.
    pub empty: u64,
    /// gRPC calls that got a status which is neither OK nor a failure.
    pub declined: u64,
    /// What is no part of anything above, but for what is in flight: attempts that had begun before the arm's version
    /// was replaced, and those that are no evidence.
    pub past: EarlierCounts,
}

/// Attempts of a former version that ended after it was replaced, and attempts that are no evidence. They are
/// counted, and speak neither for nor against the version that there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EarlierCounts {
    #[serde(with = "sparse")]
    pub codes: [u64; 6],
    #[serde(with = "sparse")]
    pub reasons: [u64; Reason::ALL.len()],
}

impl Default for Totals {
    fn default() -> Self {
        Totals {
            attempts: 0,
            failures: 0,
            reasons: [0; Reason::ALL.len()],
            codes: [0; 6],
            not_modified: 0,
            slow: [0; MAX_LIMITS],
            fast: [0; MAX_LIMITS],
            answered: 0,
            latency_sum_us: 0,
            latency: [0; BUCKETS],
            shielded: 0,
            compared: 0,
            differing: 0,
            dropped: 0,
            own_limits: 0,
            warming: 0,
            in_flight: 0,
            abandoned: 0,
            long: [0; MAX_LIMITS],
            brief: [0; MAX_LIMITS],
            empty: 0,
            declined: 0,
            past: EarlierCounts::default(),
        }
    }
}

/// How long whole answers of one arm took, to their last byte and less the time that the client made them wait: by
/// bucket, see [`crate::core::latency`]. Counted only where somebody asks ([`super::Thresholds`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durations {
    /// To the head of the answer, without the time that a connection took.
    #[serde(with = "sparse")]
    pub heads: [u64; BUCKETS],
    #[serde(with = "sparse")]
    pub whole: [u64; BUCKETS],
    /// Of answers that were cut short by the client: they would have taken longer than that.
    #[serde(with = "sparse")]
    pub cut: [u64; BUCKETS],
}

impl Default for Durations {
    fn default() -> Self {
        Durations { heads: [0; BUCKETS], whole: [0; BUCKETS], cut: [0; BUCKETS] }
    }
}

impl Totals {
    /// Both together.
    pub fn plus(&self, other: &Totals) -> Totals {
        self.with(other, u64::saturating_add)
    }

    /// What has been counted since `earlier`; `in_flight` is what it is now.
    pub fn since(&self, earlier: &Totals) -> Totals {
        Totals { in_flight: self.in_flight, ..self.with(earlier, u64::saturating_sub) }
    }

    /// Each count with its counterpart.
    fn with(&self, other: &Totals, each: fn(u64, u64) -> u64) -> Totals {
        Totals {
            attempts: each(self.attempts, other.attempts),
            failures: each(self.failures, other.failures),
            reasons: all(&self.reasons, &other.reasons, each),
            codes: all(&self.codes, &other.codes, each),
            not_modified: each(self.not_modified, other.not_modified),
            slow: all(&self.slow, &other.slow, each),
            fast: all(&self.fast, &other.fast, each),
            answered: each(self.answered, other.answered),
            latency_sum_us: each(self.latency_sum_us, other.latency_sum_us),
            latency: all(&self.latency, &other.latency, each),
            shielded: each(self.shielded, other.shielded),
            compared: each(self.compared, other.compared),
            differing: each(self.differing, other.differing),
            dropped: each(self.dropped, other.dropped),
            own_limits: each(self.own_limits, other.own_limits),
            warming: each(self.warming, other.warming),
            in_flight: each(self.in_flight, other.in_flight),
            abandoned: each(self.abandoned, other.abandoned),
            long: all(&self.long, &other.long, each),
            brief: all(&self.brief, &other.brief, each),
            empty: each(self.empty, other.empty),
            declined: each(self.declined, other.declined),
            past: EarlierCounts {
                codes: all(&self.past.codes, &other.past.codes, each),
                reasons: all(&self.past.reasons, &other.past.reasons, each),
            },
        }
    }
}

impl Durations {
    /// Both together.
    pub fn plus(&self, other: &Durations) -> Durations {
        self.with(other, u64::saturating_add)
    }

    /// What has been counted since `earlier`.
    pub fn since(&self, earlier: &Durations) -> Durations {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(&self, other: &Durations, each: fn(u64, u64) -> u64) -> Durations {
        Durations {
            heads: all(&self.heads, &other.heads, each),
            whole: all(&self.whole, &other.whole, each),
            cut: all(&self.cut, &other.cut, each),
        }
    }
}

fn all<const N: usize>(one: &[u64; N], other: &[u64; N], each: fn(u64, u64) -> u64) -> [u64; N] {
    std::array::from_fn(|place| each(one[place], other[place]))
}
