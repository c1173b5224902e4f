//! The watch over a version after its promotion: the policy goes on looking, and the smoke tests run
//! once more. What it finds stands in the history, and is undone where the operator asked for that.

use super::input::{Effect, Observation, Work, WorkResult, note};
use super::plan::Plan;
use crate::core::duration;
use crate::core::event::Event;
use crate::core::verdict::{Level, Reason, State, Verdict};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// The rollout that promoted what is watched.
    pub rollout: String,
    /// The pool that is watched.
    pub pool: String,
    /// The name of its policy, where it is another than the service's.
    pub policy: Option<String>,
    /// How long it watches, and has watched.
    pub watch: Duration,
    pub passed: Duration,
    /// Whether a broken limit goes back to the previous pool.
    pub rollback: bool,
    pub smoke: Smoke,
    /// The last verdict, with what the smoke tests found.
    pub verdict: Verdict,
    /// Whether the failure at hand has been told.
    degraded: bool,
    #[serde(skip)]
    seen: LookClock,
}

/// How the smoke tests after the promotion went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Smoke {
    Wanted,
    /// Passed, or there are none.
    Done,
    Failed(Vec<String>),
}

/// When it last looked; of no use in another process.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::core) struct LookClock(Option<Duration>);

impl LookClock {
    /// How long ago the last look was; this is one.
    pub(in crate::core) fn since_last(&mut self, now: Duration) -> Duration {
        now.saturating_sub(self.0.replace(now).unwrap_or(now))
    }
}

impl PartialEq for LookClock {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Guard {
    /// After a promotion; `None` where the plan asks for no watch.
    pub fn new(rollout: &str, pool: &str, policy: Option<&str>, plan: &Plan) -> Option<Self> {
        if plan.dry_run || (plan.after.watch.is_zero() && !plan.smoke) {
            return None;
        }
        Some(Guard {
            rollout: rollout.to_owned(),
            pool: pool.to_owned(),
            policy: policy.map(str::to_owned),
            watch: plan.after.watch,
            passed: Duration::ZERO,
            // A rolling update has no other pool to go back to.
            rollback: plan.after.rollback && !plan.is_rolling(),
            smoke: if plan.smoke { Smoke::Wanted } else { Smoke::Done },
            verdict: Verdict::default(),
            degraded: false,
            seen: LookClock::default(),
        })
    }

    pub fn work(&self) -> Option<Work> {
        (self.smoke == Smoke::Wanted).then_some(Work::Smoke(None))
    }

    pub fn done(&mut self, result: &WorkResult, effects: &mut Vec<Effect>) {
        if self.smoke != Smoke::Wanted {
            return;
        }
        self.smoke = match result {
            WorkResult::Passed => {
                effects.push(note(Event::Tested, "the smoke tests passed after the promotion".to_owned()));
                Smoke::Done
            }
            WorkResult::Refused(why) => Smoke::Failed(why.clone()),
            WorkResult::Unanswered(why) => Smoke::Failed(vec![why.clone()]),
        };
    }

    /// Looks at the promoted pool (`seen.candidate` and the verdict are about it, `seen.stable_ready` about
    /// the previous one). Whether the watch is over.
    pub fn observe(&mut self, seen: &Observation, now: Duration, effects: &mut Vec<Effect>) -> bool {
        self.passed += self.seen.since_last(now);
        self.verdict = seen.verdict.clone();
        if let Smoke::Failed(why) = &self.smoke {
            let text = format!("smoke tests failed after the promotion: {}", why.join("; "));
            self.verdict.state = State::Fail;
            self.verdict.reasons.push(Reason::condition("smoke", Level::Critical, text));
        }
        if let Err(why) = &seen.candidate {
            let text = format!("health: no upstream is ready ({why})");
            self.verdict.state = State::Fail;
            self.verdict.reasons.push(Reason::condition("health", Level::Critical, text));
        }
        let fails = self.verdict.state == State::Fail;
        let why = self.verdict.reasons.first().map_or("the policy failed it", |reason| &reason.text);
        if fails && self.rollback && seen.stable_ready {
            effects.push(Effect::Return(why.to_owned()));
            return true;
        }
        if fails && !self.degraded {
            effects.push(note(Event::Degraded, format!("after the promotion: {why}")));
        } else if self.degraded && !fails {
            effects.push(note(Event::Passing, "the promoted version keeps its limits again".to_owned()));
        }
        self.degraded = fails;
        let over = self.passed >= self.watch && self.smoke != Smoke::Wanted;
        if over && !fails && !self.watch.is_zero() {
            let watch = duration::show(self.watch);
            effects.push(note(Event::Verified, format!("kept its limits for {watch} after the promotion")));
        }
        over
    }
}
