//! One pool's counters, added up from facts to the same totals that the shards of the live ones give.

use super::attempt::{Ending, LoggedEnd, past};
use super::clients::{RecentAnswers, ReplayClients, Took};
use super::order::{Fact, What, overdue_at};
use crate::core::client::{ClientCount, Met};
use crate::core::latency::bucket_of;
use crate::core::outcome::{Durations, MAX_LIMITS, Outcome, Reason, Thresholds, Totals};
use crate::core::policy::{ArmCounts, Witnesses};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Tally {
    thresholds: Thresholds,
    totals: Totals,
    durations: Durations,
    /// Answered late, and without an answer past the limit.
    late: [u64; MAX_LIMITS],
    overdue: [u64; MAX_LIMITS],
    /// Answers that took too long, whole and cut short; and all that are whole.
    long: [u64; MAX_LIMITS],
    cut_long: [u64; MAX_LIMITS],
    whole: u64,
    /// The clients that met failures last, that left, and that were answered later than each limit.
    failed: ReplayClients,
    abandoned: ReplayClients,
    slow_clients: [ReplayClients; MAX_LIMITS],
    long_clients: [ReplayClients; MAX_LIMITS],
    recent: RecentAnswers,
    /// Whether the log names clients.
    names_clients: bool,
}

impl Tally {
    pub fn new(thresholds: Thresholds) -> Self {
        let none = [0; MAX_LIMITS];
        Tally {
            thresholds,
            totals: Totals::default(),
            durations: Durations::default(),
            late: none,
            overdue: none,
            long: none,
            cut_long: none,
            whole: 0,
            failed: ReplayClients::default(),
            abandoned: ReplayClients::default(),
            slow_clients: std::array::from_fn(|_| ReplayClients::default()),
            long_clients: std::array::from_fn(|_| ReplayClients::default()),
            recent: RecentAnswers::default(),
            names_clients: false,
        }
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    pub fn counts(&self) -> ArmCounts<'_> {
        ArmCounts { totals: &self.totals, durations: Some(&self.durations) }
    }

    pub fn take(&mut self, fact: &Fact) {
        let attempt = &fact.attempt;
        self.names_clients |= attempt.client.is_some();
        match fact.what {
            What::Overdue(slot) => {
                let slot = slot.min(MAX_LIMITS - 1);
                self.overdue[slot] += 1;
                self.slow_clients[slot].note(attempt.client, fact.at_us);
            }
            What::Broke => {
                if let Outcome::Failure(reason) = attempt.outcome {
                    self.fail(reason, fact);
                }
            }
            What::Known => self.know(fact),
            What::Ended => {
                if let Some((end, _)) = attempt.ended() {
                    self.end(end, fact);
                }
            }
        }
        for slot in 0..self.thresholds.slow.used().len() {
            self.totals.slow[slot] = self.late[slot] + self.overdue[slot];
            self.totals.fast[slot] = self.totals.answered.saturating_sub(self.late[slot]);
        }
        for slot in 0..self.thresholds.long.used().len() {
            self.totals.long[slot] = self.long[slot] + self.cut_long[slot];
            self.totals.brief[slot] = self.whole.saturating_sub(self.long[slot]);
        }
    }

    fn know(&mut self, fact: &Fact) {
        let (attempt, outcome) = (&fact.attempt, fact.attempt.first_outcome());
        let (took, late) = (attempt.took_us(), attempt.late(&self.thresholds.slow));
        let counts = outcome.is_decided();
        for (slot, limit) in self.thresholds.slow.used().iter().enumerate() {
            if overdue_at(attempt.started_us, *limit) < attempt.known_us {
                self.overdue[slot] = self.overdue[slot].saturating_sub(1);
            }
            if late.is_some_and(|late| late >> slot & 1 == 1) {
                self.late[slot] += 1;
                self.slow_clients[slot].note(attempt.client, fact.at_us);
            }
        }
        if counts && late.is_some() {
            let bucket = bucket_of(took);
            self.totals.answered += 1;
            self.totals.latency_sum_us += took;
            self.totals.latency[bucket] += 1;
            self.durations.heads[bucket] += 1;
            self.recent.note(attempt.client, fact.at_us, Took::ToHead(bucket));
        }
        if counts {
            self.totals.attempts += 1;
            self.totals.codes[usize::from(attempt.code / 100).min(5)] += 1;
            self.totals.not_modified += u64::from(attempt.code == 304);
        }
        match outcome {
            Outcome::Failure(reason) => self.fail(reason, fact),
            Outcome::Abandoned => {
                self.totals.abandoned += 1;
                self.abandoned.note(attempt.client, fact.at_us);
            }
            Outcome::Success | Outcome::Ignored => {}
        }
    }

    /// An answer is whole, or its client has left.
    fn end(&mut self, end: LoggedEnd, fact: &Fact) {
        let (client, bucket) = (fact.attempt.client, bucket_of(end.took_us));
        let (durations, long) = match end.ending {
            Ending::Cut => (&mut self.durations.cut, &mut self.cut_long),
            Ending::Whole | Ending::Empty | Ending::Declined => (&mut self.durations.whole, &mut self.long),
        };
        durations[bucket] += 1;
        let passed = past(&self.thresholds.long, end.took_us);
        for (slot, (long, clients)) in long.iter_mut().zip(&mut self.long_clients).enumerate() {
            if passed >> slot & 1 == 1 {
                *long += 1;
                clients.note(client, fact.at_us);
            }
        }
        self.whole += u64::from(end.ending != Ending::Cut);
        self.totals.empty += u64::from(end.ending == Ending::Empty);
        self.totals.declined += u64::from(end.ending == Ending::Declined);
        self.recent.note(client, fact.at_us, Took::ToEnd(bucket));
    }

    fn fail(&mut self, reason: Reason, fact: &Fact) {
        self.totals.failures += 1;
        self.totals.reasons[reason as usize] += 1;
        self.failed.note(fact.attempt.client, fact.at_us);
    }
}

/// Exact up to [`crate::core::policy::MAX_CLIENTS`]. A log that names no client tells nobody apart.
impl Witnesses for Tally {
    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        let since_us = since.as_micros() as u64;
        let noted = |clients: Option<&ReplayClients>| clients.map_or(0, |clients| clients.since(since_us));
        let named = match met {
            Met::Failures => noted(Some(&self.failed)),
            Met::Abandoned => noted(Some(&self.abandoned)),
            Met::Slow(slot) => noted(self.slow_clients.get(slot)),
            Met::Long(slot) => noted(self.long_clients.get(slot)),
            Met::HeadsOver(bucket) => self.recent.over(Took::ToHead(bucket), since_us),
            Met::EndsOver(bucket) => self.recent.over(Took::ToEnd(bucket), since_us),
        };
        ClientCount { named, nameless: !self.names_clients }
    }
}
