//! Random runs of a whole fleet over a model of the store: rollouts, commands and aborts at any instance; requests that
//! are delayed, or lost before or after they took effect; instances that are cut off, stopped, killed, or started twice;
//! clocks that are wrong; a store that is full, forgets what watches have not heard, or is put back to a backup or to
//! nothing. Invariants are held against every change of the store, and against what each instance serves. Then
//! all is mended, and they must be in step. `POINTSMAN_SEED=n` runs one seed alone, `POINTSMAN_SEEDS=n` that many.
//!
//! The compares of the transactions are taken away in turn: the runs must find something broken then. `make fleet` runs
//! more of it.

mod compares;
mod doings;
mod invariants;
mod model;
mod world;

use super::store::{Guarded, TransactionKind};
use doings::Doing;
use std::collections::BTreeSet;
use world::World;

const SERVICE: &str = "web";
const POOLS: [&str; 2] = ["blue", "green"];
/// Seeds of every run of the tests, and steps of each.
const SEEDS: u64 = 100;
const STEPS: usize = 160;

/// Compares that are taken away, to see that they are missed.
type Without = &'static [(TransactionKind, Guarded)];

/// How a run differs from others.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    without: Without,
    /// Whether members seem to answer a roll call before they have read the store.
    is_unread: bool,
    /// What happens more often.
    often: &'static [Doing],
}

/// What was found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault(&'static str);

/// What the runs met, so that a simulation that has gone blind is noticed.
#[derive(Clone, Debug, Default)]
struct Met {
    /// All compares that were made.
    compares: BTreeSet<(TransactionKind, Guarded)>,
    aborts: u64,
    held: u64,
    crashes: u64,
    compacted: u64,
    restored: u64,
    refused: u64,
    promotions: u64,
    advances: u64,
    put_back: u64,
    withdrawn: u64,
    tombstones: u64,
}

fn run(seed: u64, course: Course) -> Result<Met, Fault> {
    let mut world = World::new(seed, course);
    world.is_told = number("POINTSMAN_SEED").is_some();
    for _ in 0..STEPS {
        world.step()?;
    }
    world.heal()?;
    let ledger = world.ledger;
    Ok(Met {
        compares: ledger.compares,
        promotions: ledger.promotions,
        advances: ledger.advances,
        put_back: ledger.put_back,
        withdrawn: ledger.withdrawn,
        tombstones: ledger.tombstones,
        ..world.met
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The first seed that finds something broken.
fn first_fault(seeds: std::ops::Range<u64>, course: Course) -> Option<(u64, Fault)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let found = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let part = |first: u64| {
            let (found, seeds) = (&found, seeds.clone());
            scope.spawn(move || {
                let mut seeds = seeds.skip(first as usize).step_by(threads as usize);
                let fault = seeds.find_map(|seed| {
                    let is_over = found.load(std::sync::atomic::Ordering::Relaxed);
                    if is_over { None } else { run(seed, course).err().map(|fault| (seed, fault)) }
                });
                found.fetch_or(fault.is_some(), std::sync::atomic::Ordering::Relaxed);
                fault
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().filter_map(|part| part.join().expect("no panic")).min_by_key(|(seed, _)| *seed)
    })
}

#[test]
fn a_fleet_keeps_the_invariants() {
    if let Some(seed) = number("POINTSMAN_SEED") {
        return println!("seed {seed}: {:?}", run(seed, Course::default()).expect("sound"));
    }
    let seeds = number("POINTSMAN_SEEDS").unwrap_or(SEEDS);
    let fault = first_fault(0..seeds, Course::default());
    assert_eq!(fault, None, "run it alone with POINTSMAN_SEED");
    let runs: Vec<Met> = (0..12).map(|seed| run(seed, Course::default()).expect("sound")).collect();
    let sum = |of: fn(&Met) -> u64| runs.iter().map(of).sum::<u64>();
    println!("{seeds} random runs of {STEPS} steps; the first of them: {:?}", runs[0]);
    let compares: BTreeSet<_> = runs.iter().flat_map(|met| met.compares.iter().copied()).collect();
    assert_eq!(compares, compares::all(), "each is taken away in turn");
    for (what, count) in [
        ("advances", sum(|met| met.advances)),
        ("promotions", sum(|met| met.promotions)),
        ("aborts", sum(|met| met.aborts)),
        ("tombstones", sum(|met| met.tombstones)),
        ("withdrawn", sum(|met| met.withdrawn)),
        ("held", sum(|met| met.held)),
        ("crashes", sum(|met| met.crashes)),
        ("compacted", sum(|met| met.compacted)),
        ("restored", sum(|met| met.restored)),
        ("put back", sum(|met| met.put_back)),
        ("refused", sum(|met| met.refused)),
    ] {
        println!("{what}: {count} in {} runs", runs.len());
        assert!(count > 0, "{what} never happened");
    }
}
