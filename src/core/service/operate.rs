//! What operators ask of a service: weights, flips, drains, sets of upstreams.

use super::change::{Applied, Caution, Denied, Moment, Order};
use super::{Running, ServiceState};
use crate::core::event::Event;
use crate::core::rollout::{Input, Note, Stage};
use crate::core::settings::upstream::Upstream;
use crate::core::weight::BasisPoints;
use std::collections::{BTreeMap, BTreeSet};

impl ServiceState {
    pub(super) fn set_weights(
        &self,
        asked: &BTreeMap<String, BasisPoints>,
        caution: Caution<'_>,
        who: &str,
    ) -> Result<Applied, Denied> {
        let unknown = asked.keys().filter(|pool| !self.weights.contains_key(*pool));
        let mut faults: Vec<_> = unknown.map(|pool| (pool.clone(), self.no_such_pool(pool))).collect();
        let sum: u32 = asked.values().map(|weight| u32::from(weight.get())).sum();
        if sum != 10_000 {
            faults.push((String::new(), format!("the weights sum to {}, not 100", f64::from(sum) / 100.0)));
        }
        if !faults.is_empty() {
            return Err(Denied::Invalid(faults));
        }
        // A dry run owns nothing: the operator gives its candidate traffic.
        if !self.running().is_some_and(|running| running.rollout.plan.dry_run) {
            self.free_of_rollout("change the weights")?;
        }
        let gains = |pool: &&String| {
            let given = asked.get(*pool).copied().unwrap_or_default();
            self.weights.get(*pool).is_some_and(|weight| given > *weight)
        };
        let gaining: Vec<&String> = self.weights.keys().filter(gains).collect();
        let forced = self.allow(gaining.iter().map(|pool| pool.as_str()), caution)?;
        let mut next = self.clone();
        next.guard = None;
        next.leave_set();
        for pool in &gaining {
            next.name_anew(pool);
        }
        for (pool, weight) in &mut next.weights {
            *weight = asked.get(pool).copied().unwrap_or_default();
            if let Some(quarantine) = next.pools.get_mut(pool).and_then(|record| record.quarantine.as_mut()) {
                let is_forced = gaining.contains(&pool);
                quarantine.forced = if is_forced { *weight } else { quarantine.forced.min(*weight) };
            }
        }
        let parts: Vec<_> = asked.iter().map(|(pool, weight)| format!("{pool} {weight}")).collect();
        Ok(next.journaled(Event::Weights, format!("weights set by {who}: {}{forced}", parts.join(", "))))
    }

    pub(super) fn flip(&self, to: &str, caution: Caution<'_>, who: &str) -> Result<Applied, Denied> {
        self.known("to", to)?;
        self.free_of_rollout("flip")?;
        let gains = self.weights.get(to).is_some_and(|weight| *weight < BasisPoints::FULL);
        let forced = self.allow(gains.then_some(to).into_iter(), caution)?;
        let mut next = self.clone();
        next.guard = None;
        next.leave_set();
        if next.stable != to {
            next.previous = Some(std::mem::replace(&mut next.stable, to.to_owned()));
            next.void = None;
        }
        next.lift_quarantine(to);
        next.give_all(to);
        Ok(next.journaled(Event::Flip, format!("flipped to {} by {who}{forced}", self.version_on(to))))
    }

    /// Whether the upstream exists, and whether others can take over, is known to the caller.
    pub(super) fn drain(
        &self,
        pool: &str,
        upstream: &str,
        drains: bool,
        who: &str,
        moment: Moment<'_>,
    ) -> Result<Applied, Denied> {
        if let Some((running, stage)) = self.in_update(pool, upstream) {
            return match (drains, stage) {
                (false, Stage::Updating) => Ok(self.drive(&Input::Updated { upstream, who }, moment)),
                (false, Stage::Proving | Stage::Testing) | (true, _) => Ok(self.unchanged()),
                _ => Err(Denied::Conflict {
                    detail: format!("{upstream} is being drained by the rolling update {}", running.id),
                    rollout: Some(running.id.clone()),
                }),
            };
        }
        let mut next = self.clone();
        let place = (pool.to_owned(), upstream.to_owned());
        let changed = if drains { next.draining.insert(place) } else { next.draining.remove(&place) };
        if !changed {
            return Ok(self.unchanged());
        }
        Ok(match drains {
            true => next.journaled(Event::Drain, format!("{upstream} of {pool} drained by {who}")),
            false => next.journaled(Event::Ready, format!("{upstream} of {pool} taken back by {who}")),
        })
    }

    /// The rolling update that keeps an upstream from its requests, and how far it is with it.
    fn in_update(&self, pool: &str, upstream: &str) -> Option<(&Running, Stage)> {
        let running = self.running().filter(|running| running.to == pool)?;
        let instance = running.rollout.instances.iter().find(|i| i.upstream == upstream && i.is_out())?;
        Some((running, instance.stage))
    }

    pub(super) fn set_upstreams(
        &self,
        pool: &str,
        set: Option<Vec<Upstream>>,
        addresses: &BTreeSet<String>,
        who: &str,
        moment: Moment<'_>,
    ) -> Result<Applied, Denied> {
        let rolling = self.running().filter(|r| r.to == pool && r.rollout.is_rolling());
        if let Some(running) = rolling {
            let detail =
                format!("the rolling update {} goes through these upstreams; abort it first", running.id);
            return Err(Denied::Conflict { detail, rollout: Some(running.id.clone()) });
        }
        if self.upstreams.get(pool) == set.as_ref() {
            return Ok(self.unchanged());
        }
        let mut next = self.clone();
        let text = match &set {
            None => format!("{pool} has the configuration's upstreams again, by {who}"),
            Some(set) => {
                let names: Vec<&str> = set.iter().map(|upstream| &*upstream.address).collect();
                format!("{pool} has the upstreams {}, registered by {who}", names.join(", "))
            }
        };
        let named = set.is_some();
        match set {
            None => drop(next.upstreams.remove(pool)),
            Some(set) => {
                let known = |label: &str| set.iter().any(|upstream| &*upstream.address == label);
                next.draining.retain(|(other, label)| other != pool || known(label));
                next.upstreams.insert(pool.to_owned(), set);
            }
        }
        let sets = BTreeMap::from([(pool.to_owned(), addresses.clone())]);
        let follow = next.note_upstreams(&sets, named, moment.wall);
        let mut applied = next.journaled(Event::Upstreams, text);
        applied.notes.extend(follow);
        Ok(applied)
    }

    fn unchanged(&self) -> Applied {
        Applied { state: self.clone(), notes: Vec::new(), order: Order::Quiet }
    }

    pub(super) fn journaled(mut self, event: Event, text: String) -> Applied {
        self.seq += 1;
        Applied { state: self, notes: vec![Note { event, text }], order: Order::JournalFirst }
    }

    pub(super) fn known(&self, path: &str, pool: &str) -> Result<(), Denied> {
        if self.weights.contains_key(pool) {
            return Ok(());
        }
        Err(Denied::Invalid(vec![(path.to_owned(), self.no_such_pool(pool))]))
    }

    fn no_such_pool(&self, pool: &str) -> String {
        let pools: Vec<&str> = self.weights.keys().map(String::as_str).collect();
        format!("there is no pool {pool}; there are {}", pools.join(", "))
    }

    pub(super) fn free_of_rollout(&self, what: &str) -> Result<(), Denied> {
        let Some(running) = self.running() else { return Ok(()) };
        let detail =
            format!("cannot {what} while the rollout {} runs; promote or abort it first", running.id);
        Err(Denied::Conflict { detail, rollout: Some(running.id.clone()) })
    }
}
