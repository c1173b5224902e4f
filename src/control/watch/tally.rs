//! What this instance has counted of the candidate, for the verdict of its fleet: since its watch began, and what stable
//! did before.

use super::{ArmReading, Subject, Watch, Watching};
use crate::control::fleet::FleetTally;
use crate::control::links::Links;
use crate::control::pools::Pools;
use crate::core::fleet::evidence::{ArmTally, GroupTally, MemberCounts, MemberPast};
use crate::core::hash::{FixedHash, Purpose};
use crate::core::kind_counts::KindCounts;
use crate::core::policy::GroupCounts;
use crate::core::service::ServiceState;
use std::collections::BTreeMap;

/// Counters as they stood when a watch began.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    candidate: ArmTally,
    stable: Option<ArmTally>,
    groups: BTreeMap<u64, GroupCounts>,
    /// What stable did before, where that is known.
    before: Option<KindCounts>,
}

impl Begun {
    pub(super) fn of(
        candidate: &ArmReading,
        stable: Option<&ArmReading>,
        groups: &[GroupCounts],
        before: Option<KindCounts>,
    ) -> Self {
        let groups = groups.iter().map(|group| (group.key, group.clone())).collect();
        Begun { candidate: candidate.tally(), stable: stable.map(ArmReading::tally), groups, before }
    }
}

impl ArmReading {
    fn tally(&self) -> ArmTally {
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
        let begun = begun.as_ref()?;
        let rollout = subject.rollout.clone().filter(|id| state.running().is_some_and(|r| r.id == *id))?;
        let candidate = pools.get(&subject.pool)?;
        let slow = *looks.slow();
        let reading = ArmReading::of(subject.arm(candidate)?, &slow, links).tally();
        let beside = subject.compared.as_ref().or(subject.past.as_ref()).and_then(|name| pools.get(name));
        let beside = beside.map(|beside| ArmReading::of(beside.arm, &slow, links).tally());
        let stable = beside.zip(begun.stable.as_ref()).map(|(now, then)| now.since(then));
        let groups = pools.groups();
        let past = MemberPast {
            before: begun.before,
            latency: begun
                .stable
                .as_ref()
                .map_or_else(|| MemberPast::default().latency, |s| s.totals.latency),
            groups: groups.iter().map(|group| (group.key, group.before)).collect(),
        };
        let tallied = groups.iter().map(|group| (group.key, begun.tally(group))).collect();
        let candidate = reading.since(&begun.candidate);
        Some(FleetTally {
            rollout,
            era: era(state, subject),
            policy: (**looks.evaluation.policy()).clone(),
            counts: MemberCounts { candidate, stable, groups: tallied },
            past,
        })
    }
}

impl Begun {
    /// What was counted of a group since.
    fn tally(&self, group: &GroupCounts) -> GroupTally {
        let then = self.groups.get(&group.key);
        let since = |now: &KindCounts, then: Option<&KindCounts>| then.map_or(*now, |then| now.since(then));
        GroupTally {
            name: group.name.to_string(),
            candidate: since(&group.candidate, then.map(|then| &then.candidate)),
            stable: since(&group.stable, then.map(|then| &then.stable)),
        }
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
