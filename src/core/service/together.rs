//! One service of a set: how far it has come, and how it is undone with the others.

use super::change::{Applied, Caution, Denied, Moment, Order};
use super::set::{SetPart, Standing, Undone};
use super::{QuarantineCause, Running, ServiceState};
use crate::core::event::Event;
use crate::core::rollout::{Input, Phase};

impl ServiceState {
    /// The set that the last rollout was a part of.
    pub fn set(&self) -> Option<&SetPart> {
        self.rollout.as_ref()?.set.as_ref()
    }

    /// How far it has come in the rollout of this id.
    pub fn standing(&self, set_rollout: &str) -> Standing {
        let is_part = |running: &&Running| running.set.as_ref().is_some_and(|set| set.rollout == set_rollout);
        let Some(running) = self.rollout.as_ref().filter(is_part) else { return Standing::Absent };
        let rollout = &running.rollout;
        match rollout.phase {
            Phase::Promoted if rollout.plan.dry_run || self.stable == running.to => Standing::Promoted,
            Phase::Promoted => {
                let quarantine = self.quarantine(&running.to);
                quarantine
                    .map_or(Standing::Absent, |q| Standing::Undone { why: q.why.clone(), cause: q.cause })
            }
            Phase::Aborted => {
                let why = rollout.reason.clone().unwrap_or_default();
                Standing::Undone { why, cause: QuarantineCause::Aborted }
            }
            _ => Standing::Runs { place: rollout.progress(), is_ready: rollout.is_ready() },
        }
    }

    /// An operator, or something else that is only about this service, has decided where its traffic goes: it is not
    /// undone with the others of its set any more.
    pub(super) fn leave_set(&mut self) {
        if let Some(last) = self.rollout.as_mut().filter(|last| last.rollout.has_ended()) {
            last.set = None;
        }
    }

    pub(super) fn undo_with_set(&self, by: &Undone, caution: Caution<'_>, moment: Moment<'_>) -> Applied {
        if self.running().is_some() {
            return self.drive(&Input::Undone(&by.why), moment);
        }
        let mut next = self.clone();
        if self.rollout.as_ref().is_none_or(|last| !last.rollout.moves_traffic()) {
            // A dry run has promoted nothing.
            next.leave_set();
            return Applied { state: next, notes: Vec::new(), order: Order::Quiet };
        }
        match self.way_back(caution) {
            Ok((to, _)) => {
                let by_hand = by.cause == QuarantineCause::RolledBack;
                let (event, cause) = match by_hand {
                    true => (Event::Rollback, by.cause),
                    false => (Event::Returned, QuarantineCause::Returned),
                };
                let text = format!("back to {} {}", self.version_on(&to), by.why);
                next.guard = None;
                next.go_back(&to, cause, &by.why, moment.wall);
                let order = if by_hand { Order::JournalFirst } else { Order::EffectFirst };
                Applied { order, ..next.journaled(event, text) }
            }
            Err(denied) => {
                next.leave_set();
                let detail =
                    if let Denied::Conflict { detail, .. } = denied { detail } else { String::new() };
                let text = format!("stays on {}, which its set has left {}: {detail}", self.stable, by.why);
                next.journaled(Event::Degraded, text)
            }
        }
    }
}
