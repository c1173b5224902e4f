//! The groups of a service's requests: who is counted in them, and what stable did in each before.

use super::links::Links;
use crate::core::group::{GroupSnapshot, Groups};
use crate::core::policy::{GroupCounts, yardstick::GroupYardstick};
use std::sync::Arc;
use std::time::Duration;

/// The groups of one service.
#[derive(Debug)]
pub(super) struct Grouping {
    pub groups: Arc<Groups>,
    most: usize,
    before: GroupYardstick,
}

impl Grouping {
    /// At most so many, as the policy asks for; `None` where it asks for none.
    pub(super) fn of(most: usize, links: &Links) -> Option<Self> {
        (most > 0).then(|| Grouping::new(most, links))
    }

    /// How many there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn new(most: usize, links: &Links) -> Self {
        let groups = Arc::new(Groups::new(most, links.recorder.workers()));
        Grouping { groups, most, before: GroupYardstick::default() }
    }

    /// What was counted of each group, with what stable did before.
    pub(super) fn counted(&self) -> Vec<GroupCounts> {
        let counts = |group: GroupSnapshot| GroupCounts {
            key: group.key,
            before: self.before.since(group.key, &group.stable),
            name: group.name,
            candidate: group.candidate,
            stable: group.stable,
        };
        self.groups.snapshot().into_iter().map(counts).collect()
    }

    /// From time to time, while nothing is rolled out: notes what stable did. Groups that filled all places make room
    /// for those of today; whether that happened, so that the table has to name them.
    pub(super) fn turn(&mut self, now: Duration, links: &Links) -> bool {
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
