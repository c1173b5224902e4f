//! What one attempt on one upstream came to, and the counters that add attempts up.
//!
//! Every attempt is charged to the arm (the pool of a service) that served it, so that a retry never
//! hides a bad candidate. A client that went away is [`Outcome::Ignored`].

use super::latency::BUCKETS;

/// How many latency limits one arm can watch at once (warning and critical, of up to four metrics).
pub const MAX_LIMITS: usize = 8;

/// The index of one pool's counters. Stable for the life of the process, over reloads too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArmId(pub u16);

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection within the connect timeout, or refused.
    Connect,
    /// The connection broke, before or after the head of the answer.
    Reset,
    /// The upstream stayed silent longer than the read or write timeout.
    Timeout,
    /// The upstream answered with a 5xx status.
    Status,
    /// The upstream's answer was not HTTP.
    Malformed,
    /// No upstream of the pool was ready and had room.
    Unavailable,
}

impl Reason {
    pub const ALL: [Reason; 6] = [
        Reason::Connect,
        Reason::Reset,
        Reason::Timeout,
        Reason::Status,
        Reason::Malformed,
        Reason::Unavailable,
    ];

    /// The label in metrics, logs and the API.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Connect => "connect",
            Reason::Reset => "reset",
            Reason::Timeout => "timeout",
            Reason::Status => "status",
            Reason::Malformed => "malformed",
            Reason::Unavailable => "unavailable",
        }
    }

    /// Whether it speaks against this one upstream (and counts for passive ejection), rather than
    /// against the version that runs on it.
    pub fn is_transport(self) -> bool {
        !matches!(self, Reason::Status | Reason::Unavailable)
    }
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure(Reason),
    /// The client went away: says nothing about the upstream.
    Ignored,
}

/// The times (µs) that count as slow on one arm, by index; unused places are `u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowLimits(pub [u32; MAX_LIMITS]);

impl SlowLimits {
    /// The places in use, which come first.
    pub fn used(&self) -> &[u32] {
        let unused = self.0.iter().position(|limit| *limit == u32::MAX);
        &self.0[..unused.unwrap_or(MAX_LIMITS)]
    }
}

impl Default for SlowLimits {
    fn default() -> Self {
        SlowLimits([u32::MAX; MAX_LIMITS])
    }
}

/// Everything ever counted on one arm, added up over all workers. Only grows, but for `in_flight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Attempts that came to success or failure.
    pub attempts: u64,
    pub failures: u64,
    /// Failures by [`Reason`], in the order of [`Reason::ALL`].
    pub reasons: [u64; Reason::ALL.len()],
    /// Answers by status class: index 1 is 1xx … 5 is 5xx; index 0 counts attempts without an answer.
    pub codes: [u64; 6],
    /// Attempts slower than the limit of that index: answered late, or still unanswered past it.
    pub slow: [u64; MAX_LIMITS],
    /// Attempts answered within the limit of that index.
    pub fast: [u64; MAX_LIMITS],
    /// Attempts with a latency, and its sum in µs. Latency is the time to the head of the answer.
    pub answered: u64,
    pub latency_sum_us: u64,
    /// Latency by bucket, see [`super::latency`].
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
    /// Attempts started and not yet answered, now.
    pub in_flight: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Totals {
            attempts: 0,
            failures: 0,
            reasons: [0; Reason::ALL.len()],
            codes: [0; 6],
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
            in_flight: 0,
        }
    }
}
