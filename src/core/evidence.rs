//! Is the candidate worse than its limit? A sequential test that may be looked at after every event.
//!
//! The mixture CUSUM e-detector of Shin, Ramdas and Rinaldo ("E-detectors", 2022): for each of twelve
//! alternatives p₁…p₁₂ above the limit p₀ it keeps the log-likelihood ratio against p₀, floored at 0,
//! and mixes them evenly. While the true rate stays at or below p₀, the chance that the mixture reaches
//! `A` within the first N attempts is at most N/A. A rate in a window has no such bound: looked at after
//! every request, it reverts healthy versions.

use std::time::Duration;

/// Alternatives in the mixture.
const GRID: usize = 12;
/// The largest alternative.
const TOP: f64 = 0.98;

/// The evidence of one stream of events (failures, or slow attempts) against one limit.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What an event and a non-event add to each ln-likelihood ratio.
    event: [f64; GRID],
    other: [f64; GRID],
    ratio: [f64; GRID],
    needed: f64,
    /// Attempts and events since the evidence last stood at zero, and when that was.
    attempts: u64,
    events: u64,
    since: Duration,
}

impl Evidence {
    /// Against the allowed proportion `limit` (0 < p₀ ≤ 0.4), speaking at `threshold` (A > 1).
    pub fn new(limit: f64, threshold: f64, now: Duration) -> Self {
        let p0 = limit.clamp(1e-9, 0.4);
        let first = 2.0 * p0;
        let alternative = |k: usize| first * (TOP / first).powf(k as f64 / (GRID - 1) as f64);
        let event = std::array::from_fn(|k| (alternative(k) / p0).ln());
        let other = std::array::from_fn(|k| ((1.0 - alternative(k)) / (1.0 - p0)).ln());
        let needed = threshold.max(1.0).ln();
        Evidence { event, other, ratio: [0.0; GRID], needed, attempts: 0, events: 0, since: now }
    }

    /// Takes in a batch whose inner order is unknown, spread evenly: the events cut the non-events into
    /// equal gaps and each comes at the end of its gap. Batches are what came between two looks, and
    /// every event asks for a look, so they mostly hold one event.
    pub fn observe(&mut self, now: Duration, non_events: u64, events: u64) {
        let mut left = non_events;
        for remaining in (1..=events).rev() {
            let gap = left / remaining;
            left -= gap;
            self.pass(now, gap);
            self.strike();
        }
        self.pass(now, left);
    }

    /// ln of the mixture: 0 when nothing speaks against the stream.
    pub fn ln(&self) -> f64 {
        let largest = self.ratio.iter().copied().fold(0.0, f64::max);
        let sum: f64 = self.ratio.iter().map(|ratio| (ratio - largest).exp()).sum();
        (largest + sum.ln() - (GRID as f64).ln()).max(0.0)
    }

    /// The ln that it takes.
    pub fn needed(&self) -> f64 {
        self.needed
    }

    pub fn exceeded(&self) -> bool {
        self.ln() >= self.needed
    }

    /// Attempts since the evidence last stood at zero.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Events since then.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// When that was.
    pub fn since(&self) -> Duration {
        self.since
    }

    fn pass(&mut self, now: Duration, gap: u64) {
        if gap == 0 {
            return;
        }
        for (ratio, other) in self.ratio.iter_mut().zip(&self.other) {
            *ratio = (*ratio + gap as f64 * other).max(0.0);
        }
        self.attempts += gap;
        if self.ratio.iter().all(|ratio| *ratio == 0.0) {
            (self.attempts, self.events, self.since) = (0, 0, now);
        }
    }

    fn strike(&mut self) {
        for (ratio, event) in self.ratio.iter_mut().zip(&self.event) {
            *ratio += event;
        }
        self.attempts += 1;
        self.events += 1;
    }
}

#[cfg(test)]
mod tests;
