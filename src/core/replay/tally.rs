//! One pool's counters, added up from facts to the same totals that the shards of the live ones give.

use super::order::{Fact, What, overdue_at};
use crate::core::client::{ClientCount, ClientKey, Met};
use crate::core::latency::bucket_of;
use crate::core::outcome::{MAX_LIMITS, Outcome, Reason, SlowLimits, Totals};
use crate::core::policy::{MAX_CLIENTS, Witnesses};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Tally {
    slow: SlowLimits,
    totals: Totals,
    /// Answered late, and without an answer past the limit.
    late: [u64; MAX_LIMITS],
    overdue: [u64; MAX_LIMITS],
    /// The clients that met failures last, and those that were answered later than each limit.
    failed: Clients,
    slow_clients: [Clients; MAX_LIMITS],
    abandoned_clients: Clients,
}

/// The clients that met something last, and when.
#[derive(Clone, Debug, Default)]
struct Clients(Vec<(ClientKey, u64)>);

impl Clients {
    fn note(&mut self, client: Option<ClientKey>, at_us: u64) {
        let Some(client) = client else { return };
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == client) {
            known.1 = at_us;
            return;
        }
        if self.0.len() >= MAX_CLIENTS
            && let Some(oldest) = (0..self.0.len()).min_by_key(|index| self.0[*index].1)
        {
            self.0.swap_remove(oldest);
        }
        self.0.push((client, at_us));
    }

    fn since(&self, since_us: u64) -> usize {
        self.0.iter().filter(|(_, at)| *at >= since_us).count()
    }
}

impl Tally {
    pub fn new(slow: SlowLimits) -> Self {
        let (totals, none) = (Totals::default(), [0; MAX_LIMITS]);
        let slow_clients = std::array::from_fn(|_| Clients::default());
        let (failed, abandoned_clients) = Default::default();
        Tally { slow, totals, late: none, overdue: none, failed, slow_clients, abandoned_clients }
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    pub fn slow(&self) -> &SlowLimits {
        &self.slow
    }

    pub fn take(&mut self, fact: &Fact) {
        let attempt = &fact.attempt;
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
        }
        for slot in 0..self.slow.used().len() {
            self.totals.slow[slot] = self.late[slot] + self.overdue[slot];
            self.totals.fast[slot] = self.totals.answered.saturating_sub(self.late[slot]);
        }
    }

    fn know(&mut self, fact: &Fact) {
        let (attempt, outcome) = (&fact.attempt, fact.attempt.first_outcome());
        let took = attempt.took_us();
        let counts = outcome.is_decided();
        for (slot, limit) in self.slow.used().iter().enumerate() {
            if overdue_at(attempt.started_us, *limit) < attempt.known_us {
                self.overdue[slot] = self.overdue[slot].saturating_sub(1);
            }
            // A switch of protocols says nothing of how fast the upstream answers.
            if attempt.code != 101 && took > u64::from(*limit) {
                self.late[slot] += 1;
                self.slow_clients[slot].note(attempt.client, fact.at_us);
            }
        }
        if counts && attempt.code != 101 {
            self.totals.answered += 1;
            self.totals.latency_sum_us += took;
            self.totals.latency[bucket_of(took)] += 1;
        }
        if counts {
            self.totals.attempts += 1;
            self.totals.codes[usize::from(attempt.code / 100).min(5)] += 1;
        }
        match outcome {
            Outcome::Failure(reason) => self.fail(reason, fact),
            Outcome::Abandoned => {
                self.totals.abandoned += 1;
                self.abandoned_clients.note(attempt.client, fact.at_us);
            }
            Outcome::Success | Outcome::Ignored => {}
        }
    }

    fn fail(&mut self, reason: Reason, fact: &Fact) {
        self.totals.failures += 1;
        self.totals.reasons[reason as usize] += 1;
        self.failed.note(fact.attempt.client, fact.at_us);
    }
}

/// Exact up to [`MAX_CLIENTS`]. A log that names no client tells nobody apart.
impl Witnesses for Tally {
    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        let met = match met {
            Met::Failures => Some(&self.failed),
            Met::Abandoned => Some(&self.abandoned_clients),
            Met::Slow(slot) => self.slow_clients.get(slot),
            Met::Long(_) | Met::HeadsOver(_) | Met::EndsOver(_) => None,
        };
        let named = met.map_or(0, |clients| clients.since(since.as_micros() as u64));
        ClientCount { named, nameless: named == 0 }
    }
}
