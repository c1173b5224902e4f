//! When a member pushes its counts: at an event, and when the leader asks. One push at a time, so that a member whose
//! candidate fails all requests writes as often as the store takes it.

use super::rounds::PATIENCE;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a push says beside its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushStamp {
    /// The last round that the member had seen before it counted.
    pub round: u64,
    /// Looks of this process that had brought something against the candidate.
    pub rung: u64,
}

/// The calendar of one rollout's pushes, at a member.
#[derive(Clone, Debug, Default)]
pub struct EvidencePusher {
    now: PushStamp,
    /// What was last stored, and what is on its way.
    stored: Option<PushStamp>,
    under_way: Option<PushStamp>,
    /// Not before then, after a push that failed.
    retry_at: Duration,
}

impl EvidencePusher {
    /// A look has brought something against the candidate.
    pub fn ring(&mut self) {
        self.now.rung += 1;
    }

    /// The leader asks.
    pub fn asked(&mut self, round: u64) {
        self.now.round = self.now.round.max(round);
    }

    /// The next push, where one is due: the counts are to be read after this.
    pub fn next(&mut self, now: Duration) -> Option<PushStamp> {
        if self.under_way.is_some() || self.stored == Some(self.now) || now < self.retry_at {
            return None;
        }
        self.under_way = Some(self.now);
        self.under_way
    }

    /// The push under way has come to its end.
    pub fn pushed(&mut self, is_stored: bool, now: Duration) {
        let stamp = self.under_way.take();
        match is_stored {
            true => self.stored = stamp,
            false => self.retry_at = now + PATIENCE,
        }
    }

    /// The store has lost what was pushed: its lease has ended.
    pub fn lost(&mut self) {
        (self.stored, self.under_way) = (None, None);
    }
}
