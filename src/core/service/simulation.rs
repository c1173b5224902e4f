//! Random runs of whole rollouts: any verdict, any command, pools that come and go, crashes at any
//! moment; invariants after every step. A failure prints its seed; `POINTSMAN_SEED=n` runs it alone.

use super::tests::{bp, canary};
use super::*;
use crate::core::rollout::{Action, Idle, Observation, Phase, Plan, Step, Strategy};
use crate::core::verdict::{State, Verdict};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::time::Duration;

const RUNS: u64 = 10_000;
const STEPS: usize = 60;
const POOLS: [&str; 3] = ["blue", "green", "red"];

/// The world around one service: what is in effect, what is on disk, and who is up.
struct World {
    rng: SmallRng,
    now: Duration,
    live: ServiceState,
    /// The last state that was made durable.
    journal: String,
    /// The id of a rollout whose abort took effect, until its journal row is durable.
    mark: Option<String>,
    /// Whether an abort in effect still waits for the journal.
    unsaved: bool,
    up: BTreeSet<&'static str>,
    attempts: u64,
    rollouts: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let live = ServiceState::new("blue", POOLS);
        let journal = stored(&live);
        let up = POOLS.into_iter().collect();
        let rng = SmallRng::seed_from_u64(seed);
        let now = Duration::ZERO;
        World { rng, now, live, journal, mark: None, unsaved: false, up, attempts: 0, rollouts: 0 }
    }

    fn moment(&self) -> Moment<'static> {
        Moment { now: self.now, wall: "2026-01-01T00:00:00Z" }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.random_range(0..4000));
        match self.rng.random_range(0..20) {
            0..=10 => self.observe(),
            11 => self.command(),
            12 => self.start(),
            13 => self.toggle_pool(),
            14 => self.crash(),
            15 => self.save(),
            _ => self.act(),
        }
    }

    fn observe(&mut self) {
        let state =
            [State::Pass, State::Pass, State::Pass, State::Hold, State::Fail][self.rng.random_range(0..5)];
        self.observe_as(state);
    }

    fn observe_as(&mut self, state: State) {
        self.attempts += self.rng.random_range(0..60);
        let Some(running) = self.live.rollout.clone() else { return };
        let ready = |pool: &str| self.up.contains(pool);
        let observation = Observation {
            verdict: Verdict { state, reasons: Vec::new() },
            attempts: self.attempts,
            candidate: if ready(&running.to) { Ok(()) } else { Err("down".into()) },
            stable_ready: ready(&running.from),
        };
        self.change(Change::Observed(&observation));
    }

    fn start(&mut self) {
        self.rollouts += 1;
        let mut plan = canary();
        plan.idle = if self.rng.random_bool(0.5) { Idle::Hold } else { Idle::Advance };
        if self.rng.random_bool(0.3) {
            plan.strategy = Strategy::BlueGreen;
            plan.steps = vec![Step { weight: BasisPoints::FULL, hold: Duration::ZERO }];
        }
        if self.rng.random_bool(0.1) {
            plan.steps.reverse();
        }
        let to = POOLS[self.rng.random_range(0..3)];
        let id = format!("r{}", self.rollouts);
        self.change(Change::Start { id, to, version: None, policy: None, plan, who: "sim" });
    }

    fn command(&mut self) {
        let first = self.rng.random_range(0..=10_000);
        let weights =
            BTreeMap::from([("blue".to_owned(), bp(first)), ("green".to_owned(), bp(first).rest())]);
        match self.rng.random_range(0..3) {
            0 => self.change(Change::Weights { weights: &weights, if_match: None, who: "sim" }),
            1 => {
                let to = POOLS[self.rng.random_range(0..3)];
                self.change(Change::Flip { to, who: "sim" });
            }
            _ => self.change(Change::Rollback { who: "sim" }),
        }
    }

    fn act(&mut self) {
        let action =
            [Action::Pause, Action::Resume, Action::Promote, Action::Abort][self.rng.random_range(0..4)];
        let Some(id) = self.live.rollout.as_ref().map(|running| running.id.clone()) else { return };
        self.change(Change::Asked { id: &id, action, who: "sim" });
    }

    fn toggle_pool(&mut self) {
        let pool = POOLS[self.rng.random_range(0..3)];
        if !self.up.remove(pool) {
            self.up.insert(pool);
        }
    }

    /// As the controller does it: journal and effect in the order the change asks for, and the process
    /// may die between the two.
    fn change(&mut self, change: Change<'_>) {
        let before = self.live.clone();
        let Ok(applied) = self.live.apply(change, self.moment()) else {
            return;
        };
        check_step(&before, &applied);
        match applied.order {
            Order::Quiet => self.live = applied.state,
            Order::JournalFirst => {
                self.journal = stored(&applied.state);
                (self.mark, self.unsaved) = (None, false);
                if self.rng.random_bool(0.02) {
                    return self.crash();
                }
                self.live = applied.state;
            }
            Order::EffectFirst => {
                self.live = applied.state;
                self.unsaved = true;
                let aborted = self.live.rollout.as_ref().filter(|r| r.rollout.phase == Phase::Aborted);
                self.mark = aborted.map(|running| running.id.clone());
            }
        }
    }

    fn save(&mut self) {
        self.journal = stored(&self.live);
        (self.mark, self.unsaved) = (None, false);
    }

    fn crash(&mut self) {
        let aborted: Option<String> = self.mark.take();
        let was = std::mem::replace(&mut self.live, restored(&self.journal));
        assert_eq!(stored(&self.live), self.journal, "what is restored is what was stored");
        self.now = Duration::ZERO;
        self.attempts = 0;
        if let Some(id) = aborted.filter(|id| self.live.running().is_some_and(|running| running.id == *id)) {
            let applied = self
                .live
                .apply(Change::Asked { id: &id, action: Action::Abort, who: "recovery" }, self.moment());
            self.live = applied.expect("a running rollout can be aborted").state;
            self.save();
            assert_eq!(self.live.weights, was.weights, "an abort in effect is in effect again");
        }
        self.unsaved = false;
    }

    fn check(&self) {
        let state = &self.live;
        let sum: u32 = state.weights.values().map(|weight| u32::from(weight.get())).sum();
        assert_eq!(sum, 10_000, "weights sum to 100 %: {state:?}");
        let effective = state.effective_weights(|pool| self.up.contains(pool));
        assert!(
            effective.values().any(|weight| *weight > BasisPoints::ZERO),
            "somebody serves: {effective:?}"
        );
        for (pool, weight) in &effective {
            let wasted = *weight > BasisPoints::ZERO && !self.up.contains(pool) && !self.up.is_empty();
            assert!(!wasted, "{pool} is down and has {weight} while {:?} are up", self.up);
        }
        if let Some(running) = state.running() {
            assert_eq!(running.from, state.stable, "the roles stand until the end");
        }
        let steps = state.running().map(|running| (running.rollout.step, running.rollout.plan.steps.len()));
        assert!(steps.is_none_or(|(step, count)| step < count));
    }

    /// Whatever happened: with all pools up and a passing verdict, a rollout ends.
    fn drive_to_the_end(&mut self) {
        self.up = POOLS.into_iter().collect();
        if let Some(id) = self.live.running().map(|running| running.id.clone()) {
            self.change(Change::Asked { id: &id, action: Action::Resume, who: "sim" });
        }
        for _ in 0..2000 {
            if self.live.running().is_none() {
                return;
            }
            self.now += Duration::from_secs(1);
            self.observe_as(State::Pass);
        }
        panic!("the rollout never ends: {:?}", self.live.rollout);
    }
}

/// What holds for every single change.
fn check_step(before: &ServiceState, applied: &Applied) {
    let after = &applied.state;
    if before.weights != after.weights || before.stable != after.stable || !applied.notes.is_empty() {
        assert!(after.revision > before.revision, "the revision grows on every change");
    } else {
        assert_eq!(applied.order, Order::Quiet, "nothing to journal where nothing changed");
    }
    let ended = before.rollout.as_ref().filter(|running| running.rollout.has_ended());
    if let Some(ended) = ended.filter(|running| after.rollout.as_ref().is_some_and(|r| r.id == running.id)) {
        assert_eq!(after.rollout.as_ref(), Some(ended), "an ended rollout changes no more");
    }
    let now_aborted = before.running().and_then(|was| {
        after.rollout.as_ref().filter(|is| is.id == was.id && is.rollout.phase == Phase::Aborted)
    });
    if let Some(aborted) = now_aborted {
        assert_eq!(after.weights[&aborted.to], BasisPoints::ZERO, "an aborted candidate has no weight");
        assert_eq!(after.weights[&aborted.from], BasisPoints::FULL);
        assert_eq!(applied.order, Order::EffectFirst, "an abort waits for no disk");
    }
    let gained =
        after.weights.iter().any(|(pool, weight)| *pool != before.stable && *weight > before.weights[pool]);
    assert!(
        !gained || applied.order == Order::JournalFirst,
        "a candidate gains weight only after the journal"
    );
}

fn stored(state: &ServiceState) -> String {
    serde_json::to_string(state).expect("it can be stored")
}

fn restored(text: &str) -> ServiceState {
    serde_json::from_str(text).expect("it can be restored")
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.check();
    }
    world.drive_to_the_end();
    world.check();
}

#[test]
fn random_runs_keep_the_invariants() {
    let only = std::env::var("POINTSMAN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..RUNS, |seed: u64| seed..seed + 1);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            println!("seed {seed}: run it alone with POINTSMAN_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{count} random runs of {STEPS} steps each, invariants after every step");
}

/// The plan of the shared tests is one the configuration could hold.
#[test]
fn the_plan_is_valid() {
    assert_eq!(canary().faults(), Vec::<(usize, String)>::new());
    let backwards = Plan { steps: canary().steps.into_iter().rev().collect(), ..canary() };
    assert!(!backwards.faults().is_empty());
}
