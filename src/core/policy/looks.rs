//! Looking at a candidate again and again: the watch, with the window that the plain rule asks for.
//!
//! A live rollout and a replay of its log look in the same way; only where the counters, the circumstances
//! and the time come from differs.

use super::{Circumstances, Mode, Policy, Watch};
use crate::core::outcome::{SlowLimits, Totals};
use crate::core::verdict::Verdict;
use crate::core::window::Window;
use std::sync::Arc;
use std::time::Duration;

/// A failure is stamped a moment before it is counted.
const SLACK: Duration = Duration::from_millis(10);

#[derive(Clone, Debug)]
pub struct Looks {
    pub watch: Watch,
    /// The times that count as slow, kept at hand since every bell asks for them.
    slow: SlowLimits,
    /// Since the watch began, for the plain rule.
    window: Window,
}

impl Looks {
    /// As [`Watch::new`].
    pub fn new(policy: Arc<Policy>, totals: &Totals, stable: Option<&Totals>, now: Duration) -> Self {
        let (slow, mut window) = (policy.slow_limits(), Window::new(policy.window));
        window.push(now, totals);
        Looks { watch: Watch::new(policy, totals, stable, now), slow, window }
    }

    /// What the counters must count by.
    pub fn slow(&self) -> &SlowLimits {
        &self.slow
    }

    /// Takes in what came since the last look. Whether the candidate had new failures, or slow attempts.
    pub fn observe(&mut self, now: Duration, totals: &Totals, stable: Option<&Totals>) -> bool {
        let events = self.watch.events();
        self.watch.observe(now, totals, stable);
        self.window.push(now, totals);
        self.watch.events() > events
    }

    /// Since when the clients must be counted that failures came to, where the verdict asks for it.
    pub fn clients_since(&self, now: Duration) -> Option<Duration> {
        self.watch.clients_since(now).map(|since| since.saturating_sub(SLACK))
    }

    /// The same of slow answers, by the place of their limit.
    pub fn slow_since(&self, now: Duration) -> impl Iterator<Item = (usize, Duration)> {
        self.watch.slow_since(now).map(|(slot, since)| (slot, since.saturating_sub(SLACK)))
    }

    /// What the policy says now; the figures of the window are added to what was `seen`.
    pub fn verdict(&self, now: Duration, totals: &Totals, seen: Circumstances<'_>) -> Verdict {
        // The sequential test looks at no figures.
        let figures = match self.watch.policy().mode {
            Mode::Window => self.window.figures(now, totals),
            Mode::Evidence => seen.figures,
        };
        self.watch.verdict(now, &Circumstances { figures, ..seen })
    }
}
