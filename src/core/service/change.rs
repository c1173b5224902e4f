//! The changes a service's state can undergo, and why some are denied.

use super::set::{SetPart, Undone};
use super::{Running, ServiceState};
use crate::core::container::PoolContainers;
use crate::core::rollout::{Action, Input, Note, Observation, Plan, Rollout, Work, WorkResult};
use crate::core::settings::upstream::Upstream;
use crate::core::weight::BasisPoints;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One change, as asked for or as observed.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and a start is rare")]
pub enum Change<'a> {
    /// Pools left out get 0; they must sum to 100 %.
    Weights {
        weights: &'a BTreeMap<String, BasisPoints>,
        caution: Caution<'a>,
        who: &'a str,
    },
    Flip {
        to: &'a str,
        caution: Caution<'a>,
        who: &'a str,
    },
    /// Aborts the running rollout; without one, goes back to the pool that was stable before.
    Rollback {
        caution: Caution<'a>,
        who: &'a str,
    },
    /// A promotion became durable although its rollout's abort, or its return, had been in effect before: it is
    /// taken back.
    TakeBack {
        who: &'a str,
    },
    Start {
        id: String,
        /// A pool, or [`super::IDLE`].
        to: &'a str,
        version: Option<String>,
        policy: Option<String>,
        plan: Plan,
        /// The upstreams of the candidate, for a rolling update.
        upstreams: Vec<String>,
        /// Where several services begin together.
        set: Option<SetPart>,
        who: &'a str,
    },
    /// The other services of its set have come as far as its rollout has.
    GoOn,
    /// Another service of its set was undone: the running rollout is aborted, what it promoted is taken back.
    Undone {
        by: &'a Undone,
        caution: Caution<'a>,
    },
    /// What is seen of the running rollout's candidate, or of the pool that is watched: after a promotion, or since
    /// an operator gave it weight.
    Observed(&'a Observation),
    /// Time has passed, and nothing is known of them.
    Elapsed,
    /// What became of work that the rollout `id`, or its watch, wanted.
    Done {
        id: &'a str,
        work: &'a Work,
        result: &'a WorkResult,
    },
    /// Whether an upstream gets new requests. During a rolling update, `drains: false` is also the word
    /// that it has been updated.
    Drain {
        pool: &'a str,
        upstream: &'a str,
        drains: bool,
        who: &'a str,
    },
    /// Another set of upstreams for a pool; `None` goes back to the configuration's.
    Upstreams {
        pool: &'a str,
        set: Option<Vec<Upstream>>,
        /// The addresses that the pool has then.
        addresses: BTreeSet<String>,
        who: &'a str,
    },
    /// The containers of its pools are others, or elsewhere.
    Containers {
        now: &'a BTreeMap<Arc<str>, PoolContainers>,
        /// The other upstreams of every pool.
        sets: &'a BTreeMap<String, BTreeSet<String>>,
    },
    Asked {
        id: &'a str,
        action: Action,
        who: &'a str,
    },
}

/// What a command that gives a pool traffic is held against.
#[derive(Clone, Copy, Debug)]
pub struct Caution<'a> {
    /// Pools that are known to be down, and why.
    pub down: &'a BTreeMap<String, String>,
    /// Whether it is carried out all the same.
    pub force: bool,
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

impl Applied {
    /// Whether it is an abort, a return after a promotion, or takes back a weight: nothing that is being written holds it up.
    pub fn takes_traffic_away(&self) -> bool {
        Note::any_takes_traffic_away(&self.notes)
    }
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
    /// Each fault with the path of its field.
    Invalid(Vec<(String, String)>),
}

impl ServiceState {
    /// The state after a change.
    ///
    /// # Errors
    /// [`Denied`] with the reason.
    pub fn apply(&self, change: Change<'_>, moment: Moment<'_>) -> Result<Applied, Denied> {
        let mut applied = self.changed(change, moment)?;
        applied.state.follow_hand();
        Ok(applied)
    }

    fn changed(&self, change: Change<'_>, moment: Moment<'_>) -> Result<Applied, Denied> {
        match change {
            Change::Weights { weights, caution, who } => self.set_weights(weights, caution, who),
            Change::Flip { to, caution, who } => self.flip(to, caution, who),
            Change::Rollback { caution, who } => self.roll_back(caution, who, moment),
            Change::TakeBack { who } => self.take_back(who, moment),
            Change::Start { id, to, version, policy, plan, upstreams, set, who } => {
                let to = self.meant(to)?;
                let mut rollout = Rollout::new(Plan { together: set.is_some(), ..plan }, upstreams);
                rollout.grow_older(moment.now, moment.wall);
                let running = Running {
                    id,
                    from: if rollout.is_rolling() { to.clone() } else { self.stable.clone() },
                    version,
                    policy,
                    started_at: moment.wall.to_owned(),
                    updated_at: moment.wall.to_owned(),
                    ended_at: None,
                    by_hand: self.given_by_hand(&to),
                    to,
                    set,
                    rollout,
                };
                self.start(running, who, moment)
            }
            Change::Observed(observation) if self.running().is_some() => {
                Ok(self.drive(&Input::Observed(observation), moment))
            }
            Change::Observed(observation) if self.guard.is_some() => Ok(self.guarded(observation, moment)),
            Change::Observed(observation) => Ok(self.observed_by_hand(observation, moment)),
            Change::GoOn => Ok(self.drive(&Input::GoOn, moment)),
            Change::Undone { by, caution } => Ok(self.undo_with_set(by, caution, moment)),
            Change::Elapsed => Ok(self.drive(&Input::Elapsed, moment)),
            Change::Asked { id, action, who } => self.ask(id, action, who, moment),
            Change::Done { id, work, result } => Ok(self.done(id, work, result, moment)),
            Change::Drain { pool, upstream, drains, who } => self.drain(pool, upstream, drains, who, moment),
            Change::Upstreams { pool, set, addresses, who } => {
                self.set_upstreams(pool, set, &addresses, who, moment)
            }
            Change::Containers { now, sets } => Ok(self.set_containers(now, sets, moment)),
        }
    }
}
