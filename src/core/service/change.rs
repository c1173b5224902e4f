//! The changes a service's state can undergo, and why some are denied.

use super::{Running, ServiceState};
use crate::core::rollout::{Action, Effect, Input, Note, Observation, Phase, Plan, Rollout};
use crate::core::weight::BasisPoints;
use std::collections::BTreeMap;
use std::time::Duration;

/// One change, as asked for or as observed.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// Pools left out get 0; they must sum to 100 %.
    Weights {
        weights: &'a BTreeMap<String, BasisPoints>,
        if_match: Option<u64>,
        who: &'a str,
    },
    Flip {
        to: &'a str,
        who: &'a str,
    },
    Rollback {
        who: &'a str,
    },
    Start {
        id: String,
        to: &'a str,
        version: Option<String>,
        policy: Option<String>,
        plan: Plan,
        who: &'a str,
    },
    /// What is seen of the running rollout's candidate.
    Observed(&'a Observation),
    Asked {
        id: &'a str,
        action: Action,
        who: &'a str,
    },
}

/// When a change comes: on the process clock, and as RFC 3339 text for people.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub now: Duration,
    pub wall: &'a str,
}

/// In which order a change takes effect and becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing that must be durable at once: the clock went on.
    Quiet,
    /// Durable first: it gives somebody traffic, or answers somebody.
    JournalFirst,
    /// In effect first: an abort waits for no disk.
    EffectFirst,
}

/// A change that was accepted.
#[derive(Clone, Debug)]
pub struct Applied {
    pub state: ServiceState,
    pub notes: Vec<Note>,
    pub order: Order,
}

/// Why a change was denied; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    NotFound(String),
    /// `rollout` is the id of the one that is in the way.
    Conflict {
        detail: String,
        rollout: Option<String>,
    },
    /// The revision is another one.
    Precondition {
        current: u64,
    },
    /// Each fault with the path of its field.
    Invalid(Vec<(String, String)>),
}

impl ServiceState {
    /// The state after a change.
    ///
    /// # Errors
    /// [`Denied`] with the reason.
    pub fn apply(&self, change: Change<'_>, moment: Moment<'_>) -> Result<Applied, Denied> {
        match change {
            Change::Weights { weights, if_match, who } => self.set_weights(weights, if_match, who),
            Change::Flip { to, who } => self.flip(to, who),
            Change::Rollback { who } => self.roll_back(who),
            Change::Start { id, to, version, policy, plan, who } => {
                let running = Running {
                    id,
                    from: self.stable.clone(),
                    to: to.to_owned(),
                    version,
                    policy,
                    started_at: moment.wall.to_owned(),
                    updated_at: moment.wall.to_owned(),
                    ended_at: None,
                    rollout: Rollout::new(plan),
                };
                self.start(running, who)
            }
            Change::Observed(observation) => Ok(self.drive(&Input::Observed(observation), moment)),
            Change::Asked { id, action, who } => self.ask(id, action, who, moment),
        }
    }

    fn set_weights(
        &self,
        asked: &BTreeMap<String, BasisPoints>,
        if_match: Option<u64>,
        who: &str,
    ) -> Result<Applied, Denied> {
        if if_match.is_some_and(|revision| revision != self.revision) {
            return Err(Denied::Precondition { current: self.revision });
        }
        let unknown = asked.keys().filter(|pool| !self.weights.contains_key(*pool));
        let mut faults: Vec<_> = unknown.map(|pool| (pool.clone(), self.no_such_pool(pool))).collect();
        let sum: u32 = asked.values().map(|weight| u32::from(weight.get())).sum();
        if sum != 10_000 {
            faults.push((String::new(), format!("the weights sum to {}, not 100", f64::from(sum) / 100.0)));
        }
        if !faults.is_empty() {
            return Err(Denied::Invalid(faults));
        }
        self.free_of_rollout("change the weights")?;
        let mut next = self.clone();
        for (pool, weight) in &mut next.weights {
            *weight = asked.get(pool).copied().unwrap_or_default();
        }
        let parts: Vec<_> = asked.iter().map(|(pool, weight)| format!("{pool} {weight}")).collect();
        Ok(next.journaled("weights", format!("weights set by {who}: {}", parts.join(", "))))
    }

    fn flip(&self, to: &str, who: &str) -> Result<Applied, Denied> {
        self.known("to", to)?;
        self.free_of_rollout("flip")?;
        let mut next = self.clone();
        if next.stable != to {
            next.previous = Some(std::mem::replace(&mut next.stable, to.to_owned()));
        }
        next.give_all(to);
        Ok(next.journaled("flip", format!("flipped to {to} by {who}")))
    }

    fn roll_back(&self, who: &str) -> Result<Applied, Denied> {
        self.free_of_rollout("roll back")?;
        let Some(to) = self.previous.clone() else {
            let detail = "there is no previous pool to go back to: nothing has been flipped or promoted yet";
            return Err(Denied::Conflict { detail: detail.into(), rollout: None });
        };
        let mut next = self.clone();
        next.previous = Some(std::mem::replace(&mut next.stable, to.clone()));
        next.give_all(&to);
        Ok(next.journaled("rollback", format!("rolled back to {to} by {who}")))
    }

    fn start(&self, running: Running, who: &str) -> Result<Applied, Denied> {
        self.known("to", &running.to)?;
        self.free_of_rollout("start another")?;
        if running.to == self.stable {
            let detail = format!("{} is stable already; name the pool with the new version", running.to);
            return Err(Denied::Invalid(vec![("to".into(), detail)]));
        }
        let faults = running.rollout.plan.faults();
        if !faults.is_empty() {
            let at = |(index, detail): (usize, String)| (format!("steps[{index}].weight"), detail);
            return Err(Denied::Invalid(faults.into_iter().map(at).collect()));
        }
        let third = self.weights.iter().find(|(pool, weight)| {
            **weight > BasisPoints::ZERO && **pool != running.to && **pool != self.stable
        });
        if let Some((pool, weight)) = third {
            let detail = format!(
                "pool {pool} has {weight}, and a rollout splits between two pools; set its weight to 0"
            );
            return Err(Denied::Conflict { detail, rollout: None });
        }
        let version = running.version.as_deref().map_or(String::new(), |v| format!(", version {v}"));
        let strategy = running.rollout.plan.strategy.label();
        let text = format!("{strategy} from {} to {}{version}, started by {who}", running.from, running.to);
        let mut next = self.clone();
        next.rollout = Some(running);
        Ok(next.journaled("started", text))
    }

    fn ask(&self, id: &str, action: Action, who: &str, moment: Moment<'_>) -> Result<Applied, Denied> {
        let running = self.rollout.as_ref().filter(|running| running.id == id);
        let Some(running) = running else {
            return Err(Denied::NotFound(format!(
                "there is no rollout {id}, or a newer one has followed it"
            )));
        };
        let phase = running.rollout.phase;
        let repeated =
            matches!((phase, action), (Phase::Promoted, Action::Promote) | (Phase::Aborted, Action::Abort));
        if running.rollout.has_ended() && !repeated {
            let detail = format!("the rollout {id} has ended: {}", running.rollout.label());
            return Err(Denied::Conflict { detail, rollout: None });
        }
        if phase == Phase::Preparing && action == Action::Promote {
            let detail =
                "the candidate is not known to be healthy yet; wait until it has been, or use flip".into();
            return Err(Denied::Conflict { detail, rollout: Some(id.to_owned()) });
        }
        Ok(self.drive(&Input::Asked(action, who), moment))
    }

    /// Runs the rollout machine and carries its effects over to weights and roles.
    fn drive(&self, input: &Input<'_>, moment: Moment<'_>) -> Applied {
        let mut next = self.clone();
        let Some(running) = &mut next.rollout else {
            return Applied { state: next, notes: Vec::new(), order: Order::Quiet };
        };
        let (rollout, effects) = running.rollout.advance(input, moment.now);
        running.rollout = rollout;
        let ended = running.rollout.has_ended();
        let (from, to) = (running.from.clone(), running.to.clone());
        if !effects.is_empty() {
            running.updated_at = moment.wall.to_owned();
            running.ended_at = ended.then(|| moment.wall.to_owned());
            next.revision += 1;
        }
        let mut order = Order::Quiet;
        let mut notes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Weight(weight) => next.split(&from, &to, weight),
                Effect::Promote => {
                    next.give_all(&to);
                    next.stable.clone_from(&to);
                    next.previous = Some(from.clone());
                }
                Effect::Revert => next.give_all(&from),
                Effect::Note(note) => {
                    let waits = !matches!(note.action, "aborted" | "held");
                    order = if waits { Order::JournalFirst } else { Order::EffectFirst };
                    notes.push(note);
                }
            }
        }
        Applied { state: next, notes, order }
    }

    fn split(&mut self, from: &str, to: &str, weight: BasisPoints) {
        for (pool, slot) in &mut self.weights {
            *slot = match pool.as_str() {
                pool if pool == to => weight,
                pool if pool == from => weight.rest(),
                _ => BasisPoints::ZERO,
            };
        }
    }

    fn give_all(&mut self, to: &str) {
        for (pool, weight) in &mut self.weights {
            *weight = if pool == to { BasisPoints::FULL } else { BasisPoints::ZERO };
        }
    }

    fn journaled(mut self, action: &'static str, text: String) -> Applied {
        self.revision += 1;
        Applied { state: self, notes: vec![Note { action, text }], order: Order::JournalFirst }
    }

    fn known(&self, path: &str, pool: &str) -> Result<(), Denied> {
        if self.weights.contains_key(pool) {
            return Ok(());
        }
        Err(Denied::Invalid(vec![(path.to_owned(), self.no_such_pool(pool))]))
    }

    fn no_such_pool(&self, pool: &str) -> String {
        let pools: Vec<&str> = self.weights.keys().map(String::as_str).collect();
        format!("there is no pool {pool}; there are {}", pools.join(", "))
    }

    fn free_of_rollout(&self, what: &str) -> Result<(), Denied> {
        let Some(running) = self.running() else { return Ok(()) };
        let detail =
            format!("cannot {what} while the rollout {} runs; promote or abort it first", running.id);
        Err(Denied::Conflict { detail, rollout: Some(running.id.clone()) })
    }
}
