//! Under watch: the steps towards 100 % and the bake.

use super::input::{Effect, Observation, note};
use super::plan::Idle;
use super::state::{Approval, Phase, Rollout};
use crate::core::duration;
use crate::core::event::Event;
use crate::core::verdict::{Level, Reason, State};
use std::time::Duration;

impl Rollout {
    pub(super) fn watch(&mut self, seen: &Observation, since: Duration, effects: &mut Vec<Effect>) {
        self.count(seen.attempts);
        self.verdict = seen.verdict.clone();
        if let Err(why) = &seen.candidate {
            let why = format!("no upstream of the candidate is ready ({why})");
            if seen.stable_ready || self.is_rolling() {
                return self.fail("health", &format!("health: {why}"), effects);
            }
            self.wait_for("health", format!("neither pool has a ready upstream ({why})"), 0.0, 0.0);
        }
        if self.verdict.state == State::Fail {
            let why = self.verdict.reasons.first().map_or("the policy failed it", |reason| &reason.text);
            let why = why.to_owned();
            self.withdraw_batch(effects);
            return self.abort(&why, effects);
        }
        let passing = self.verdict.state == State::Pass && !self.paused;
        let counts = passing && self.approval != Approval::Waiting && self.crossing.is_none();
        // A batch that is being updated is not under watch yet.
        let counts = counts && self.batch_serves();
        if counts && self.seen.passing {
            self.passed += since;
        }
        self.seen.passing = counts;
        if !self.paused && self.phase == Phase::Shifting && self.is_rolling() && self.crossing.is_none() {
            self.roll(seen, since, effects);
        }
        if passing && !self.has_ended() {
            if self.crossing.is_some() {
                self.cross(seen, since, effects);
            } else if counts {
                self.proceed(seen, effects);
            }
        }
        self.note_hold(effects);
    }

    fn count(&mut self, attempts: u64) {
        let before = std::mem::replace(&mut self.seen.attempts, attempts);
        self.step_attempts += if attempts < before { attempts } else { attempts - before };
    }

    /// Ends the step, the batch or the bake if its time has come.
    fn proceed(&mut self, seen: &Observation, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Baking {
            if self.passed >= self.plan.bake {
                self.leave();
                self.cross(seen, Duration::ZERO, effects);
            }
            return;
        }
        let step = self.plan.steps.get(self.step).copied();
        let hold = match step {
            _ if self.is_rolling() => self.plan.rolling.watch,
            step => step.map_or(Duration::ZERO, |step| step.hold),
        };
        if self.passed < hold {
            return;
        }
        let missing = self.plan.min_attempts.saturating_sub(self.step_attempts);
        if missing > 0 && self.plan.idle == Idle::Hold {
            let (least, got) = (self.plan.min_attempts as f64, self.step_attempts as f64);
            let what = if self.mirrors().is_some() { "mirrored requests" } else { "attempts" };
            self.wait_for("attempts", format!("needs {missing} more {what} on the candidate"), least, got);
            return;
        }
        if step.is_some_and(|step| step.gate) && !self.approved(&self.what_follows(), effects) {
            return;
        }
        let has_next = self.step + 1 < self.plan.steps.len();
        if has_next && self.waits_for_others(Phase::Shifting) {
            return;
        }
        self.note_idle(effects);
        self.go_on(seen, effects);
    }

    /// A note where a step ends without the attempts that it should have had.
    pub(super) fn note_idle(&mut self, effects: &mut Vec<Effect>) {
        let missing = self.plan.min_attempts.saturating_sub(self.step_attempts);
        if missing > 0 {
            let what = if self.is_rolling() { "batch" } else { "step" };
            let text = format!(
                "{what} {} ends by time alone, {missing} attempts short (idle = \"advance\")",
                self.step + 1
            );
            effects.push(note(Event::Step, text));
        }
    }

    fn go_on(&mut self, seen: &Observation, effects: &mut Vec<Effect>) {
        let next = self.step + 1;
        if self.is_rolling() && next < self.batches() {
            self.enter_batch(next, effects);
        } else if next < self.plan.steps.len() {
            self.enter_step(next, effects);
        } else {
            self.leave();
            self.cross(seen, Duration::ZERO, effects);
        }
    }

    /// What a step's gate stands before.
    pub(super) fn what_follows(&self) -> String {
        match self.plan.steps.get(self.step + 1) {
            Some(step) => format!("step {} ({step})", self.step + 2),
            None => "baking".to_owned(),
        }
    }

    pub(super) fn enter_step(&mut self, step: usize, effects: &mut Vec<Effect>) {
        let Some(to) = self.plan.steps.get(step).copied() else { return };
        self.enter(Phase::Shifting);
        self.step = step;
        effects.push(Effect::Weight(to.weight));
        let hold =
            if to.hold.is_zero() { String::new() } else { format!(" for {}", duration::show(to.hold)) };
        let text = format!("step {} of {}: {to}{hold}", step + 1, self.plan.steps.len());
        effects.push(note(Event::Step, text));
    }

    /// A hold of the machine's own, beside those of the policy.
    pub(super) fn wait_for(&mut self, metric: &str, text: String, limit: f64, observed: f64) {
        self.verdict.state = self.verdict.state.max(State::Hold);
        let attempts = self.step_attempts;
        let reason = Reason::condition(metric, Level::Warning, text);
        self.verdict.reasons.push(Reason { limit, observed, attempts, ..reason });
    }

    /// A note when a hold begins, when its reason changes, and when it ends.
    fn note_hold(&mut self, effects: &mut Vec<Effect>) {
        if self.has_ended() {
            return;
        }
        if self.verdict.state != State::Hold {
            if !self.seen.held_for.is_empty() {
                self.seen.held_for.clear();
                self.reason = self.awaits_approval().then(|| "waits for approval".to_owned());
                effects.push(note(Event::Passing, "the verdict passes again".to_owned()));
            }
            return;
        }
        let reasons: Vec<&str> = self.verdict.reasons.iter().map(|reason| &*reason.text).collect();
        let text = reasons.join("; ");
        let metrics = self.verdict.reasons.iter().map(|reason| &reason.metric);
        let known = &mut self.seen.held_for;
        let is_new = metrics.fold(known.is_empty(), |any, metric| known.insert(metric.clone()) || any);
        if is_new {
            effects.push(note(Event::Held, text.clone()));
        }
        self.reason = Some(text);
    }
}
