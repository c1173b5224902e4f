//! One attempt on an upstream, as a log tells of it.

use crate::core::client::ClientKey;
use crate::core::group::Shape;
use crate::core::outcome::{Outcome, SlowLimits};
use std::sync::Arc;

/// Whose attempt it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplayRole {
    Candidate,
    Stable,
}

/// Times are µs on the log's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayAttempt {
    pub role: ReplayRole,
    pub started_us: u64,
    /// When its outcome was known: the head of the answer, or what came instead of one.
    pub known_us: u64,
    /// When an answer that had begun broke; `outcome` is the failure then.
    pub broke_us: Option<u64>,
    /// How its answer ended, of one that had begun as a success, as far as the log tells.
    pub end: Option<LoggedEnd>,
    pub outcome: Outcome,
    /// Status of its answer, 0 without one.
    pub code: u16,
    pub client: Option<ClientKey>,
    pub group: Option<LoggedGroup>,
    pub mark: Mark,
    /// Of the last attempt of a request: whether its user saw a failure.
    pub seen_failed: Option<bool>,
}

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedEnd {
    /// To the last byte, or until its client left, without the time that the client made it wait.
    pub took_us: u64,
    pub ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Whole,
    /// A 200 or 204 to a GET without a byte of body.
    Empty,
    /// A gRPC call that got a status which is neither OK nor a failure.
    Declined,
    /// Its client left.
    Cut,
}

/// Which group of requests it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedGroup {
    pub shape: Shape,
    /// "GET /checkout"
    pub name: Arc<str>,
}

/// Where in the log it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Lines are counted over all files.
    pub line: u64,
    /// The request's id; only kept of attempts that could speak against a pool.
    pub request: Option<Box<str>>,
}

impl ReplayAttempt {
    /// As it was charged first: an answer that broke later began as a success.
    pub fn first_outcome(&self) -> Outcome {
        if self.broke_us.is_some() { Outcome::Success } else { self.outcome }
    }

    pub fn took_us(&self) -> u64 {
        self.known_us.saturating_sub(self.started_us)
    }

    /// How its answer ended, if it did so well, and when that was known.
    pub fn ended(&self) -> Option<(LoggedEnd, u64)> {
        let is_answer = self.outcome == Outcome::Success && self.code != 101;
        let end = self.end.filter(|_| is_answer)?;
        Some((end, self.known_us.max(self.started_us.saturating_add(end.took_us))))
    }

    /// Whether the client was kept waiting past one of the limits for heads. A switch of protocols says nothing of how
    /// fast the upstream answers.
    pub fn late(&self, slow: &SlowLimits) -> Option<u8> {
        (self.code != 101).then(|| past(slow, self.took_us()))
    }
}

/// The limits that a time passed, a bit for each.
pub fn past(limits: &SlowLimits, took_us: u64) -> u8 {
    let passed = |bits, (slot, limit): (usize, &u32)| bits | u8::from(took_us > u64::from(*limit)) << slot;
    limits.used().iter().enumerate().fold(0, passed)
}
