//! What is promised of every kind of event and of groups, by seeded simulation: run it with `--nocapture` for the
//! figures that `docs/how-it-decides.md` shows.

use crate::core::client::{ClientCount, Met};
use crate::core::kind_counts::KindCounts;
use crate::core::latency::bucket_of;
use crate::core::outcome::{Durations, Totals};
use crate::core::policy::{
    ArmCounts, Circumstances, Counted, GroupCounts, Kind, Limit, Policy, PolicyEvaluation, Reaction,
    RelativeReactions, Witnesses,
};
use crate::core::verdict::{State, Verdict};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

const GROUPS: usize = 64;
/// Requests of a service between two looks, where nothing rings the bell.
const LOOK: u64 = 50;

/// What a version does, by kinds.
#[derive(Clone, Copy, Debug)]
struct Version {
    failing: f64,
    abandoned: f64,
    client_errors: f64,
    /// Of the group with the rare requests, and what of it fails.
    rare: f64,
    rare_failing: f64,
    /// Milliseconds at the median, log-normal.
    median_ms: f64,
}

const SIGMA: f64 = 0.5;

impl Default for Version {
    fn default() -> Self {
        Version {
            failing: 0.002,
            abandoned: 0.001,
            client_errors: 0.01,
            rare: 0.0,
            rare_failing: 0.0,
            median_ms: 20.0,
        }
    }
}

#[derive(Debug)]
struct Everybody;

impl Witnesses for Everybody {
    fn clients(&self, _met: Met, _since: Duration) -> ClientCount {
        ClientCount::MANY
    }
}

/// Counters of one arm.
#[derive(Clone, Debug, Default)]
struct Arm {
    totals: Totals,
    durations: Durations,
}

struct Service {
    rng: SmallRng,
    weight: f64,
    evaluation: PolicyEvaluation,
    candidate: Arm,
    stable: Arm,
    groups: Vec<GroupCounts>,
}

fn policy(relative: RelativeReactions) -> Policy {
    let critical = Some(Duration::from_secs(2));
    Policy {
        limits: vec![
            Limit::ErrorRate { warning: None, critical: Some(0.01) },
            Limit::Abandoned { warning: None, critical: Some(0.05) },
            Limit::Latency { quantile: 0.95, warning: None, critical },
            Limit::Duration { quantile: 0.95, warning: None, critical },
        ],
        relative,
        groups: GROUPS,
        ..Policy::default()
    }
}

impl Service {
    fn new(seed: u64, weight: f64, policy: Policy) -> Self {
        let group = |key: usize| GroupCounts {
            key: key as u64 + 1,
            name: format!("GET /{key}").into(),
            candidate: KindCounts::default(),
            stable: KindCounts::default(),
            before: KindCounts::default(),
        };
        let (candidate, stable) = (Arm::default(), Arm::default());
        let groups: Vec<GroupCounts> = (0..GROUPS).map(group).collect();
        let counted = counted(&candidate, &stable, &groups);
        let evaluation = PolicyEvaluation::new(Arc::new(policy), counted, None, Duration::ZERO);
        Service { rng: SmallRng::seed_from_u64(seed), weight, evaluation, candidate, stable, groups }
    }

    /// So many requests; how many it took until the verdict was `wanted`, with the verdict, and how many requests the
    /// candidate's rare group had had by then, and failed.
    fn until(
        &mut self,
        wanted: impl Fn(&Verdict) -> bool,
        most: u64,
        (candidate, stable): (Version, Version),
    ) -> Option<(u64, Verdict, (u64, u64))> {
        for n in 1..=most {
            let is_candidate = self.rng.random_bool(self.weight);
            let is_bad = self.request(is_candidate, if is_candidate { candidate } else { stable });
            if !is_bad && n % LOOK != 0 {
                continue;
            }
            self.evaluation.observe(Duration::ZERO, counted(&self.candidate, &self.stable, &self.groups));
            let seen =
                Circumstances { witnesses: Some(&Everybody), stable_up: true, ..Circumstances::default() };
            let verdict = self.evaluation.verdict(Duration::ZERO, &seen);
            if wanted(&verdict) {
                let rare = &self.groups[0].candidate;
                return Some((n, verdict, (rare.attempts, rare.failures)));
            }
        }
        None
    }

    /// One request; whether it rings the bell.
    fn request(&mut self, is_candidate: bool, version: Version) -> bool {
        let rng = &mut self.rng;
        let is_rare = version.rare > 0.0 && rng.random_bool(version.rare);
        // The rest is spread unevenly, as routes are.
        let group = if is_rare { 0 } else { 1 + (rng.random::<f64>().powi(3) * 62.0) as usize };
        let arm = if is_candidate { &mut self.candidate } else { &mut self.stable };
        let group = &mut self.groups[group];
        let counts = if is_candidate { &mut group.candidate } else { &mut group.stable };
        if rng.random_bool(version.abandoned) {
            (arm.totals.abandoned, counts.abandoned) = (arm.totals.abandoned + 1, counts.abandoned + 1);
            return true;
        }
        let failed = rng.random_bool(if is_rare { version.rare_failing } else { version.failing });
        let code = match failed {
            true => 5,
            false if rng.random_bool(version.client_errors) => 4,
            false => 2,
        };
        let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let us = (version.median_ms * 1000.0 * (SIGMA * normal).exp()) as u64;
        let totals = &mut arm.totals;
        (totals.attempts, counts.attempts) = (totals.attempts + 1, counts.attempts + 1);
        (totals.failures, counts.failures) =
            (totals.failures + u64::from(failed), counts.failures + u64::from(failed));
        (totals.codes[code], totals.answered) = (totals.codes[code] + 1, totals.answered + 1);
        totals.latency[bucket_of(us)] += 1;
        arm.durations.heads[bucket_of(us)] += 1;
        arm.durations.whole[bucket_of(us)] += 1;
        let late = us > 2_000_000;
        for counter in [&mut totals.slow, &mut totals.long, &mut counts.slow, &mut counts.long] {
            counter[0] += u64::from(late);
        }
        for counter in [&mut totals.fast, &mut totals.brief, &mut counts.fast, &mut counts.brief] {
            counter[0] += u64::from(!late);
        }
        failed || late
    }
}

fn counted<'a>(candidate: &'a Arm, stable: &'a Arm, groups: &'a [GroupCounts]) -> Counted<'a> {
    let counts = |arm: &'a Arm| ArmCounts { totals: &arm.totals, durations: Some(&arm.durations) };
    Counted { candidate: counts(candidate), stable: Some(counts(stable)), groups }
}

fn fails(verdict: &Verdict) -> bool {
    verdict.state == State::Fail
}

fn holds_for(kind: Kind) -> impl Fn(&Verdict) -> bool {
    move |verdict| verdict.reasons.iter().any(|reason| reason.kind == kind.label())
}

fn in_parallel<T: Send>(runs: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let part = |first: u64| {
            let run = &run;
            scope.spawn(move || (first..runs).step_by(threads as usize).map(run).collect::<Vec<T>>())
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Runs of the long simulations: `POINTSMAN_RUNS=1000` is what is promised, a few are enough every time.
fn runs() -> u64 {
    std::env::var("POINTSMAN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(6)
}

#[test]
fn evidence_exactly_at_every_limit_aborts_nobody() {
    let at_the_limit = Version {
        failing: 0.01,
        abandoned: 0.05,
        // The p95 is two seconds: its logarithm is 1.645 σ above the median's.
        median_ms: 2000.0 / (SIGMA * 1.645).exp(),
        ..Version::default()
    };
    let aborted = in_parallel(runs(), |seed| {
        let mut service = Service::new(seed, 0.5, policy(RelativeReactions::all(Reaction::Abort)));
        service.until(fails, 100_000, (at_the_limit, at_the_limit)).map(|(n, verdict, _)| (seed, n, verdict))
    });
    let runs = aborted.len();
    let aborted: Vec<_> = aborted.into_iter().flatten().collect();
    println!(
        "exactly at every limit, 64 groups: {} of {runs} runs of 50,000 attempts aborted",
        aborted.len()
    );
    assert!(aborted.is_empty(), "{aborted:?}");
}

#[test]
fn evidence_against_a_dead_group_takes_a_handful_of_its_requests() {
    println!(
        "a group of 0.4 % of the traffic: its failing share | weight | median requests of it (failures)"
    );
    for (failing, most) in [(1.0, 7), (0.5, 30), (0.1, 250)] {
        for weight in [0.05, 0.25, 0.5] {
            let runs = in_parallel(runs().clamp(5, 41), |seed| {
                let mut service = Service::new(seed, weight, policy(RelativeReactions::default()));
                let stable = Version { rare: 0.004, ..Version::default() };
                let candidate = Version { rare_failing: failing, ..stable };
                let (_, verdict, rare) =
                    service.until(fails, 5_000_000, (candidate, stable)).expect("an abort");
                assert_eq!(verdict.reasons[0].group.as_deref(), Some("GET /0"), "{:?}", verdict.reasons);
                rare
            });
            let requests = median(runs.iter().map(|rare| rare.0).collect());
            let failures = median(runs.iter().map(|rare| rare.1).collect());
            println!("{:>5} % | {:>2} % | {requests} ({failures})", failing * 100.0, weight * 100.0);
            assert!(requests <= most, "{requests}");
        }
    }
}

#[test]
fn evidence_by_kind_names_what_is_worse_than_stable() {
    println!("kind | stable | candidate at 25 % | median requests of the service until it is held");
    let (usual, held) = (Version::default(), RelativeReactions::all(Reaction::Hold));
    for (kind, candidate, most) in [
        (Kind::Latency, Version { median_ms: 26.0, ..usual }, 15_000),
        (Kind::Duration, Version { median_ms: 26.0, ..usual }, 15_000),
        (Kind::ClientErrors, Version { client_errors: 0.05, ..usual }, 8_000),
        (Kind::Abandoned, Version { abandoned: 0.02, ..usual }, 15_000),
    ] {
        let runs = in_parallel(runs().clamp(5, 41), |seed| {
            let mut policy = policy(held);
            policy.limits.clear();
            let mut service = Service::new(seed, 0.25, policy);
            service.until(holds_for(kind), 200_000, (candidate, usual)).expect("it is noticed").0
        });
        let requests = median(runs);
        println!("{} | {usual:?} | {candidate:?} | {requests}", kind.label());
        assert!(requests <= most, "{}: {requests}", kind.label());
    }
}

#[test]
fn evidence_between_equals_holds_nobody() {
    let usual = Version { rare: 0.02, rare_failing: 0.5, ..Version::default() };
    let held = in_parallel(runs(), |seed| {
        let mut service = Service::new(seed, 0.25, policy(RelativeReactions::all(Reaction::Abort)));
        // The share of all failures is above the limit, by a group that fails by design.
        let wanted = |verdict: &Verdict| {
            verdict.reasons.iter().any(|reason| reason.metric.contains("stable")) || fails(verdict)
        };
        service.until(wanted, 60_000, (usual, usual)).map(|(n, verdict, _)| (seed, n, verdict))
    });
    let runs = held.len();
    let held: Vec<_> = held.into_iter().flatten().collect();
    println!("equal versions: {} of {runs} runs of 60,000 requests held or aborted", held.len());
    assert!(held.is_empty(), "{held:?}");
}
