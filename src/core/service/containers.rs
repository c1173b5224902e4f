//! The containers of a service's pools, as far as they must be known after a restart.

use super::{Applied, Moment, ServiceState};
use crate::core::container::PoolContainers;
use crate::core::event::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl ServiceState {
    /// Whether these containers are those that it knows of.
    pub fn knows_containers(&self, now: &BTreeMap<Arc<str>, PoolContainers>) -> bool {
        let known = |(pool, known): (&String, &PoolContainers)| {
            let now = now.get(pool.as_str()).cloned().unwrap_or_default();
            now.after(known) == *known
        };
        let is_known = |(pool, now): (&Arc<str>, &PoolContainers)| {
            now.is_empty() || self.containers.contains_key(&**pool) || !self.weights.contains_key(&**pool)
        };
        self.containers.iter().all(known) && now.iter().all(is_known)
    }

    /// Takes in the containers that there are now; `sets` are the other upstreams of every pool.
    pub(super) fn set_containers(
        &self,
        now: &BTreeMap<Arc<str>, PoolContainers>,
        sets: &BTreeMap<String, BTreeSet<String>>,
        moment: Moment<'_>,
    ) -> Applied {
        let mut next = self.clone();
        let mut texts = Vec::new();
        let mut others = BTreeMap::new();
        for (pool, set) in sets {
            let before = self.containers.get(pool).cloned().unwrap_or_default();
            let after = now.get(pool.as_str()).cloned().unwrap_or_default().after(&before);
            if after == before {
                continue;
            }
            texts.extend(change_of(pool, &before, &after));
            next.keep_drains(pool, &after);
            next.containers.insert(pool.clone(), after);
            others.insert(pool.clone(), set.clone());
        }
        let follow = next.note_upstreams(&others, true, moment.wall);
        match texts.is_empty() {
            // A container that is reached elsewhere, or is known no longer: nobody asks for the reason.
            true => Applied { state: next, notes: follow, order: super::Order::EffectFirst },
            false => {
                let mut applied = next.journaled(Event::Upstreams, texts.join("; "));
                applied.notes.extend(follow);
                Applied { order: super::Order::EffectFirst, ..applied }
            }
        }
    }

    /// A container that is gone for good takes its drain along; the instances of a rolling update keep theirs.
    fn keep_drains(&mut self, pool: &str, after: &PoolContainers) {
        let Some(before) = self.containers.get(pool) else { return };
        if self.running().is_some_and(|running| running.to == pool && running.rollout.is_rolling()) {
            return;
        }
        let label = |identity: &String| identity.rsplit_once('@').map(|(label, _)| label.to_owned());
        let gone = before.existing.difference(&after.existing).filter_map(label);
        for label in gone {
            self.draining.remove(&(pool.to_owned(), label));
        }
    }
}

/// Which have come and gone, in words.
fn change_of(pool: &str, before: &PoolContainers, after: &PoolContainers) -> Option<String> {
    let running = |of: &PoolContainers| -> BTreeSet<String> {
        of.upstreams.iter().map(|upstream| upstream.identity()).collect()
    };
    let (before, after) = (running(before), running(after));
    let names = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let names: Vec<&str> = one.difference(other).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let come = names(&after, &before).map(|names| format!("{pool} has {names}, started in Docker"));
    let gone = names(&before, &after).map(|names| format!("{names} of {pool} ended in Docker"));
    let said: Vec<String> = come.into_iter().chain(gone).collect();
    (!said.is_empty()).then(|| said.join("; "))
}
