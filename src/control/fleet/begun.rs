//! Counters as they stood when a watch over a candidate began: what a member counts is what came since.

use crate::core::fleet::evidence::{ArmTally, GroupTally, MemberPast};
use crate::core::kind_counts::KindCounts;
use crate::core::latency::BUCKETS;
use crate::core::policy::GroupCounts;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(in crate::control) struct TallyBase {
    candidate: ArmTally,
    stable: Option<ArmTally>,
    groups: BTreeMap<u64, GroupCounts>,
    /// What stable did before, where that is known.
    before: Option<KindCounts>,
}

impl TallyBase {
    pub(in crate::control) fn new(
        candidate: ArmTally,
        stable: Option<ArmTally>,
        groups: &[GroupCounts],
        before: Option<KindCounts>,
    ) -> Self {
        let groups = groups.iter().map(|group| (group.key, group.clone())).collect();
        TallyBase { candidate, stable, groups, before }
    }

    pub(in crate::control) fn before(&self) -> Option<KindCounts> {
        self.before
    }

    /// Latencies of stable's answers so far, by bucket.
    pub(in crate::control) fn latency(&self) -> [u64; BUCKETS] {
        let stable = self.stable.as_ref().map(|stable| stable.totals.latency);
        stable.unwrap_or(MemberPast::default().latency)
    }

    pub(in crate::control) fn of_candidate(&self, now: &ArmTally) -> ArmTally {
        now.since(&self.candidate)
    }

    pub(in crate::control) fn of_stable(&self, now: &ArmTally) -> Option<ArmTally> {
        self.stable.as_ref().map(|then| now.since(then))
    }

    pub(in crate::control) fn of_group(&self, group: &GroupCounts) -> GroupTally {
        let then = self.groups.get(&group.key);
        let since = |now: &KindCounts, then: Option<&KindCounts>| then.map_or(*now, |then| now.since(then));
        GroupTally {
            name: group.name.to_string(),
            candidate: since(&group.candidate, then.map(|then| &then.candidate)),
            stable: since(&group.stable, then.map(|then| &then.stable)),
        }
    }
}
