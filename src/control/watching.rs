//! The watch over a running rollout's candidate, or over what has been promoted: what it is fed with, and
//! when it begins and ends.

use super::grouping::Grouping;
use super::links::Links;
use super::live::{Live, LivePool, SHOWN};
use super::mirroring::Mirrored;
use crate::core::client::Met;
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::{ArmId, Durations, SlowLimits, Totals};
use crate::core::passive::Accusation;
use crate::core::policy::{ArmCounts, Before, Circumstances, Counted, GroupCounts, Looks, Policy, Witnesses};
use crate::core::rollout::{Observation, Phase, Rollout};
use crate::core::service::{Change, Running};
use crate::core::verdict::Level;
use crate::observe::witnesses::ArmWitnesses;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Within so much, failures are looked at.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// The evidence against the pool that is watched.
#[derive(Debug)]
pub(super) struct Watching {
    subject: Subject,
    pub looks: Looks,
    /// What is shown of a mirror step.
    pub mirrored: Option<Mirrored>,
}

/// Who is watched, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    rollout: String,
    pool: String,
    /// The pool that it is compared with: none after a promotion, and for one that follows itself (its
    /// upstreams get a new version one after the other).
    compared: Option<String>,
    /// The pool that could take over.
    other: Option<String>,
    /// Whether it gets mirrored requests only: its evidence is on an arm of its own, and begins anew with the
    /// first weight. What it did with copies of safe requests says little of the rest.
    mirrored: bool,
    /// Since when what is counted of the pool, and of the one it is compared with, is about the versions they
    /// have now.
    begun: (Duration, Option<Duration>),
}

impl Live {
    /// The policy that candidates are held against now.
    pub(super) fn policy(&self, links: &Links) -> Option<Arc<Policy>> {
        let after = self.state.guard.as_ref().and_then(|guard| guard.policy.as_deref());
        let named = self.state.running().map_or(after, |running| running.policy.as_deref());
        named.and_then(|name| links.config.policies.get(name)).or(self.settings.policy.as_ref()).cloned()
    }

    /// The baseline of a candidate: what stable did in the minutes before. It was counted by the service's own policy,
    /// so another one's times may not be in it.
    fn before(&self, subject: &Subject, policy: &Policy, stable: Option<&ArmReading>) -> Option<KindCounts> {
        let own = self.settings.policy.as_ref()?;
        let is_counted = own.thresholds(false) == policy.thresholds(false) && own.failures == policy.failures;
        let counts = stable.map(|stable| KindCounts::from(&stable.totals)).filter(|_| is_counted);
        self.baseline(subject.compared.as_deref(), counts.as_ref())
    }

    /// The pools that are compared with each other now.
    pub(super) fn compared(&self) -> Vec<&str> {
        let Some(running) = self.state.running().filter(|running| running.from != running.to) else {
            return Vec::new();
        };
        vec![&running.from, &running.to]
    }

    pub(super) fn subject(&self) -> Option<Subject> {
        let state = &self.state;
        if let Some(Running { id, from, to, rollout, .. }) = state.running() {
            let mirrored = rollout.mirrors().is_some();
            let compared = (from != to).then(|| from.clone());
            let (rollout, pool, other) = (id.clone(), to.clone(), Some(from.clone()));
            let begun = self.begun(to, compared.as_deref());
            return Some(Subject { rollout, pool, compared, other, mirrored, begun });
        }
        state.guard.as_ref().map(|guard| Subject {
            begun: self.begun(&guard.pool, None),
            rollout: guard.rollout.clone(),
            pool: guard.pool.clone(),
            compared: None,
            other: state.previous.clone(),
            mirrored: false,
        })
    }

    fn begun(&self, pool: &str, compared: Option<&str>) -> (Duration, Option<Duration>) {
        let begun = |name: &str| self.pools.get(name).map(|pool| pool.begun);
        (begun(pool).unwrap_or_default(), compared.and_then(begun))
    }

    /// Holds the running rollout, or what was promoted last, against what its pool did. `rung_us` is when the bell was rung
    /// that this follows. Whether the candidate had new failures.
    pub(super) fn judge(&mut self, links: &Links, rung_us: Option<u64>) -> bool {
        let Some(watching) = &mut self.watch else { return false };
        let subject = &watching.subject;
        let Some(candidate) = self.pools.get(subject.pool.as_str()) else { return false };
        let pool = |name: &Option<String>| self.pools.get(name.as_deref()?);
        let stable = pool(&subject.compared);
        let stable_up = stable.is_none_or(|stable| stable.upstreams.any_up());
        let stable_ejected = stable.and_then(|stable| stable.upstreams.accused());
        let stable_ready = pool(&subject.other).is_some_and(|other| other.upstreams.any_up());
        let rollout = self.state.running().map(|running| &running.rollout);
        let is_rolling = rollout.is_some_and(Rollout::is_rolling);
        let upstreams = if is_rolling { candidate.upstreams.seen() } else { BTreeMap::new() };
        let phase = rollout.map(|rollout| rollout.phase);
        let Some(readiness) = watching.readiness(candidate, phase) else { return false };
        let now = links.clock.now();
        let Some(arm) = subject.arm(candidate) else { return false };
        let slow = *watching.looks.slow();
        let candidate_counts = ArmReading::of(arm, links, &slow);
        let stable = stable.map(|stable| ArmReading::of(stable.arm, links, &slow));
        let groups = self.grouping.as_ref().map(Grouping::counted).unwrap_or_default();
        let counted = counted(&candidate_counts, stable.as_ref(), &groups);
        let worse = watching.looks.observe(now, counted);
        let totals = candidate_counts.totals;
        let now_us = links.clock.now_us();
        let witnesses = ArmWitnesses { recorder: &links.recorder, arm, slow: &slow, now_us };
        if let Some(mirrored) = &mut watching.mirrored {
            mirrored.observe(&totals);
        }
        let seen = Circumstances {
            witnesses: Some(&witnesses),
            down: candidate.upstreams.found_down(),
            ejected: watching.accused(candidate, arm, links),
            stable_up,
            stable_ejected: stable_ejected
                .is_some_and(|stable| watching.looks.evaluation.is_too_much(&stable)),
            readings: Some(&candidate.readings),
            ..Circumstances::default()
        };
        let observation = Observation {
            verdict: watching.looks.verdict(now, &totals, seen),
            attempts: watching.looks.evaluation.attempts(),
            candidate: readiness,
            stable_ready,
            upstreams,
        };
        let wall = links.wall_text();
        if let Ok(applied) = self.state.apply(Change::Observed(&observation), links.moment(&wall)) {
            self.decided(applied, links, rung_us);
        }
        worse
    }

    /// The watch begins and ends with the rollout, and anew after a promotion and under another policy.
    pub(super) fn follow_rollout(&mut self, links: &Links) {
        self.ready_mirror(links);
        self.todo.publish |= self.fit_groups(links);
        let Some(subject) = self.subject() else {
            self.watch = None;
            return;
        };
        let no_limits = || Arc::new(Policy { window: SHOWN, ..Policy::default() });
        let policy = self.policy(links).unwrap_or_else(no_limits);
        let same = |w: &Watching| w.subject == subject && *w.looks.evaluation.policy() == policy;
        if self.watch.as_ref().is_some_and(same) {
            return;
        }
        let Some(candidate) = self.pools.get(subject.pool.as_str()) else { return };
        let Some(arm) = subject.arm(candidate) else { return };
        let (now, slow) = (links.clock.now(), policy.thresholds(true).slow);
        let candidate = ArmReading::of(arm, links, &slow);
        let stable = subject.compared.as_deref().and_then(|name| self.pools.get(name));
        let stable_counts = stable.map(|stable| ArmReading::of(stable.arm, links, &slow));
        let before = self.before(&subject, &policy, stable_counts.as_ref());
        let before =
            Before { counts: before.as_ref(), totals: stable.and_then(|stable| stable.window.base()) };
        let groups = self.grouping.as_ref().map(Grouping::counted).unwrap_or_default();
        let looks = Looks::new(policy, counted(&candidate, stable_counts.as_ref(), &groups), before, now);
        let mirrored = subject.mirrored.then(|| Mirrored::begin(&candidate.totals));
        self.watch = Some(Watching { subject, looks, mirrored });
    }
}

impl Subject {
    /// The pool whose requests are counted as the candidate's: copies are counted apart.
    pub(super) fn candidate(&self) -> Option<&str> {
        (!self.mirrored).then_some(self.pool.as_str())
    }

    pub(super) fn compared(&self) -> Option<&str> {
        self.compared.as_deref()
    }

    /// Where the evidence is counted.
    fn arm(&self, pool: &LivePool) -> Option<ArmId> {
        if self.mirrored { pool.mirror.as_ref().map(|mirror| mirror.arm) } else { Some(pool.arm) }
    }
}

impl Watching {
    /// What speaks against an upstream that was taken out, with the clients that met failures since.
    fn accused(&self, candidate: &LivePool, arm: ArmId, links: &Links) -> Option<Accusation> {
        let accused = candidate.upstreams.accused()?;
        // A failure is stamped a moment before it is counted, and counted a moment before it is looked at.
        let since = accused.since.saturating_sub(LOOKED_AT);
        let (slow, now_us) = (self.looks.slow(), links.clock.now_us());
        let witnesses = ArmWitnesses { recorder: &links.recorder, arm, slow, now_us };
        let clients = witnesses.clients(Met::Failures, since).get();
        Some(Accusation { clients, ..accused })
    }

    /// Whether the candidate could serve. Before it gets traffic that must be proven; where one upstream
    /// that is down fails it, of all of them before it begins. One that has traffic must not have failed: a
    /// restart says nothing against it, and until something is known (`None`) the rollout stands still.
    fn readiness(&self, candidate: &LivePool, phase: Option<Phase>) -> Option<Result<(), String>> {
        let upstreams = &candidate.upstreams;
        match phase {
            Some(Phase::Preparing) if self.looks.evaluation.policy().health == Some(Level::Critical) => {
                Some(upstreams.all_ready())
            }
            Some(Phase::Preparing | Phase::Testing) => Some(upstreams.ready()),
            _ => upstreams.serves(),
        }
    }
}

/// What was counted of one arm.
struct ArmReading {
    totals: Totals,
    durations: Durations,
}

impl ArmReading {
    fn of(arm: ArmId, links: &Links, slow: &SlowLimits) -> Self {
        let totals = links.recorder.totals(arm, links.clock.now_us(), slow);
        ArmReading { totals, durations: links.recorder.durations(arm) }
    }

    fn counts(&self) -> ArmCounts<'_> {
        ArmCounts { totals: &self.totals, durations: Some(&self.durations) }
    }
}

fn counted<'a>(
    candidate: &'a ArmReading,
    stable: Option<&'a ArmReading>,
    groups: &'a [GroupCounts],
) -> Counted<'a> {
    Counted { candidate: candidate.counts(), stable: stable.map(ArmReading::counts), groups }
}
