//! Random runs of a whole fleet over a model of the store: rollouts, commands and aborts at any instance; requests that
//! are delayed, or lost before or after they took effect; instances that are cut off, stopped, killed, or started twice;
//! clocks that are wrong; a store that is full, forgets what watches have not heard, or is put back to a backup or to
//! nothing. Invariants are held against every change of the store, and against what each instance serves. Then
//! all is mended, and they must be in step. `POINTSMAN_SEED=n` runs one seed alone, `POINTSMAN_SEEDS=n` that many.
//!
//! The compares of the transactions are taken away in turn: the runs must find something broken then. `make fleet` runs
//! more of it.

mod invariants;
mod model;
mod world;

use super::store::{Guarded, TransactionKind};
use crate::core::rollout::{Action, After, Observation, Plan};
use crate::core::service::tests::{bp, canary, start};
use crate::core::service::{Caution, Change};
use crate::core::verdict::{Level, Reason, State, Verdict};
use model::Without;
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::Duration;
use world::World;

const SERVICE: &str = "web";
const POOLS: [&str; 2] = ["blue", "green"];
/// Seeds of every run of the tests, and steps of each.
const SEEDS: u64 = 100;
const STEPS: usize = 160;

/// What was found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault(&'static str);

/// What the runs met, so that a simulation that has gone blind is noticed.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
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

fn observation(state: State) -> Observation {
    let reason = Reason::condition("error_rate", Level::Critical, "as the simulation says".into());
    let reasons = if state == State::Pass { Vec::new() } else { vec![reason] };
    Observation {
        verdict: Verdict { state, reasons },
        attempts: 0,
        candidate: Ok(()),
        stable_ready: true,
        upstreams: BTreeMap::new(),
    }
}

fn plan(world: &mut World) -> Plan {
    let mut plan = canary();
    plan.min_attempts = 0;
    for step in &mut plan.steps {
        step.hold = Duration::from_millis(world.rng.random_range(0..2_000));
    }
    plan.bake = Duration::from_secs(1);
    let watch = Duration::from_secs([0, 10][world.rng.random_range(0..2)]);
    plan.after = After { watch, rollback: true };
    plan
}

impl World {
    fn step(&mut self) -> Result<(), Fault> {
        let ms = self.rng.random_range(1..500);
        self.pass(ms)?;
        for node in 0..self.nodes.len() {
            self.tick(node)?;
            let fails = self.chance(0.01);
            self.look(node, if fails { State::Fail } else { State::Pass })?;
        }
        let node = self.rng.random_range(0..self.nodes.len());
        match self.rng.random_range(0..90) {
            0..=5 => self.begin(),
            6 => self.operate(node, Action::Abort)?,
            7 | 8 => self.operate(node, Action::Promote)?,
            9 | 10 => self.flip(node),
            11..=13 => {
                let of = &mut self.nodes[node];
                of.cut = !of.cut;
            }
            14 | 15 => self.nodes[node].cut = false,
            16 => self.nodes[node].paused_until = self.now + self.rng.random_range(500..9_000),
            17 | 18 => self.kill(node),
            19..=23 => {
                if let Some(node) = (0..self.nodes.len()).find(|node| self.nodes[*node].process.is_none()) {
                    self.boot(node);
                }
            }
            24..=26 => self.disturb(node)?,
            27 => self.store.is_full = self.chance(0.5),
            28 => self.store.back_up(),
            29 if self.chance(0.3) => self.restore(),
            30 => self.nodes[node].skew = self.rng.random_range(-4_000..4_000),
            31 => self.twin(node),
            32 => self.upgrade(node),
            33 if self.chance(0.5) => self.leave(node),
            _ => {}
        }
        self.check()
    }

    fn look(&mut self, node: usize, state: State) -> Result<(), Fault> {
        let seen = observation(state);
        self.decide(node, |of, moment| {
            let is_watched = of.running().is_some() || of.guard.is_some();
            is_watched.then(|| of.apply(Change::Observed(&seen), moment).ok()).flatten()
        })
    }

    /// One start, asked for at several instances under one key.
    fn begin(&mut self) {
        self.rollouts += u32::from(self.chance(0.7));
        let (key, plan) = (format!("ci-{}", self.rollouts), plan(self));
        for node in 0..self.nodes.len() {
            if !self.chance(0.6) {
                continue;
            }
            let id = format!("web-{}-{node}-{}", self.rollouts, self.now);
            self.command(node, Some((&key, &id)), |state, moment| {
                let to = if state.stable == "blue" { "green" } else { "blue" };
                state.apply(start(&id, to, plan.clone()), moment).ok()
            });
        }
    }

    fn operate(&mut self, node: usize, action: Action) -> Result<(), Fault> {
        self.decide(node, |state, moment| {
            let id = state.running()?.id.clone();
            state.apply(Change::Asked { id: &id, action, who: "sim" }, moment).ok()
        })
    }

    fn flip(&mut self, node: usize) {
        let down = BTreeMap::new();
        let first = bp(self.rng.random_range(0..=10_000));
        let is_flip = self.chance(0.5);
        let weights = BTreeMap::from([("blue".to_owned(), first), ("green".to_owned(), first.rest())]);
        self.command(node, None, |state, moment| {
            let caution = Caution { down: &down, force: true };
            let to = if state.stable == "blue" { "green" } else { "blue" };
            let change = match is_flip {
                true => Change::Flip { to, caution, who: "sim" },
                false => Change::Weights { weights: &weights, caution, who: "sim" },
            };
            state.apply(change, moment).ok()
        });
    }

    /// A second process of a member's name, on another machine.
    fn twin(&mut self, node: usize) {
        if self.nodes.iter().any(|of| of.is_twin) || self.nodes[node].is_twin {
            return;
        }
        let twin = self.nodes[node].twin();
        self.nodes.push(twin);
        self.boot(self.nodes.len() - 1);
    }
}

fn run(seed: u64, without: Without) -> Result<Met, Fault> {
    let mut world = World::new(seed, without);
    world.is_told = number("POINTSMAN_SEED").is_some();
    for _ in 0..STEPS {
        world.step()?;
    }
    world.heal()?;
    let ledger = &world.ledger;
    Ok(Met {
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
fn first_fault(seeds: std::ops::Range<u64>, without: Without) -> Option<(u64, Fault)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let found = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let part = |first: u64| {
            let (found, seeds) = (&found, seeds.clone());
            scope.spawn(move || {
                let mut seeds = seeds.skip(first as usize).step_by(threads as usize);
                let fault = seeds.find_map(|seed| {
                    let is_over = found.load(std::sync::atomic::Ordering::Relaxed);
                    if is_over { None } else { run(seed, without).err().map(|fault| (seed, fault)) }
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
        return println!("seed {seed}: {:?}", run(seed, &[]).expect("sound"));
    }
    let seeds = number("POINTSMAN_SEEDS").unwrap_or(SEEDS);
    let fault = first_fault(0..seeds, &[]);
    assert_eq!(fault, None, "run it alone with POINTSMAN_SEED");
    let runs: Vec<Met> = (0..12).map(|seed| run(seed, &[]).expect("sound")).collect();
    let sum = |of: fn(&Met) -> u64| runs.iter().map(of).sum::<u64>();
    println!("{seeds} random runs of {STEPS} steps; the first of them: {:?}", runs[0]);
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

type Removed = (&'static [(TransactionKind, Guarded)], u64);

/// Compares, each with a seed from which on it is missed soon. Those that another compare of the same transaction covers
/// are taken away together with it: a tombstone takes the permit away as well, and who comes back changes the list of
/// members. The others are covered altogether: an idempotency key by the document that its start has changed, a name by the
/// list of members and by the lease that goes with it.
const COMPARES: [Removed; 14] = [
    (&[(TransactionKind::Command, Guarded::Document)], 10),
    (&[(TransactionKind::Advance, Guarded::Document)], 0),
    (&[(TransactionKind::Advance, Guarded::Fence)], 410),
    (&[(TransactionKind::Advance, Guarded::Tombstone), (TransactionKind::Advance, Guarded::Permit)], 20),
    (&[(TransactionKind::Advance, Guarded::Members)], 65),
    (&[(TransactionKind::Advance, Guarded::Alive)], 380),
    (&[(TransactionKind::Abort, Guarded::Document)], 0),
    (&[(TransactionKind::Tombstone, Guarded::Tombstone)], 0),
    (&[(TransactionKind::PutBack, Guarded::Document)], 0),
    (&[(TransactionKind::Lead, Guarded::Leaderless)], 0),
    (&[(TransactionKind::Join, Guarded::Members)], 0),
    (&[(TransactionKind::Leave, Guarded::Members)], 190),
    (&[(TransactionKind::Forget, Guarded::Members)], 115),
    (&[(TransactionKind::Forget, Guarded::Members), (TransactionKind::Forget, Guarded::Alive)], 15),
];

#[test]
fn a_compare_that_is_taken_away_is_missed() {
    let seeds = number("POINTSMAN_SEEDS");
    let missed: Vec<_> = COMPARES
        .into_iter()
        .filter(|(without, hint)| {
            let range = seeds.map_or(*hint..hint + SEEDS, |seeds| 0..seeds);
            let fault = first_fault(range, without);
            println!("without {without:?}: {fault:?}");
            fault.is_none()
        })
        .collect();
    assert!(missed.is_empty(), "nobody misses {missed:?}");
}
