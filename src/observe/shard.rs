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
//! An arm begins again with every version of its pool ([`super::recorder::Recorder::begin`]): an attempt that
//! had begun before speaks neither for nor against the version that follows, whenever it ends. Nor does one that is
//! no evidence from its start on ([`Shard::begin_aside`]).

#![warn(clippy::indexing_slicing)]

use super::activity::Activity;
use super::cell::Cell;
use super::clients::Clients;
use super::whole_answers::{Took, WholeAnswers};
use crate::core::client::{ClientKey, Met};
use crate::core::counter::{Counter, sum};
use crate::core::latency::bucket_of;
use crate::core::outcome::{
    ArmId, Durations, EarlierCounts, Outcome, Reason, SlowLimits, Thresholds, Totals,
};
use crate::core::own_limit::OwnLimit;
use crate::core::shield::Budget;
use std::sync::OnceLock;

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
    pub(super) at_us: u64,
    /// Since when its arm counted for the version that it began on.
    pub(super) era_us: u64,
    /// The same as it was counted by when it began.
    pub(super) begun_era_us: u64,
    pub(super) client: ClientKey,
    pub(super) is_held: bool,
    /// How long it waited for a connection of its own, µs.
    connecting_us: u64,
    /// Whether it is no evidence, whatever its outcome.
    pub(super) is_aside: bool,
}

impl Started {
    fn new(at_us: u64, client: ClientKey, is_held: bool) -> Self {
        Started { at_us, era_us: 0, begun_era_us: 0, client, is_held, connecting_us: 0, is_aside: false }
    }

    /// When that was, µs on the process clock.
    pub fn at_us(self) -> u64 {
        self.at_us
    }

    /// Whether its clock stands still.
    pub fn is_held(self) -> bool {
        self.is_held
    }

    /// With a connection that took so long, where its clock ran: which version has more of them idle says nothing of how
    /// fast it answers, so the comparison with another leaves it out.
    #[inline]
    pub fn connected_after(self, us: u64) -> Self {
        if self.is_held { self } else { Started { connecting_us: us, ..self } }
    }

    /// How much of a time since its start it was being worked on by the upstream.
    #[inline]
    pub fn worked(self, us: u64) -> u64 {
        us.saturating_sub(self.connecting_us)
    }

    /// Whether it speaks neither for nor against its pool.
    pub fn is_aside(self) -> bool {
        self.is_aside
    }

    /// On a pool of a table from the era `era_us`: a request keeps its table, and may try an upstream of a
    /// version that has been replaced meanwhile.
    #[inline]
    pub fn in_era(self, era_us: u64) -> Self {
        Started { era_us: self.era_us.min(era_us), ..self }
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
        let mut started = Started::new(now_us, client, false);
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
        let mut started = Started::new(now_us, client, true);
        if let Some(cell) = self.cell(arm) {
            started.era_us = cell.era_us.read();
            started.begun_era_us = started.era_us;
            cell.held.add(1);
            self.activity.mark(arm);
        }
        started
    }

    /// Counts the start of an attempt that is no evidence: it is seen under way, and its answer by status and reason.
    pub fn begin_aside(&self, arm: ArmId, now_us: u64, client: ClientKey, is_held: bool) -> Started {
        if let Some(cell) = self.cell(arm) {
            cell.aside.add(1);
        }
        Started { is_aside: true, ..Started::new(now_us, client, is_held) }
    }

    /// Counts an attempt that is no evidence since its upstream warms up.
    pub fn warming(&self, arm: ArmId) {
        if let Some(cell) = self.cell(arm) {
            cell.warming.add(1);
            self.activity.mark(arm);
        }
    }

    /// Whether an attempt is evidence about the version that its arm has now.
    pub fn is_current(&self, arm: ArmId, started: Started) -> bool {
        self.cell(arm).is_some_and(|cell| !cell.is_apart(started))
    }

    /// The clock of an attempt starts now, if it stood still.
    pub fn release(&self, arm: ArmId, started: Started, now_us: u64) -> Started {
        if !started.is_held {
            return started;
        }
        if let Some(cell) = self.cell(arm).filter(|_| !started.is_aside) {
            // First, so that a reader never misses it.
            cell.starts.begin(now_us, started.client, started.begun_era_us);
            cell.held.set(cell.held.read().saturating_sub(1));
        }
        Started { at_us: now_us, is_held: false, connecting_us: 0, ..started }
    }

    /// Counts the outcome of a started attempt; exactly once for each. `code` is the status of the answer,
    /// 0 without one. Of a client that left only its patience is counted, and that a limit had passed. An answer to
    /// a request that is not whole says nothing of how fast the upstream is. Whether it is about the version that
    /// the arm has now.
    #[inline]
    pub fn answered(
        &self,
        arm: ArmId,
        started: Started,
        now_us: u64,
        (outcome, code): (Outcome, u16),
        thresholds: &Thresholds,
    ) -> bool {
        let Some(cell) = self.cell(arm) else { return false };
        if cell.is_apart(started) {
            cell.end_past(started, outcome, code);
            return false;
        }
        let took = now_us.saturating_sub(started.at_us);
        let mut is_adverse = matches!(outcome, Outcome::Failure(_) | Outcome::Abandoned);
        // A switch of protocols says nothing of how fast the upstream answers.
        if code != 101 && !started.is_held {
            for ((late, clients), limit) in
                cell.late.iter().zip(&cell.late_clients).zip(thresholds.slow.used())
            {
                if took > u64::from(*limit) {
                    // Before the count, so that who reads the count finds the client.
                    clients.note(started.client, now_us);
                    late.add(1);
                    is_adverse = true;
                }
            }
            if outcome.is_decided() {
                if thresholds.is_compared {
                    let bucket = bucket_of(started.worked(took));
                    cell.whole_answers().head(started.client, now_us, bucket);
                }
                cell.latency_sum_us.add(took);
                if let Some(count) = cell.latency.get(bucket_of(took)) {
                    count.add(1);
                }
            }
        }
        match outcome {
            Outcome::Success => cell.code(code),
            Outcome::Failure(reason) => {
                cell.code(code);
                cell.fail(reason);
            }
            Outcome::Abandoned => {
                cell.abandoned_clients.note(started.client, now_us);
                cell.abandoned.add(1);
            }
            Outcome::Ignored => {}
        }
        // Last, so that a reader never finds an attempt neither under way nor late.
        cell.end(started);
        if is_adverse {
            self.activity.mark(arm);
        }
        true
    }

    /// Counts how long an answer took whose head was a success: `took_us` from the attempt's start to the last byte,
    /// less the time that its client made it wait. Whether it was longer than a limit.
    pub fn finished(
        &self,
        arm: ArmId,
        started: Started,
        now_us: u64,
        (took_us, end): (u64, AnswerEnd),
        thresholds: &Thresholds,
    ) -> bool {
        let Some(cell) = self.cell(arm).filter(|cell| !cell.is_apart(started)) else { return false };
        let answers = cell.whole_answers();
        let (durations, late) = match end {
            AnswerEnd::Cut => (&answers.cut, &answers.cut_long),
            AnswerEnd::Whole | AnswerEnd::Empty | AnswerEnd::Declined => (&answers.whole, &answers.long),
        };
        let mut is_long = false;
        for ((late, clients), limit) in late.iter().zip(&answers.long_clients).zip(thresholds.long.used()) {
            if took_us > u64::from(*limit) {
                clients.note(started.client, now_us);
                late.add(1);
                is_long = true;
            }
        }
        let bucket = bucket_of(started.worked(took_us));
        if thresholds.is_compared {
            answers.recent.note(started.client, now_us, Took::ToEnd(bucket));
        }
        if let Some(count) = durations.get(bucket) {
            count.add(1);
        }
        answers.empty.add(u64::from(end == AnswerEnd::Empty));
        answers.declined.add(u64::from(end == AnswerEnd::Declined));
        if is_long {
            self.activity.mark(arm);
        }
        is_long
    }

    /// An attempt that was counted as a success broke afterwards.
    pub fn broken(&self, arm: ArmId, started: Started, reason: Reason) {
        match self.cell(arm) {
            Some(cell) if cell.is_apart(started) => cell.fail_past(reason),
            Some(cell) => cell.fail(reason),
            None => {}
        }
        self.activity.mark(arm);
    }

    /// Notes to whom the failure of an attempt came. To be called before the failure is counted, so that who
    /// reads the count finds the client.
    #[inline]
    pub fn failed_for(&self, arm: ArmId, started: Started, now_us: u64) {
        if let Some(cell) = self.cell(arm).filter(|cell| !cell.is_apart(started)) {
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
        sum(counts, &self.own_limits);
    }

    /// Adds the clients that met something on an arm since a time, on this worker, but of those that wait.
    pub(super) fn add_clients(&self, clients: &mut Vec<ClientKey>, arm: ArmId, met: Met, since_us: u64) {
        let Some(cell) = self.cell(arm) else { return };
        let answers = cell.whole_answers.get().map(|answers| &**answers);
        let noted = match met {
            Met::Failures => Some(&cell.clients),
            Met::Abandoned => Some(&cell.abandoned_clients),
            Met::Slow(slot) => cell.late_clients.get(slot),
            Met::Long(slot) => answers.and_then(|answers| answers.long_clients.get(slot)),
            Met::HeadsOver(bucket) => return recent(clients, answers, Took::ToHead(bucket), since_us),
            Met::EndsOver(bucket) => return recent(clients, answers, Took::ToEnd(bucket), since_us),
        };
        let noted = noted.into_iter().flat_map(|noted| noted.since(since_us));
        clients.extend(noted.map(|(client, _)| client));
    }

    /// Adds what clients met on an arm since a time, and when, on this worker, but of those that wait.
    pub(super) fn add_notes(&self, notes: &mut Vec<(ClientKey, Met, u64)>, arm: ArmId, since_us: u64) {
        let Some(cell) = self.cell(arm) else { return };
        let mut add = |noted: &Clients, met| {
            notes.extend(noted.since(since_us).map(|(client, at_us)| (client, met, at_us)));
        };
        add(&cell.clients, Met::Failures);
        add(&cell.abandoned_clients, Met::Abandoned);
        (0..).zip(&cell.late_clients).for_each(|(slot, noted)| add(noted, Met::Slow(slot)));
        let Some(answers) = cell.whole_answers.get() else { return };
        (0..).zip(&answers.long_clients).for_each(|(slot, noted)| add(noted, Met::Long(slot)));
        notes.extend(answers.recent.since(since_us).map(|(client, took, at_us)| match took {
            Took::ToHead(bucket) => (client, Met::HeadsOver(bucket), at_us),
            Took::ToEnd(bucket) => (client, Met::EndsOver(bucket), at_us),
        }));
    }

    /// The lanes of the clients whose attempts passed the limit of a slot since a time and are under way.
    pub(super) fn late_lanes(&self, arm: ArmId, asked: Late<'_>) -> u16 {
        let limit = asked.limits.used().get(asked.slot);
        self.cell(arm).zip(limit).map_or(0, |(cell, limit)| {
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
        totals.in_flight += in_flight + cell.held.read() + cell.aside.read();
        totals.failures += cell.failures.read();
        totals.shielded += cell.shielded.read();
        totals.compared += cell.compared.read();
        totals.differing += cell.differing.read();
        totals.dropped += cell.dropped.read();
        totals.warming += cell.warming.read();
        let EarlierCounts { codes, reasons } = &mut totals.past;
        sum(codes, &cell.past_codes);
        sum(reasons, &cell.past_reasons);
        totals.own_limits += cell.own_limits.read();
        totals.abandoned += cell.abandoned.read();
        sum(&mut totals.reasons, &cell.reasons);
        totals.attempts += sum(&mut totals.codes, &cell.codes);
        totals.not_modified += cell.not_modified.read();
        totals.latency_sum_us += cell.latency_sum_us.read();
        let answered = sum(&mut totals.latency, &cell.latency);
        totals.answered += answered;
        let kinds = totals.slow.iter_mut().zip(&mut totals.fast);
        for ((slow, fast), (late, overdue)) in kinds.zip(cell.late.iter().zip(overdue)) {
            let late = late.read();
            *slow += late + overdue;
            *fast += answered.saturating_sub(late);
        }
        let Some(answers) = cell.whole_answers.get() else { return };
        totals.empty += answers.empty.read();
        totals.declined += answers.declined.read();
        let whole: u64 = answers.whole.iter().map(Counter::read).sum();
        let kinds = totals.long.iter_mut().zip(&mut totals.brief);
        for ((total, brief), (long, cut)) in kinds.zip(answers.long.iter().zip(&answers.cut_long)) {
            let long = long.read();
            *total += long + cut.read();
            *brief += whole.saturating_sub(long);
        }
    }

    /// Adds this worker's part of how long the answers of an arm took.
    pub(super) fn add_durations(&self, durations: &mut Durations, arm: ArmId) {
        if let Some(answers) = self.cell(arm).and_then(|cell| cell.whole_answers.get()) {
            sum(&mut durations.heads, &answers.heads);
            sum(&mut durations.whole, &answers.whole);
            sum(&mut durations.cut, &answers.cut);
        }
    }

    /// The start of an attempt at a given time, without counting it.
    #[cfg(test)]
    pub(super) fn started_for_tests(at_us: u64) -> Started {
        Started::new(at_us, ClientKey::NAMELESS, false)
    }

    fn cell(&self, arm: ArmId) -> Option<&Cell> {
        let index = usize::from(arm.0);
        let chunk = self.chunks.get(index / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| Cell::new()).collect()).get(index % CHUNK)
    }
}

/// How an answer ended whose head was a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    Whole,
    /// A 200 or 204 to a GET, without a byte of body.
    Empty,
    /// A gRPC call that got a status which is neither OK nor a failure.
    Declined,
    /// Its client left.
    Cut,
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

fn recent(clients: &mut Vec<ClientKey>, answers: Option<&WholeAnswers>, over: Took, since_us: u64) {
    clients.extend(answers.into_iter().flat_map(|answers| answers.recent.over(over, since_us)));
}
