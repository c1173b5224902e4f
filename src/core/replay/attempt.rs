//! One attempt on an upstream, as a log tells of it.

use crate::core::client::ClientKey;
use crate::core::outcome::Outcome;

/// Whose attempt it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Candidate,
    Stable,
}

/// Times are µs on the log's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub role: Role,
    pub started_us: u64,
    /// When its outcome was known: the head of the answer, or what came instead of one.
    pub known_us: u64,
    /// When an answer that had begun broke; `outcome` is the failure then.
    pub broke_us: Option<u64>,
    pub outcome: Outcome,
    /// Status of its answer, 0 without one.
    pub code: u16,
    pub client: Option<ClientKey>,
    pub mark: Mark,
    /// Of the last attempt of a request: whether its user saw a failure.
    pub seen_failed: Option<bool>,
}

/// Where in the log it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Lines are counted over all files.
    pub line: u64,
    /// The request's id; only kept of attempts that could speak against a pool.
    pub request: Option<Box<str>>,
}

impl Attempt {
    /// As it was charged first: an answer that broke later began as a success.
    pub fn first_outcome(&self) -> Outcome {
        if self.broke_us.is_some() { Outcome::Success } else { self.outcome }
    }

    pub fn took_us(&self) -> u64 {
        self.known_us.saturating_sub(self.started_us)
    }
}
