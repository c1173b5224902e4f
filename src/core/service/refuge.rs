//! Who serves while no pool with weight can.
//!
//! What a pool that is down would have had goes to the pools that are up and have weight, in proportion. Where
//! there is none, another pool may stand in: a refuge. A version that was aborted, failed its smoke tests, was
//! rolled back, or is on its way to its first traffic (it may wait at a gate) is none: users get 503 with
//! `Retry-After` rather than a version that is known to be bad, or not known at all.

use super::ServiceState;
use crate::core::refuge::Refuge;
use crate::core::rollout::Phase;
use crate::core::weight::BasisPoints;
use std::collections::BTreeMap;

/// Who takes the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Pools with weight.
    #[default]
    Weights,
    /// This one, in their place.
    Refuge(String),
    /// There is none.
    Nobody,
}

impl ServiceState {
    /// The weights that traffic is split by: no pool that is down has any while another may serve. A pool with a
    /// quarantined version never has more than an operator has forced. With nobody to serve, the weights stand
    /// as they are, and their pools refuse.
    pub fn effective_weights<'a>(
        &'a self,
        up: impl Fn(&str) -> bool,
        refuge: Refuge,
    ) -> BTreeMap<&'a str, BasisPoints> {
        let capped = |(pool, weight): (&'a String, &BasisPoints)| {
            let forced = self.quarantine(pool).map(|quarantine| quarantine.forced);
            (pool.as_str(), forced.map_or(*weight, |forced| forced.min(*weight)))
        };
        let nominal: BTreeMap<_, _> = self.weights.iter().map(capped).collect();
        let mut kept = nominal.clone();
        for (pool, weight) in &mut kept {
            if !up(pool) {
                *weight = BasisPoints::ZERO;
            }
        }
        let is_sound = |pool: &str| self.quarantine(pool).is_none();
        let mut shares: Vec<(&str, u32)> = kept
            .iter()
            .filter(|(pool, weight)| **weight > BasisPoints::ZERO && is_sound(pool))
            .map(|(pool, weight)| (*pool, u32::from(weight.get())))
            .collect();
        if shares.is_empty() {
            match self.refuge(&up, refuge) {
                Some(pool) => shares.push((pool, 1)),
                None => return self.refused(nominal),
            }
        }
        let forced =
            kept.iter().filter(|(pool, _)| !is_sound(pool) && shares.iter().all(|(sound, _)| sound != *pool));
        let forced: u32 = forced.map(|(_, weight)| u32::from(weight.get())).sum();
        share_out(&mut kept, &shares, u32::from(BasisPoints::FULL.get()).saturating_sub(forced));
        kept
    }

    /// The weights while nobody serves: requests go to pools that are down, and so nowhere.
    fn refused<'a>(&'a self, mut weights: BTreeMap<&'a str, BasisPoints>) -> BTreeMap<&'a str, BasisPoints> {
        if weights.values().all(|weight| *weight == BasisPoints::ZERO) {
            weights.insert(&self.stable, BasisPoints::FULL);
        }
        weights
    }

    /// Who serves, now that so many are up.
    pub fn coverage(&self, up: impl Fn(&str) -> bool, refuge: Refuge) -> Coverage {
        let serves = |(pool, weight): (&String, &BasisPoints)| {
            *weight > BasisPoints::ZERO && up(pool) && self.quarantine(pool).is_none()
        };
        if self.weights.iter().any(serves) {
            return Coverage::Weights;
        }
        self.refuge(&up, refuge).map_or(Coverage::Nobody, |pool| Coverage::Refuge(pool.to_owned()))
    }

    fn refuge(&self, up: &impl Fn(&str) -> bool, refuge: Refuge) -> Option<&str> {
        let preferred = [Some(self.stable.as_str()), self.previous.as_deref()].into_iter().flatten();
        let all = || preferred.clone().chain(self.weights.keys().map(String::as_str)).filter(|pool| up(pool));
        match refuge {
            Refuge::None => None,
            Refuge::Healthy => all().find(|pool| self.unfit(pool).is_none()),
            Refuge::Any => all().find(|pool| self.unfit(pool).is_none()).or_else(|| all().next()),
        }
    }

    /// Whether a pool serves what could not be sent to another one: it has weight, nothing is held against its version,
    /// and it waits at no gate.
    pub fn takes_over(&self, pool: &str) -> bool {
        let has_weight = self.weights.get(pool).is_some_and(|weight| !weight.is_zero());
        let at_gate = self.running().is_some_and(|r| r.to == pool && r.rollout.awaits_approval());
        has_weight && !at_gate && self.quarantine(pool).is_none()
    }

    /// Why a pool is no refuge, if it is none.
    pub fn unfit(&self, pool: &str) -> Option<String> {
        if pool == self.stable {
            return None;
        }
        if let Some(quarantine) = self.quarantine(pool) {
            return Some(quarantine.sentence(pool));
        }
        let last = self.rollout.as_ref().filter(|last| last.to == pool)?;
        match last.rollout.phase {
            Phase::Promoted => None,
            Phase::Aborted => Some(format!("the last rollout to {pool} was aborted")),
            _ => Some(format!("{} has not passed its rollout yet", self.version_on(pool))),
        }
    }
}

/// Shares `whole` out over some pools; the first gets what is left by rounding.
fn share_out<'a>(kept: &mut BTreeMap<&'a str, BasisPoints>, shares: &[(&'a str, u32)], whole: u32) {
    let sum: u32 = shares.iter().map(|(_, share)| share).sum::<u32>().max(1);
    let part = |share: u32| share * whole / sum;
    let left = whole - shares.iter().map(|(_, share)| part(*share)).sum::<u32>();
    for (index, (pool, share)) in shares.iter().enumerate() {
        let given = part(*share) + if index == 0 { left } else { 0 };
        let given = u16::try_from(given).ok().and_then(BasisPoints::new).unwrap_or_default();
        if let Some(weight) = kept.get_mut(pool) {
            *weight = given;
        }
    }
}
