//! One worker's counters: the measurement on the request path.
//!
//! Only the worker's own thread writes a shard, so recording is plain loads and stores on relaxed
//! atomics: no lock, no read-modify-write, no allocation, no look at the clock. Other threads read at
//! any time and see each counter as it was a moment ago.
//!
//! "Slow" counts when the limit's time has passed, not when the answer at last arrives, and without a
//! timer per request: starts and answers are counted by start time in buckets of [`BUCKET_US`]; what
//! started longer ago than the limit and has no answer has exceeded it.

use crate::core::latency::{BUCKETS, bucket_of};
use crate::core::outcome::{ArmId, MAX_LIMITS, Outcome, Reason, SlowLimits, Totals};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Cells are made in chunks, so that arms can be added while others are written to.
const CHUNK: usize = 64;
/// How many arms there can be.
pub(super) const MAX_ARMS: usize = CHUNK * 64;

/// Width of a start-time bucket, µs.
const BUCKET_US: u64 = 100_000;
/// Start-time buckets kept apart: 102.4 s of them, longer than any latency limit may be.
const SLOTS: usize = 1024;

/// All counters of one worker.
#[derive(Debug)]
pub struct Shard {
    chunks: [OnceLock<Box<[Cell]>>; MAX_ARMS / CHUNK],
}

/// The start of one attempt, to be handed back with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    at_us: u64,
}

/// The counters of one arm on one worker.
#[derive(Debug)]
struct Cell {
    attempts: Counter,
    failures: Counter,
    reasons: [Counter; Reason::ALL.len()],
    codes: [Counter; 6],
    late: [Counter; MAX_LIMITS],
    answered: Counter,
    latency_sum_us: Counter,
    latency: [Counter; BUCKETS],
    begun: Counter,
    ended: Counter,
    starts: Box<[Slot]>,
    /// Attempts whose slot was taken by a later time: begun and ended.
    old_begun: Counter,
    old_ended: Counter,
}

/// Attempts that started within one bucket of time: how many, and how many have ended.
#[derive(Debug, Default)]
struct Slot {
    /// The number of the bucket + 1, 0 while unused.
    epoch: Counter,
    begun: Counter,
    ended: Counter,
}

/// A counter with one writer.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Shard {
    pub(super) fn new() -> Self {
        Shard { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Counts the start of an attempt.
    pub fn start(&self, arm: ArmId, now_us: u64) -> Started {
        if let Some(cell) = self.cell(arm) {
            cell.begun.add(1);
            cell.slot(now_us).begun.add(1);
        }
        Started { at_us: now_us }
    }

    /// Counts what a started attempt came to; exactly once for each. `code` is the status of the answer,
    /// 0 without one. A client that went away counts as nothing, but as slow if a limit had passed.
    pub fn answered(
        &self,
        arm: ArmId,
        started: Started,
        now_us: u64,
        outcome: Outcome,
        code: u16,
        limits: &SlowLimits,
    ) {
        let Some(cell) = self.cell(arm) else { return };
        let took = now_us.saturating_sub(started.at_us);
        let counts = outcome != Outcome::Ignored;
        // A switch of protocols says nothing of how fast the upstream answers.
        if code != 101 {
            for (late, limit) in cell.late.iter().zip(&limits.0) {
                if took > u64::from(*limit) {
                    late.add(1);
                }
            }
            if counts {
                cell.answered.add(1);
                cell.latency_sum_us.add(took);
                cell.latency[bucket_of(took)].add(1);
            }
        }
        if counts {
            cell.attempts.add(1);
            cell.codes[usize::from(code / 100).min(5)].add(1);
        }
        if let Outcome::Failure(reason) = outcome {
            cell.fail(reason);
        }
        // Last, so that a reader never finds an attempt neither under way nor late.
        cell.end(started.at_us);
    }

    /// An attempt that was counted as a success broke afterwards.
    pub fn broken(&self, arm: ArmId, reason: Reason) {
        if let Some(cell) = self.cell(arm) {
            cell.fail(reason);
        }
    }

    /// Adds this worker's part of an arm to the totals.
    pub(super) fn add_to(&self, totals: &mut Totals, arm: ArmId, now_us: u64, limits: &SlowLimits) {
        let Some(cell) = self.cell(arm) else { return };
        // Under way is read before late: an attempt that ends in between is counted for a moment in
        // both, never in neither; the recorder keeps what it showed from falling.
        let overdue = cell.overdue(now_us, limits);
        let ended = cell.ended.read();
        let sums = [(&mut totals.reasons[..], &cell.reasons[..]), (&mut totals.codes[..], &cell.codes[..])];
        for (sum, counters) in sums {
            sum.iter_mut().zip(counters).for_each(|(sum, counter)| *sum += counter.read());
        }
        totals.failures += cell.failures.read();
        totals.attempts += cell.attempts.read();
        totals.latency.iter_mut().zip(&cell.latency).for_each(|(sum, counter)| *sum += counter.read());
        totals.latency_sum_us += cell.latency_sum_us.read();
        let answered = cell.answered.read();
        totals.answered += answered;
        for (index, late) in cell.late.iter().enumerate() {
            let late = late.read();
            totals.slow[index] += late + overdue[index];
            totals.fast[index] += answered.saturating_sub(late);
        }
        totals.in_flight += cell.begun.read().saturating_sub(ended);
    }

    /// The start of an attempt at a given time, without counting it.
    #[cfg(test)]
    pub(super) fn started_for_tests(at_us: u64) -> Started {
        Started { at_us }
    }

    fn cell(&self, arm: ArmId) -> Option<&Cell> {
        let index = usize::from(arm.0);
        let chunk = self.chunks.get(index / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| Cell::new()).collect()).get(index % CHUNK)
    }
}

impl Cell {
    fn new() -> Self {
        fn zeros<const N: usize>() -> [Counter; N] {
            std::array::from_fn(|_| Counter::default())
        }
        Cell {
            attempts: Counter::default(),
            failures: Counter::default(),
            reasons: zeros(),
            codes: zeros(),
            late: zeros(),
            answered: Counter::default(),
            latency_sum_us: Counter::default(),
            latency: zeros(),
            begun: Counter::default(),
            ended: Counter::default(),
            starts: (0..SLOTS).map(|_| Slot::default()).collect(),
            old_begun: Counter::default(),
            old_ended: Counter::default(),
        }
    }

    fn fail(&self, reason: Reason) {
        self.failures.add(1);
        if let Some(counter) = self.reasons.get(reason as usize) {
            counter.add(1);
        }
    }

    /// The slot of a start time, taken over from an older one if need be.
    fn slot(&self, at_us: u64) -> &Slot {
        let epoch = at_us / BUCKET_US + 1;
        let slot = &self.starts[epoch as usize % SLOTS];
        if slot.epoch.read() != epoch {
            self.old_begun.add(slot.begun.read());
            self.old_ended.add(slot.ended.read());
            slot.begun.set(0);
            slot.ended.set(0);
            slot.epoch.set(epoch);
        }
        slot
    }

    fn end(&self, at_us: u64) {
        let epoch = at_us / BUCKET_US + 1;
        let slot = &self.starts[epoch as usize % SLOTS];
        if slot.epoch.read() == epoch {
            slot.ended.add(1);
        } else {
            self.old_ended.add(1);
        }
        self.ended.add(1);
    }

    /// Attempts without an answer that started longer ago than each limit.
    fn overdue(&self, now_us: u64, limits: &SlowLimits) -> [u64; MAX_LIMITS] {
        let mut overdue = [0; MAX_LIMITS];
        // Nothing under way: spares the walk through the slots.
        if self.begun.read() <= self.ended.read() {
            return overdue;
        }
        let old = self.old_begun.read().saturating_sub(self.old_ended.read());
        for (overdue, limit) in overdue.iter_mut().zip(&limits.0) {
            if *limit == u32::MAX {
                continue;
            }
            // The last bucket that ended more than the limit ago.
            let last = now_us.saturating_sub(u64::from(*limit)) / BUCKET_US;
            *overdue = old + self.starts.iter().map(|slot| slot.open_until(last)).sum::<u64>();
        }
        overdue
    }
}

impl Slot {
    /// Attempts under way, if the slot's bucket is not after `last`.
    fn open_until(&self, last: u64) -> u64 {
        let epoch = self.epoch.read();
        if epoch == 0 || epoch > last {
            return 0;
        }
        let ended = self.ended.read();
        self.begun.read().saturating_sub(ended)
    }
}
