//! The watch over weights that were set by hand to a pool that is not stable.
//!
//! A pool that an operator gives weight has users like a candidate, and its users are protected like a candidate's:
//! a verdict that fails takes the weight back to stable, and the version is quarantined like an aborted one. Of several
//! such pools the one with the most weight is watched; once it has none, the next. A rollout has a watch of its own,
//! and so has a promotion: this one rests meanwhile. It gives nobody traffic and promotes nothing: a hold is shown,
//! and nothing follows from it. Whether weights are watched at all is the caller's business, who feeds it.

use super::change::{Applied, Moment, Order};
use super::{QuarantineCause, ServiceState};
use crate::core::event::Event;
use crate::core::rollout::{LookClock, Note, Observation};
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The watch over one pool's weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandWatch {
    pub pool: String,
    /// How long it has been watched.
    pub passed: Duration,
    /// The last verdict.
    pub verdict: Verdict,
    #[serde(skip)]
    looked: LookClock,
}

/// The last time that a weight set by hand was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The number of the state that it led to: what is marked until it is durable.
    pub seq: u64,
    pub pool: String,
    pub weight: BasisPoints,
    pub verdict: Verdict,
    /// Other pools that lost theirs by the same change: only a start takes back several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl ServiceState {
    /// The watch over weights set by hand, where it is not the turn of another one.
    pub fn watched_by_hand(&self) -> Option<&HandWatch> {
        self.hand.as_ref().filter(|_| self.running().is_none() && self.guard.is_none())
    }

    /// The pool that is not stable and has the most weight, while nothing but an operator gives weight.
    fn heaviest_by_hand(&self) -> Option<&str> {
        if self.running().is_some_and(|running| running.rollout.moves_traffic()) {
            return None;
        }
        let others = self
            .weights
            .iter()
            .filter(|(pool, weight)| **pool != self.stable && **weight > BasisPoints::ZERO);
        others.max_by_key(|(_, weight)| **weight).map(|(pool, _)| pool.as_str())
    }

    /// The weight of a pool that is not stable, which an operator gave it where no rollout runs.
    pub(super) fn given_by_hand(&self, pool: &str) -> BasisPoints {
        let weight = self.weights.get(pool).filter(|_| pool != self.stable);
        weight.copied().unwrap_or_default()
    }

    /// Brings the watch in line with the weights.
    pub(super) fn follow_hand(&mut self) {
        let known = self.hand.as_ref().map(|hand| hand.pool.as_str());
        let heaviest = self.heaviest_by_hand();
        if heaviest != known {
            self.hand = heaviest.map(|pool| HandWatch {
                pool: pool.to_owned(),
                passed: Duration::ZERO,
                verdict: Verdict::default(),
                looked: LookClock::default(),
            });
        }
    }

    /// What is seen of the pool that is watched (`seen.stable_ready` is about stable).
    pub(super) fn observed_by_hand(&self, seen: &Observation, moment: Moment<'_>) -> Applied {
        let mut next = self.clone();
        let quiet = |state| Applied { state, notes: Vec::new(), order: Order::Quiet };
        let Some(hand) = next.hand.as_mut() else { return quiet(next) };
        hand.passed += hand.looked.since_last(moment.now);
        hand.verdict = seen.verdict.clone();
        if let Err(why) = &seen.candidate {
            let text = format!("health: no upstream is ready ({why})");
            hand.verdict.state = State::Fail;
            hand.verdict.reasons.insert(0, Reason::condition("health", Level::Critical, text));
        }
        // Nobody is helped by a weight on a pool that is down.
        if hand.verdict.state != State::Fail || !seen.stable_ready {
            return quiet(next);
        }
        let (pool, verdict) = (hand.pool.clone(), hand.verdict.clone());
        let why = verdict.reasons.first().map_or("the policy failed it", |reason| &reason.text).to_owned();
        next.take_weight(&pool, verdict, &why, moment.wall)
    }

    /// A weight was taken back in effect, in a process that ended before that was written: once more. What was being
    /// written at the time may have become durable all the same, a flip or the start of a rollout, too.
    pub(super) fn take_weight_again(&self, pool: &str, why: &str, wall: &str) -> Applied {
        let mut next = self.clone();
        let before = [self.previous.as_deref(), self.void.as_ref().map(|void| void.pool.as_str())];
        let is_there = |other: &&str| *other != pool && self.weights.contains_key(*other);
        let before = before.into_iter().flatten().find(is_there).map(str::to_owned);
        if let Some(before) = before.filter(|_| self.stable == pool) {
            next.guard = None;
            next.go_back(&before, QuarantineCause::Aborted, why, wall);
        }
        next.take_weight(pool, Verdict::default(), why, wall)
    }

    fn take_weight(mut self, pool: &str, verdict: Verdict, why: &str, wall: &str) -> Applied {
        let mut weight = BasisPoints::ZERO;
        if pool != self.stable
            && let Some(slot) = self.weights.get_mut(pool)
        {
            weight = std::mem::take(slot);
        }
        let stable = self.stable.clone();
        let own = self.weights.get(&stable).copied().unwrap_or_default();
        self.weights.insert(stable.clone(), own.plus(weight));
        if pool != stable {
            self.set_quarantine(pool, QuarantineCause::Aborted, why, wall);
        }
        self.seq += 1;
        self.taken =
            Some(TakenBack { seq: self.seq, pool: pool.to_owned(), weight, verdict, also: Vec::new() });
        let text = format!(
            "the weight of {} that was set by hand, {weight}, was taken back to {}: {why}",
            self.version_on(pool),
            self.version_on(&stable)
        );
        let notes = vec![Note { event: Event::TakenBack, text }];
        Applied { state: self, notes, order: Order::EffectFirst }
    }
}

#[cfg(test)]
mod tests;
