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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::{Plan, Step, Strategy};
    use crate::core::service::{Change, Moment};
    use crate::core::weight::BasisPoints;
    use std::time::Duration;

    const THEN: Moment<'static> = Moment { now: Duration::ZERO, wall: "then" };

    fn running() -> ServiceState {
        let steps = vec![Step::weight(BasisPoints::FULL, Duration::ZERO)];
        let plan = Plan { strategy: Strategy::Canary, steps, ..Plan::default() };
        let (version, policy, set) = (None, None, None);
        let id = "web-1".to_owned();
        let upstreams = Vec::new();
        let start = Change::Start { id, to: "green", version, policy, plan, upstreams, set, who: "ci" };
        ServiceState::new("blue", ["blue", "green"]).apply(start, THEN).expect("started").state
    }

    #[test]
    fn a_state_from_before_an_own_abort_is_not_entered() {
        let mut part = FleetPart::default();
        let (state, one, two) = (running(), Arc::from("a/1"), Arc::from("b/1"));
        assert!(part.follows(&state, (&one, &None, true)));
        assert!(!part.follows(&state, (&one, &None, true)), "it is in effect");
        assert!(part.follows(&state, (&one, &None, false)), "what is unheard gives candidates nothing");
        part.aborted("web-1".to_owned());
        assert!(!part.follows(&state, (&two, &None, true)), "somebody went on meanwhile");
        assert_eq!(part.take_to_tell().as_deref(), Some("web-1"));
        assert_eq!(part.take_to_tell(), None, "the others hear of it once");
        assert!(!part.take_mark(), "nobody else knows of it yet");
        let undone = state.undone_again("web-1", "edge-1").expect("it runs");
        let undone = state.apply(undone, THEN).expect("undone").state;
        assert!(part.follows(&undone, (&two, &Some("web-1".to_owned()), true)));
        assert!(part.take_mark() && !part.take_mark());
    }

    #[test]
    fn who_leads_is_news_once() {
        let mut part = FleetPart::default();
        assert!(part.stand(true, Vec::new()) && !part.stand(true, Vec::new()));
        assert!(part.stand(true, vec!["edge-2 is gone".to_owned()]));
        assert!(part.stand(false, Vec::new()) && !part.leads());
    }
}
