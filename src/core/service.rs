//! One service's weights and roles, and who may change them.
//!
//! Everything that moves weight goes through [`ServiceState::apply`]: operators' weights, flips and
//! rollbacks, and a running rollout, which owns the weights until it ends. Each change says in which
//! order it becomes durable and takes effect: what gives traffic to somebody is journaled first; an
//! abort takes effect first.

mod change;
#[cfg(test)]
mod clients;
mod drive;
mod operate;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use change::{Applied, Change, Denied, Moment, Order};

use super::rollout::{Guard, Rollout, Work};
use super::settings::Upstream;
use super::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The durable state of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    pub stable: String,
    /// Where a rollback goes.
    pub previous: Option<String>,
    /// Of every configured pool; they sum to 100 %.
    pub weights: BTreeMap<String, BasisPoints>,
    /// Grows with every change that is published or journaled.
    pub revision: u64,
    /// The running rollout, or the last one that ended.
    pub rollout: Option<Running>,
    /// The watch over what the last rollout promoted.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// Pool and upstream of those that get no new requests.
    #[serde(default)]
    pub draining: BTreeSet<(String, String)>,
    /// The upstreams of pools whose set was registered; the others have the configuration's.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Vec<Upstream>>,
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
            weights,
            revision: 1,
            rollout: None,
            guard: None,
            draining: BTreeSet::new(),
            upstreams: BTreeMap::new(),
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

    /// The weights that traffic is split by: no pool that is down has any while another is up. What a
    /// pool that is down would have had goes to the pools that are up and have weight, in proportion;
    /// to stable, or else to any pool that is up but the aborted candidate, when none has. With all
    /// down, the weights stand as they are.
    pub fn effective_weights(&self, up: impl Fn(&str) -> bool) -> BTreeMap<&str, BasisPoints> {
        let nominal = || self.weights.iter().map(|(pool, weight)| (pool.as_str(), *weight));
        if self.weights.keys().all(|pool| !up(pool)) {
            return nominal().collect();
        }
        let kept = nominal().map(|(pool, weight)| (pool, if up(pool) { weight } else { BasisPoints::ZERO }));
        let mut kept: BTreeMap<_, _> = kept.collect();
        if kept.values().all(|weight| *weight == BasisPoints::ZERO) {
            let refuge = self.refuge(&up).unwrap_or(&self.stable);
            kept.insert(refuge, BasisPoints::FULL);
        }
        kept
    }

    /// Who takes the traffic when no pool with weight is up. An aborted candidate comes last: it serves
    /// only where the alternative is no service at all.
    fn refuge(&self, up: &impl Fn(&str) -> bool) -> Option<&str> {
        let candidate = self.rollout.as_ref().map(|running| running.to.as_str());
        let all = || self.weights.keys().map(String::as_str).filter(|pool| up(pool));
        let preferred = [Some(self.stable.as_str()), self.previous.as_deref()].into_iter().flatten();
        preferred
            .filter(|pool| up(pool) && Some(*pool) != candidate)
            .chain(all())
            .find(|pool| Some(*pool) != candidate || all().all(|other| Some(other) == candidate))
    }

    /// The state for another set of pools at a start, when nobody can be refused any more: where a pool
    /// that had traffic is gone, stable gets all of it; where stable is, the `configured` one.
    pub fn fitted<'a>(
        &self,
        pools: impl IntoIterator<Item = &'a str> + Clone,
        configured: &str,
    ) -> ServiceState {
        let known: BTreeSet<&str> = pools.clone().into_iter().collect();
        let mut next = self.clone();
        if !known.contains(next.stable.as_str()) {
            (next.stable, next.previous, next.guard) = (configured.to_owned(), None, None);
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
        next.guard = next.guard.filter(|guard| next.weights.contains_key(&guard.pool));
        next.draining.retain(|(pool, _)| next.weights.contains_key(pool));
        next.upstreams.retain(|pool, _| next.weights.contains_key(pool));
        if faults.is_empty() { Ok(next) } else { Err(faults) }
    }
}
