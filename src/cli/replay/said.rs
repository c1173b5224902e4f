//! What a line of a log says, whatever its format.

use crate::core::outcome::{Outcome, Reason};
use std::borrow::Cow;

/// One request. Times are µs since the epoch.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// Empty where the format does not tell.
    pub service: Cow<'a, str>,
    pub request: Cow<'a, str>,
    pub client: Cow<'a, str>,
    pub method: Cow<'a, str>,
    /// What was asked for: a path, with its query, or a whole URL.
    pub target: Cow<'a, str>,
    /// Bytes of the body that its client got.
    pub bytes: Option<u64>,
    /// Whether its user saw a failure.
    pub failed: bool,
    pub started_us: i64,
    pub ended_us: i64,
    /// In their order; none where no upstream was asked.
    pub tried: Vec<Tried<'a>>,
}

/// One attempt. Times are µs: its start from the request's, the others from its own.
#[derive(Debug)]
pub(super) struct Tried<'a> {
    /// A pool, or an upstream's address where only that is known; empty where neither is.
    pub pool: Cow<'a, str>,
    pub began_us: u64,
    pub took_us: u64,
    pub broke_us: Option<u64>,
    /// How long its answer took to its last byte, or until its client left.
    pub whole_us: Option<u64>,
    pub cut_us: Option<u64>,
    pub code: u16,
    pub grpc: Option<u8>,
    pub outcome: Outcome,
}

/// Why a line cannot be read.
pub(super) type Unread = String;

/// Seconds as they are logged, up to a few years: what is longer is no time of a request.
pub(super) fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round().clamp(0.0, 1e14) as u64
}

/// The word of our own log.
pub(super) fn outcome(word: &str) -> Result<Outcome, Unread> {
    match word {
        "success" => Ok(Outcome::Success),
        "abandoned" => Ok(Outcome::Abandoned),
        "ignored" => Ok(Outcome::Ignored),
        word => {
            let reason = Reason::ALL.into_iter().find(|reason| reason.label() == word);
            reason.map(Outcome::Failure).ok_or_else(|| format!("{word:?} is no outcome"))
        }
    }
}

/// What a status says where no outcome is recorded: 499 and 0 are clients that went away.
pub(super) fn outcome_of(status: u16) -> Outcome {
    match status {
        0 | 499 => Outcome::Ignored,
        500.. => Outcome::Failure(Reason::Status),
        _ => Outcome::Success,
    }
}
