//! What is promised of the verdict of a fleet, by seeded simulation: attempts spread over instances, counts that travel
//! through a store, rounds, and each instance's own test beside. `make fleet` runs it at length, with the figures.

use super::*;
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
const A: f64 = 1e9;
/// How long a write takes until the others have it (µs): to the leader, and back to the members.
const TRAVEL_US: std::ops::Range<u64> = 500..5_000;

/// Who judges, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
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

struct Fleet {
    rng: SmallRng,
    scheme: Scheme,
    now_us: u64,
    queue: BinaryHeap<Reverse<(u64, Happening)>>,
    instances: Vec<Instance>,
    live: BTreeSet<String>,
    leader: PooledEvidence,
    /// Of the unsound scheme: the evidence of all, and what was taken in of each.
    all: Evidence,
    taken: Vec<(u64, u64)>,
    /// Until when a member neither counts nor answers, and which.
    stalled: Option<(usize, u64)>,
    highest_ln: f64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
struct Course {
    failures: u64,
    aborted: bool,
    /// From the last failure to the verdict.
    took_us: u64,
    highest_ln: f64,
}

fn policy() -> Policy {
    let limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }];
    Policy { limits, groups: 0, ..Policy::default() }
}

fn name(member: usize) -> String {
    format!("edge-{member}")
}

impl Fleet {
    fn new(seed: u64, members: usize, scheme: Scheme) -> Self {
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
    fn run(&mut self, rate: f64, failing: f64, most: u64) -> Course {
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

fn runs(least: u64) -> u64 {
    std::env::var("POINTSMAN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(least)
}

fn in_parallel(runs: u64, run: impl Fn(u64) -> Course + Sync) -> Vec<Course> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let part = |first| {
            let run = &run;
            scope.spawn(move || (first..runs).step_by(threads).map(run).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..threads as u64).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

/// The value that a share of all is at most.
fn quantile(of: impl Iterator<Item = u64>, share: f64) -> u64 {
    let mut values: Vec<u64> = of.collect();
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn a_bad_candidate_takes_the_fleet_no_more_failures_than_one_instance() {
    let runs = runs(21);
    println!("median failures (90 %) of all instances until the abort; limit 1 %, 50 attempts a second");
    println!("failing | instances | in rounds | from the last failure to the verdict | each for itself");
    // The most failures at the median, and of nine runs in ten.
    for (failing, median, ninth) in [(1.0, 8, 10), (0.2, 13, 18), (0.1, 20, 28)] {
        for members in [1, 3, 10, 30] {
            let course = |scheme| {
                in_parallel(runs, |seed| Fleet::new(seed, members, scheme).run(50.0, failing, 1_000_000))
            };
            let (rounds, alone) = (course(Scheme::Rounds), course(Scheme::Alone));
            assert!(rounds.iter().all(|course| course.aborted), "it is found");
            let failures = |of: &[Course], share| quantile(of.iter().map(|course| course.failures), share);
            let took = |share| quantile(rounds.iter().map(|course| course.took_us), share) as f64 / 1000.0;
            let (half, most) = (failures(&rounds, 0.5), failures(&rounds, 0.9));
            println!(
                "{:>5} % | {members:>2} | {half} ({most}) | {:.1} ms (99 %: {:.1} ms) | {} ({})",
                failing * 100.0,
                took(0.5),
                took(0.99),
                failures(&alone, 0.5),
                failures(&alone, 0.9),
            );
            assert!(half <= median && most <= ninth, "{half} ({most}) failures");
        }
    }
}

/// The last second of its good time counts after the first failures.
#[test]
fn a_candidate_that_turns_bad_takes_little_more() {
    let runs = runs(11);
    for members in [3, 10, 30] {
        let courses = in_parallel(runs, |seed| {
            let mut fleet = Fleet::new(300 + seed, members, Scheme::Rounds);
            assert!(!fleet.run(50.0, 0.002, 2_000).aborted);
            fleet.run(50.0, 1.0, 1_000)
        });
        let failures = |share| quantile(courses.iter().map(|course| course.failures), share);
        println!("dead after 40 good seconds, {members} instances: {} ({})", failures(0.5), failures(0.9));
        assert!(courses.iter().all(|course| course.aborted) && failures(0.5) <= 8 && failures(0.9) <= 10);
    }
}

#[test]
fn a_candidate_exactly_at_the_limit_is_aborted_by_no_fleet() {
    let runs = runs(2);
    for (members, rate) in [(3, 50.0), (10, 50.0), (30, 5_000.0)] {
        let courses = in_parallel(runs, |seed| {
            Fleet::new(1000 + seed, members, Scheme::Rounds).run(rate, 0.01, 50_000)
        });
        let aborted = courses.iter().filter(|course| course.aborted).count();
        let highest = courses.iter().map(|course| course.highest_ln).fold(0.0, f64::max);
        println!(
            "exactly at the limit, {members} instances, {rate} attempts a second: {aborted} of {runs} runs of 50,000 \
             aborted, highest ln {highest:.1}, needed {:.1}",
            (2.0 * A).ln()
        );
        assert_eq!(aborted, 0);
    }
}

/// One instance of thirty stops for some seconds every minute: rounds end without it.
#[test]
fn an_instance_that_stalls_now_and_then_aborts_nobody() {
    let runs = runs(2);
    let courses = in_parallel(runs, |seed| {
        let mut fleet = Fleet::new(7000 + seed, 30, Scheme::Rounds);
        let mut course = fleet.run(5_000.0, 0.01, 1);
        for minute in 0..5 {
            fleet.stalled = Some((minute, fleet.now_us + 5_000_000));
            course = fleet.run(5_000.0, 0.01, 10_000);
            if course.aborted {
                break;
            }
        }
        course
    });
    let highest = courses.iter().map(|course| course.highest_ln).fold(0.0, f64::max);
    println!("with an instance that stalls: highest ln {highest:.1} in {runs} runs of 50,000");
    assert!(courses.iter().all(|course| !course.aborted), "{courses:?}");
}

/// The bound of a sound test: evidence of ln 12.3 within 50,000 attempts has a chance of 50,000 / e^12.3, which is 0.23.
#[test]
fn judging_what_is_pushed_as_it_comes_breaks_the_bound_and_rounds_keep_it() {
    let runs = runs(12);
    let highest = |scheme| {
        let courses =
            in_parallel(runs, |seed| Fleet::new(50_000 + seed, 30, scheme).run(5_000.0, 0.01, 50_000));
        let mut ln: Vec<f64> = courses.iter().map(|course| course.highest_ln).collect();
        ln.sort_by(f64::total_cmp);
        ln
    };
    let (sound, unsound) = (highest(Scheme::Rounds), highest(Scheme::AsItComes));
    let over = |of: &[f64], ln: f64| of.iter().filter(|highest| **highest >= ln).count();
    println!(
        "30 instances, 5,000 attempts a second, exactly at the limit, {runs} runs of 50,000: runs whose evidence reached"
    );
    println!("ln | the bound allows | in rounds | as it comes");
    for needed in [12.3f64, 14.0, 16.0, 18.0, 20.7] {
        let bound = (50_000.0 / needed.exp()).min(1.0) * runs as f64;
        println!("{needed} | {bound:.2} | {} | {}", over(&sound, needed), over(&unsound, needed));
    }
    let median = |of: &[f64]| of[of.len() / 2];
    println!(
        "median of the highest ln: {:.1} in rounds, {:.1} as it comes",
        median(&sound),
        median(&unsound)
    );
    assert!(over(&sound, 14.0) as f64 <= 0.05 * runs as f64 + 1.0, "{sound:?}");
    assert!(median(&unsound) > median(&sound) + 1.0, "the scheme beside it tells nothing: {unsound:?}");
}
