//! What a service comes back as: after a crash, a stop, or an upgrade that failed.
//!
//! A stored state may be older than what was in effect: an abort takes effect before it is written, so the marks of
//! aborts are held against it, and what they say is undone once more. It may also not fit the configuration any
//! more: a rollout whose pools or upstreams are gone is aborted, a stable pool that is gone hands over. All else
//! goes on where it stood; evidence is gathered from zero. The start of the process and the simulation of rollouts
//! ask the same function, and neither knows of a disk here.

use super::change::{Change, Moment};
use super::{PoolRecord, ServiceState};
use crate::core::duration;
use crate::core::event::Event;
use crate::core::rollout::{Action, Note};
use crate::core::settings::upstream::Upstream;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the configuration says of a service's pools.
#[derive(Clone, Copy, Debug)]
pub struct Configured<'a> {
    pub stable: &'a str,
    /// The addresses that it names, by pool.
    pub sets: &'a BTreeMap<String, BTreeSet<String>>,
}

/// The marks of aborts that took effect and may not have become durable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aborts<'a> {
    /// The ids of the rollouts.
    pub rollouts: &'a [String],
    /// Weights set by hand that were taken back: the number of the state that the last of them led to, and the pools,
    /// with commas between them.
    pub weights: Option<(u64, &'a str)>,
    /// Why there may have been more.
    pub lost: Option<&'a str>,
}

/// What is known of a service whose state was lost.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// The pool that was stable last.
    pub stable: Option<String>,
    /// The upstreams that were registered then.
    pub upstreams: BTreeMap<String, Vec<Upstream>>,
}

/// A service as it comes back.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub state: ServiceState,
    /// What the history tells of it; nothing where it is as it was.
    pub notes: Vec<Note>,
    /// What an operator should know at once, where the configuration took traffic away.
    pub warning: Option<String>,
}

impl Configured<'_> {
    fn pools(&self) -> impl Iterator<Item = &str> + Clone {
        self.sets.keys().map(String::as_str)
    }

    /// The addresses of every pool: those that are registered, else the file's.
    fn addresses(&self, state: &ServiceState) -> BTreeMap<String, BTreeSet<String>> {
        let set = |(pool, file): (&String, &BTreeSet<String>)| {
            let named = state.upstreams.get(pool);
            let named = named.map(|set| set.iter().map(|upstream| upstream.address.to_string()).collect());
            (pool.clone(), named.unwrap_or_else(|| file.clone()))
        };
        self.sets.iter().map(set).collect()
    }
}

impl Recovery {
    /// A service that nothing is stored of.
    pub fn fresh(configured: Configured<'_>, wall: &str) -> Self {
        let mut state = ServiceState::new(configured.stable, configured.pools());
        state.note_upstreams(configured.sets, false, wall);
        Recovery::as_it_is(state)
    }

    /// A service whose state was lost, or cannot be right: all traffic on the pool that was stable last, as far as
    /// that is known, and no rollout.
    pub fn degraded(configured: Configured<'_>, remains: Remains, why: &str, wall: &str) -> Self {
        let mut state = Recovery::fresh(configured, wall).state;
        let mut from = "the one of the configuration";
        if let Some(stable) = remains.stable.filter(|stable| configured.sets.contains_key(stable)) {
            state.stable.clone_from(&stable);
            state.give_all(&stable);
            from = "the last one that is known to have been stable";
        }
        state.upstreams = remains.upstreams;
        state.upstreams.retain(|pool, _| configured.sets.contains_key(pool));
        state.note_upstreams(&configured.addresses(&state), false, wall);
        state.distrust_others(wall);
        let text =
            format!("started degraded: all traffic on {}, {from}, and no rollout: {why}", state.stable);
        let mut recovery = Recovery::as_it_is(state);
        recovery.say(text);
        recovery
    }

    /// A service that is stored: goes on with a running rollout or a watch, unless that would be unsafe. `who`
    /// signs what is undone.
    pub fn of(
        stored: ServiceState,
        configured: Configured<'_>,
        aborts: Aborts<'_>,
        who: &str,
        moment: Moment<'_>,
    ) -> Self {
        let records = stored.pools.clone();
        let mut recovery = Recovery::as_it_is(stored);
        if let Some(last) = &mut recovery.state.rollout {
            last.rollout.come_back(moment.now, moment.wall);
            let why = last.rollout.evidence_lost();
            let paused =
                |why| Note { event: Event::Paused, text: format!("paused: {why}; resume or abort it") };
            recovery.notes.extend(why.map(paused));
        }
        recovery.note_first(configured, moment);
        // Before anything is aborted again: where a version lies counts.
        recovery.note_upstreams(configured, moment);
        recovery.undo_again(aborts.rollouts, &records, who, moment);
        recovery.take_weights_again(aborts.weights, &records, who, moment);
        recovery.give_up(configured, aborts.lost, who, moment);
        recovery.fit(configured);
        recovery.note_upstreams(configured, moment);
        recovery.state.follow_hand();
        recovery.go_on();
        recovery
    }

    fn as_it_is(state: ServiceState) -> Self {
        Recovery { state, notes: Vec::new(), warning: None }
    }

    /// Aborts again what had been aborted. An abort overtakes what is being written, a promotion too: where
    /// that had become durable all the same, it is taken back.
    fn undo_again(
        &mut self,
        aborted: &[String],
        records: &BTreeMap<String, PoolRecord>,
        who: &str,
        moment: Moment<'_>,
    ) {
        let Some(last) = self.state.rollout.as_ref().filter(|last| aborted.contains(&last.id)) else {
            return;
        };
        let (id, pool) = (last.id.clone(), last.to.clone());
        let who = format!("{who}; it took effect just before the process ended");
        if let Some(change) = self.state.undone_again(&id, &who) {
            self.apply(change, moment);
            if let Some(record) = records.get(&pool) {
                self.state.quarantine_also_at(&pool, record.upstreams.clone());
            }
        }
    }

    /// Takes weights back again that had been taken back. Whatever was being written at the time has been overtaken:
    /// the start of a rollout, too.
    fn take_weights_again(
        &mut self,
        marked: Option<(u64, &str)>,
        records: &BTreeMap<String, PoolRecord>,
        who: &str,
        moment: Moment<'_>,
    ) {
        let is_durable = |seq| self.state.taken.as_ref().is_some_and(|taken| taken.seq == seq);
        let Some((_, names)) = marked.filter(|(seq, _)| !is_durable(*seq)) else { return };
        let why = format!("taken back by {who}; it took effect just before the process ended");
        if let Some(id) = self.state.running().map(|running| running.id.clone()) {
            self.apply(Change::Asked { id: &id, action: Action::Withdraw, who: &why }, moment);
        }
        let mut also = Vec::new();
        for name in names.split(',') {
            let pools = || self.state.weights.keys();
            // A mark has room for so many letters only.
            let cut = || pools().find(|pool| pool.starts_with(name) && !name.is_empty());
            let Some(pool) = pools().find(|pool| *pool == name).or_else(cut).cloned() else { continue };
            let applied = self.state.take_weight_again(&pool, &why, moment.wall);
            self.state = applied.state;
            self.notes.extend(applied.notes);
            if let Some(record) = records.get(&pool) {
                self.state.quarantine_also_at(&pool, record.upstreams.clone());
            }
            also.push(pool);
        }
        also.pop();
        if let Some(taken) = &mut self.state.taken {
            taken.also = also;
        }
    }

    /// What is known of the versions, where the state was stored before there was any record of it.
    fn note_first(&mut self, configured: Configured<'_>, moment: Moment<'_>) {
        if self.state.pools.is_empty() {
            self.note_upstreams(configured, moment);
            self.state.adopt_records(moment.wall);
        }
    }

    /// The configuration may have other upstreams than when the state was stored.
    fn note_upstreams(&mut self, configured: Configured<'_>, moment: Moment<'_>) {
        let sets = configured.addresses(&self.state);
        let notes = self.state.note_upstreams(&sets, false, moment.wall);
        self.notes.extend(notes);
    }

    /// Aborts a rollout that what it was about has been taken away from.
    fn give_up(
        &mut self,
        configured: Configured<'_>,
        marks_lost: Option<&str>,
        who: &str,
        moment: Moment<'_>,
    ) {
        let lost = marks_lost.map(|why| format!("{why}, so that it may have been aborted already"));
        let Some(why) = lost.or_else(|| unsafe_to_go_on(&self.state, configured)) else { return };
        let Some(id) = self.state.running().map(|running| running.id.clone()) else { return };
        let who = format!("{who}: {why}");
        self.apply(Change::Asked { id: &id, action: Action::Abort, who: &who }, moment);
    }

    /// Brings it in line with the pools there are.
    fn fit(&mut self, configured: Configured<'_>) {
        if let Ok(state) = self.state.reconcile(configured.pools()) {
            self.state = state;
            return;
        }
        let is_gone = |pool: &str| !configured.sets.contains_key(pool);
        let why = if is_gone(&self.state.stable) {
            format!(
                "as configured: the pool {}, which was stable, is no longer configured",
                self.state.stable
            )
        } else {
            let lost = self.state.weights.keys().filter(|pool| is_gone(pool)).map(String::as_str);
            let lost: Vec<_> = lost.collect();
            format!("which is stable: {} had traffic and is no longer configured", lost.join(", "))
        };
        self.state = self.state.fitted(configured.pools(), configured.stable);
        let text = format!("restarted with all traffic on {}, {why}", self.state.stable);
        self.warning = Some(text.clone());
        self.say(text);
    }

    fn go_on(&mut self) {
        if let Some(running) = self.state.running() {
            let weight = self.state.weights.get(&running.to).copied().unwrap_or_default();
            let text = format!(
                "restarted: the rollout {} goes on: {}; {} has {weight} of the traffic, evidence is gathered again",
                running.id,
                running.rollout.standing(),
                running.to
            );
            self.say(text);
        }
        if let Some(guard) = &self.state.guard {
            let left = Duration::from_secs(guard.watch.saturating_sub(guard.passed).as_secs());
            let text = format!(
                "restarted: the watch over {} after its promotion by {} goes on for {}",
                guard.pool,
                guard.rollout,
                duration::show(left)
            );
            self.say(text);
        }
    }

    fn say(&mut self, text: String) {
        self.notes.push(Note { event: Event::Recovered, text });
    }

    fn apply(&mut self, change: Change<'_>, moment: Moment<'_>) {
        if let Ok(applied) = self.state.apply(change, moment) {
            self.state = applied.state;
            self.notes.extend(applied.notes);
        }
    }
}

/// Why a running rollout must not go on with this configuration, if it must not.
fn unsafe_to_go_on(state: &ServiceState, configured: Configured<'_>) -> Option<String> {
    let running = state.running()?;
    let sets = configured.addresses(state);
    let gone = [&running.to, &running.from].into_iter().find(|pool| !sets.contains_key(*pool));
    if let Some(pool) = gone {
        return Some(format!("the pool {pool} is no longer configured"));
    }
    let upstreams = sets.get(&running.to)?;
    let mut lost = running.rollout.instances.iter().filter(|instance| instance.is_out());
    let lost = lost.find(|instance| !upstreams.contains(&instance.upstream))?;
    Some(format!("{}, which is being updated, is no longer an upstream of {}", lost.upstream, running.to))
}
