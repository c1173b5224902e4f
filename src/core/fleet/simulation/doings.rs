//! What happens in a step of a run, and how often.

use super::Fault;
use super::world::{AskedStart, World};
use crate::core::rollout::{Action, After, Observation, Plan};
use crate::core::service::tests::{bp, canary, start};
use crate::core::service::{Caution, Change};
use crate::core::verdict::{Level, Reason, State, Verdict};
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Begin,
    /// The last start is asked for once more.
    Repeat,
    Abort,
    Promote,
    Flip,
    Cut,
    Mend,
    Pause,
    Kill,
    Boot,
    Disturb,
    /// The store gets full, or has room again.
    Fill,
    BackUp,
    Restore,
    /// A backup from before an abort is restored, and one member had not heard of the abort.
    Relapse,
    /// A watch loses changes.
    Lose,
    Skew,
    /// The store revokes a lease that was renewed.
    Revoke,
    Twin,
    Upgrade,
    Leave,
    /// The leader writes how far the rollout has come.
    Keep,
    /// The leader gives its lead up, and says so twice.
    Resign,
    Nothing,
}

/// Of 90 steps.
const DOINGS: [(Doing, u32); 19] = [
    (Doing::Begin, 6),
    (Doing::Abort, 1),
    (Doing::Promote, 2),
    (Doing::Flip, 2),
    (Doing::Cut, 3),
    (Doing::Mend, 2),
    (Doing::Pause, 1),
    (Doing::Kill, 2),
    (Doing::Boot, 5),
    (Doing::Disturb, 3),
    (Doing::Fill, 1),
    (Doing::BackUp, 1),
    (Doing::Restore, 1),
    (Doing::Skew, 1),
    (Doing::Twin, 1),
    (Doing::Upgrade, 1),
    (Doing::Leave, 1),
    (Doing::Revoke, 1),
    (Doing::Nothing, 55),
];

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

impl World {
    pub(crate) fn step(&mut self) -> Result<(), Fault> {
        let ms = self.rng.random_range(1..500);
        self.pass(ms)?;
        for node in 0..self.nodes.len() {
            self.tick(node)?;
            let fails = self.chance(0.01);
            self.look(node, if fails { State::Fail } else { State::Pass })?;
        }
        let node = self.rng.random_range(0..self.nodes.len());
        let doing = self.next_doing();
        self.carry_on(node, doing)?;
        self.check()
    }

    fn next_doing(&mut self) -> Doing {
        let often = self.course.often;
        if !often.is_empty() && self.chance(0.3) {
            return often[self.rng.random_range(0..often.len())];
        }
        let mut drawn = self.rng.random_range(0..90);
        let found = DOINGS.into_iter().find(|(_, share)| {
            let is_it = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            is_it
        });
        found.map_or(Doing::Nothing, |(doing, _)| doing)
    }

    fn carry_on(&mut self, node: usize, doing: Doing) -> Result<(), Fault> {
        match doing {
            Doing::Begin => self.begin(false),
            Doing::Repeat => self.begin(true),
            Doing::Abort => self.operate(node, Action::Abort)?,
            Doing::Promote => self.operate(node, Action::Promote)?,
            Doing::Flip => self.flip(node),
            Doing::Cut => {
                let of = &mut self.nodes[node];
                of.cut = !of.cut;
            }
            Doing::Mend => self.nodes[node].cut = false,
            Doing::Pause => {
                // What waits for the end of a pause must not be overtaken.
                let until = self.now + self.rng.random_range(500..9_000);
                self.nodes[node].paused_until = self.nodes[node].paused_until.max(until);
            }
            Doing::Kill => self.kill(node),
            Doing::Boot => {
                if let Some(node) = (0..self.nodes.len()).find(|node| self.nodes[*node].process.is_none()) {
                    self.boot(node);
                }
            }
            Doing::Disturb => self.disturb(node)?,
            Doing::Fill => self.store.is_full = self.chance(0.5),
            Doing::BackUp => self.store.back_up(),
            Doing::Restore if self.chance(0.3) => self.restore(),
            Doing::Relapse => self.relapse(node)?,
            Doing::Lose => self.nodes[node].loses = 3,
            Doing::Skew => self.nodes[node].skew = self.rng.random_range(-4_000..4_000),
            Doing::Revoke => self.revoke(node),
            Doing::Twin => self.twin(node),
            Doing::Upgrade => self.upgrade(node),
            Doing::Leave if self.chance(0.5) => self.leave(node),
            Doing::Resign => self.resign(node),
            Doing::Keep => {
                self.keeps = true;
                (0..self.nodes.len()).try_for_each(|node| self.look(node, State::Pass))?;
                self.keeps = false;
            }
            Doing::Restore | Doing::Leave | Doing::Nothing => {}
        }
        Ok(())
    }

    fn look(&mut self, node: usize, state: State) -> Result<(), Fault> {
        let seen = observation(state);
        self.decide(node, |of, moment| {
            let is_watched = of.running().is_some() || of.guard.is_some();
            is_watched.then(|| of.apply(Change::Observed(&seen), moment).ok()).flatten()
        })
    }

    /// One start, asked for at several instances under one key; or once more under the last one, by somebody who does
    /// not look whether that was used.
    fn begin(&mut self, repeats: bool) {
        if !repeats {
            self.rollouts += u32::from(self.chance(0.7));
        }
        let (key, plan) = (format!("ci-{}", self.rollouts), plan(self));
        for node in 0..self.nodes.len() {
            if !self.chance(0.6) {
                continue;
            }
            let id = format!("web-{}-{node}-{}", self.rollouts, self.now);
            self.command(node, Some(AskedStart { key: &key, id: &id, looks: !repeats }), |state, moment| {
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

    fn relapse(&mut self, node: usize) -> Result<(), Fault> {
        self.store.back_up();
        self.nodes[node].cut = true;
        self.tick(node)?;
        self.operate((node + 1) % self.nodes.len(), Action::Abort)?;
        self.pass(100)?;
        self.put_store_back(false, false);
        self.nodes[node].cut = false;
        self.tick(node)
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
