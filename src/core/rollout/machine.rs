//! The rollout machine: preparing → shifting → baking → promoted, or aborted from any of them.

use super::plan::{Idle, Plan};
use crate::core::duration;
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The candidate must become healthy.
    Preparing,
    /// Step by step towards 100 %.
    Shifting,
    /// At 100 %, still under watch.
    Baking,
    Promoted,
    Aborted,
}

/// The state of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub plan: Plan,
    pub phase: Phase,
    pub paused: bool,
    /// Index of the current step of the plan.
    pub step: usize,
    /// Time spent passing in the current step or the bake, or waiting in preparation.
    pub passed: Duration,
    /// Attempts on the candidate since the step began.
    pub step_attempts: u64,
    /// The last verdict, with what the machine itself waits for.
    pub verdict: Verdict,
    /// Why it ended or waits.
    pub reason: Option<String>,
    #[serde(skip)]
    seen: Seen,
}

/// What is only of use within one run of the process.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    at: Option<Duration>,
    passing: bool,
    attempts: u64,
    /// Whether the hold at hand has been noted.
    hold_noted: bool,
}

/// Two rollouts are the same whenever they would be stored the same.
impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is seen of the candidate at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What the policy says of the candidate.
    pub verdict: Verdict,
    /// Attempts on the candidate, ever growing; falls to 0 when counting begins anew.
    pub attempts: u64,
    /// Whether an upstream of the candidate is known to be ready; if not, which is not, and its last answer.
    pub candidate: Result<(), String>,
    /// Whether stable could take all traffic.
    pub stable_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pause,
    Resume,
    /// Skips what is left.
    Promote,
    Abort,
}

#[derive(Clone, Debug)]
pub enum Input<'a> {
    Observed(&'a Observation),
    /// Somebody asked for it, by name.
    Asked(Action, &'a str),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The candidate gets this share, stable the rest.
    Weight(BasisPoints),
    /// The candidate becomes stable, stable becomes previous.
    Promote,
    /// All traffic goes back to stable.
    Revert,
    Note(Note),
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub action: &'static str,
    pub text: String,
}

impl Rollout {
    pub fn new(plan: Plan) -> Self {
        Rollout {
            plan,
            phase: Phase::Preparing,
            paused: false,
            step: 0,
            passed: Duration::ZERO,
            step_attempts: 0,
            verdict: Verdict::default(),
            reason: None,
            seen: Seen::default(),
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Promoted | Phase::Aborted)
    }

    /// The phase as shown: a paused rollout is `paused`, whatever it goes on with.
    pub fn label(&self) -> &'static str {
        match self.phase {
            Phase::Promoted => "promoted",
            Phase::Aborted => "aborted",
            _ if self.paused => "paused",
            Phase::Preparing => "preparing",
            Phase::Shifting => "shifting",
            Phase::Baking => "baking",
        }
    }

    /// The state after an input, and what is to be done. Ended rollouts change no more; an action that
    /// makes no sense in the phase changes nothing.
    pub fn advance(&self, input: &Input<'_>, now: Duration) -> (Rollout, Vec<Effect>) {
        let mut next = self.clone();
        let mut effects = Vec::new();
        if !self.has_ended() {
            match input {
                Input::Observed(observation) => next.observe(observation, now, &mut effects),
                Input::Asked(action, who) => next.asked(*action, who, &mut effects),
            }
        }
        (next, effects)
    }

    fn observe(&mut self, seen: &Observation, now: Duration, effects: &mut Vec<Effect>) {
        let since = now.saturating_sub(self.seen.at.unwrap_or(now));
        self.seen.at = Some(now);
        if self.phase == Phase::Preparing {
            return self.prepare(seen, since, effects);
        }
        let new = if seen.attempts < self.seen.attempts {
            seen.attempts
        } else {
            seen.attempts - self.seen.attempts
        };
        self.seen.attempts = seen.attempts;
        self.step_attempts += new;
        self.verdict = seen.verdict.clone();
        if let Err(why) = &seen.candidate {
            if seen.stable_ready {
                return self
                    .abort(&format!("health: no upstream of the candidate is ready ({why})"), effects);
            }
            self.wait_for("health", format!("neither pool has a ready upstream ({why})"), 0.0, 0.0);
        }
        if self.verdict.state == State::Fail {
            let why =
                self.verdict.reasons.first().map_or("the policy failed it", |reason| &reason.text).to_owned();
            return self.abort(&why, effects);
        }
        let passing = self.verdict.state == State::Pass && !self.paused;
        if passing && self.seen.passing {
            self.passed += since;
        }
        self.seen.passing = passing;
        if passing {
            self.proceed(effects);
        }
        self.note_hold(effects);
    }

    fn prepare(&mut self, seen: &Observation, since: Duration, effects: &mut Vec<Effect>) {
        if self.paused {
            return;
        }
        self.passed += since;
        match &seen.candidate {
            Ok(()) => self.enter_step(0, effects),
            Err(why) if self.passed >= self.plan.prepare => {
                self.abort(
                    &format!(
                        "the candidate was not healthy within {}: {why}",
                        duration::show(self.plan.prepare)
                    ),
                    effects,
                );
            }
            Err(why) => {
                self.reason = Some(format!("waiting until the candidate is healthy: {why}"));
            }
        }
    }

    /// Ends the step or the bake if its time has come.
    fn proceed(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Baking {
            if self.passed >= self.plan.bake {
                self.promote("all steps and the bake passed", effects);
            }
            return;
        }
        let hold = self.plan.steps.get(self.step).map_or(Duration::ZERO, |step| step.hold);
        if self.passed < hold {
            return;
        }
        let missing = self.plan.min_attempts.saturating_sub(self.step_attempts);
        if missing > 0 && self.plan.idle == Idle::Hold {
            let (least, got) = (self.plan.min_attempts as f64, self.step_attempts as f64);
            self.wait_for("attempts", format!("needs {missing} more attempts on the candidate"), least, got);
            return;
        }
        if missing > 0 {
            let text = format!(
                "step {} ends by time alone, {missing} attempts short (idle = \"advance\")",
                self.step + 1
            );
            effects.push(note("step", text));
        }
        if self.step + 1 < self.plan.steps.len() {
            self.enter_step(self.step + 1, effects);
        } else {
            self.enter(Phase::Baking);
            effects
                .push(note("baking", format!("at 100 % for {} under watch", duration::show(self.plan.bake))));
        }
    }

    fn enter_step(&mut self, step: usize, effects: &mut Vec<Effect>) {
        let Some(to) = self.plan.steps.get(step).copied() else { return };
        self.enter(Phase::Shifting);
        self.step = step;
        effects.push(Effect::Weight(to.weight));
        let hold =
            if to.hold.is_zero() { String::new() } else { format!(" for {}", duration::show(to.hold)) };
        let text = format!("step {} of {}: {}{hold}", step + 1, self.plan.steps.len(), to.weight);
        effects.push(note("step", text));
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.passed = Duration::ZERO;
        self.step_attempts = 0;
        self.reason = None;
        self.seen.hold_noted = false;
    }

    /// A hold of the machine's own, beside those of the policy.
    fn wait_for(&mut self, metric: &str, text: String, limit: f64, observed: f64) {
        self.verdict.state = self.verdict.state.max(State::Hold);
        self.verdict.reasons.push(Reason {
            metric: metric.into(),
            level: Level::Warning,
            limit,
            observed,
            attempts: self.step_attempts,
            events: 0,
            evidence: 0.0,
            needed: 0.0,
            for_seconds: 0.0,
            text,
        });
    }

    /// One note for each hold, when it begins.
    fn note_hold(&mut self, effects: &mut Vec<Effect>) {
        let held = !self.has_ended() && self.verdict.state == State::Hold;
        if held {
            let reasons: Vec<&str> = self.verdict.reasons.iter().map(|reason| &*reason.text).collect();
            self.reason = Some(reasons.join("; "));
        } else if self.seen.hold_noted && !self.has_ended() {
            self.reason = None;
        }
        if held && !self.seen.hold_noted {
            effects.push(note("held", self.reason.clone().unwrap_or_default()));
        }
        self.seen.hold_noted = held;
    }

    fn asked(&mut self, action: Action, who: &str, effects: &mut Vec<Effect>) {
        match action {
            Action::Pause if !self.paused => {
                self.paused = true;
                self.seen.passing = false;
                effects.push(note("paused", format!("paused by {who}")));
            }
            Action::Resume if self.paused => {
                self.paused = false;
                effects.push(note("resumed", format!("resumed by {who}")));
            }
            Action::Pause | Action::Resume => {}
            Action::Promote => self.promote(&format!("promoted by {who}"), effects),
            Action::Abort => self.abort(&format!("aborted by {who}"), effects),
        }
    }

    fn promote(&mut self, why: &str, effects: &mut Vec<Effect>) {
        self.enter(Phase::Promoted);
        self.paused = false;
        self.reason = Some(why.to_owned());
        effects.push(Effect::Promote);
        effects.push(note("promoted", why.to_owned()));
    }

    fn abort(&mut self, why: &str, effects: &mut Vec<Effect>) {
        self.phase = Phase::Aborted;
        self.paused = false;
        self.reason = Some(why.to_owned());
        effects.push(Effect::Revert);
        effects.push(note("aborted", why.to_owned()));
    }
}

fn note(action: &'static str, text: String) -> Effect {
    Effect::Note(Note { action, text })
}
