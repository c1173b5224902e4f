//! The figures that are promised of the verdict with stable beside the candidate, by seeded simulation.

use super::{Circumstances, Counted, Limit, Policy, PolicyEvaluation};
use crate::core::outcome::Totals;
use crate::core::verdict::State;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

const RUNS: u64 = 40;
/// Good requests before anything happens, and how many of them fail.
const GOOD: u64 = 20_000;
const BASE: f64 = 0.002;
const WEIGHTS: [f64; 4] = [0.05, 0.25, 0.5, 0.95];

/// A service under traffic, one request after the other, looked at after each failure.
struct Service {
    rng: SmallRng,
    weight: f64,
    evaluation: PolicyEvaluation,
    candidate: Totals,
    stable: Totals,
}

/// Requests of the service and failures of the candidate until the abort.
type Abort = (u64, u64);

impl Service {
    fn new(seed: u64, weight: f64) -> Self {
        let limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }];
        let policy = Arc::new(Policy { limits, ..Policy::default() });
        let none = Totals::default();
        let counted = Counted::of(&none, Some(&none));
        let evaluation = PolicyEvaluation::new(policy, counted, None, Duration::ZERO);
        let mut service = Service {
            rng: SmallRng::seed_from_u64(seed),
            weight,
            evaluation,
            candidate: none.clone(),
            stable: none,
        };
        assert_eq!(service.until_abort(GOOD, |_| (BASE, BASE)), None);
        service
    }

    /// Requests that fail at the rates of the candidate and of stable, which may change with their number.
    fn until_abort(&mut self, most: u64, rates: impl Fn(u64) -> (f64, f64)) -> Option<Abort> {
        let before = self.candidate.failures;
        for n in 1..=most {
            let (candidate, stable) = rates(n);
            let is_candidate = self.rng.random_bool(self.weight);
            let (totals, rate) =
                if is_candidate { (&mut self.candidate, candidate) } else { (&mut self.stable, stable) };
            let failed = self.rng.random_bool(rate);
            totals.attempts += 1;
            totals.failures += u64::from(failed);
            if failed || n % 50 == 0 {
                let counted = Counted::of(&self.candidate, Some(&self.stable));
                self.evaluation.observe(Duration::ZERO, counted);
            }
            if failed && is_candidate && self.state() == State::Fail {
                return Some((n, self.candidate.failures - before));
            }
        }
        None
    }

    fn state(&self) -> State {
        self.evaluation
            .verdict(Duration::ZERO, &Circumstances { stable_up: true, ..Circumstances::default() })
            .state
    }
}

fn runs(weight: f64, most: u64, candidate: f64, stable: f64) -> Vec<Option<Abort>> {
    (0..RUNS).map(|seed| Service::new(seed, weight).until_abort(most, |_| (candidate, stable))).collect()
}

fn median(aborts: &[Option<Abort>]) -> Abort {
    let middle = |mut values: Vec<u64>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    let aborts = || aborts.iter().flatten();
    (middle(aborts().map(|abort| abort.0).collect()), middle(aborts().map(|abort| abort.1).collect()))
}

#[test]
fn a_bad_candidate_is_told_from_a_shared_outage() {
    println!(
        "candidate | stable | weight | aborted of {RUNS} | median requests of the service (failures), stated"
    );
    let stated = [
        (1.0, BASE, [(109, 6), (23, 6), (11, 6), (6, 6)]),
        (0.1, BASE, [(2803, 15), (591, 15), (310, 16), (155, 15)]),
        (0.6, 0.1, [(1201, 38), (428, 64), (346, 104), (11, 7)]),
        (0.03, BASE, [(32_534, 49), (7063, 52), (3254, 50), (1815, 52)]),
    ];
    for (candidate, stable, row) in stated {
        for (weight, (requests, failures)) in WEIGHTS.into_iter().zip(row) {
            let aborts = runs(weight, 40 * requests + 20_000, candidate, stable);
            let aborted = aborts.iter().flatten().count() as u64;
            let (seen, failed) = median(&aborts);
            println!(
                "{:>5} % | {:>4} % | {:>3} % | {aborted} | {seen} ({failed}), {requests} ({failures})",
                candidate * 100.0,
                stable * 100.0,
                weight * 100.0
            );
            assert_eq!(aborted, RUNS);
            let factor = seen as f64 / requests as f64;
            // Of 60 % beside 10 %, a good third is blamed before stable fails for the first time.
            assert!((0.5..1.6).contains(&factor), "{factor} times the stated median");
        }
    }
}

#[test]
fn a_shared_outage_is_held_where_stable_is_heard() {
    for rate in [0.1, 0.03] {
        for weight in WEIGHTS {
            let aborts = runs(weight, 10_000, rate, rate);
            let aborted = aborts.iter().flatten().count();
            println!(
                "both fail {} %, weight {} %: {aborted} of {RUNS} aborted",
                rate * 100.0,
                weight * 100.0
            );
            match weight {
                w if w > 0.9 => assert!(aborted > 0 && aborted < 40, "stable sees too little to be heard"),
                _ => assert_eq!(aborted, 0),
            }
        }
    }
}

#[test]
fn after_a_shared_outage_who_goes_on_failing_is_blamed() {
    for weight in &WEIGHTS[..3] {
        let mut after = Vec::new();
        for seed in 0..RUNS {
            let mut service = Service::new(seed, *weight);
            assert_eq!(service.until_abort(5000, |_| (0.1, 0.1)), None);
            after.push(service.until_abort(100_000, |_| (0.1, BASE)));
        }
        assert!(after.iter().all(Option::is_some), "only stable recovered: {after:?}");
        println!(
            "weight {} %: stable recovers, the candidate does not: {:?}",
            weight * 100.0,
            median(&after)
        );
        for seed in 0..RUNS {
            let mut service = Service::new(seed, *weight);
            assert_eq!(service.until_abort(5000, |_| (0.1, 0.1)), None);
            assert_eq!(service.until_abort(50_000, |_| (BASE, BASE)), None, "both recovered");
        }
    }
}

#[test]
fn a_short_shared_outage_blames_nobody() {
    let mut blamed = Vec::new();
    // At 50 % and more, six failures of the candidate may well come before one of stable.
    for (weight, rate) in [(0.05, 0.8), (0.25, 0.8), (0.5, 0.2)] {
        for (seed, length) in (0..RUNS).zip((10..).step_by(15)) {
            let mut service = Service::new(seed, weight);
            let rates = |n| if n % 5000 < length { (rate, rate) } else { (BASE, BASE) };
            blamed.extend(service.until_abort(20_000, rates).map(|abort| (weight, seed, abort)));
        }
    }
    println!("blamed in one of 480 outages of 10 to 595 requests: {blamed:?}");
    assert!(blamed.len() <= 2, "by mere chance at most");
}

#[test]
fn a_base_rate_that_drifts_for_both_never_aborts() {
    for weight in &WEIGHTS[..3] {
        for seed in 0..RUNS {
            let mut service = Service::new(seed, *weight);
            // Up to 8 % and back within 20,000 requests.
            let rates = |n: u64| {
                let turn = (n as f64 / 20_000.0 * std::f64::consts::TAU).cos();
                let rate = BASE + 0.04 * (1.0 - turn);
                (rate, rate)
            };
            assert_eq!(service.until_abort(40_000, rates), None, "seed {seed}, weight {weight}");
        }
    }
}
