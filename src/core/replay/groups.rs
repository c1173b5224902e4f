//! The groups of the requests in a log, found and counted as live, with what stable did in each before.

use super::attempt::{Ending, LoggedGroup, ReplayAttempt, past};
use super::order::{Fact, What};
use crate::core::group::{GroupEvent, GroupId, GroupSnapshot, Groups, Side};
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::{Outcome, Thresholds};
use crate::core::policy::GroupCounts;
use crate::core::policy::yardstick::GroupYardstick;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A log has one worker.
const WORKER: usize = 0;

#[derive(Clone, Debug)]
pub(super) struct LoggedGroups {
    most: usize,
    thresholds: Thresholds,
    groups: Arc<Groups>,
    /// The groups of attempts of which more is to come, by their line and start.
    open: HashMap<(u64, u64), GroupId>,
    /// Groups that something came of since the last look.
    touched: Vec<GroupId>,
    yardstick: GroupYardstick,
    /// What stable did before the stretch, by the keys of groups.
    before: HashMap<u64, KindCounts>,
}

impl LoggedGroups {
    /// At most so many; `None` where the policy asks for none.
    pub(super) fn new(most: usize, thresholds: Thresholds) -> Option<Self> {
        (most > 0).then(|| LoggedGroups {
            most,
            thresholds,
            groups: Arc::new(Groups::new(most, 1)),
            open: HashMap::new(),
            touched: Vec::new(),
            yardstick: GroupYardstick::default(),
            before: HashMap::new(),
        })
    }

    pub(super) fn take(&mut self, side: Side, fact: &Fact) {
        let Some(event) = event(fact, &self.thresholds) else { return };
        let attempt = &fact.attempt;
        let Some(group) = &attempt.group else { return };
        let place = (attempt.mark.line, attempt.started_us);
        let id = match fact.what {
            What::Known => self.group(group, attempt.code),
            _ => self.open.remove(&place).unwrap_or(GroupId::REST),
        };
        let goes_on = attempt.broke_us.is_some() || attempt.ended().is_some();
        if fact.what == What::Known && goes_on {
            self.open.insert(place, id);
        }
        self.groups.count(WORKER, side, id, event);
        if !self.touched.contains(&id) {
            self.touched.push(id);
        }
    }

    /// From time to time while nothing is judged: notes what stable did; groups that fill all places make room.
    pub(super) fn turn(&mut self, now: Duration) {
        if !self.yardstick.is_due(now) {
            return;
        }
        let fresh = if self.groups.is_full() { LoggedGroups::new(self.most, self.thresholds) } else { None };
        if let Some(fresh) = fresh {
            *self = fresh;
        }
        let counts = self.groups.snapshot().into_iter().map(|group| (group.key, group.stable));
        self.yardstick.turn(now, counts);
    }

    /// A stretch begins: all groups as they stand, with what stable did before.
    pub(super) fn begin(&mut self) -> Vec<GroupCounts> {
        let all = self.groups.snapshot();
        let before = all.iter().map(|group| (group.key, self.yardstick.since(group.key, &group.stable)));
        self.before = before.collect();
        self.touched.clear();
        all.into_iter().map(|group| self.counts(group)).collect()
    }

    /// The groups that something came of since the last call.
    pub(super) fn touched(&mut self) -> Vec<GroupCounts> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|id| self.counts(self.groups.snapshot_of(id))).collect()
    }

    fn counts(&self, group: GroupSnapshot) -> GroupCounts {
        let before = self.before.get(&group.key).copied().unwrap_or_default();
        let GroupSnapshot { key, name, candidate, stable } = group;
        GroupCounts { key, name, candidate, stable, before }
    }

    fn group(&self, group: &LoggedGroup, code: u16) -> GroupId {
        self.groups.of(group.shape, !(400..500).contains(&code), || group.name.to_string())
    }
}

/// What a fact is in a group.
pub(super) fn event(fact: &Fact, thresholds: &Thresholds) -> Option<GroupEvent> {
    let attempt: &ReplayAttempt = &fact.attempt;
    let late = attempt.late(&thresholds.slow);
    Some(match fact.what {
        What::Overdue(_) => return None,
        What::Known => match attempt.first_outcome() {
            Outcome::Success => GroupEvent::Decided { failed: false, late },
            Outcome::Failure(_) => GroupEvent::Decided { failed: true, late },
            Outcome::Abandoned => GroupEvent::Abandoned { late: late.unwrap_or_default() },
            Outcome::Ignored => return None,
        },
        What::Broke => GroupEvent::Broken,
        What::Ended => {
            let (end, _) = attempt.ended()?;
            let long = past(&thresholds.long, end.took_us);
            match end.ending {
                Ending::Cut => GroupEvent::Cut { long },
                Ending::Whole | Ending::Empty | Ending::Declined => GroupEvent::Finished { long },
            }
        }
    })
}
