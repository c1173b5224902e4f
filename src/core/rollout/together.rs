//! One of several rollouts that go on together: the services of a set.
//!
//! Each judges its own candidate, and stops before whatever gives that more traffic, or makes it stable. It goes on
//! when it is asked to, once all have come as far; what tells it is [`crate::core::service::set_moves`].

use super::input::Effect;
use super::state::{Approval, Phase, Rollout};

/// The reason of one that waits for the others.
pub const READY: &str = "ready to go on, and waits for the other services of its set";

impl Rollout {
    /// How far it has come, in numbers that are comparable between rollouts with the same steps: 0 before any
    /// traffic, then the steps, the bake and the promotion.
    pub fn progress(&self) -> usize {
        match self.phase {
            Phase::Preparing | Phase::Testing | Phase::Aborted => 0,
            Phase::Shifting => self.step + 1,
            Phase::Baking => self.plan.steps.len() + 1,
            Phase::Promoted => self.plan.steps.len() + 2,
        }
    }

    /// Whether it would go on by itself, and waits for the others of its set.
    pub fn is_ready(&self) -> bool {
        !self.has_ended() && self.seen.ready
    }

    /// Whether it stops here for the others of its set, before the next step or phase.
    pub(super) fn waits_for_others(&mut self, to: Phase) -> bool {
        let stops = self.plan.together && matches!(to, Phase::Shifting | Phase::Baking | Phase::Promoted);
        if stops {
            self.seen.ready = true;
            // What kept it from going on when it was told to stands there until it does.
            if !std::mem::replace(&mut self.seen.is_ready_told, true) || self.reason.is_none() {
                self.reason = Some(READY.to_owned());
            }
        }
        stops
    }

    /// The others have come as far.
    pub(super) fn go_on_together(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_ready() {
            return;
        }
        (self.seen.ready, self.seen.is_ready_told) = (false, false);
        self.approval = Approval::NotNeeded;
        match self.crossing.take() {
            Some(crossing) => self.arrive(crossing.to, effects),
            None => {
                self.note_idle(effects);
                self.enter_step(self.step + 1, effects);
            }
        }
    }
}
