//! The rollout machine: preparing → testing → shifting → baking → promoted, or aborted from any of them.
//!
//! Between two phases it crosses over: a gate waits for somebody's approval, hooks may refuse. Neither
//! keeps the policy from aborting a candidate that has traffic.

use super::input::{Action, Effect, Input, Observation, Work, WorkResult, note};
use super::plan::{HookPoint, Plan};
use super::state::{Approval, Instance, Lifetime, Phase, Rollout, Seen};
use crate::core::duration;
use crate::core::event::Event;
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::weight::BasisPoints;
use std::time::Duration;

impl Rollout {
    /// `upstreams` are the candidate's, for a rolling update.
    pub fn new(plan: Plan, upstreams: Vec<String>) -> Self {
        let instances =
            if plan.is_rolling() { upstreams.into_iter().map(Instance::new).collect() } else { Vec::new() };
        let mut rollout = Rollout {
            plan,
            phase: Phase::Preparing,
            paused: false,
            step: 0,
            passed: Duration::ZERO,
            step_attempts: 0,
            verdict: Verdict::default(),
            reason: None,
            crossing: None,
            approval: Approval::NotNeeded,
            instances,
            lifetime: Lifetime::default(),
            seen: Seen::default(),
        };
        let first = HookPoint::before(Phase::Preparing);
        if rollout.plan.hooks.contains(&first) {
            rollout.leave_for(Phase::Preparing, vec![first]);
        }
        rollout
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Promoted | Phase::Aborted)
    }

    pub fn is_rolling(&self) -> bool {
        self.plan.is_rolling()
    }

    /// Whether it shifts traffic between two pools.
    pub fn moves_traffic(&self) -> bool {
        !self.is_rolling() && !self.plan.dry_run
    }

    /// The share of stable's safe requests that is copied to the candidate now; `None` outside of a mirror
    /// step.
    pub fn mirrors(&self) -> Option<BasisPoints> {
        let shifts = self.phase == Phase::Shifting && self.moves_traffic();
        self.plan.steps.get(self.step).filter(|_| shifts)?.mirror
    }

    /// Whether it stands at a gate until somebody approves.
    pub fn awaits_approval(&self) -> bool {
        !self.has_ended() && self.approval == Approval::Waiting
    }

    /// Why it cannot be promoted by hand now, if it cannot.
    pub fn promotion_denied(&self) -> Option<&'static str> {
        let at_the_gate = self.crossing.as_ref().is_some_and(|crossing| crossing.to == Phase::Shifting);
        match self.phase {
            _ if self.is_rolling() => Some("a rolling update has no steps to skip; pause or abort it"),
            Phase::Preparing | Phase::Testing if at_the_gate => None,
            Phase::Preparing => {
                Some("the candidate is not known to be healthy yet; wait until it has been, or use flip")
            }
            Phase::Testing => Some("the smoke tests have not passed yet; wait for them, or use flip"),
            _ => None,
        }
    }

    /// The phase as shown: a paused rollout, or one at a gate, is `paused`, whatever it goes on with.
    pub fn label(&self) -> &'static str {
        let waits = !self.has_ended() && (self.paused || self.awaits_approval());
        if waits { "paused" } else { self.phase.label() }
    }

    /// What it wants done outside of this process, now.
    pub fn work(&self) -> Vec<Work> {
        if self.has_ended() || self.paused {
            return Vec::new();
        }
        if let Some(crossing) = &self.crossing {
            let asks = crossing.hooks.first().filter(|_| !crossing.gate);
            return asks.map(|point| Work::Hook(*point)).into_iter().collect();
        }
        match self.phase {
            Phase::Testing => vec![Work::Smoke(None)],
            Phase::Shifting => self.rolling_work(),
            _ => Vec::new(),
        }
    }

    /// The state after an input, and what is to be done. Ended rollouts change no more; an action that
    /// makes no sense in the phase changes nothing.
    pub fn advance(&self, input: &Input<'_>, now: Duration) -> (Rollout, Vec<Effect>) {
        let mut next = self.clone();
        let mut effects = Vec::new();
        if !self.has_ended() {
            // Whatever has happened: only the next look says that it is ready still.
            next.seen.ready &= matches!(input, Input::GoOn);
            match (input, self.overdue()) {
                (Input::Observed(_) | Input::Elapsed, Some((metric, why))) => {
                    next.fail(metric, &why, &mut effects);
                }
                (Input::Observed(observation), None) => next.observe(observation, now, &mut effects),
                (Input::Elapsed, None) => {}
                (Input::Asked(action, who), _) => next.asked(*action, who, &mut effects),
                (Input::GoOn, _) => next.go_on_together(&mut effects),
                (Input::Undone(why), _) => next.fail("set", why, &mut effects),
                (Input::Done(work, result), _) => next.done(work, result, &mut effects),
                (Input::Updated { upstream, who }, _) => next.updated(upstream, who, &mut effects),
            }
            next.note_stillness();
        }
        (next, effects)
    }

    fn observe(&mut self, seen: &Observation, now: Duration, effects: &mut Vec<Effect>) {
        let since = now.saturating_sub(self.seen.at.unwrap_or(now));
        self.seen.at = Some(now);
        match self.phase {
            Phase::Preparing | Phase::Testing if self.paused => {}
            Phase::Preparing | Phase::Testing if self.crossing.is_some() => self.cross(seen, since, effects),
            Phase::Preparing => self.prepare(seen, since, effects),
            Phase::Testing => self.test(since, effects),
            Phase::Shifting | Phase::Baking => self.watch(seen, since, effects),
            Phase::Promoted | Phase::Aborted => {}
        }
    }

    fn prepare(&mut self, seen: &Observation, since: Duration, effects: &mut Vec<Effect>) {
        self.passed += since;
        match &seen.candidate {
            Ok(()) => {
                self.leave();
                self.cross(seen, Duration::ZERO, effects);
            }
            Err(why) if self.passed >= self.plan.prepare => {
                let limit = duration::show(self.plan.prepare);
                self.fail("health", &format!("the candidate was not healthy within {limit}: {why}"), effects);
            }
            Err(why) => {
                self.reason = Some(format!("waiting until the candidate is healthy: {why}"));
            }
        }
    }

    /// The tests themselves run outside; their result comes as an input.
    fn test(&mut self, since: Duration, effects: &mut Vec<Effect>) {
        self.passed += since;
        if self.passed >= self.plan.prepare {
            let limit = duration::show(self.plan.prepare);
            self.fail("smoke", &format!("the smoke tests did not end within {limit}"), effects);
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.passed = Duration::ZERO;
        self.step_attempts = 0;
        self.reason = None;
        self.seen.held_for.clear();
    }

    /// The candidate has got other upstreams. What it has proven, and what was approved of it, is of no account any
    /// more: before it has traffic it is prepared and tested once more, under way the step starts over. What that means
    /// for it, where it means anything.
    pub fn candidate_replaced(&mut self) -> Option<String> {
        let asks_first = self.crossing.as_ref().is_some_and(|crossing| crossing.to == Phase::Preparing);
        let text = match self.phase {
            Phase::Preparing if asks_first => return None,
            Phase::Preparing | Phase::Testing => "the candidate is prepared once more".to_owned(),
            Phase::Shifting => {
                format!("step {} of {} starts over", self.step + 1, self.plan.steps.len())
            }
            Phase::Baking => "the bake starts over".to_owned(),
            Phase::Promoted | Phase::Aborted => return None,
        };
        self.seen.ready = false;
        let phase = if self.phase == Phase::Testing { Phase::Preparing } else { self.phase };
        self.enter(phase);
        (self.crossing, self.approval) = (None, Approval::NotNeeded);
        self.forget_stillness();
        (self.seen.passing, self.verdict) = (false, Verdict::default());
        Some(text)
    }

    /// The evidence is gone with the process that gathered it: time that passed and attempts that were counted under it
    /// are of no account, and the step starts over. A candidate that was held by evidence, and has all of the traffic
    /// so that nothing stands beside it any more, waits for somebody: what held it would never be found again. Why, if
    /// so.
    pub fn evidence_lost(&mut self) -> Option<String> {
        if !matches!(self.phase, Phase::Shifting | Phase::Baking) || self.is_rolling() {
            return None;
        }
        (self.passed, self.step_attempts, self.seen.ready) = (Duration::ZERO, 0, false);
        let held = self.verdict.reasons.iter().find(|reason| reason.needed > 0.0);
        let held = held.filter(|_| self.verdict.state == State::Hold && !self.paused)?;
        let weight = self.plan.steps.get(self.step).map_or(BasisPoints::FULL, |step| step.weight);
        if self.phase == Phase::Shifting && weight != BasisPoints::FULL {
            return None;
        }
        let why = format!(
            "held when the process ended, and with all of the traffic there is nothing to compare it with: {}",
            held.text
        );
        self.paused = true;
        self.reason = Some(why.clone());
        Some(why)
    }

    fn done(&mut self, work: &Work, result: &WorkResult, effects: &mut Vec<Effect>) {
        if !self.work().contains(work) {
            return;
        }
        match (work, result) {
            (Work::Hook(point), WorkResult::Passed) => self.hook_passed(*point, effects),
            (Work::Hook(point), WorkResult::Refused(why)) => {
                self.fail("hook", &format!("the hook {point} refused: {}", why.join("; ")), effects);
            }
            (Work::Hook(point), WorkResult::Unanswered(why)) => {
                self.reason = Some(format!("asking the hook {point} again: {why}"));
            }
            (Work::Smoke(None), WorkResult::Passed) => {
                effects.push(note(Event::Tested, "the smoke tests passed".to_owned()));
                self.leave();
            }
            (Work::Smoke(None), WorkResult::Refused(why)) => self.smoke_failed(why, effects),
            (Work::Smoke(None), WorkResult::Unanswered(why)) => {
                self.smoke_failed(std::slice::from_ref(why), effects);
            }
            (Work::Smoke(Some(upstream)) | Work::Update(upstream), _) => {
                self.instance_done(upstream, work, result, effects);
            }
        }
    }

    fn smoke_failed(&mut self, why: &[String], effects: &mut Vec<Effect>) {
        self.fail("smoke", &format!("smoke tests failed: {}", why.join("; ")), effects);
    }

    fn asked(&mut self, action: Action, who: &str, effects: &mut Vec<Effect>) {
        match action {
            Action::Pause if !self.paused => {
                self.paused = true;
                self.seen.passing = false;
                effects.push(note(Event::Paused, format!("paused by {who}")));
            }
            Action::Resume if self.paused => {
                self.paused = false;
                effects.push(note(Event::Resumed, format!("resumed by {who}")));
            }
            Action::Resume if self.approval == Approval::Waiting => {
                self.approval = Approval::Given;
                self.reason = None;
                effects.push(note(Event::Approved, format!("approved by {who}")));
            }
            Action::Pause | Action::Resume => {}
            Action::Promote => self.promote(&format!("promoted by {who}"), effects),
            Action::Abort => self.abort(&format!("aborted by {who}"), effects),
            Action::Withdraw => {
                self.withdraw_batch(effects);
                self.abort(&format!("aborted by {who}"), effects);
            }
        }
    }

    pub(super) fn promote(&mut self, why: &str, effects: &mut Vec<Effect>) {
        self.enter(Phase::Promoted);
        (self.paused, self.crossing, self.approval) = (false, None, Approval::NotNeeded);
        self.reason = Some(why.to_owned());
        if !self.is_rolling() {
            effects.push(Effect::Promote);
        }
        effects.push(note(Event::Promoted, why.to_owned()));
    }

    /// Aborts for something that the policy knows nothing of, and says so in the verdict.
    pub(super) fn fail(&mut self, metric: &str, why: &str, effects: &mut Vec<Effect>) {
        self.verdict.state = State::Fail;
        self.verdict.reasons.insert(0, Reason::condition(metric, Level::Critical, why.to_owned()));
        self.abort(why, effects);
    }

    pub(super) fn abort(&mut self, why: &str, effects: &mut Vec<Effect>) {
        let mut why = why.to_owned();
        if self.mirrors().is_some() {
            why.push_str("; it had mirrored requests only");
        }
        if self.is_rolling() {
            self.stop_rolling(effects);
            why = format!("{why}; {}", self.where_it_stands());
        } else {
            effects.push(Effect::Revert);
        }
        self.phase = Phase::Aborted;
        (self.paused, self.crossing, self.approval) = (false, None, Approval::NotNeeded);
        self.reason = Some(why.clone());
        effects.push(note(Event::Aborted, why));
    }
}
