//! What a service has of its fleet: which document its state comes from, and whether this process may go on by itself.

use crate::core::service::ServiceState;
use std::sync::Arc;

/// A service's part in a fleet.
#[derive(Debug, Default)]
pub(in crate::control) struct FleetPart {
    /// The transaction that wrote the document which the state in effect comes from; `None` before there is any.
    base: Option<Arc<str>>,
    /// What was undone in it beyond the document, and whether the store was heard.
    undone: Option<String>,
    is_heard: bool,
    leads: bool,
    holds: Vec<String>,
    /// The rollout that was aborted here, until the fleet's task shows it undone.
    aborting: Option<String>,
    /// Whether the others are to hear of that.
    is_to_tell: bool,
    /// Whether the file of marks has it.
    is_marked: bool,
}

impl FleetPart {
    pub(in crate::control) fn base(&self) -> Option<&Arc<str>> {
        self.base.as_ref()
    }

    /// Whether anything is known of the service, of the fleet or of its last time.
    pub(in crate::control) fn is_known(&self) -> bool {
        self.base.is_some()
    }

    /// Whether this process advances and promotes.
    pub(in crate::control) fn leads(&self) -> bool {
        self.leads
    }

    /// Why nothing goes on, while this process leads.
    pub(in crate::control) fn holds(&self) -> &[String] {
        &self.holds
    }

    /// Whether what leads may change is another now.
    pub(in crate::control) fn stand(&mut self, leads: bool, holds: Vec<String>) -> bool {
        let is_new = (self.leads, &self.holds) != (leads, &holds);
        (self.leads, self.holds) = (leads, holds);
        is_new
    }

    /// The own change is in effect by this transaction.
    pub(in crate::control) fn wrote(&mut self, txn: Arc<str>) {
        (self.base, self.undone, self.is_heard) = (Some(txn), None, true);
    }

    /// Whether a state that comes from the fleet is to be entered: it is another one, and it is not older than an
    /// abort of our own.
    pub(in crate::control) fn follows(
        &mut self,
        state: &ServiceState,
        (txn, undone, is_heard): (&Arc<str>, &Option<String>, bool),
    ) -> bool {
        let is_same = self.base.as_ref() == Some(txn) && self.undone == *undone && self.is_heard == is_heard;
        let is_before = self.aborting.as_ref().is_some_and(|id| state.undone_again(id, "").is_some());
        if is_same && self.aborting.is_none() || is_before {
            return false;
        }
        (self.aborting, self.base) = (None, Some(txn.clone()));
        (self.undone, self.is_heard) = (undone.clone(), is_heard);
        true
    }

    /// A rollout was aborted here: the table has it, and the file of marks.
    pub(in crate::control) fn aborted(&mut self, rollout: String) {
        (self.aborting, self.is_to_tell, self.is_marked) = (Some(rollout), true, true);
    }

    /// The rollout whose abort the others are to hear of, once.
    pub(in crate::control) fn take_to_tell(&mut self) -> Option<String> {
        std::mem::take(&mut self.is_to_tell).then(|| self.aborting.clone()).flatten()
    }

    pub(in crate::control) fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Whether the mark of an abort is of no use any more, once.
    pub(in crate::control) fn take_mark(&mut self) -> bool {
        self.aborting.is_none() && std::mem::take(&mut self.is_marked)
    }
}
