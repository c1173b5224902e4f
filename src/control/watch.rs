//! The watch over a running rollout's candidate, or over what has been promoted: what it is fed with, and
//! when it begins and ends.
//!
//! It sees and holds against the policy; what follows from that is the rollout's business, in core.

use super::links::Links;
use super::mirrored::Mirrored;
use super::pools::{LivePool, Pools, SHOWN, policy, totals};
use super::view::MirrorView;
use crate::core::client::ClientCount;
use crate::core::outcome::{ArmId, MAX_LIMITS};
use crate::core::passive::Accusation;
use crate::core::policy::{Circumstances, Looks, Policy};
use crate::core::rollout::{Observation, Phase, Rollout};
use crate::core::service::{Running, ServiceState};
use crate::core::verdict::Level;
use crate::core::weight::BasisPoints;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Within so much, failures are looked at.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// The watch of one service; nobody is watched while no rollout runs and none is under guard.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<Watching>);

/// The evidence against the pool that is watched.
#[derive(Debug)]
struct Watching {
    subject: Subject,
    looks: Looks,
    /// What is shown of a mirror step.
    mirrored: Option<Mirrored>,
}

/// What one look has brought.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whether the candidate had new failures.
    pub worse: bool,
    pub observation: Observation,
}

/// Who is watched, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    rollout: String,
    pool: String,
    /// The pool that it is compared with: none after a promotion, and for one that follows itself (its
    /// upstreams get a new version one after the other).
    compared: Option<String>,
    /// The pool that could take over.
    other: Option<String>,
    /// Whether it gets mirrored requests only: its evidence is on an arm of its own, and begins from zero with
    /// the first weight. What it did with copies of safe requests says little of the rest.
    mirrored: bool,
    /// Since when what is counted of the pool, and of the one it is compared with, is about the versions they
    /// have now.
    begun: (Duration, Option<Duration>),
}

impl Watch {
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Holds the running rollout, or what was promoted last, against what its pool did. `None` while nobody is
    /// watched, or nothing is known of the pool yet.
    pub(super) fn look(&mut self, state: &ServiceState, pools: &Pools, links: &Links) -> Option<Seen> {
        let Watching { subject, looks, mirrored } = self.0.as_mut()?;
        let candidate = pools.get(&subject.pool)?;
        let pool = |name: &Option<String>| pools.get(name.as_deref()?);
        let stable = pool(&subject.compared);
        let stable_up = stable.is_none_or(|stable| stable.upstreams.any_up());
        let stable_ejected = stable.and_then(|stable| stable.upstreams.accused());
        let stable_ready = pool(&subject.other).is_some_and(|other| other.upstreams.any_up());
        let rollout = state.running().map(|running| &running.rollout);
        let is_rolling = rollout.is_some_and(Rollout::is_rolling);
        let upstreams = if is_rolling { candidate.upstreams.seen() } else { BTreeMap::new() };
        let ready = readiness(looks.watch.policy(), candidate, rollout.map(|rollout| rollout.phase))?;
        let now = links.clock.now();
        let arm = subject.arm(candidate)?;
        let totals = totals(arm, looks.slow(), links);
        let stable = stable.map(|stable| self::totals(stable.arm, looks.slow(), links));
        let worse = looks.observe(now, &totals, stable.as_ref());
        if let Some(mirrored) = mirrored {
            mirrored.observe(&totals);
        }
        let seen = Circumstances {
            clients: failed_clients(looks, arm, links, now),
            slow_clients: slow_clients(looks, arm, links, now),
            down: candidate.upstreams.found_down(),
            ejected: accused(candidate, arm, links),
            stable_up,
            stable_ejected: stable_ejected.is_some_and(|stable| looks.watch.is_too_much(&stable)),
            readings: Some(&candidate.readings),
            ..Circumstances::default()
        };
        let observation = Observation {
            verdict: looks.verdict(now, &totals, seen),
            attempts: looks.watch.attempts(),
            candidate: ready,
            stable_ready,
            upstreams,
        };
        Some(Seen { worse, observation })
    }

    /// Begins and ends with the rollout, and once more after a promotion and under another policy.
    pub(super) fn follow(&mut self, state: &ServiceState, pools: &Pools, links: &Links) {
        let Some(subject) = Subject::of(state, pools) else {
            self.0 = None;
            return;
        };
        let no_limits = || Arc::new(Policy { window: SHOWN, ..Policy::default() });
        let policy = policy(state, &pools.settings, links).cloned().unwrap_or_else(no_limits);
        let same = |w: &Watching| w.subject == subject && *w.looks.watch.policy() == policy;
        if self.0.as_ref().is_some_and(same) {
            return;
        }
        let Some(candidate) = pools.get(&subject.pool) else { return };
        let Some(arm) = subject.arm(candidate) else { return };
        let (now, slow) = (links.clock.now(), policy.slow_limits());
        let totals = totals(arm, &slow, links);
        let stable = subject.compared.as_deref().and_then(|name| pools.get(name));
        let stable = stable.map(|stable| self::totals(stable.arm, &slow, links));
        let looks = Looks::new(policy, &totals, stable.as_ref(), now);
        let mirrored = subject.mirrored.then(|| Mirrored::begin(&totals));
        self.0 = Some(Watching { subject, looks, mirrored });
    }

    /// By metric: the evidence against the candidate, as a natural logarithm.
    pub(super) fn evidence(&self) -> impl Iterator<Item = (String, f64)> {
        let evidence = self.0.iter().flat_map(|watching| watching.looks.watch.evidence());
        evidence.map(|(metric, ln, _)| (metric, ln))
    }

    /// What is shown of a mirror step of a share.
    pub(super) fn mirrored(&self, share: BasisPoints) -> Option<MirrorView> {
        Some(self.0.as_ref()?.mirrored.as_ref()?.view(share))
    }

    /// Keeps a sample of an answer that differed from stable's; whether there was room for it.
    pub(super) fn keep_difference(&mut self, text: &str, now: Duration) -> bool {
        let mirrored = self.0.as_mut().and_then(|watching| watching.mirrored.as_mut());
        mirrored.is_some_and(|mirrored| mirrored.keep(text, now))
    }
}

impl Subject {
    fn of(state: &ServiceState, pools: &Pools) -> Option<Self> {
        let begun = |name: &str| pools.get(name).map(|pool| pool.begun);
        if let Some(Running { id, from, to, rollout, .. }) = state.running() {
            let compared = (from != to).then(|| from.clone());
            return Some(Subject {
                rollout: id.clone(),
                pool: to.clone(),
                begun: (begun(to).unwrap_or_default(), compared.as_deref().and_then(begun)),
                compared,
                other: Some(from.clone()),
                mirrored: rollout.mirrors().is_some(),
            });
        }
        state.guard.as_ref().map(|guard| Subject {
            begun: (begun(&guard.pool).unwrap_or_default(), None),
            rollout: guard.rollout.clone(),
            pool: guard.pool.clone(),
            compared: None,
            other: state.previous.clone(),
            mirrored: false,
        })
    }

    /// Where the evidence is counted.
    fn arm(&self, pool: &LivePool) -> Option<ArmId> {
        if self.mirrored { pool.mirror.as_ref().map(|mirror| mirror.arm) } else { Some(pool.arm) }
    }
}

/// Clients of the candidate that met failures, where the policy asks for them.
fn failed_clients(looks: &Looks, candidate: ArmId, links: &Links, now: Duration) -> usize {
    let since = looks.clients_since(now);
    since.map_or(0, |since| links.recorder.failed_clients(candidate, since.as_micros() as u64))
}

/// The same that were answered later than each critical limit.
fn slow_clients(looks: &Looks, candidate: ArmId, links: &Links, now: Duration) -> [ClientCount; MAX_LIMITS] {
    let mut met = [ClientCount::default(); MAX_LIMITS];
    for (slot, since) in looks.slow_since(now) {
        if let Some(met) = met.get_mut(slot) {
            let (since_us, now_us) = (since.as_micros() as u64, links.clock.now_us());
            *met = links.recorder.slow_clients(candidate, slot, looks.slow(), since_us, now_us);
        }
    }
    met
}

/// What speaks against an upstream that was taken out, with the clients that met failures since.
fn accused(candidate: &LivePool, arm: ArmId, links: &Links) -> Option<Accusation> {
    let accused = candidate.upstreams.accused()?;
    // A failure is stamped a moment before it is counted, and counted a moment before it is looked at.
    let since = accused.since.saturating_sub(LOOKED_AT);
    let clients = links.recorder.failed_clients(arm, since.as_micros() as u64);
    Some(Accusation { clients, ..accused })
}

/// Whether the candidate could serve. Before it gets traffic that must be proven; where one upstream
/// that is down fails it, of all of them before it begins. One that has traffic must not have failed: a
/// restart says nothing against it, and until something is known (`None`) the rollout stands still.
fn readiness(policy: &Policy, candidate: &LivePool, phase: Option<Phase>) -> Option<Result<(), String>> {
    let upstreams = &candidate.upstreams;
    match phase {
        Some(Phase::Preparing) if policy.health == Some(Level::Critical) => Some(upstreams.all_ready()),
        Some(Phase::Preparing | Phase::Testing) => Some(upstreams.ready()),
        _ => upstreams.serves(),
    }
}
