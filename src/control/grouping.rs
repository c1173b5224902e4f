//! The groups of a service's requests: who is counted in them, and what stable did in each before.

use super::links::Links;
use super::live::Live;
use crate::core::group::Groups;
use crate::core::kind_counts::KindCounts;
use crate::core::policy::{GroupCounts, Policy, yardstick::GroupYardstick};
use crate::core::table::GroupCounting;
use std::sync::Arc;
use std::time::Duration;

/// The groups of one service.
#[derive(Debug)]
pub(super) struct Grouping {
    groups: Arc<Groups>,
    most: usize,
    before: GroupYardstick,
}

impl Grouping {
    fn new(most: usize, links: &Links) -> Self {
        let groups = Arc::new(Groups::new(most, links.recorder.workers()));
        Grouping { groups, most, before: GroupYardstick::default() }
    }

    /// What was counted of each group, with what stable did before.
    pub(super) fn counted(&self) -> Vec<GroupCounts> {
        let counts = |group: crate::core::group::GroupSnapshot| GroupCounts {
            key: group.key,
            before: self.before.since(group.key, &group.stable),
            name: group.name,
            candidate: group.candidate,
            stable: group.stable,
        };
        self.groups.snapshot().into_iter().map(counts).collect()
    }

    /// From time to time: notes what stable did. Groups that filled all places make room for those of today.
    fn turn(&mut self, now: Duration, links: &Links) -> bool {
        if !self.before.is_due(now) {
            return false;
        }
        let is_full = self.groups.is_full();
        let counts = self.groups.snapshot().into_iter().map(|group| (group.key, group.stable));
        self.before.turn(now, counts);
        if is_full {
            *self = Grouping::new(self.most, links);
        }
        is_full
    }
}

impl Live {
    /// Follows the policy: as many groups as it asks for. Whether the table has to say so.
    pub(super) fn fit_groups(&mut self, links: &Links) -> bool {
        let most = self.policy(links).map_or(0, |policy: Arc<Policy>| policy.groups);
        if self.grouping.as_ref().map_or(0, |grouping| grouping.most) == most {
            return false;
        }
        self.grouping = (most > 0).then(|| Grouping::new(most, links));
        true
    }

    /// While nothing is rolled out, what stable does in each group becomes its baseline.
    pub(super) fn turn_groups(&mut self, now: Duration, links: &Links) {
        let is_calm = self.watch.is_none();
        if is_calm && self.grouping.as_mut().is_some_and(|grouping| grouping.turn(now, links)) {
            self.todo.publish = true;
        }
    }

    /// How the table has requests counted by group.
    pub(super) fn group_counting(&self) -> Option<GroupCounting> {
        let groups = self.grouping.as_ref()?.groups.clone();
        let subject = self.subject();
        let is_sampled = subject.is_none();
        let (candidate, stable) = match &subject {
            Some(subject) => (subject.candidate(), subject.compared()),
            None => (None, Some(self.state.stable.as_str())),
        };
        let index = |pool: Option<&str>| pool.and_then(|pool| self.index(pool));
        Some(GroupCounting { groups, candidate: index(candidate), stable: index(stable), is_sampled })
    }

    /// What stable did in the minutes before, as its counters stand at `counts`.
    pub(super) fn baseline(&self, stable: Option<&str>, counts: Option<&KindCounts>) -> Option<KindCounts> {
        self.pools.get(stable?)?.yardstick.since(counts?)
    }
}
