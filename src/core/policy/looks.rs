//! Looking at a candidate again and again: the evaluation, with the window that the plain rule asks for.
//!
//! A live rollout and a replay of its log look in the same way; only where the counters, the circumstances
//! and the time come from differs.

use super::{Circumstances, Counted, Mode, Policy, PolicyEvaluation};
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::{SlowLimits, Totals};
use crate::core::verdict::Verdict;
use crate::core::window::Window;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Looks {
    pub evaluation: PolicyEvaluation,
    /// The times that count as slow, kept at hand since every bell asks for them.
    slow: SlowLimits,
    /// Since the evaluation began, for the plain rule.
    window: Window,
}

impl Looks {
    /// As [`PolicyEvaluation::new`].
    pub fn new(
        policy: Arc<Policy>,
        counted: Counted<'_>,
        before: Option<&KindCounts>,
        now: Duration,
    ) -> Self {
        let (slow, mut window) = (policy.thresholds(true).slow, Window::new(policy.window));
        window.push(now, counted.candidate.totals);
        Looks { evaluation: PolicyEvaluation::new(policy, counted, before, now), slow, window }
    }

    /// As [`PolicyEvaluation::in_rounds`].
    pub fn in_rounds(self) -> Self {
        Looks { evaluation: self.evaluation.in_rounds(), ..self }
    }

    /// As [`PolicyEvaluation::adopt`].
    pub fn adopt(&mut self, former: Looks) {
        if former.evaluation.policy().window == self.evaluation.policy().window {
            self.window = former.window;
        }
        self.evaluation.adopt(former.evaluation);
    }

    /// As [`PolicyEvaluation::remember`].
    pub fn remember(&mut self, former: Looks) {
        self.evaluation.remember(former.evaluation);
    }

    /// What the counters must count by.
    pub fn slow(&self) -> &SlowLimits {
        &self.slow
    }

    /// Takes in what came since the last look. Whether the candidate had new failures, or slow attempts.
    pub fn observe(&mut self, now: Duration, counted: Counted<'_>) -> bool {
        let events = self.evaluation.events();
        self.evaluation.observe(now, counted);
        self.window.push(now, counted.candidate.totals);
        self.evaluation.events() > events
    }

    /// Takes in what came as if nothing had come of it: the process stood still meanwhile. Nothing is worse by it.
    pub fn pass_over(&mut self, counted: Counted<'_>) -> bool {
        self.evaluation.pass_over(counted);
        false
    }

    /// What the policy says now; the figures of the window are added to what was `seen`.
    pub fn verdict(&self, now: Duration, totals: &Totals, seen: Circumstances<'_>) -> Verdict {
        // The sequential test looks at no figures.
        let figures = match self.evaluation.policy().mode {
            Mode::Window => self.window.figures(now, totals),
            Mode::Evidence => seen.figures,
        };
        self.evaluation.verdict(now, &Circumstances { figures, ..seen })
    }
}
