//! Random rollouts of a healthy candidate, with all that may never be held against it: clients that upload
//! slowly, leave early or hammer it under one key, limits of this process, and what is left of the version that
//! was there before. What reaches the counters goes through real shards. `POINTSMAN_SEED=n` runs one alone.
//!
//! The counterpart shows that the runs are not blind: a candidate that hangs, fails or resets on one in five
//! requests, or on all, is aborted, or held by a reason that names it.

use super::super::tests::{canary, start};
use super::super::*;
use crate::core::client::{ClientKey, Met};
use crate::core::outcome::{ArmId, Outcome, Reason, SlowLimits, Totals};
use crate::core::passive::{Accusation, Ejection, EndedAttempts};
use crate::core::policy::{
    Circumstances, Counted, Limit, Looks, Policy, Reaction, RelativeReactions, Reported, Witnesses,
};
use crate::core::rollout::{Observation, Phase, Plan};
use crate::core::settings::Passive;
use crate::core::verdict::{Level, State, Verdict};
use crate::core::warm_up::{WarmUp, Warmth};
use crate::observe::recorder::Recorder;
use crate::observe::shard::{Shard, Started};
use crate::observe::witnesses::ArmWitnesses;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

const RUNS: u64 = 20_000;
const TICKS: u64 = 8;
const TICK_US: u64 = 400_000;
const PASSIVE: Passive = Passive { max_fails: 3, fail_timeout: Duration::from_secs(30) };

/// What the candidate itself does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Candidate {
    /// Fails one in a thousand.
    Healthy,
    Hangs(f64),
    Fails(f64),
    Resets(f64),
    /// Fails its first attempts, as one that starts cold, and is healthy after; whether its pool has a warm-up.
    Cold {
        warms_up: bool,
    },
}

/// What a cold candidate gets wrong, and what its warm-up spares it.
const COLD: WarmUp = WarmUp { requests: 20, for_us: 60_000_000 };

/// One pool's counters, and what is under way on it.
struct Pool {
    arm: ArmId,
    /// When each ends, how, and with which status.
    open: Vec<(u64, Started, Outcome, u16)>,
}

struct World {
    rng: SmallRng,
    recorder: Arc<Recorder>,
    shard: Arc<Shard>,
    slow: SlowLimits,
    now_us: u64,
    pools: [Pool; 2],
    /// Of the one upstream of the candidate that it may lose, and what it has seen of it.
    ejection: Ejection,
    ended: EndedAttempts,
    candidate: Candidate,
    warmth: Warmth,
    /// Since when the candidate's version lies in its pool.
    era_us: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    attempts: u64,
    slow: u64,
    /// Runs in which slow answers alone would have broken the limit, and failures of the past would have.
    too_slow: u64,
    past: u64,
    aborted: u64,
    /// Runs that were held by a reason at some time, or aborted.
    named: u64,
}

fn policy(rng: &mut SmallRng) -> Arc<Policy> {
    let ms = |n| Some(Duration::from_millis(n));
    let relative = if rng.random_bool(0.5) { Reaction::Abort } else { Reaction::Hold };
    Arc::new(Policy {
        limits: vec![
            Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) },
            Limit::Latency { quantile: 0.95, warning: ms(200), critical: ms(500) },
        ],
        health: Some(Level::Critical),
        min_clients: rng.random_range(1..4),
        relative: RelativeReactions::all(relative),
        ..Policy::default()
    })
}

fn client(n: u32) -> ClientKey {
    ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + n).into())
}

impl World {
    /// `from_us` is where the clock stands: the shards of a thread live on from run to run.
    fn new(seed: u64, recorder: Arc<Recorder>, from_us: u64, slow: SlowLimits, candidate: Candidate) -> Self {
        let arm = |pool| recorder.arm("web", pool).expect("a free arm");
        let pools = [arm("blue"), arm("green")].map(|arm| Pool { arm, open: Vec::new() });
        World {
            rng: SmallRng::seed_from_u64(seed),
            shard: recorder.shard(0),
            recorder,
            slow,
            now_us: from_us,
            pools,
            ejection: Ejection::default(),
            ended: EndedAttempts::default(),
            candidate,
            warmth: Warmth::default(),
            era_us: 0,
        }
    }

    fn begin(&mut self, pool: usize, client: ClientKey, takes_us: u64, outcome: Outcome, code: u16) {
        let at_us = self.now_us + self.rng.random_range(0..TICK_US / 2);
        let mut result = (takes_us, outcome, code);
        if let Candidate::Cold { warms_up } = self.candidate
            && pool == 1
            && self.era_us > 0
            && self.warmth.warms(COLD, self.era_us, at_us)
        {
            if warms_up {
                // As the meter of a request does it.
                return self.shard.warming(self.pools[pool].arm);
            }
            result = (3_000, Outcome::Failure(Reason::Status), 500);
        }
        let (takes_us, outcome, code) = result;
        let started = self.shard.start(self.pools[pool].arm, at_us, client);
        self.pools[pool].open.push((at_us + takes_us, started, outcome, code));
    }

    /// An attempt of somebody who does as others do.
    fn ordinary(&mut self, pool: usize) {
        let who = client(self.rng.random_range(0..40));
        let quick = self.rng.random_range(1_000..90_000);
        let is_bad = |share: f64, rng: &mut SmallRng| rng.random_bool(share);
        let (takes, outcome, code) = match self.candidate {
            Candidate::Hangs(share) if pool == 1 && is_bad(share, &mut self.rng) => {
                (60_000_000, Outcome::Failure(Reason::Timeout), 0)
            }
            Candidate::Fails(share) if pool == 1 && is_bad(share, &mut self.rng) => {
                (quick, Outcome::Failure(Reason::Status), 500)
            }
            Candidate::Resets(share) if pool == 1 && is_bad(share, &mut self.rng) => {
                (quick, Outcome::Failure(Reason::Reset), 0)
            }
            _ if self.rng.random_bool(0.001) => (quick, Outcome::Failure(Reason::Status), 500),
            _ => (quick, Outcome::Success, 200),
        };
        self.begin(pool, who, takes, outcome, code);
    }

    /// What a client does to the pool it has a cookie for, or a limit of ours.
    fn hostile(&mut self, who: u32, habit: u32) {
        // A cookie keeps it on one pool, mostly the candidate.
        let pool = usize::from(self.rng.random_bool(0.8));
        let slowly = self.rng.random_range(600_000..9_000_000);
        let habit = if habit < 4 { habit } else { self.rng.random_range(0..4) };
        match habit {
            // Uploads byte by byte: the answer comes late, and it is a good one.
            0 => self.begin(pool, client(1000 + who), slowly, Outcome::Success, 200),
            // Leaves, before or after a limit.
            1 => self.begin(pool, client(1000 + who), slowly / 4, Outcome::Ignored, 0),
            // Hammers it, under one key.
            2 => (0..20).for_each(|_| self.begin(pool, client(1000 + who), 2_000, Outcome::Success, 200)),
            // No descriptor, or no place under `max_conns`: charged to nobody, whomever it meets.
            _ => {
                let anybody = client(self.rng.random_range(0..40));
                self.begin(pool, anybody, 1_000, Outcome::Ignored, 0);
            }
        }
    }

    /// What has ended by now, in any order.
    fn end(&mut self) {
        for pool in 0..2 {
            let (now, arm) = (self.now_us, self.pools[pool].arm);
            let (over, open) = self.pools[pool].open.drain(..).partition(|(at, ..)| *at <= now);
            self.pools[pool].open = open;
            let over: Vec<(u64, Started, Outcome, u16)> = over;
            for (at_us, started, outcome, code) in over {
                if let Outcome::Failure(reason) = outcome {
                    self.shard.failed_for(arm, started, at_us);
                    self.ended.failures += u64::from(reason.is_transport() && pool == 1);
                }
                self.ended.attempts += u64::from(pool == 1);
                self.shard.answered(arm, started, at_us, (outcome, code), &self.slow.into());
            }
        }
    }

    fn totals(&self, pool: usize) -> Totals {
        self.recorder.totals(self.pools[pool].arm, self.now_us, &self.slow)
    }

    fn verdict(&mut self, looks: &mut Looks, begun: Duration) -> Verdict {
        let (now, arm) = (Duration::from_micros(self.now_us), self.pools[1].arm);
        let (candidate, stable) = (self.totals(1), self.totals(0));
        looks.observe(now, Counted::of(&candidate, Some(&stable)));
        self.ejection.observe(&PASSIVE, std::mem::take(&mut self.ended), now);
        let (recorder, now_us) = (self.recorder.clone(), self.now_us);
        let witnesses = ArmWitnesses { recorder: &recorder, arm, slow: &self.slow, now_us };
        let ejected = self.ejection.accusation().map(|(ended, since)| Accusation {
            upstream: "10.0.0.3:80".into(),
            ended,
            since,
            clients: {
                let since = since.saturating_sub(Duration::from_micros(TICK_US)).max(begun);
                witnesses.clients(Met::Failures, since).get()
            },
        });
        let seen = Circumstances {
            witnesses: Some(&witnesses),
            ejected,
            stable_up: true,
            ..Circumstances::default()
        };
        looks.verdict(now, &candidate, seen)
    }

    /// The former version on the candidate's pool: it failed, and some of its requests hang still.
    fn past(&mut self) -> bool {
        let leftovers = self.rng.random_range(0..12);
        for _ in 0..leftovers {
            let who = client(self.rng.random_range(0..40));
            let takes = self.rng.random_range(TICK_US..TICK_US * TICKS);
            self.begin(1, who, takes, Outcome::Failure(Reason::Timeout), 0);
        }
        self.now_us += TICK_US;
        self.end();
        self.ejection.observe(&PASSIVE, std::mem::take(&mut self.ended), Duration::from_micros(self.now_us));
        leftovers > 6
    }
}

/// One rollout; where the clock stands after it.
fn run(seed: u64, recorder: &Arc<Recorder>, from_us: u64, candidate: Candidate) -> (Seen, u64) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let policy = policy(&mut rng);
    let mut world = World::new(seed, recorder.clone(), from_us, policy.thresholds(true).slow, candidate);
    let mut seen = Seen { past: u64::from(world.past()), ..Seen::default() };
    let plan = Plan { min_attempts: 0, ..canary() };
    let moment = |us| Moment { now: Duration::from_micros(us), wall: "then" };
    let mut service = ServiceState::new("blue", ["blue", "green"]);
    service = service.apply(start("r", "green", plan), moment(world.now_us)).expect("started").state;
    // As the controller does it for a pool that becomes a candidate.
    recorder.begin(world.pools[1].arm, world.now_us);
    world.era_us = world.now_us;
    (world.ejection, world.ended) = (Ejection::default(), EndedAttempts::default());
    let begun = Duration::from_micros(world.now_us);
    let before = world.totals(1);
    let mut looks = Looks::new(policy, Counted::of(&before, Some(&world.totals(0))), None, begun);
    let (keys, crowd, habit) = (rng.random_range(0..3), rng.random_range(1..20), rng.random_range(0..6));
    for _ in 0..TICKS {
        for _ in 0..rng.random_range(2..12) {
            world.ordinary(0);
            world.ordinary(1);
        }
        for n in 0..(if keys > 0 { crowd } else { 0 }) {
            world.hostile(n % keys, habit);
        }
        world.now_us += TICK_US;
        world.end();
        let verdict = world.verdict(&mut looks, begun);
        let reported = looks.evaluation.evidence();
        let is_slow = |of: &Reported| of.metric == "latency_p95" && of.ln >= of.needed;
        seen.too_slow |= u64::from(reported.iter().any(is_slow));
        let named = verdict.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default();
        seen.named |= u64::from(verdict.state != State::Pass && !named.is_empty());
        let attempts = looks.evaluation.attempts();
        let upstreams = BTreeMap::new();
        let observation = Observation { verdict, attempts, candidate: Ok(()), stable_ready: true, upstreams };
        service = service.apply(Change::Observed(&observation), moment(world.now_us)).expect("ok").state;
        let rollout = &service.rollout.as_ref().expect("a rollout").rollout;
        if rollout.phase == Phase::Aborted {
            seen.aborted = 1;
            let is_innocent = matches!(candidate, Candidate::Healthy | Candidate::Cold { warms_up: true });
            assert!(!is_innocent, "seed {seed}: aborted: {named}");
            break;
        }
    }
    let after = world.totals(1);
    (seen.attempts, seen.slow) =
        (after.attempts - before.attempts, after.slow[1].saturating_sub(before.slow[1]));
    // What is left ends, so that the next run begins with nothing under way but what it brings.
    let last = world.pools.iter().flat_map(|pool| &pool.open).map(|(at, ..)| *at).max();
    world.now_us = world.now_us.max(last.unwrap_or_default()) + TICK_US;
    world.end();
    (seen, world.now_us)
}

fn runs(seeds: std::ops::Range<u64>, candidate: Candidate) -> Seen {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |first: usize| {
        let recorder = Arc::new(Recorder::new(1));
        let mut now_us = 1_000_000;
        let mut all = Seen::default();
        for seed in seeds.clone().skip(first).step_by(threads) {
            let (seen, until) = run(seed, &recorder, now_us, candidate);
            now_us = until;
            all = all.and(seen);
        }
        all
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        parts
            .into_iter()
            .map(|part| part.join().expect("its seed is printed"))
            .fold(Seen::default(), Seen::and)
    })
}

impl Seen {
    fn and(self, other: Seen) -> Seen {
        Seen {
            attempts: self.attempts + other.attempts,
            slow: self.slow + other.slow,
            too_slow: self.too_slow + other.too_slow,
            past: self.past + other.past,
            aborted: self.aborted + other.aborted,
            named: self.named + other.named,
        }
    }
}

#[test]
fn no_client_and_no_limit_of_ours_aborts_a_healthy_candidate() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("POINTSMAN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("POINTSMAN_SEEDS").unwrap_or(RUNS),
    };
    let count = seeds.end - seeds.start;
    let seen = runs(seeds, Candidate::Healthy);
    println!("{count} rollouts of a healthy candidate, none aborted; they met {seen:?}");
    assert!(
        count < 1000 || seen.too_slow > count / 20 && seen.past > count / 20,
        "the runs are blind: {seen:?}"
    );
}

#[test]
fn a_bad_candidate_is_aborted_or_held_by_name_beside_the_same_clients() {
    const SEEDS: u64 = 200;
    for share in [0.2, 1.0] {
        for candidate in [Candidate::Hangs(share), Candidate::Fails(share), Candidate::Resets(share)] {
            let seen = runs(0..SEEDS, candidate);
            println!("{candidate:?}: {} of {SEEDS} aborted, {} aborted or held", seen.aborted, seen.named);
            assert!(seen.named >= SEEDS * 3 / 4, "{candidate:?}: {seen:?}");
            // Some runs are over before the evidence is, or hold for the clients that wait in one lane.
            assert!(share < 1.0 || seen.aborted >= SEEDS / 2, "{candidate:?}: {seen:?}");
        }
    }
}

#[test]
fn a_candidate_that_starts_cold_is_spared_by_its_warm_up_alone() {
    const SEEDS: u64 = 400;
    let [with, without] = [true, false].map(|warms_up| runs(0..SEEDS, Candidate::Cold { warms_up }));
    println!("cold starts: {} of {SEEDS} aborted with a warm-up, {} without", with.aborted, without.aborted);
    assert!(with.attempts > 0 && with.aborted == 0, "{with:?}");
    assert!(without.aborted >= SEEDS / 2, "{without:?}");
}
