//! One worker's counters: the measurement on the request path.
//!
//! Only the worker's own thread writes a shard, so recording is plain loads and stores on relaxed
//! atomics: no lock, no read-modify-write, no allocation, no look at the clock. Other threads read at
//! any time and see each counter as it was a moment ago.
//!
//! "Slow" counts when the limit's time has passed, not when the answer at last arrives, and without a
//! timer per request: starts and answers are counted by start time in buckets; what
//! started longer ago than the limit and has no answer has exceeded it ([`super::starts`]). While the proxy
//! still waits for the client's body, an attempt is held: its clock stands still, and starts with the last of
//! the body.
//!
//! An arm begins anew with every version of its pool ([`super::recorder::Recorder::begin`]): an attempt that
//! had begun before speaks neither for nor against the version that follows, whenever it ends.

use super::activity::Activity;
use super::clients::Clients;
use super::starts::Starts;
use crate::core::client::ClientKey;
use crate::core::latency::{BUCKETS, bucket_of};
use crate::core::outcome::{ArmId, MAX_LIMITS, Outcome, Past, Reason, SlowLimits, Totals};
use crate::core::own_limit::OwnLimit;
use crate::core::shield::Budget;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Cells are made in chunks, so that arms can be added while others are written to.
const CHUNK: usize = 64;
/// How many arms there can be.
pub(super) const MAX_ARMS: usize = CHUNK * 64;

/// All counters of one worker.
#[derive(Debug)]
pub struct Shard {
    chunks: [OnceLock<Box<[Cell]>>; MAX_ARMS / CHUNK],
    /// On which arms something has begun or gone wrong.
    activity: Activity,
    own_limits: [Counter; OwnLimit::ALL.len()],
}

/// The start of one attempt, to be handed back with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    at_us: u64,
    /// Since when its arm counted for the version that it began on.
    era_us: u64,
    /// The same as it was counted by when it began.
    begun_era_us: u64,
    client: ClientKey,
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

    /// On a pool of a table from the era `era_us`: a request keeps its table, and may try an upstream of a
    /// version that has been replaced meanwhile.
    #[inline]
    pub fn in_era(self, era_us: u64) -> Self {
        Started { era_us: self.era_us.min(era_us), ..self }
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
    starts: Starts,
    /// Attempts under way whose clock stands still.
    held: Counter,
    /// Since when it counts for the version that its pool has now. Written by the controller.
    era_us: Counter,
    past_codes: [Counter; 6],
    past_reasons: [Counter; Reason::ALL.len()],
    /// Who met failures, and who was answered later than each limit.
    clients: Clients,
    late_clients: [Clients; MAX_LIMITS],
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

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
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
            activity: Activity::of(MAX_ARMS),
            own_limits: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts the start of an attempt for a client.
    #[inline]
    pub fn start(&self, arm: ArmId, now_us: u64, client: ClientKey) -> Started {
        let mut started = Started { at_us: now_us, era_us: 0, begun_era_us: 0, client, is_held: false };
        if let Some(cell) = self.cell(arm) {
            started.era_us = cell.era_us.read();
            started.begun_era_us = started.era_us;
            cell.starts.begin(now_us, client, started.begun_era_us);
            self.activity.mark(arm);
        }
        started
    }

    /// The version of the arm's pool is another one from now on. The one call that another thread than the
    /// worker's makes to write: nobody else writes what it writes.
    pub(super) fn begin(&self, arm: ArmId, now_us: u64) {
        if let Some(cell) = self.cell(arm) {
            cell.era_us.set(now_us);
        }
    }

    /// Counts the start of an attempt whose request is not whole yet.
    pub fn hold(&self, arm: ArmId, now_us: u64, client: ClientKey) -> Started {
        let mut started = Started { at_us: now_us, era_us: 0, begun_era_us: 0, client, is_held: true };
        if let Some(cell) = self.cell(arm) {
            started.era_us = cell.era_us.read();
            started.begun_era_us = started.era_us;
            cell.held.add(1);
            self.activity.mark(arm);
        }
        started
    }

    /// The clock of an attempt starts now, if it stood still.
    pub fn release(&self, arm: ArmId, started: Started, now_us: u64) -> Started {
        if !started.is_held {
            return started;
        }
        if let Some(cell) = self.cell(arm) {
            // First, so that a reader never misses it.
            cell.starts.begin(now_us, started.client, started.begun_era_us);
            cell.held.set(cell.held.read().saturating_sub(1));
        }
        Started { at_us: now_us, is_held: false, ..started }
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
        if cell.is_past(started) {
            return cell.end_past(started, outcome, code);
        }
        let took = now_us.saturating_sub(started.at_us);
        let counts = outcome != Outcome::Ignored;
        let mut is_adverse = matches!(outcome, Outcome::Failure(_));
        // A switch of protocols says nothing of how fast the upstream answers.
        if code != 101 && !started.is_held {
            for ((late, clients), limit) in cell.late.iter().zip(&cell.late_clients).zip(limits.used()) {
                if took > u64::from(*limit) {
                    // Before the count, so that who reads the count finds the client.
                    clients.note(started.client, now_us);
                    late.add(1);
                    is_adverse = true;
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
        cell.end(started);
        if is_adverse {
            self.activity.mark(arm);
        }
    }

    /// An attempt that was counted as a success broke afterwards.
    pub fn broken(&self, arm: ArmId, started: Started, reason: Reason) {
        match self.cell(arm) {
            Some(cell) if cell.is_past(started) => cell.fail_past(reason),
            Some(cell) => cell.fail(reason),
            None => {}
        }
        self.activity.mark(arm);
    }

    /// Notes to whom the failure of an attempt came. To be called before the failure is counted, so that who
    /// reads the count finds the client.
    #[inline]
    pub fn failed_for(&self, arm: ArmId, started: Started, now_us: u64) {
        if let Some(cell) = self.cell(arm).filter(|cell| !cell.is_past(started)) {
            cell.clients.note(started.client, now_us);
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
        self.activity.mark(candidate);
        true
    }

    /// Counts an answer to a copy that was compared with stable's.
    pub fn compared(&self, arm: ArmId, differs: bool) {
        if let Some(cell) = self.cell(arm) {
            cell.differing.add(u64::from(differs));
            cell.compared.add(1);
            self.activity.mark(arm);
        }
    }

    /// Counts a copy that was not sent, for want of room.
    pub fn dropped(&self, arm: ArmId) {
        if let Some(cell) = self.cell(arm) {
            cell.dropped.add(1);
            self.activity.mark(arm);
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
            self.activity.mark(arm);
        }
    }

    /// On which arms something has begun or gone wrong, on this worker.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
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

    /// The same of clients that were answered later than the limit of a slot since then; and the lanes of those
    /// whose attempts passed the limit since then and are under way.
    pub(super) fn add_late(&self, clients: &mut Vec<ClientKey>, arm: ArmId, asked: Late<'_>) -> u16 {
        let Some(cell) = self.cell(arm) else { return 0 };
        if let Some(late) = cell.late_clients.get(asked.slot) {
            clients.extend(late.since(asked.since_us));
        }
        let limit = asked.limits.used().get(asked.slot);
        limit.map_or(0, |limit| {
            let limit = u64::from(*limit);
            cell.starts.overdue_lanes(asked.now_us, limit, asked.since_us, cell.era_us.read())
        })
    }

    /// Adds this worker's part of an arm to the totals.
    pub(super) fn add_to(&self, totals: &mut Totals, arm: ArmId, now_us: u64, limits: &SlowLimits) {
        let Some(cell) = self.cell(arm) else { return };
        // Under way is read before late: an attempt that ends in between is counted for a moment in
        // both, never in neither; the recorder keeps what it showed from falling.
        let (in_flight, overdue) = cell.starts.under_way(now_us, limits, cell.era_us.read());
        totals.in_flight += in_flight + cell.held.read();
        totals.failures += cell.failures.read();
        totals.shielded += cell.shielded.read();
        totals.compared += cell.compared.read();
        totals.differing += cell.differing.read();
        totals.dropped += cell.dropped.read();
        let Past { codes, reasons } = &mut totals.past;
        add(codes, &cell.past_codes);
        add(reasons, &cell.past_reasons);
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
        Started { at_us, era_us: 0, begun_era_us: 0, client: ClientKey::NAMELESS, is_held: false }
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
            starts: Starts::new(),
            held: Counter::default(),
            era_us: Counter::default(),
            past_codes: zeros(),
            past_reasons: zeros(),
            clients: Clients::default(),
            late_clients: std::array::from_fn(|_| Clients::default()),
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

    /// Whether the version that an attempt began on has been replaced.
    fn is_past(&self, started: Started) -> bool {
        started.era_us < self.era_us.read()
    }

    fn end_past(&self, started: Started, outcome: Outcome, code: u16) {
        if outcome != Outcome::Ignored
            && let Some(counter) = self.past_codes.get(usize::from(code / 100).min(5))
        {
            counter.add(1);
        }
        if let Outcome::Failure(reason) = outcome {
            self.fail_past(reason);
        }
        self.end(started);
    }

    /// An attempt is under way no more.
    fn end(&self, started: Started) {
        if started.is_held {
            self.held.set(self.held.read().saturating_sub(1));
        } else {
            self.starts.end(started.at_us, started.client, started.begun_era_us);
        }
    }

    fn fail_past(&self, reason: Reason) {
        if let Some(counter) = self.past_reasons.get(reason as usize) {
            counter.add(1);
        }
    }
}

/// Which late attempts are asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late<'a> {
    /// The place of the limit.
    pub slot: usize,
    pub limits: &'a SlowLimits,
    pub since_us: u64,
    pub now_us: u64,
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
