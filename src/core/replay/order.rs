//! Attempts in the order of their lines → what became known, in the order it did.
//!
//! A line is written when its answer has ended, an outcome is known with the head of the answer: what is
//! read is held back for [`HORIZON`] of the log's time. Few answers take longer to end; the outcome of one
//! that does comes late, and is counted.

use super::attempt::{ReplayAttempt, past};
use crate::core::outcome::{Outcome, SlowLimits, Thresholds};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Width of the live start-time buckets, µs: what hangs is found slow when its bucket is over, and the limit.
const BUCKET_US: u64 = 100_000;

/// µs of the log's time that what was read is held back.
const HORIZON: u64 = 60_000_000;
/// Most that is held back, whatever the time.
const MOST: usize = 1 << 18;

/// Something became known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub at_us: u64,
    pub what: What,
    pub attempt: ReplayAttempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The latency limit of this index has passed, and there is no answer yet.
    Overdue(usize),
    /// Its outcome.
    Known,
    /// An answer that had begun well broke.
    Broke,
    /// It is whole, or its client has left.
    Ended,
}

/// Holds back and sorts.
#[derive(Debug)]
pub struct ReplayOrder {
    slow: SlowLimits,
    /// Facts by time, and as they came.
    held: BinaryHeap<Reverse<Held>>,
    serial: u64,
    /// The latest time any line told of, and the last that was released.
    seen_us: u64,
    released_us: u64,
    late: u64,
}

#[derive(Debug)]
struct Held {
    at_us: u64,
    serial: u64,
    fact: Fact,
}

impl Fact {
    /// Whether it speaks against its pool: a failure, a client that left, or slower than one of the limits.
    pub fn is_bad(&self, thresholds: &Thresholds) -> bool {
        match self.what {
            What::Broke | What::Overdue(_) => true,
            What::Ended => {
                self.attempt.ended().is_some_and(|(end, _)| past(&thresholds.long, end.took_us) != 0)
            }
            What::Known => {
                let is_late = self.attempt.late(&thresholds.slow).is_some_and(|late| late != 0);
                is_late || matches!(self.attempt.first_outcome(), Outcome::Failure(_) | Outcome::Abandoned)
            }
        }
    }
}

impl ReplayOrder {
    /// `slow` are the times after which an attempt without an answer counts as slow.
    pub fn new(slow: SlowLimits) -> Self {
        ReplayOrder { slow, held: BinaryHeap::new(), serial: 0, seen_us: 0, released_us: 0, late: 0 }
    }

    /// Takes in an attempt of a request that ended at `ended_us`.
    pub fn push(&mut self, attempt: ReplayAttempt, ended_us: u64) {
        self.seen_us = self.seen_us.max(ended_us);
        let slow = self.slow;
        for (slot, limit) in slow.used().iter().enumerate() {
            let at_us = overdue_at(attempt.started_us, *limit);
            if at_us < attempt.known_us {
                self.hold(Fact { at_us, what: What::Overdue(slot), attempt: attempt.clone() });
            }
        }
        if let Some(at_us) = attempt.broke_us {
            self.hold(Fact { at_us, what: What::Broke, attempt: attempt.clone() });
        }
        if let Some((_, at_us)) = attempt.ended() {
            self.hold(Fact { at_us: attempt.known_us, what: What::Known, attempt: attempt.clone() });
            return self.hold(Fact { at_us, what: What::Ended, attempt });
        }
        self.hold(Fact { at_us: attempt.known_us, what: What::Known, attempt });
    }

    /// The next fact, once no line that is still to come should be before it.
    pub fn due(&mut self) -> Option<Fact> {
        let first = self.held.peek()?;
        let is_due = first.0.at_us + HORIZON <= self.seen_us || self.held.len() > MOST;
        if is_due { self.release() } else { None }
    }

    /// The next fact, once there are no more lines.
    pub fn release(&mut self) -> Option<Fact> {
        let Reverse(held) = self.held.pop()?;
        self.released_us = self.released_us.max(held.at_us);
        Some(held.fact)
    }

    /// Facts that came after others that they should have been before.
    pub fn late(&self) -> u64 {
        self.late
    }

    fn hold(&mut self, mut fact: Fact) {
        if fact.at_us < self.released_us {
            self.late += 1;
            fact.at_us = self.released_us;
        }
        self.serial += 1;
        self.held.push(Reverse(Held { at_us: fact.at_us, serial: self.serial, fact }));
    }
}

impl Held {
    fn key(&self) -> (u64, u64) {
        (self.at_us, self.serial)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// When an attempt that has no answer yet counts as slower than a limit.
pub fn overdue_at(started_us: u64, limit_us: u32) -> u64 {
    (started_us / BUCKET_US + 1) * BUCKET_US + u64::from(limit_us)
}
