//! One worker's counters: the measurement on the request path.
//!
//! Only the worker's own thread writes a shard, so recording is plain loads and stores on relaxed
//! atomics: no lock, no read-modify-write, no allocation, no look at the clock. Other threads read at
//! any time and see each counter as it was a moment ago.
//!
//! "Slow" counts when the limit's time has passed, not when the answer at last arrives, and without a
//! timer per request: starts and answers are counted by start time in buckets of [`BUCKET_US`]; what
//! started longer ago than the limit and has no answer has exceeded it. While the proxy still waits for the
//! client's body, an attempt is held: its clock stands still, and starts with the last of the body.

use super::clients::Clients;
use crate::core::client::ClientKey;
use crate::core::latency::{BUCKETS, bucket_of};
use crate::core::outcome::{ArmId, MAX_LIMITS, Outcome, Reason, SlowLimits, Totals};
use crate::core::own_limit::OwnLimit;
use crate::core::shield::Budget;
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
    own_limits: [Counter; OwnLimit::ALL.len()],
}

/// The start of one attempt, to be handed back with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    at_us: u64,
    is_held: bool,
}

impl Started {
    /// When that was, µs on the process clock.
    pub fn at_us(self) -> u64 {
        self.at_us
    }

    /// Whether its clock stands still.
    pub fn is_held(self) -> bool {
        self.is_held
    }
}

/// The counters of one arm on one worker. What is a sum of others is not counted: recording pays for
/// every store.
#[derive(Debug)]
struct Cell {
    failures: Counter,
    reasons: [Counter; Reason::ALL.len()],
    codes: [Counter; 6],
    late: [Counter; MAX_LIMITS],
    latency_sum_us: Counter,
    latency: [Counter; BUCKETS],
    starts: Box<[Slot]>,
    /// Attempts under way whose slot was taken by a later time.
    old_open: Counter,
    /// Attempts under way whose clock stands still.
    held: Counter,
    clients: Clients,
    shielded: Counter,
    /// What the shield owes its budget, and how many attempts the service had served then.
    debt: Counter,
    served: Counter,
    /// Of a mirror's arm: see [`Totals`].
    compared: Counter,
    differing: Counter,
    dropped: Counter,
    own_limits: Counter,
}

/// Attempts under way that started within one bucket of time: the number of the bucket + 1 in the upper
/// half (0 while unused), how many in the lower.
#[derive(Debug, Default)]
struct Slot(Counter);

/// The lower half of a [`Slot`].
const OPEN: u64 = u32::MAX as u64;

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Shard {
    pub(super) fn new() -> Self {
        Shard {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            own_limits: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts the start of an attempt.
    #[inline]
    pub fn start(&self, arm: ArmId, now_us: u64) -> Started {
        if let Some(cell) = self.cell(arm) {
            cell.begin(now_us);
        }
        Started { at_us: now_us, is_held: false }
    }

    /// Counts the start of an attempt whose request is not whole yet.
    pub fn hold(&self, arm: ArmId, now_us: u64) -> Started {
        if let Some(cell) = self.cell(arm) {
            cell.held.add(1);
        }
        Started { at_us: now_us, is_held: true }
    }

    /// The clock of an attempt starts now, if it stood still.
    pub fn release(&self, arm: ArmId, started: Started, now_us: u64) -> Started {
        if !started.is_held {
            return started;
        }
        if let Some(cell) = self.cell(arm) {
            // First, so that a reader never misses it.
            cell.begin(now_us);
            cell.held.set(cell.held.read().saturating_sub(1));
        }
        Started { at_us: now_us, is_held: false }
    }

    /// Counts what a started attempt came to; exactly once for each. `code` is the status of the answer,
    /// 0 without one. A client that went away counts as nothing, but as slow if a limit had passed. An answer to
    /// a request that is not whole says nothing of how fast the upstream is.
    #[inline]
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
        if code != 101 && !started.is_held {
            for (late, limit) in cell.late.iter().zip(limits.used()) {
                if took > u64::from(*limit) {
                    late.add(1);
                }
            }
            if counts {
                cell.latency_sum_us.add(took);
                cell.latency[bucket_of(took)].add(1);
            }
        }
        if counts {
            cell.codes[usize::from(code / 100).min(5)].add(1);
        }
        if let Outcome::Failure(reason) = outcome {
            cell.fail(reason);
        }
        // Last, so that a reader never finds an attempt neither under way nor late.
        if started.is_held {
            cell.held.set(cell.held.read().saturating_sub(1));
        } else {
            cell.end(started.at_us);
        }
    }

    /// An attempt that was counted as a success broke afterwards.
    pub fn broken(&self, arm: ArmId, reason: Reason) {
        if let Some(cell) = self.cell(arm) {
            cell.fail(reason);
        }
    }

    /// Notes to whom a failure came. To be called before the failure is counted, so that who reads the
    /// count finds the client.
    #[inline]
    pub fn failed_for(&self, arm: ArmId, client: ClientKey, now_us: u64) {
        if let Some(cell) = self.cell(arm) {
            cell.clients.note(client, now_us);
        }
    }

    /// Takes a shielded attempt from the budget, if it allows one, and counts it on the candidate.
    pub fn shield(&self, candidate: ArmId, stable: ArmId, budget: Budget) -> bool {
        let (Some(cell), Some(stable)) = (self.cell(candidate), self.cell(stable)) else { return false };
        // What stable did in the candidate's place earns nothing.
        let served = (cell.attempts() + stable.attempts()).saturating_sub(cell.shielded.read());
        let since = served.saturating_sub(cell.served.read());
        let Some(debt) = budget.spend(cell.debt.read(), since) else { return false };
        cell.debt.set(debt);
        cell.served.set(served);
        cell.shielded.add(1);
        true
    }

    /// Counts an answer to a copy that was compared with stable's.
    pub fn compared(&self, arm: ArmId, differs: bool) {
        if let Some(cell) = self.cell(arm) {
            cell.differing.add(u64::from(differs));
            cell.compared.add(1);
        }
    }

    /// Counts a copy that was not sent, for want of room.
    pub fn dropped(&self, arm: ArmId) {
        if let Some(cell) = self.cell(arm) {
            cell.dropped.add(1);
        }
    }

    /// Counts what the proxy itself is short of, or does not allow.
    pub fn own_limit(&self, limit: OwnLimit) {
        if let Some(counter) = self.own_limits.get(limit as usize) {
            counter.add(1);
        }
    }

    /// The same, where it kept a request from a pool.
    pub fn kept_out(&self, arm: ArmId, limit: OwnLimit) {
        self.own_limit(limit);
        if let Some(cell) = self.cell(arm) {
            cell.own_limits.add(1);
        }
    }

    /// How often each limit was met on this worker.
    pub(super) fn add_own_limits(&self, counts: &mut [u64; OwnLimit::ALL.len()]) {
        add(counts, &self.own_limits);
    }

    /// Adds the clients to whom failures of an arm came since a time, on this worker.
    pub(super) fn add_clients(&self, clients: &mut Vec<ClientKey>, arm: ArmId, since_us: u64) {
        if let Some(cell) = self.cell(arm) {
            clients.extend(cell.clients.since(since_us));
        }
    }

    /// Adds this worker's part of an arm to the totals.
    pub(super) fn add_to(&self, totals: &mut Totals, arm: ArmId, now_us: u64, limits: &SlowLimits) {
        let Some(cell) = self.cell(arm) else { return };
        // Under way is read before late: an attempt that ends in between is counted for a moment in
        // both, never in neither; the recorder keeps what it showed from falling.
        let (in_flight, overdue) = cell.under_way(now_us, limits);
        totals.in_flight += in_flight;
        totals.failures += cell.failures.read();
        totals.shielded += cell.shielded.read();
        totals.compared += cell.compared.read();
        totals.differing += cell.differing.read();
        totals.dropped += cell.dropped.read();
        totals.own_limits += cell.own_limits.read();
        add(&mut totals.reasons, &cell.reasons);
        totals.attempts += add(&mut totals.codes, &cell.codes);
        totals.latency_sum_us += cell.latency_sum_us.read();
        let answered = add(&mut totals.latency, &cell.latency);
        totals.answered += answered;
        for (index, late) in cell.late.iter().enumerate() {
            let late = late.read();
            totals.slow[index] += late + overdue[index];
            totals.fast[index] += answered.saturating_sub(late);
        }
    }

    /// The start of an attempt at a given time, without counting it.
    #[cfg(test)]
    pub(super) fn started_for_tests(at_us: u64) -> Started {
        Started { at_us, is_held: false }
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
            failures: Counter::default(),
            reasons: zeros(),
            codes: zeros(),
            late: zeros(),
            latency_sum_us: Counter::default(),
            latency: zeros(),
            starts: (0..SLOTS).map(|_| Slot::default()).collect(),
            old_open: Counter::default(),
            held: Counter::default(),
            clients: Clients::default(),
            shielded: Counter::default(),
            debt: Counter::default(),
            served: Counter::default(),
            compared: Counter::default(),
            differing: Counter::default(),
            dropped: Counter::default(),
            own_limits: Counter::default(),
        }
    }

    fn attempts(&self) -> u64 {
        self.codes.iter().map(Counter::read).sum()
    }

    fn fail(&self, reason: Reason) {
        self.failures.add(1);
        if let Some(counter) = self.reasons.get(reason as usize) {
            counter.add(1);
        }
    }

    /// Counts an attempt as under way; an older time gives up its slot if need be.
    fn begin(&self, at_us: u64) {
        let (slot, epoch) = self.slot(at_us);
        let now = slot.0.read();
        if now >> 32 == epoch {
            slot.0.set(now + 1);
        } else {
            self.old_open.add(now & OPEN);
            slot.0.set(epoch << 32 | 1);
        }
    }

    fn end(&self, at_us: u64) {
        let (slot, epoch) = self.slot(at_us);
        let now = slot.0.read();
        if now >> 32 == epoch && now & OPEN > 0 {
            slot.0.set(now - 1);
        } else {
            self.old_open.set(self.old_open.read().saturating_sub(1));
        }
    }

    fn slot(&self, at_us: u64) -> (&Slot, u64) {
        let epoch = at_us / BUCKET_US + 1;
        (&self.starts[epoch as usize % SLOTS], epoch)
    }

    /// Attempts without an answer: all, and those that started longer ago than each limit.
    fn under_way(&self, now_us: u64, limits: &SlowLimits) -> (u64, [u64; MAX_LIMITS]) {
        let mut overdue = [0; MAX_LIMITS];
        let mut all = self.old_open.read();
        // The last bucket that ended more than the limit ago.
        let last = limits.0.map(|limit| now_us.saturating_sub(u64::from(limit)) / BUCKET_US);
        let used = limits.used().len();
        overdue[..used].fill(all);
        for slot in &self.starts {
            let slot = slot.0.read();
            let open = slot & OPEN;
            if open == 0 {
                continue;
            }
            all += open;
            for (overdue, last) in overdue[..used].iter_mut().zip(&last) {
                if slot >> 32 <= *last {
                    *overdue += open;
                }
            }
        }
        (all + self.held.read(), overdue)
    }
}

/// Adds counters to sums; returns what they came to together.
fn add(sums: &mut [u64], counters: &[Counter]) -> u64 {
    let mut all = 0;
    for (sum, counter) in sums.iter_mut().zip(counters) {
        let count = counter.read();
        *sum += count;
        all += count;
    }
    all
}
