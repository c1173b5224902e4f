//! One service's weights and roles, and who may change them.
//!
//! Everything that moves weight goes through [`ServiceState::apply`]: operators' weights, flips and
//! rollbacks, and a running rollout, which owns the weights until it ends. Each change says in which
//! order it becomes durable and takes effect: what gives traffic to somebody is journaled first; an
//! abort takes effect first.

mod back;
mod by_hand;
mod change;
#[cfg(test)]
mod clients;
mod containers;
mod drive;
mod idle;
mod operate;
mod record;
mod recovery;
mod refuge;
mod set;
mod sound;
#[cfg(test)]
pub(crate) mod tests;
mod together;

pub use by_hand::{HandWatch, TakenBack};
pub use change::{Applied, Caution, Change, Denied, Moment, Order};
pub use idle::IDLE;
pub use record::{PoolRecord, Quarantine, QuarantineCause, Void};
pub use recovery::{Aborts, Configured, Recovery, Remains};
pub use refuge::Coverage;
pub use set::{Member, SetMove, SetPart, Standing, Undone, set_moves};

use super::container::PoolContainers;
use super::rollout::{Guard, Rollout, Work};
use super::settings::upstream::Upstream;
use super::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The durable state of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    pub stable: String,
    /// Where a rollback goes.
    pub previous: Option<String>,
    /// Why it goes nowhere, where a pool was stable before.
    #[serde(default)]
    pub void: Option<Void>,
    /// What is known of the versions in the pools; some that are no longer configured are kept.
    #[serde(default)]
    pub pools: BTreeMap<String, PoolRecord>,
    /// Of every configured pool; they sum to 100 %.
    pub weights: BTreeMap<String, BasisPoints>,
    /// Grows with every change of this state: what `If-Match` is held against, and what ids are made of. What is
    /// shown as the revision counts the news of the process as well.
    #[serde(rename = "revision")]
    pub seq: u64,
    /// The running rollout, or the last one that ended.
    pub rollout: Option<Running>,
    /// The watch over what the last rollout promoted.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// The watch over weights that were set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand: Option<HandWatch>,
    /// The last time that such a weight was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<TakenBack>,
    /// Pool and upstream of those that get no new requests.
    #[serde(default)]
    pub draining: BTreeSet<(String, String)>,
    /// The upstreams of pools whose set was registered; the others have the configuration's.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Vec<Upstream>>,
    /// The containers of pools, beside these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<String, PoolContainers>,
}

/// A rollout with the pools it is about. Times are RFC 3339 texts, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub id: String,
    pub from: String,
    pub to: String,
    pub version: Option<String>,
    /// The name of its policy, where it is another than the service's.
    pub policy: Option<String>,
    pub started_at: String,
    pub updated_at: String,
    pub ended_at: Option<String>,
    /// What an operator had given the candidate before it began.
    #[serde(default, skip_serializing_if = "BasisPoints::is_zero")]
    pub by_hand: BasisPoints,
    /// Its part in a rollout of several services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetPart>,
    pub rollout: Rollout,
}

impl ServiceState {
    /// A service that nothing is known of yet: all traffic on its stable pool.
    pub fn new<'a>(stable: &str, pools: impl IntoIterator<Item = &'a str>) -> Self {
        let mut weights: BTreeMap<_, _> =
            pools.into_iter().map(|p| (p.to_owned(), BasisPoints::ZERO)).collect();
        weights.insert(stable.to_owned(), BasisPoints::FULL);
        ServiceState {
            stable: stable.to_owned(),
            previous: None,
            void: None,
            pools: BTreeMap::new(),
            weights,
            seq: 1,
            rollout: None,
            guard: None,
            hand: None,
            taken: None,
            draining: BTreeSet::new(),
            upstreams: BTreeMap::new(),
            containers: BTreeMap::new(),
        }
    }

    /// What is wanted done outside of this process: by the running rollout, or by the watch that follows
    /// a promotion; with the id of the rollout.
    pub fn work(&self) -> Vec<(&str, Work)> {
        if let Some(running) = self.running() {
            return running.rollout.work().into_iter().map(|work| (running.id.as_str(), work)).collect();
        }
        let guard = self.guard.as_ref();
        guard.and_then(|guard| Some((guard.rollout.as_str(), guard.work()?))).into_iter().collect()
    }

    /// The rollout that owns the weights now.
    pub fn running(&self) -> Option<&Running> {
        self.rollout.as_ref().filter(|running| !running.rollout.has_ended())
    }

    /// The state for another set of pools at a start, when nobody can be refused any more: where a pool
    /// that had traffic is gone, stable gets all of it; where stable is, the `configured` one, or another where
    /// that one's version is quarantined. Only where every pool's is, the configured one serves all the same.
    pub fn fitted<'a>(
        &self,
        pools: impl IntoIterator<Item = &'a str> + Clone,
        configured: &str,
    ) -> ServiceState {
        let known: BTreeSet<&str> = pools.clone().into_iter().collect();
        let mut next = self.clone();
        if !known.contains(next.stable.as_str()) {
            let previous = next.previous.as_deref().filter(|pool| known.contains(pool));
            let fit = [Some(configured), previous].into_iter().flatten().chain(known.iter().copied());
            let fit = fit.filter(|pool| next.unfit(pool).is_none()).map(str::to_owned).next();
            next.stable = fit.unwrap_or_else(|| configured.to_owned());
            (next.previous, next.void, next.guard) = (None, None, None);
            let stable = next.stable.clone();
            next.lift_quarantine(&stable);
        }
        for pool in self.weights.keys().filter(|pool| !known.contains(pool.as_str())) {
            next.weights.remove(pool);
        }
        next.weights.entry(next.stable.clone()).or_default();
        let stable = next.stable.clone();
        next.give_all(&stable);
        next.reconcile(pools).unwrap_or(next)
    }

    /// The state for another set of pools, after a reload.
    ///
    /// # Errors
    /// A sentence for each pool that would go and must not: the ones with weight, stable, or a part of
    /// the running rollout.
    pub fn reconcile<'a>(
        &self,
        pools: impl IntoIterator<Item = &'a str>,
    ) -> Result<ServiceState, Vec<String>> {
        let mut next = self.clone();
        next.weights = pools.into_iter().map(|p| (p.to_owned(), BasisPoints::ZERO)).collect();
        let mut faults = Vec::new();
        for (pool, weight) in &self.weights {
            if let Some(slot) = next.weights.get_mut(pool) {
                *slot = *weight;
                continue;
            }
            let rollout = self.running().filter(|running| running.from == *pool || running.to == *pool);
            if *weight > BasisPoints::ZERO {
                faults.push(format!("pool {pool} still has {weight} of the traffic; move it away first"));
            } else if *pool == self.stable {
                faults.push(format!("pool {pool} is stable; flip to another pool first"));
            } else if let Some(running) = rollout {
                faults.push(format!(
                    "pool {pool} is part of the running rollout {}; abort it first",
                    running.id
                ));
            }
        }
        next.previous = self.previous.clone().filter(|pool| next.weights.contains_key(pool));
        next.void = next.void.filter(|void| next.weights.contains_key(&void.pool));
        next.guard = next.guard.filter(|guard| next.weights.contains_key(&guard.pool));
        next.follow_hand();
        next.draining.retain(|(pool, _)| next.weights.contains_key(pool));
        next.upstreams.retain(|pool, _| next.weights.contains_key(pool));
        if faults.is_empty() { Ok(next) } else { Err(faults) }
    }
}
