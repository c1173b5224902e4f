//! What this instance has counted of the candidate, for the verdict of its fleet: since its watch began, and what stable
//! did before.

use super::{ArmReading, Subject, Watch, Watching};
use crate::control::fleet::FleetTally;
use crate::control::links::Links;
use crate::control::pools::{Pools, policy};
use crate::core::fleet::evidence::{ArmTally, MemberClients, MemberCounts, MemberPast, MemberReport};
use crate::core::hash::{FixedHash, Purpose};
use crate::core::policy::Policy;
use crate::core::service::ServiceState;

impl ArmReading {
    pub(super) fn tally(&self) -> ArmTally {
        ArmTally { totals: self.totals.clone(), durations: self.durations.clone() }
    }
}

impl Watch {
    /// What was counted of the running rollout's candidate; `None` while nobody is watched.
    pub(in crate::control) fn tally(
        &self,
        state: &ServiceState,
        pools: &Pools,
        links: &Links,
    ) -> Option<FleetTally> {
        let Watching { subject, looks, begun, .. } = self.watching.as_ref()?;
        // Each member's own test takes the half of it.
        let policy = policy(state, &pools.settings, links).map(|policy| Policy::clone(policy));
        let begun = begun.as_ref()?;
        let rollout = subject.rollout.clone().filter(|id| state.running().is_some_and(|r| r.id == *id))?;
        let candidate = pools.get(&subject.pool)?;
        let slow = *looks.slow();
        let reading = ArmReading::of(subject.arm(candidate)?, &slow, links).tally();
        let beside = subject.compared.as_ref().or(subject.past.as_ref()).and_then(|name| pools.get(name));
        let beside = beside.map(|beside| ArmReading::of(beside.arm, &slow, links).tally());
        let stable = beside.and_then(|now| begun.of_stable(&now));
        let groups = pools.groups();
        let past = MemberPast {
            before: begun.before(),
            latency: begun.latency(),
            groups: groups.iter().map(|group| (group.key, group.before)).collect(),
        };
        let tallied = groups.iter().map(|group| (group.key, begun.of_group(group))).collect();
        let candidate = begun.of_candidate(&reading);
        Some(FleetTally {
            rollout,
            era: era(state, subject),
            policy: policy.unwrap_or_default(),
            counts: MemberCounts { candidate, stable, groups: tallied },
            past,
        })
    }

    /// The same with the clients that met what speaks against the candidate.
    pub(in crate::control) fn witnessed(
        &self,
        report: MemberReport,
        pools: &Pools,
        links: &Links,
    ) -> MemberReport {
        let Some(Watching { subject, looks, .. }) = self.watching.as_ref() else { return report };
        let Some(arm) = pools.get(&subject.pool).and_then(|pool| subject.arm(pool)) else { return report };
        let (since_us, now_us) = (subject.begun.0.as_micros() as u64, links.clock.now_us());
        let notes = links.recorder.client_notes(arm, since_us);
        let waiting = links.recorder.waiting(arm, looks.slow(), (since_us, now_us));
        let clients = MemberClients::of(notes, waiting, now_us, &links.client_salt);
        MemberReport { clients, ..report }
    }
}

/// Which versions are counted: the same at all members that have the same state.
fn era(state: &ServiceState, subject: &Subject) -> u64 {
    let since = |pool: Option<&String>| {
        let record = pool.and_then(|pool| state.pools.get(pool));
        record.and_then(|record| record.since.clone()).unwrap_or_default()
    };
    let rollout = subject.rollout.as_deref().unwrap_or_default();
    FixedHash::of(Purpose::Mark)
        .bytes(rollout.as_bytes())
        .bytes(&[u8::from(subject.mirrored)])
        .bytes(since(Some(&subject.pool)).as_bytes())
        .bytes(since(subject.compared.as_ref()).as_bytes())
        .finish()
}
