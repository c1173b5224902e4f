//! What one member has counted of a rollout's candidate and of stable beside it.

use crate::core::kind_counts::KindCounts;
use crate::core::latency::BUCKETS;
use crate::core::outcome::{Durations, Totals};
use crate::core::policy::{ArmCounts, Counted, GroupCounts};
use crate::core::sparse;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts since a member's watch over the candidate began; they only grow, but for what is in flight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberCounts {
    pub candidate: ArmTally,
    /// `None` where nobody stands beside the candidate.
    pub stable: Option<ArmTally>,
    /// By the key of the group.
    pub groups: BTreeMap<u64, GroupTally>,
}

/// What was counted of one arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmTally {
    pub totals: Totals,
    pub durations: Durations,
}

/// What was counted of one group of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupTally {
    pub name: String,
    pub candidate: KindCounts,
    pub stable: KindCounts,
}

/// What stable did at one member before its watch began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberPast {
    /// In the ten minutes before, where that is known.
    pub before: Option<KindCounts>,
    /// Latencies of its answers so far, by bucket.
    #[serde(with = "sparse")]
    pub latency: [u64; BUCKETS],
    /// By the key of the group.
    pub groups: BTreeMap<u64, KindCounts>,
}

impl Default for MemberPast {
    fn default() -> Self {
        MemberPast { before: None, latency: [0; BUCKETS], groups: BTreeMap::new() }
    }
}

impl ArmTally {
    /// Both together.
    pub fn plus(&self, other: &ArmTally) -> ArmTally {
        ArmTally { totals: self.totals.plus(&other.totals), durations: self.durations.plus(&other.durations) }
    }

    /// What has been counted since `earlier`.
    pub fn since(&self, earlier: &ArmTally) -> ArmTally {
        ArmTally {
            totals: self.totals.since(&earlier.totals),
            durations: self.durations.since(&earlier.durations),
        }
    }

    fn counts(&self) -> ArmCounts<'_> {
        ArmCounts { totals: &self.totals, durations: Some(&self.durations) }
    }
}

impl MemberCounts {
    /// Both together. A group that one of them has not met is the other's alone.
    pub fn plus(&self, other: &MemberCounts) -> MemberCounts {
        let stable = match (&self.stable, &other.stable) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        let mut groups = self.groups.clone();
        for (key, group) in &other.groups {
            let sum = groups
                .entry(*key)
                .or_insert_with(|| GroupTally { name: group.name.clone(), ..GroupTally::default() });
            sum.candidate = sum.candidate.plus(&group.candidate);
            sum.stable = sum.stable.plus(&group.stable);
        }
        MemberCounts { candidate: self.candidate.plus(&other.candidate), stable, groups }
    }

    /// Of a process that is gone: nothing of it is in flight.
    pub fn at_rest(mut self) -> MemberCounts {
        self.candidate.totals.in_flight = 0;
        self.stable.iter_mut().for_each(|stable| stable.totals.in_flight = 0);
        self
    }

    /// The groups, with what stable did in them before.
    pub fn groups_with(&self, past: &MemberPast) -> Vec<GroupCounts> {
        let of = |(key, group): (&u64, &GroupTally)| GroupCounts {
            key: *key,
            name: group.name.as_str().into(),
            candidate: group.candidate,
            stable: group.stable,
            before: past.groups.get(key).copied().unwrap_or_default(),
        };
        self.groups.iter().map(of).collect()
    }

    /// As a policy takes them.
    pub fn counted<'a>(&'a self, groups: &'a [GroupCounts]) -> Counted<'a> {
        let stable = self.stable.as_ref().map(ArmTally::counts);
        Counted { candidate: self.candidate.counts(), stable, groups }
    }
}

impl MemberPast {
    /// Both together.
    pub fn plus(&self, other: &MemberPast) -> MemberPast {
        let before = match (&self.before, &other.before) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(*other),
        };
        let mut groups = self.groups.clone();
        for (key, counts) in &other.groups {
            let sum = groups.entry(*key).or_default();
            *sum = sum.plus(counts);
        }
        let latency =
            std::array::from_fn(|bucket| self.latency[bucket].saturating_add(other.latency[bucket]));
        MemberPast { before, latency, groups }
    }
}
