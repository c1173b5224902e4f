//! From one phase to the next: a gate waits for somebody's approval, then hooks are asked, one after the
//! other, and may refuse.

use super::input::{Effect, Observation, note};
use super::plan::HookPoint;
use super::state::{Approval, Crossing, Phase, Rollout};
use crate::core::duration;
use crate::core::event::Event;
use std::time::Duration;

impl Rollout {
    /// Sets out for the phase after this one.
    pub(super) fn leave(&mut self) {
        let tests = self.plan.smoke && !self.is_rolling();
        let to = match self.phase {
            Phase::Preparing if tests => Phase::Testing,
            Phase::Preparing | Phase::Testing => Phase::Shifting,
            Phase::Shifting => Phase::Baking,
            _ => Phase::Promoted,
        };
        self.leave_for(to, vec![HookPoint::after(self.phase), HookPoint::before(to)]);
    }

    pub(super) fn leave_for(&mut self, to: Phase, mut hooks: Vec<HookPoint>) {
        hooks.retain(|point| self.plan.hooks.contains(point) && !self.plan.dry_run);
        let gate = self.plan.gate && to == Phase::Shifting;
        self.reason = hooks.first().map(|point| format!("asking the hook {point}"));
        self.crossing = Some(Crossing { to, gate, hooks, waited: Duration::ZERO });
    }

    /// Goes on towards the next phase as far as the gate and the hooks allow.
    pub(super) fn cross(&mut self, seen: &Observation, since: Duration, effects: &mut Vec<Effect>) {
        let Some(mut crossing) = self.crossing.clone() else { return };
        if crossing.gate {
            if !self.approved(crossing.to.label(), effects) {
                return;
            }
            crossing.gate = false;
        }
        if let Some(point) = crossing.hooks.first() {
            crossing.waited += since;
            if crossing.waited >= self.plan.prepare {
                let limit = duration::show(self.plan.prepare);
                let last = self.reason.take().unwrap_or_default();
                let why = format!("the hook {point} gave no answer within {limit}; {last}");
                return self.fail("hook", &why, effects);
            }
            self.crossing = Some(crossing);
            return;
        }
        if let (Phase::Shifting, Err(why)) = (crossing.to, &seen.candidate) {
            self.reason = Some(format!("waiting until the candidate is healthy: {why}"));
            self.crossing = Some(crossing);
            return;
        }
        if self.waits_for_others(crossing.to) {
            self.crossing = Some(crossing);
            return;
        }
        self.crossing = None;
        self.arrive(crossing.to, effects);
    }

    /// Whether a gate is open; asks for approval where nobody has been asked.
    pub(super) fn approved(&mut self, before: &str, effects: &mut Vec<Effect>) -> bool {
        match self.approval {
            // In a set, the approval holds until the others have come as far.
            Approval::Given if self.plan.together => {}
            Approval::Given => self.approval = Approval::NotNeeded,
            Approval::Waiting => return false,
            Approval::NotNeeded => {
                self.approval = Approval::Waiting;
                self.seen.passing = false;
                let text = format!("waits for approval before {before}: resume goes on, abort goes back");
                self.reason = Some(text.clone());
                effects.push(note(Event::Approval, text));
                return false;
            }
        }
        true
    }

    pub(super) fn arrive(&mut self, to: Phase, effects: &mut Vec<Effect>) {
        match to {
            Phase::Preparing => self.enter(Phase::Preparing),
            Phase::Testing => {
                self.enter(Phase::Testing);
                effects.push(note(Event::Testing, "smoke tests against the candidate".to_owned()));
            }
            Phase::Shifting if self.is_rolling() => self.enter_batch(0, effects),
            Phase::Shifting => self.enter_step(0, effects),
            Phase::Baking => {
                self.enter(Phase::Baking);
                let bake = duration::show(self.plan.bake);
                let what = if self.is_rolling() { "all updated" } else { "at 100 %" };
                effects.push(note(Event::Baking, format!("{what} for {bake} under watch")));
            }
            Phase::Promoted => self.promote("all steps and the bake passed", effects),
            Phase::Aborted => {}
        }
    }

    pub(super) fn hook_passed(&mut self, point: HookPoint, effects: &mut Vec<Effect>) {
        let Some(crossing) = &mut self.crossing else { return };
        crossing.hooks.retain(|other| *other != point);
        crossing.waited = Duration::ZERO;
        self.reason = crossing.hooks.first().map(|next| format!("asking the hook {next}"));
        effects.push(note(Event::Hook, format!("the hook {point} agreed")));
    }
}
