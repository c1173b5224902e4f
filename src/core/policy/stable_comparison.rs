//! Stable, watched beside the candidate under one critical limit.
//!
//! It answers two questions: does stable break the limit too, and is the candidate worse than stable?
//! The first is a count, not a test: where the candidate has most of the traffic, stable sees too little
//! to break its limit in time.

use super::bound::KindBound;
use crate::core::evidence::relative::{BELIEVED, Batch, Relative, clean_after};
use crate::core::kind_counts::KindCounts;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct StableComparison {
    bound: KindBound,
    pub relative: Relative,
    /// Stable's non-events and events when the evaluation began, and those taken in already.
    before: (u64, u64),
    seen: (u64, u64),
    /// What stable did since the candidate's evidence last stood at zero.
    pub stretch: Batch,
    /// Its attempts in a row without an event.
    clean: u64,
}

impl StableComparison {
    pub(super) fn new(bound: KindBound, relative: Relative, stable: &KindCounts) -> Self {
        let seen = bound.counts(stable);
        StableComparison { bound, relative, before: seen, seen, stretch: Batch::default(), clean: 0 }
    }

    /// The same, under another threshold (A > 1).
    pub(super) fn needing(self, threshold: f64) -> Self {
        StableComparison { relative: self.relative.needing(threshold), ..self }
    }

    /// A new stretch begins.
    pub(super) fn begin(&mut self) {
        self.stretch = Batch::default();
    }

    pub(super) fn observe(&mut self, now: Duration, candidate: Batch, stable: &KindCounts) {
        let (others, events) = self.bound.counts(stable);
        let (others, events) = (others.max(self.seen.0), events.max(self.seen.1));
        let (new_others, events_new) = (others - self.seen.0, events - self.seen.1);
        self.seen = (others, events);
        let batch = Batch { attempts: new_others + events_new, events: events_new };
        self.stretch.attempts += batch.attempts;
        self.stretch.events += batch.events;
        self.clean = clean_after(self.clean, batch);
        self.relative.observe(now, candidate, batch);
    }

    /// Moves on to where the counters stand.
    pub(super) fn pass_over(&mut self, stable: &KindCounts) {
        self.seen = self.bound.counts(stable);
    }

    /// What stable did since the evaluation began.
    pub(super) fn all(&self) -> Batch {
        let events = self.seen.1 - self.before.1;
        Batch { attempts: self.seen.0 - self.before.0 + events, events }
    }

    /// Whether stable breaks a limit of `allowed`, too. It must still have traffic: what it did before all of the
    /// traffic went to the candidate excuses nothing.
    pub(super) fn is_failing(&self, allowed: f64) -> bool {
        let most = allowed * self.stretch.attempts as f64;
        self.stretch.events > 0 && self.stretch.events as f64 > most && self.relative.hears_stable()
    }

    /// Whether it was failing and has had so many attempts in a row without an event that it would be a
    /// chance of one in a thousand at the limit itself.
    pub(super) fn has_recovered(&self, allowed: f64) -> bool {
        self.is_failing(allowed) && self.clean as f64 * allowed >= BELIEVED
    }
}
