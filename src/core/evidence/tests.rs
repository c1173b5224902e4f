//! The figures that `statistics.md` promises, by seeded simulation.

use super::*;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;

/// One false abort in a thousand rollouts of a million attempts.
const A: f64 = 1e9;

fn evidence(limit: f64) -> Evidence {
    Evidence::new(limit, A, Duration::ZERO)
}

/// Attempts and failures until it speaks, of a stream that fails at `rate` after `good` clean ones
/// failing at `base`; `None` if it never does within `limit` attempts.
fn until_fail(seed: u64, rate: f64, good: u64, base: f64, most: u64) -> Option<(u64, u64)> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut evidence = evidence(0.01);
    for _ in 0..good {
        let failed = rng.random_bool(base);
        evidence.observe(Duration::ZERO, u64::from(!failed), u64::from(failed));
    }
    let mut failures = 0;
    for n in 1..=most {
        let failed = rng.random_bool(rate);
        failures += u64::from(failed);
        evidence.observe(Duration::ZERO, u64::from(!failed), u64::from(failed));
        if failed && evidence.exceeded() {
            return Some((n, failures));
        }
    }
    None
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_bad_version_is_found_after_a_handful_of_failures() {
    println!("true rate | good before | median requests (failures) until fail, 101 runs, limit 1 %");
    let promised = [(1.0, 0, 6), (0.5, 0, 14), (0.1, 0, 153), (0.05, 0, 497), (0.03, 0, 1579)];
    let after_good = [(1.0, 10_000, 6), (0.5, 10_000, 12), (0.1, 10_000, 132), (0.05, 10_000, 517)];
    for (rate, good, stated) in promised.into_iter().chain(after_good) {
        let runs: Vec<_> = (0..101).map(|seed| until_fail(seed, rate, good, 0.002, 50_000)).collect();
        let runs: Vec<_> = runs.into_iter().map(|run| run.expect("it is found")).collect();
        let requests = median(runs.iter().map(|run| run.0).collect());
        let failures = median(runs.iter().map(|run| run.1).collect());
        println!("{:>7} % | {good:>11} | {requests} ({failures}); stated {stated}", rate * 100.0);
        assert!((requests as f64) < f64::from(stated) * 1.35 + 2.0);
        assert!(rate < 0.999 || failures <= 10);
        assert!((rate - 0.1f64).abs() > 1e-9 || requests <= 200);
    }
}

/// False aborts of the plain rule "rate in the last `window` over the limit", checked at every request.
fn window_rule_aborts(seed: u64, rate: f64, requests: u64, window: usize, minimum: usize) -> bool {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut last = VecDeque::with_capacity(window);
    let mut failures = 0u32;
    for _ in 0..requests {
        let failed = rng.random_bool(rate);
        last.push_back(failed);
        failures += u32::from(failed);
        if last.len() > window && last.pop_front() == Some(true) {
            failures -= 1;
        }
        if last.len() >= minimum && f64::from(failures) > 0.01 * last.len() as f64 {
            return true;
        }
    }
    false
}

#[test]
fn a_healthy_version_is_left_alone() {
    for rate in [0.005, 0.01] {
        let aborts = (0..100).filter(|seed| until_fail(*seed, rate, 0, 0.0, 50_000).is_some()).count();
        println!(
            "failing {} % with a limit of 1 %: {aborts} false aborts in 100 runs of 50,000",
            rate * 100.0
        );
        assert_eq!(aborts, 0);
    }
    for (window, minimum) in [(1000, 100), (1000, 500), (3000, 1000)] {
        let aborts = (0..100).filter(|s| window_rule_aborts(*s, 0.005, 50_000, window, minimum)).count();
        println!("the plain rule beside it, window {window}, minimum {minimum}: {aborts} of 100");
        assert!(window != 1000 || aborts > 50);
    }
}

proptest! {
    #[test]
    fn it_is_finite_and_never_negative(
        limit in 0.0001f64..0.4,
        batches in prop::collection::vec((0u64..100_000, 0u64..50), 0..60),
    ) {
        let mut e = evidence(limit);
        for (non_events, events) in batches {
            e.observe(Duration::ZERO, non_events, events);
            prop_assert!(e.ln().is_finite() && e.ln() >= 0.0);
            prop_assert!(e.events() <= e.attempts());
        }
    }

    #[test]
    fn a_small_batch_weighs_about_as_its_single_events(seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut one_by_one, mut batched) = (evidence(0.01), evidence(0.01));
        for _ in 0..200 {
            let failures = (0..20).filter(|_| {
                let failed = rng.random_bool(0.05);
                one_by_one.observe(Duration::ZERO, u64::from(!failed), u64::from(failed));
                failed
            }).count() as u64;
            batched.observe(Duration::ZERO, 20 - failures, failures);
        }
        prop_assert!((one_by_one.ln() - batched.ln()).abs() < 3.0);
    }

    #[test]
    fn clean_traffic_clears_it(events in 0u64..50) {
        let mut e = evidence(0.01);
        e.observe(Duration::ZERO, 0, events);
        e.observe(Duration::from_secs(9), 1_000_000, 0);
        prop_assert_eq!((e.ln(), e.attempts(), e.events()), (0.0, 0, 0));
        prop_assert_eq!(e.since(), Duration::from_secs(9));
    }
}
