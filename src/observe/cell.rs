//! The counters of one arm on one worker.

use super::clients::Clients;
use super::shard::Started;
use super::starts::Starts;
use super::whole_answers::WholeAnswers;
use crate::core::counter::Counter;
use crate::core::latency::BUCKETS;
use crate::core::outcome::{MAX_LIMITS, Outcome, Reason};
use std::sync::OnceLock;

/// The counters of one arm on one worker. What is a sum of others is not counted: recording pays for
/// every store.
#[derive(Debug)]
pub(super) struct Cell {
    pub failures: Counter,
    pub reasons: [Counter; Reason::ALL.len()],
    pub codes: [Counter; 6],
    /// Of these, answers of 304.
    pub not_modified: Counter,
    pub late: [Counter; MAX_LIMITS],
    pub latency_sum_us: Counter,
    pub latency: [Counter; BUCKETS],
    pub starts: Starts,
    /// Attempts under way whose clock stands still.
    pub held: Counter,
    /// Attempts under way that are no evidence.
    pub aside: Counter,
    /// Since when it counts for the version that its pool has now. Written by the controller.
    pub era_us: Counter,
    /// Attempts that were part of a warm-up.
    pub warming: Counter,
    pub past_codes: [Counter; 6],
    pub past_reasons: [Counter; Reason::ALL.len()],
    /// Who met failures, and who was answered later than each limit.
    pub clients: Clients,
    pub late_clients: [Clients; MAX_LIMITS],
    pub shielded: Counter,
    /// What the shield owes its budget, and how many attempts the service had served then.
    pub debt: Counter,
    pub served: Counter,
    /// Of a mirror's arm: see [`crate::core::outcome::Totals`].
    pub compared: Counter,
    pub differing: Counter,
    pub dropped: Counter,
    pub own_limits: Counter,
    pub abandoned: Counter,
    pub abandoned_clients: Clients,
    pub whole_answers: OnceLock<Box<WholeAnswers>>,
}

impl Cell {
    pub(super) fn new() -> Self {
        fn zeros<const N: usize>() -> [Counter; N] {
            std::array::from_fn(|_| Counter::default())
        }
        Cell {
            failures: Counter::default(),
            reasons: zeros(),
            codes: zeros(),
            not_modified: Counter::default(),
            late: zeros(),
            latency_sum_us: Counter::default(),
            latency: zeros(),
            starts: Starts::new(),
            held: Counter::default(),
            aside: Counter::default(),
            era_us: Counter::default(),
            warming: Counter::default(),
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
            abandoned: Counter::default(),
            abandoned_clients: Clients::default(),
            whole_answers: OnceLock::new(),
        }
    }

    /// Made when it is first asked for.
    pub(super) fn whole_answers(&self) -> &WholeAnswers {
        self.whole_answers.get_or_init(|| Box::new(WholeAnswers::new()))
    }

    /// Counts the status of an attempt that is decided.
    pub(super) fn code(&self, code: u16) {
        if let Some(counter) = self.codes.get(usize::from(code / 100).min(5)) {
            counter.add(1);
        }
        if code == 304 {
            self.not_modified.add(1);
        }
    }

    pub(super) fn attempts(&self) -> u64 {
        self.codes.iter().map(Counter::read).sum()
    }

    pub(super) fn fail(&self, reason: Reason) {
        self.failures.add(1);
        if let Some(counter) = self.reasons.get(reason as usize) {
            counter.add(1);
        }
    }

    /// Whether an attempt says nothing of the version that there is now: the one that it began on has been replaced,
    /// or it is no evidence.
    pub(super) fn is_apart(&self, started: Started) -> bool {
        started.is_aside || started.era_us < self.era_us.read()
    }

    pub(super) fn end_past(&self, started: Started, outcome: Outcome, code: u16) {
        if outcome.is_decided()
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
    pub(super) fn end(&self, started: Started) {
        if started.is_aside {
            self.aside.set(self.aside.read().saturating_sub(1));
        } else if started.is_held {
            self.held.set(self.held.read().saturating_sub(1));
        } else {
            self.starts.end(started.at_us, started.client, started.begun_era_us);
        }
    }

    pub(super) fn fail_past(&self, reason: Reason) {
        if let Some(counter) = self.past_reasons.get(reason as usize) {
            counter.add(1);
        }
    }
}
