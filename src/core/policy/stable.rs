//! Stable, watched beside the candidate under one critical limit.
//!
//! It answers two questions: does stable break the limit too, and is the candidate worse than stable?
//! The first is a count, not a test: where the candidate has most of the traffic, stable sees too little
//! to break its limit in time.

use super::Bound;
use crate::core::evidence::relative::{BELIEVED, Batch, Relative, clean_after};
use crate::core::outcome::Totals;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Beside {
    bound: Bound,
    pub relative: Relative,
    /// Stable's non-events and events taken in already.
    seen: (u64, u64),
    /// What stable did since the candidate's evidence last stood at zero.
    pub stretch: Batch,
    /// Its attempts in a row without an event.
    clean: u64,
}

impl Beside {
    pub(super) fn new(bound: Bound, ratio: f64, threshold: f64, stable: &Totals, now: Duration) -> Self {
        let relative = Relative::new(ratio, threshold, now);
        Beside { bound, relative, seen: bound.counts(stable), stretch: Batch::default(), clean: 0 }
    }

    /// A new stretch begins.
    pub(super) fn begin(&mut self) {
        self.stretch = Batch::default();
    }

    pub(super) fn observe(&mut self, now: Duration, candidate: Batch, stable: &Totals) {
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

    /// Whether stable breaks the limit too. It must still have traffic: what it did before all of the
    /// traffic went to the candidate excuses nothing.
    pub(super) fn is_failing(&self) -> bool {
        let allowed = self.bound.allowed() * self.stretch.attempts as f64;
        self.stretch.events > 0 && self.stretch.events as f64 > allowed && self.relative.hears_stable()
    }

    /// Whether it was failing and has had so many attempts in a row without an event that it would be a
    /// chance of one in a thousand at the limit itself.
    pub(super) fn has_recovered(&self) -> bool {
        self.is_failing() && self.clean as f64 * self.bound.allowed() >= BELIEVED
    }
}
