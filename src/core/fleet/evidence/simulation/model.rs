//! A fleet as far as its verdict goes: attempts spread over instances, counts that travel through a store, and who judges.

use super::super::*;
use crate::core::evidence::Evidence;
use crate::core::fleet::Incarnation;
use crate::core::policy::{Circumstances, Limit, Looks, Policy};
use crate::core::verdict::State;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

/// The evidence that a single instance needs: one false abort in a thousand rollouts of a million attempts.
pub(super) const A: f64 = 1e9;
/// How long a write takes until the others have it (µs): to the leader, and back to the members.
const TRAVEL_US: std::ops::Range<u64> = 500..5_000;

/// Who judges, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In rounds, and each instance for itself beside.
    Rounds,
    /// Whatever is pushed is judged as it comes; counts follow once a second. It is unsound.
    AsItComes,
    /// Each instance for itself, with the whole of `alpha`.
    Alone,
}

/// One instance.
struct Instance {
    counts: MemberCounts,
    pusher: EvidencePusher,
    own: Looks,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Attempt,
    /// A push reaches the leader, and its answer the member.
    Pushed {
        member: usize,
        attempts: u64,
        failures: u64,
        round: u64,
        rung: u64,
    },
    /// A member sees that the leader asks.
    Asked {
        member: usize,
        round: u64,
    },
    /// Of the unsound scheme: a member pushes its counts.
    Second {
        member: usize,
    },
    Wake,
}

pub(super) struct Fleet {
    rng: SmallRng,
    scheme: Scheme,
    pub now_us: u64,
    queue: BinaryHeap<Reverse<(u64, Happening)>>,
    instances: Vec<Instance>,
    live: BTreeSet<String>,
    leader: PooledEvidence,
    /// Of the unsound scheme: the evidence of all, and what was taken in of each.
    all: Evidence,
    taken: Vec<(u64, u64)>,
    /// Until when a member neither counts nor answers, and which.
    pub stalled: Option<(usize, u64)>,
    highest_ln: f64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub failures: u64,
    pub aborted: bool,
    /// From the last failure to the verdict.
    pub took_us: u64,
    pub highest_ln: f64,
}

fn policy() -> Policy {
    let limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }];
    Policy { limits, groups: 0, ..Policy::default() }
}

fn name(member: usize) -> String {
    format!("edge-{member}")
}

impl Fleet {
    pub(super) fn new(seed: u64, members: usize, scheme: Scheme) -> Self {
        let policy = policy();
        let own = match scheme {
            Scheme::Alone => policy.clone(),
            _ => policy.in_fleet(),
        };
        let none = MemberCounts::default();
        let look = || Looks::new(Arc::new(own.clone()), none.counted(&[]), None, Duration::ZERO);
        let instance = || Instance { counts: none.clone(), pusher: EvidencePusher::default(), own: look() };
        let mut fleet = Fleet {
            rng: SmallRng::seed_from_u64(seed),
            scheme,
            now_us: 0,
            queue: BinaryHeap::new(),
            instances: (0..members).map(|_| instance()).collect(),
            live: (0..members).map(name).collect(),
            leader: PooledEvidence::new(&policy, 1, 0),
            all: Evidence::new(0.01, 2.0 * A, Duration::ZERO),
            taken: vec![(0, 0); members],
            stalled: None,
            highest_ln: 0.0,
        };
        for member in 0..members {
            fleet.push(member);
            let phase = fleet.rng.random_range(0..1_000_000);
            fleet.after(phase, Happening::Second { member });
        }
        fleet.after(0, Happening::Attempt);
        fleet.after(0, Happening::Wake);
        fleet
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    fn after(&mut self, us: u64, what: Happening) {
        self.queue.push(Reverse((self.now_us + us, what)));
    }

    fn travel(&mut self) -> u64 {
        self.rng.random_range(TRAVEL_US)
    }

    /// So many attempts a second on the candidate, of all instances together, of which a share fails.
    pub(super) fn run(&mut self, rate: f64, failing: f64, most: u64) -> Course {
        let (mut attempts, mut failures, mut failed_at) = (0, 0, 0);
        while attempts < most {
            let Some(Reverse((at, what))) = self.queue.pop() else { break };
            self.now_us = at;
            let judged = match what {
                Happening::Attempt => {
                    let pause = -(1.0 - self.rng.random::<f64>()).ln() / rate;
                    self.after((pause * 1e6) as u64, Happening::Attempt);
                    let failed = self.rng.random_bool(failing);
                    (attempts, failures) = (attempts + 1, failures + u64::from(failed));
                    failed_at = if failed { at } else { failed_at };
                    self.attempt(failed)
                }
                other => self.happen(other),
            };
            if judged {
                let took_us = at - failed_at;
                return self.course(failures, true, took_us);
            }
        }
        self.course(failures, false, 0)
    }

    fn course(&self, failures: u64, aborted: bool, took_us: u64) -> Course {
        Course { failures, aborted, took_us, highest_ln: self.highest_ln }
    }

    /// One attempt at any instance; whether that one aborts.
    fn attempt(&mut self, failed: bool) -> bool {
        let member = self.rng.random_range(0..self.instances.len());
        let now = self.now();
        let instance = &mut self.instances[member];
        let totals = &mut instance.counts.candidate.totals;
        totals.attempts += 1;
        totals.failures += u64::from(failed);
        if !failed {
            return false;
        }
        instance.own.observe(now, instance.counts.counted(&[]));
        let verdict = instance.own.verdict(now, &instance.counts.candidate.totals, seen());
        instance.pusher.ring();
        if self.scheme == Scheme::AsItComes {
            self.push_now(member, PushStamp::default());
        }
        self.push(member);
        verdict.state == State::Fail
    }

    /// In rounds: pushes where a push is due.
    fn push(&mut self, member: usize) {
        let is_stalled = self.stalled.is_some_and(|(who, until)| who == member && self.now_us < until);
        if self.scheme != Scheme::Rounds || is_stalled {
            return;
        }
        let now = self.now();
        if let Some(stamp) = self.instances[member].pusher.next(now) {
            self.push_now(member, stamp);
        }
    }

    fn push_now(&mut self, member: usize, stamp: PushStamp) {
        let totals = &self.instances[member].counts.candidate.totals;
        let (attempts, failures) = (totals.attempts, totals.failures);
        let (round, rung) = (stamp.round, stamp.rung);
        let travel = self.travel();
        self.after(travel, Happening::Pushed { member, attempts, failures, round, rung });
    }

    /// Whether the leader aborts.
    fn happen(&mut self, what: Happening) -> bool {
        match what {
            Happening::Pushed { member, attempts, failures, .. } if self.scheme == Scheme::AsItComes => {
                return self.take_in(member, attempts, failures);
            }
            Happening::Pushed { member, attempts, failures, round, rung } => {
                let mut counts = MemberCounts::default();
                (counts.candidate.totals.attempts, counts.candidate.totals.failures) = (attempts, failures);
                let (incarnation, past) = (Incarnation(1), MemberPast::default());
                let stamp = PushStamp { round, rung };
                self.leader.push(&name(member), EvidencePush { incarnation, era: 1, stamp, counts, past });
                let now = self.now();
                self.instances[member].pusher.pushed(true, now);
                self.push(member);
                return self.lead();
            }
            Happening::Asked { member, round } => {
                let stalled = self.stalled.filter(|(who, until)| *who == member && self.now_us < *until);
                if let Some((_, until)) = stalled {
                    self.after(until - self.now_us, Happening::Asked { member, round });
                } else {
                    self.instances[member].pusher.asked(round);
                    self.push(member);
                }
            }
            Happening::Second { member } if self.scheme == Scheme::AsItComes => {
                self.push_now(member, PushStamp::default());
                self.after(1_000_000, Happening::Second { member });
            }
            Happening::Wake if self.scheme == Scheme::Rounds => return self.lead(),
            Happening::Attempt | Happening::Second { .. } | Happening::Wake => {}
        }
        false
    }

    /// Does what the leader does now; whether it aborts.
    fn lead(&mut self) -> bool {
        while let Some(step) = self.leader.step(&self.live, self.now()) {
            match step {
                RoundStep::Ask(round) => {
                    for member in 0..self.instances.len() {
                        let travel = self.travel();
                        self.after(travel, Happening::Asked { member, round });
                    }
                    let due = self.leader.due_at().as_micros() as u64;
                    self.after(due.saturating_sub(self.now_us), Happening::Wake);
                }
                RoundStep::Judge { .. } => {
                    let looks = self.leader.looks();
                    let evidence = looks.map(|looks| looks.evaluation.evidence()).unwrap_or_default();
                    let ln = evidence.iter().map(|level| level.ln).fold(0.0, f64::max);
                    self.highest_ln = self.highest_ln.max(ln);
                    if self.leader.verdict(self.now(), seen()).state == State::Fail {
                        return true;
                    }
                    let due = self.leader.due_at().as_micros() as u64;
                    self.after(due.saturating_sub(self.now_us), Happening::Wake);
                }
            }
        }
        false
    }

    /// The unsound scheme: whatever a member pushes is taken in as it comes.
    fn take_in(&mut self, member: usize, attempts: u64, failures: u64) -> bool {
        let now = self.now();
        let (seen, failed) = self.taken[member];
        // Pushes may overtake each other.
        let (attempts, failures) = (attempts.max(seen), failures.max(failed));
        self.taken[member] = (attempts, failures);
        let (attempts, failures) = (attempts - seen, failures - failed);
        self.all.observe(now, attempts - failures, failures);
        self.highest_ln = self.highest_ln.max(self.all.ln());
        self.all.exceeded()
    }
}

fn seen() -> Circumstances<'static> {
    Circumstances { stable_up: true, ..Circumstances::default() }
}
