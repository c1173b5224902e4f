//! What one attempt on one upstream came to, and the counters that add attempts up.
//!
//! Every attempt is charged to the arm (the pool of a service) that served it, so that a retry never
//! hides a bad candidate. A client that left while the upstream kept it waiting is [`Outcome::Abandoned`]; what
//! nobody can be blamed for is [`Outcome::Ignored`].

mod totals;

pub use totals::{Durations, EarlierCounts, Totals};

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
    /// A gRPC status of failure, in the head of the answer or in its trailers.
    Grpc,
    /// A WebSocket that its upstream ended within seconds: with status 1011, or without any.
    WebSocket,
}

impl Reason {
    pub const ALL: [Reason; 8] = [
        Reason::Connect,
        Reason::Reset,
        Reason::Timeout,
        Reason::Status,
        Reason::Malformed,
        Reason::Unavailable,
        Reason::Grpc,
        Reason::WebSocket,
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
            Reason::Grpc => "grpc",
            Reason::WebSocket => "websocket",
        }
    }

    /// Whether it speaks against this one upstream (and counts for passive ejection), rather than
    /// against the version that runs on it.
    pub fn is_transport(self) -> bool {
        !matches!(self, Reason::Status | Reason::Unavailable | Reason::Grpc | Reason::WebSocket)
    }
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure(Reason),
    /// The client left before the head of the answer, after it had waited for [`PATIENCE_US`] at least.
    Abandoned,
    /// It says nothing about the upstream: the client left at once, or this proxy took the request back.
    Ignored,
}

/// A client that leaves sooner (µs) has not been kept waiting.
pub const PATIENCE_US: u64 = 50_000;

impl Outcome {
    /// Whether it is an attempt that succeeded or failed.
    pub fn is_decided(self) -> bool {
        matches!(self, Outcome::Success | Outcome::Failure(_))
    }
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

/// What attempts on a pool are held against while they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Times to the head of the answer, and to its last byte.
    pub slow: SlowLimits,
    pub long: SlowLimits,
    /// Whether the pool is compared with another, or is what another is compared with.
    pub is_compared: bool,
}

impl From<SlowLimits> for Thresholds {
    fn from(slow: SlowLimits) -> Self {
        Thresholds { slow, ..Thresholds::default() }
    }
}

impl Thresholds {
    /// Whether anybody asks how long whole answers take.
    pub fn asks_for_durations(&self) -> bool {
        self.is_compared || !self.long.used().is_empty()
    }
}
