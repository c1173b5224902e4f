//! What is known of the version that lies in a pool: its name, since when, and whether it may get traffic.
//!
//! A version that was aborted, or taken back after its promotion, is quarantined: no command gives it traffic
//! unless that is forced, and no outage, restart or reload does. A rollout to the pool is an explicit attempt; it
//! lifts the quarantine if it passes. Other upstreams lift it too, since another version lies there; it is in force
//! again where the configuration goes back to the upstreams that had the version. The proxy cannot see that the
//! same addresses run something else by now: a rollout says so, or `force`.

use super::ServiceState;
use crate::core::event::Event;
use crate::core::rollout::{Note, Phase, Stage};
use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Quarantines of pools that are no longer configured which are kept, should they come back.
const GONE: usize = 64;

/// One pool's version. Times are RFC 3339 texts, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolRecord {
    /// As the rollout that brought it named it; unknown after its upstreams were replaced.
    pub version: Option<String>,
    /// When the pool became candidate, or got other upstreams, last.
    pub since: Option<String>,
    /// The addresses it has, by a file or a command; empty until somebody has looked.
    pub upstreams: BTreeSet<String>,
    pub quarantine: Option<Quarantine>,
    /// Those of its registered upstreams that have passed a check.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub proven: BTreeSet<String>,
}

/// Why a version must get no traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    pub cause: QuarantineCause,
    pub version: Option<String>,
    /// What was wrong with it, or who decided so.
    pub why: String,
    pub since: String,
    /// Where the version lay.
    pub upstreams: BTreeSet<String>,
    /// The weight that an operator has forced on it.
    #[serde(default)]
    pub forced: BasisPoints,
    /// Whether others have taken the place of these.
    #[serde(default)]
    pub is_lifted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantineCause {
    /// Its rollout was aborted: by the policy, a smoke test, a hook or a person.
    Aborted,
    /// The watch after its promotion took it back.
    Returned,
    /// An operator went back from it. Commands may name it again; no outage does.
    RolledBack,
    /// The record of it was lost with the state. Commands may name it; no outage does.
    Unknown,
}

/// A pool that was stable before, and that there is no going back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Void {
    pub pool: String,
    pub why: String,
}

impl Quarantine {
    /// Whether a command needs force to give the pool traffic.
    pub fn bars(&self) -> bool {
        matches!(self.cause, QuarantineCause::Aborted | QuarantineCause::Returned)
    }

    /// A sentence: "v3 on blue was aborted: error rate 83 %".
    pub fn sentence(&self, pool: &str) -> String {
        let what = on(self.version.as_deref(), pool);
        match self.cause {
            QuarantineCause::Aborted => format!("{what} was aborted: {}", self.why),
            QuarantineCause::Returned => format!("{what} was taken back after its promotion: {}", self.why),
            QuarantineCause::RolledBack => format!("{what} was rolled back {}", self.why),
            QuarantineCause::Unknown => format!("nobody knows what lies on {what}: {}", self.why),
        }
    }
}

/// `v3 on blue`, or the pool alone where its version has no name.
fn on(version: Option<&str>, pool: &str) -> String {
    version.map_or_else(|| pool.to_owned(), |version| format!("{version} on {pool}"))
}

impl ServiceState {
    /// A pool with its version, for people.
    pub fn version_on(&self, pool: &str) -> String {
        on(self.pools.get(pool).and_then(|record| record.version.as_deref()), pool)
    }

    /// Why a pool must get no traffic, if that is so. The candidate of a running rollout is being tried again.
    pub fn quarantine(&self, pool: &str) -> Option<&Quarantine> {
        let tried = self.running().is_some_and(|r| r.to == pool && !r.rollout.plan.dry_run);
        let record = self.pools.get(pool).filter(|_| !tried && pool != self.stable)?;
        record.quarantine.as_ref().filter(|quarantine| !quarantine.is_lifted)
    }

    pub(super) fn set_quarantine(&mut self, pool: &str, cause: QuarantineCause, why: &str, wall: &str) {
        let record = self.pools.entry(pool.to_owned()).or_default();
        record.quarantine = Some(Quarantine {
            cause,
            version: record.version.clone(),
            why: why.to_owned(),
            since: wall.to_owned(),
            upstreams: record.upstreams.clone(),
            forced: BasisPoints::ZERO,
            is_lifted: false,
        });
    }

    /// The state was lost: of all pools but stable nobody knows whether their versions had been aborted.
    pub fn distrust_others(&mut self, wall: &str) {
        let others: Vec<_> = self.weights.keys().filter(|pool| **pool != self.stable).cloned().collect();
        for pool in others {
            self.set_quarantine(&pool, QuarantineCause::Unknown, "the state was lost", wall);
        }
    }

    /// A version is taken back after a restart: it may have lain on the upstreams that the store knew, too, before
    /// the file named others.
    pub fn quarantine_also_at(&mut self, pool: &str, upstreams: BTreeSet<String>) {
        if let Some(quarantine) = self.pools.get_mut(pool).and_then(|record| record.quarantine.as_mut()) {
            quarantine.upstreams.extend(upstreams);
        }
    }

    pub(super) fn lift_quarantine(&mut self, pool: &str) {
        if let Some(record) = self.pools.get_mut(pool) {
            record.quarantine = None;
        }
    }

    /// A command names a pool that was rolled back: nothing is held against its version any more.
    pub(super) fn name_anew(&mut self, pool: &str) {
        if self.quarantine(pool).is_some_and(|quarantine| !quarantine.bars()) {
            self.lift_quarantine(pool);
        }
    }

    /// There is no going back to a pool any more, where a rollback would have gone there.
    pub(super) fn void_previous(&mut self, pool: &str, why: String) {
        if let Some(pool) = self.previous.take_if(|previous| previous == pool) {
            self.void = Some(Void { pool, why });
        }
    }

    /// Why a rollback goes nowhere, where a pool was stable before.
    pub fn no_way_back(&self) -> Option<String> {
        let void = self.void.as_ref().filter(|void| void.pool != self.stable)?;
        let quarantine = self.quarantine(&void.pool);
        Some(quarantine.map_or_else(|| void.why.clone(), |quarantine| quarantine.sentence(&void.pool)))
    }

    /// A rollout begins: another version lies in the pool it goes to.
    pub(super) fn begin_attempt(&mut self, wall: &str) {
        let Some(running) = &self.rollout else { return };
        let (to, version) = (running.to.clone(), running.version.clone());
        let (rolling, dry) = (running.rollout.is_rolling(), running.rollout.plan.dry_run);
        let record = self.pools.entry(to.clone()).or_default();
        record.since = Some(wall.to_owned());
        let known = record.version.clone();
        if rolling || (dry && (version.is_none() || version == known)) {
            return;
        }
        record.version = version;
        let why = format!("{} lies there now, put there by a rollout", self.version_on(&to));
        self.void_previous(&to, why);
    }

    /// A rollout has ended: what that says of its version. A dry run says nothing.
    pub(super) fn conclude_attempt(&mut self, wall: &str) {
        let Some(running) = self.rollout.clone().filter(|running| !running.rollout.plan.dry_run) else {
            return;
        };
        let (to, rollout) = (&running.to, &running.rollout);
        let promoted = rollout.phase == Phase::Promoted;
        let is_touched = |stage: Stage| !matches!(stage, Stage::Waiting | Stage::Draining);
        let touched = rollout.instances.iter().any(|instance| is_touched(instance.stage));
        if rollout.is_rolling() && (promoted || touched) {
            self.pools.entry(to.clone()).or_default().version = running.version.clone().filter(|_| promoted);
            let what = on(running.version.as_deref(), to);
            let why = format!("{what} took the place of what served there before, in a rolling update");
            match self.previous.clone() {
                Some(previous) if *to == self.stable => self.void_previous(&previous, why),
                _ => self.void_previous(to, why),
            }
        }
        if promoted {
            self.lift_quarantine(to);
            return;
        }
        // A pool that serves goes on serving: what failed of a rolling update is out of it.
        let serves = self.weights.get(to).is_some_and(|weight| *weight > BasisPoints::ZERO);
        if *to != self.stable && !serves {
            let why = rollout.reason.as_deref().unwrap_or("no reason is known");
            self.set_quarantine(to, QuarantineCause::Aborted, why, wall);
        }
    }

    /// Takes in which upstreams the pools have, by the configuration or as registered; what follows from others
    /// than before. `named` says that a command named them, and not the configuration: then they are a fresh deploy.
    pub fn note_upstreams(
        &mut self,
        sets: &BTreeMap<String, BTreeSet<String>>,
        named: bool,
        wall: &str,
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        let weights = &self.weights;
        self.containers.retain(|pool, _| weights.contains_key(pool));
        for (pool, set) in sets {
            let set = &self.with_containers(pool, set);
            let known = self.pools.get(pool).map(|record| &record.upstreams);
            let is_replaced = known.map_or(named, |known| known != set && (named || !known.is_empty()));
            notes.extend(self.renew(pool, set, named, wall));
            notes.extend(is_replaced.then(|| self.candidate_replaced(pool)).flatten());
        }
        let is_gone = |pool: &String| !self.weights.contains_key(pool);
        let gone = self.pools.iter().filter(|(pool, _)| is_gone(pool));
        let kept = gone.filter(|(_, record)| record.quarantine.is_some()).map(|(pool, _)| pool.clone());
        let kept: BTreeSet<String> = kept.take(GONE).collect();
        let weights = &self.weights;
        self.pools.retain(|pool, _| weights.contains_key(pool) || kept.contains(pool));
        notes
    }

    /// A pool has other upstreams than before: what that means for the rollout that it is the candidate of. A rolling
    /// update knows its upstreams by their names.
    fn candidate_replaced(&mut self, pool: &str) -> Option<Note> {
        let running = self.rollout.as_mut().filter(|r| r.to == pool && !r.rollout.is_rolling())?;
        let text = running.rollout.candidate_replaced()?;
        let text = format!("{pool} has other upstreams than the rollout {} began with: {text}", running.id);
        Some(Note { event: Event::Upstreams, text })
    }

    /// All upstreams of a pool by what they are known by: those of a set, and its containers.
    fn with_containers(&self, pool: &str, set: &BTreeSet<String>) -> BTreeSet<String> {
        let containers = self.containers.get(pool).into_iter().flat_map(|containers| &containers.existing);
        set.iter().chain(containers).cloned().collect()
    }

    fn renew(&mut self, pool: &str, set: &BTreeSet<String>, named: bool, wall: &str) -> Option<Note> {
        let before = self.pools.get(pool).cloned().unwrap_or_default();
        if before.upstreams == *set {
            return None;
        }
        let inherited = before.quarantine.is_none().then(|| self.quarantine_of(pool, set)).flatten();
        let was_barred = self.quarantine(pool).is_some();
        let record = self.pools.entry(pool.to_owned()).or_default();
        record.upstreams.clone_from(set);
        record.proven.retain(|upstream| set.contains(upstream));
        if before.upstreams.is_empty() {
            record.since.get_or_insert_with(|| wall.to_owned());
            if let Some(quarantine) = record.quarantine.as_mut().filter(|q| q.upstreams.is_empty()) {
                quarantine.upstreams.clone_from(set);
            }
            if let Some(quarantine) = inherited {
                record.version.clone_from(&quarantine.version);
                record.quarantine = Some(quarantine);
            }
            return None;
        }
        record.since = Some(wall.to_owned());
        if before.upstreams.is_disjoint(set) {
            record.version = None;
        }
        requalify(record, named);
        if !set.is_subset(&before.upstreams) {
            self.void_previous(pool, format!("{pool} got other upstreams since it was stable"));
        }
        let text = match (was_barred, self.quarantine(pool)) {
            (true, None) => {
                format!("{pool} has other upstreams: what was held against its version is lifted")
            }
            (false, Some(quarantine)) => {
                format!("{pool} has its former upstreams again: {}", quarantine.sentence(pool))
            }
            _ => return None,
        };
        Some(Note { event: Event::Upstreams, text })
    }

    /// What is held against the version on these upstreams, where they were those of a pool that has gone.
    fn quarantine_of(&self, pool: &str, set: &BTreeSet<String>) -> Option<Quarantine> {
        let gone = self.pools.iter().filter(|(name, _)| *name != pool && !self.weights.contains_key(*name));
        let mut quarantines = gone.filter_map(|(_, record)| record.quarantine.as_ref());
        quarantines.find(|q| !q.is_lifted && !q.upstreams.is_disjoint(set)).cloned()
    }

    /// A state that was stored before there were records: its last rollout says what can be known.
    pub fn adopt_records(&mut self, wall: &str) {
        let Some(last) = self.rollout.clone().filter(|last| !last.rollout.plan.dry_run) else { return };
        self.pools.entry(last.to.clone()).or_default().version = last.version.clone();
        if last.rollout.phase == Phase::Aborted {
            self.conclude_attempt(wall);
        }
        if last.rollout.phase != Phase::Promoted && !last.rollout.is_rolling() {
            let why = format!("{} lies there now, put there by a rollout", self.version_on(&last.to));
            self.void_previous(&last.to, why);
        }
    }
}

/// Whether the quarantined version lies on the upstreams that a pool has now.
fn requalify(record: &mut PoolRecord, named: bool) {
    let Some(quarantine) = &mut record.quarantine else { return };
    let lies_there = !quarantine.upstreams.is_disjoint(&record.upstreams);
    match (lies_there, quarantine.is_lifted) {
        (false, _) => quarantine.is_lifted = true,
        (true, true) if named => record.quarantine = None,
        (true, true) => {
            quarantine.is_lifted = false;
            record.version.clone_from(&quarantine.version);
        }
        (true, false) => {}
    }
}
