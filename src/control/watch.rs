//! The watch over a running rollout's candidate, over what has been promoted, or over a pool that was given weight by
//! hand: what it is fed with, and when it begins and ends.
//!
//! It sees and holds against the policy; what follows from that is core's business.

mod tally;

use super::failed::FailedAttempts;
use super::fleet::TallyBase;
use super::links::Links;
use super::mirrored::Mirrored;
use super::pools::{LivePool, Pools, SHOWN, policy, totals};
use super::view::{FailureView, MirrorView};
use crate::core::client::Met;
use crate::core::failed_attempt::FailedAttempt;
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::{ArmId, Durations, SlowLimits, Totals};
use crate::core::passive::Accusation;
use crate::core::policy::{
    ArmCounts, Circumstances, Counted, GroupCounts, Looks, Policy, Reported, Witnesses,
};
use crate::core::rollout::{Observation, Phase, Rollout, UpstreamSeen};
use crate::core::service::{Running, ServiceState};
use crate::core::verdict::Level;
use crate::core::weight::BasisPoints;
use crate::observe::witnesses::ArmWitnesses;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Within so much, failures are looked at.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// The watch of one service; nobody is watched while no rollout runs, none is under guard, and stable has all weight.
#[derive(Debug, Default)]
pub(super) struct Watch {
    watching: Option<Watching>,
    failed: FailedAttempts,
}

/// The evidence against the pool that is watched.
#[derive(Debug)]
struct Watching {
    subject: Subject,
    looks: Looks,
    /// What is shown of a mirror step.
    mirrored: Option<Mirrored>,
    /// In a fleet: the counters as they stood when it began.
    begun: Option<TallyBase>,
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
pub(super) struct Subject {
    /// The rollout that it is, or was, the candidate of; none for a pool that was given weight by hand.
    rollout: Option<String>,
    pool: String,
    /// The pool that it is compared with: none after a promotion, and for one that follows itself (its
    /// upstreams get a new version one after the other).
    compared: Option<String>,
    /// The pool whose past is the yardstick where none is compared with.
    past: Option<String>,
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
        self.watching.is_some()
    }

    /// Holds the pool that is watched against the policy by what it did. `None` while nobody is
    /// watched, or nothing is known of the pool yet.
    pub(super) fn look(&mut self, state: &ServiceState, pools: &Pools, links: &Links) -> Option<Seen> {
        let Watching { subject, looks, mirrored, .. } = self.watching.as_mut()?;
        let candidate = pools.get(&subject.pool)?;
        let pool = |name: &Option<String>| pools.get(name.as_deref()?);
        let stable = pool(&subject.compared);
        let stable_up = stable.is_none_or(|stable| stable.upstreams.any_up());
        let stable_ejected = stable.and_then(|stable| stable.upstreams.accused());
        let stable_ready = pool(&subject.other).is_some_and(|other| other.upstreams.any_up());
        let rollout = state.running().map(|running| &running.rollout);
        let is_rolling = rollout.is_some_and(Rollout::is_rolling);
        let upstreams =
            rollout.filter(|_| is_rolling).map(|rollout| rolled(rollout, candidate, state, &subject.pool));
        let upstreams = upstreams.unwrap_or_default();
        let now = links.clock.now();
        let phase = rollout.map(|rollout| rollout.phase);
        let ready = readiness(looks.evaluation.policy(), candidate, phase, now)?;
        let arm = subject.arm(candidate)?;
        let slow = *looks.slow();
        let reading = ArmReading::of(arm, &slow, links);
        let beside = stable.or_else(|| pool(&subject.past));
        let stable = beside.map(|beside| ArmReading::of(beside.arm, &slow, links));
        let groups = pools.groups();
        let counted = counted(&reading, stable.as_ref(), &groups);
        let worse = match now < links.excused_until {
            true => looks.pass_over(counted),
            false => looks.observe(now, counted),
        };
        let totals = reading.totals;
        if let Some(mirrored) = mirrored {
            mirrored.observe(&totals);
        }
        let seen = Circumstances {
            witnesses: Some(&witnesses(arm, &slow, links)),
            down: candidate.upstreams.found_down(),
            ejected: accused(candidate, &witnesses(arm, &slow, links)),
            stable_up,
            stable_ejected: stable_ejected.is_some_and(|stable| looks.evaluation.is_too_much(&stable)),
            readings: Some(&candidate.readings),
            ..Circumstances::default()
        };
        let observation = Observation {
            verdict: looks.verdict(now, &totals, seen),
            attempts: looks.evaluation.attempts(),
            candidate: ready,
            stable_ready,
            upstreams,
        };
        Some(Seen { worse, observation })
    }

    /// Begins and ends with the rollout, or the weight set by hand, and once more after a promotion and under another
    /// policy.
    pub(super) fn follow(&mut self, state: &ServiceState, pools: &Pools, links: &Links) {
        let Some(subject) = Subject::of(state, pools) else {
            self.watching = None;
            return;
        };
        let no_limits = || Arc::new(Policy { window: SHOWN, ..Policy::default() });
        let policy = policy(state, &pools.settings, links).cloned().unwrap_or_else(no_limits);
        // What all count together is judged beside it.
        let policy = if links.is_fleet { Arc::new(policy.in_fleet()) } else { policy };
        let same = |w: &Watching| w.subject == subject && *w.looks.evaluation.policy() == policy;
        if self.watching.as_ref().is_some_and(same) {
            return;
        }
        let former = self.watching.take();
        let Some(candidate) = pools.get(&subject.pool) else { return };
        let Some(arm) = subject.arm(candidate) else { return };
        let (now, slow) = (links.clock.now(), policy.thresholds(true).slow);
        let reading = ArmReading::of(arm, &slow, links);
        let stable = subject.compared.as_ref().or(subject.past.as_ref()).and_then(|name| pools.get(name));
        let beside = stable.map(|stable| ArmReading::of(stable.arm, &slow, links));
        let counts = beside.as_ref().map(|beside| KindCounts::from(&beside.totals));
        // What stable did before was counted by the service's own policy.
        let is_counted = pools.settings.policy.as_ref().is_some_and(|own| is_counted_alike(own, &policy));
        let before = stable.filter(|_| is_counted).and_then(|stable| stable.before(counts.as_ref()?));
        let groups = pools.groups();
        let counted = counted(&reading, beside.as_ref(), &groups);
        let mut looks = Looks::new(policy, counted, before.as_ref(), now);
        let mut begun = links.is_fleet.then(|| {
            TallyBase::new(reading.tally(), beside.as_ref().map(ArmReading::tally), &groups, before)
        });
        if let Some(former) = former {
            // Counts of a process only grow, under another policy, too.
            begun = former.begun.clone().filter(|_| former.subject == subject).or(begun);
            former.hand_on(&subject, &mut looks);
        }
        let mirrored = subject.mirrored.then(|| Mirrored::begin(&reading.totals));
        self.watching = Some(Watching { subject, looks, mirrored, begun });
    }

    /// How far the candidate is from an abort.
    pub(super) fn evidence(&self) -> Vec<Reported> {
        self.watching.as_ref().map(|watching| watching.looks.evaluation.evidence()).unwrap_or_default()
    }

    /// What is shown of a mirror step of a share.
    pub(super) fn mirrored(&self, share: BasisPoints) -> Option<MirrorView> {
        Some(self.watching.as_ref()?.mirrored.as_ref()?.view(share))
    }

    /// Keeps a sample of an answer that differed from stable's; whether there was room for it.
    pub(super) fn keep_difference(&mut self, text: &str, now: Duration) -> bool {
        let mirrored = self.watching.as_mut().and_then(|watching| watching.mirrored.as_mut());
        mirrored.is_some_and(|mirrored| mirrored.keep(text, now))
    }

    /// Keeps an attempt that failed, where it is one of a rollout's candidate.
    pub(super) fn keep_failed(&mut self, arm: ArmId, failed: FailedAttempt, pools: &Pools, links: &Links) {
        let Some(Watching { subject, .. }) = &self.watching else { return };
        let is_its = pools.get(&subject.pool).and_then(|pool| subject.arm(pool)) == Some(arm);
        let is_current = Duration::from_micros(failed.at_us) >= subject.begun.0;
        if let Some(rollout) = subject.rollout.as_deref().filter(|_| is_its && is_current) {
            self.failed.keep(rollout, failed, links.clock);
        }
    }

    /// The last attempts that spoke against the candidate of a rollout.
    pub(super) fn failed(&self, rollout: &str) -> Vec<FailureView> {
        self.failed.of(rollout)
    }
}

impl Watching {
    /// Another policy that counts in the same way, or the watch after the promotion, goes on with what is known.
    fn hand_on(self, subject: &Subject, looks: &mut Looks) {
        let is_alike = is_counted_alike(self.looks.evaluation.policy(), looks.evaluation.policy());
        if !is_alike || self.subject.mirrored {
            return;
        }
        if self.subject == *subject {
            looks.adopt(self.looks);
        } else if (&self.subject.rollout, &self.subject.pool) == (&subject.rollout, &subject.pool) {
            looks.remember(self.looks);
        }
    }
}

impl Subject {
    pub(super) fn of(state: &ServiceState, pools: &Pools) -> Option<Self> {
        let begun = |name: &str| pools.get(name).map(|pool| pool.begun);
        if let Some(Running { id, from, to, rollout, .. }) = state.running() {
            let compared = (from != to).then(|| from.clone());
            return Some(Subject {
                rollout: Some(id.clone()),
                pool: to.clone(),
                begun: (begun(to).unwrap_or_default(), compared.as_deref().and_then(begun)),
                compared,
                past: None,
                other: Some(from.clone()),
                mirrored: rollout.mirrors().is_some(),
            });
        }
        if let Some(guard) = &state.guard {
            return Some(Subject {
                begun: (begun(&guard.pool).unwrap_or_default(), None),
                rollout: Some(guard.rollout.clone()),
                pool: guard.pool.clone(),
                compared: None,
                past: state.previous.clone(),
                other: state.previous.clone(),
                mirrored: false,
            });
        }
        pools.by_hand(state).map(|hand| Subject {
            begun: (begun(&hand.pool).unwrap_or_default(), begun(&state.stable)),
            rollout: None,
            pool: hand.pool.clone(),
            compared: Some(state.stable.clone()),
            past: None,
            other: Some(state.stable.clone()),
            mirrored: false,
        })
    }

    /// The pool whose requests are counted by group: copies are not.
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

/// What was counted of one arm.
struct ArmReading {
    totals: Totals,
    durations: Durations,
}

impl ArmReading {
    fn of(arm: ArmId, slow: &SlowLimits, links: &Links) -> Self {
        ArmReading { totals: totals(arm, slow, links), durations: links.recorder.durations(arm) }
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

/// Whether two policies count the same attempts as failures, slow or long.
fn is_counted_alike(one: &Policy, other: &Policy) -> bool {
    one.thresholds(false) == other.thresholds(false) && one.failures == other.failures
}

fn witnesses<'a>(arm: ArmId, slow: &'a SlowLimits, links: &'a Links) -> ArmWitnesses<'a> {
    ArmWitnesses { recorder: &links.recorder, arm, slow, now_us: links.clock.now_us() }
}

/// What speaks against an upstream that was taken out, with the clients that met failures since.
fn accused(candidate: &LivePool, witnesses: &ArmWitnesses<'_>) -> Option<Accusation> {
    let accused = candidate.upstreams.accused()?;
    // A failure is stamped a moment before it is counted, and counted a moment before it is looked at.
    let clients = witnesses.clients(Met::Failures, accused.since.saturating_sub(LOOKED_AT)).get();
    Some(Accusation { clients, ..accused })
}

/// The upstreams of a rolling update. An instance that is a container is gone while it is replaced.
fn rolled(
    rollout: &Rollout,
    candidate: &LivePool,
    state: &ServiceState,
    pool: &str,
) -> BTreeMap<String, UpstreamSeen> {
    let mut seen = candidate.upstreams.seen();
    if !state.containers.contains_key(pool) {
        return seen;
    }
    for instance in &rollout.instances {
        let draining = || state.draining.contains(&(pool.to_owned(), instance.upstream.clone()));
        seen.entry(instance.upstream.clone()).or_insert_with(|| UpstreamSeen {
            in_flight: 0,
            up: false,
            draining: draining(),
            good_checks: Some(0),
            failing: Some("its container is gone".to_owned()),
        });
    }
    seen
}

/// Whether the candidate could serve. Before it gets traffic that must be proven; where one upstream
/// that is down fails it, of all of them before it begins. One that has traffic must not have failed: a
/// restart says nothing against it, and until something is known (`None`) the rollout stands still.
fn readiness(
    policy: &Policy,
    candidate: &LivePool,
    phase: Option<Phase>,
    now: Duration,
) -> Option<Result<(), String>> {
    let upstreams = &candidate.upstreams;
    match phase {
        Some(Phase::Preparing) if policy.health == Some(Level::Critical) => Some(upstreams.all_ready()),
        Some(Phase::Preparing | Phase::Testing) => Some(upstreams.ready()),
        _ if upstreams.may_restart(now) => None,
        _ => upstreams.serves(),
    }
}
