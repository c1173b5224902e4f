//! Is the candidate worse than its limit? A sequential test that may be looked at after every event.
//!
//! The mixture CUSUM e-detector of Shin, Ramdas and Rinaldo ("E-detectors", 2022): for each of twelve
//! alternatives p₁…p₁₂ above the limit p₀ it keeps the log-likelihood ratio against p₀, floored at 0,
//! and mixes them evenly. While the true rate stays at or below p₀, the chance that the mixture reaches
//! `A` within the first N attempts is at most N/A. A rate in a window has no such bound: looked at after
//! every request, it reverts healthy versions.

pub mod relative;

use std::time::Duration;

/// Alternatives in the mixture.
const GRID: usize = 12;
/// The largest alternative.
const TOP: f64 = 0.98;

/// Events in a row beyond which nobody waits for more.
const MOST_EVENTS: u64 = 1_000;
/// The largest proportion that can be held against a stream.
const MOST: f64 = 0.9;

/// In which order the attempts of one batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchOrder {
    /// One process looks after every event: the events cut the non-events into equal gaps, and each comes at the end
    /// of its gap.
    #[default]
    Mixed,
    /// A round of several processes, of which nobody knows which attempt came first: all events, and the non-events
    /// after them. No other order of the same attempts leads to less evidence. Let an event lead from W to W + a, and a
    /// non-event from W to max(0, W − b). Where a non-event stands right before an event, the two lead to
    /// max(a, W + a − b), and the other way round to max(0, W + a − b), which is not more; all that follows grows
    /// with W. So each exchange of two neighbours that brings an event forward lowers the end, and many of them
    /// lead from any order to this one. It says nothing of the way there: evidence of a round is asked for at its
    /// end alone.
    EventsFirst,
}

/// The evidence of one stream of events (failures, or slow attempts) against one limit.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What an event and a non-event add to each ln-likelihood ratio.
    event: [f64; GRID],
    other: [f64; GRID],
    ratio: [f64; GRID],
    needed: f64,
    limit: f64,
    order: BatchOrder,
    /// Whether the limit leaves nothing to be an event too many.
    is_silent: bool,
    /// Attempts and events since the evidence last stood at zero, and when that was.
    attempts: u64,
    events: u64,
    since: Duration,
    /// The look before this one: what a batch brings happened after it.
    looked: Duration,
}

impl Evidence {
    /// Against the allowed proportion `limit` (0 < p₀), speaking at `threshold` (A > 1). Above [`MOST`] nothing
    /// speaks.
    pub fn new(limit: f64, threshold: f64, now: Duration) -> Self {
        let (p0, is_silent) = (limit.clamp(1e-9, MOST), limit > MOST);
        let first = (2.0 * p0).min((1.0 + p0) / 2.0);
        let alternative = |k: usize| first * (TOP / first).powf(k as f64 / (GRID - 1) as f64);
        let event = std::array::from_fn(|k| (alternative(k) / p0).ln());
        let other = std::array::from_fn(|k| ((1.0 - alternative(k)) / (1.0 - p0)).ln());
        let needed = threshold.max(1.0).ln();
        Evidence {
            event,
            other,
            ratio: [0.0; GRID],
            needed,
            limit,
            order: BatchOrder::Mixed,
            is_silent,
            attempts: 0,
            events: 0,
            since: now,
            looked: now,
        }
    }

    /// The same evidence, whose batches count in another order from now on.
    pub fn in_order(self, order: BatchOrder) -> Self {
        Evidence { order, ..self }
    }

    /// In which order the attempts of a batch count.
    pub fn order(&self) -> BatchOrder {
        self.order
    }

    /// Takes in a batch whose inner order is unknown. Batches are what came between two looks, and
    /// every event asks for a look, so they mostly hold one event. Whether it stood at zero on the way.
    pub fn observe(&mut self, now: Duration, non_events: u64, events: u64) -> bool {
        match self.order {
            BatchOrder::Mixed => self.observe_mixed(now, non_events, events),
            BatchOrder::EventsFirst => self.observe_round(now, non_events, events),
        }
    }

    /// The ceiling holds at the end of a round only: a round of a busy fleet may bring more events than it has room for,
    /// and the non-events that follow them would leave nothing of it.
    fn observe_round(&mut self, now: Duration, non_events: u64, events: u64) -> bool {
        let mut stood_at_zero = self.attempts == 0;
        if !self.is_silent {
            for (ratio, event) in self.ratio.iter_mut().zip(&self.event) {
                *ratio += events as f64 * event;
            }
        }
        (self.attempts, self.events) = (self.attempts + events, self.events + events);
        self.looked = now;
        stood_at_zero |= self.pass(now, non_events);
        let most = ceiling(self.needed);
        self.ratio.iter_mut().for_each(|ratio| *ratio = ratio.min(most));
        stood_at_zero
    }

    fn observe_mixed(&mut self, now: Duration, non_events: u64, events: u64) -> bool {
        let mut left = non_events;
        let mut stood_at_zero = self.attempts == 0;
        for remaining in (1..=events).rev() {
            let gap = left / remaining;
            left -= gap;
            stood_at_zero |= self.pass(self.looked, gap);
            self.strike();
        }
        self.looked = now;
        stood_at_zero |= self.pass(now, left);
        stood_at_zero
    }

    /// The same evidence, which has to be as strong as another threshold (A > 1) says.
    pub fn needing(self, threshold: f64) -> Self {
        Evidence { needed: threshold.max(1.0).ln(), ..self }
    }

    /// Forgets everything: the stream is judged by what comes from now on.
    pub fn restart(&mut self, now: Duration) {
        self.ratio = [0.0; GRID];
        (self.attempts, self.events, self.since) = (0, 0, now);
    }

    /// ln of the mixture: 0 when nothing speaks against the stream.
    pub fn ln(&self) -> f64 {
        mixture(&self.ratio)
    }

    /// The ln that it takes.
    pub fn needed(&self) -> f64 {
        self.needed
    }

    pub fn exceeded(&self) -> bool {
        self.ln() >= self.needed
    }

    /// The proportion that is allowed (p₀).
    pub fn limit(&self) -> f64 {
        self.limit
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

    /// Takes in non-events; whether it stands at zero after them, which it then has since `now`.
    fn pass(&mut self, now: Duration, gap: u64) -> bool {
        if gap == 0 {
            return false;
        }
        for (ratio, other) in self.ratio.iter_mut().zip(&self.other) {
            *ratio = (*ratio + gap as f64 * other).max(0.0);
        }
        self.attempts += gap;
        let is_zero = self.ratio.iter().all(|ratio| *ratio == 0.0);
        if is_zero {
            (self.attempts, self.events, self.since) = (0, 0, now);
        }
        is_zero
    }

    /// How many events in a row would be enough; `None` where no number is.
    pub fn events_to_exceed(&self) -> Option<u64> {
        let mut next = self.clone();
        let mut events = 0;
        while !next.exceeded() {
            events += 1;
            next.strike();
            if events > MOST_EVENTS {
                return None;
            }
        }
        Some(events)
    }

    fn strike(&mut self) {
        if self.is_silent {
            self.attempts += 1;
            self.events += 1;
            return;
        }
        let most = ceiling(self.needed);
        for (ratio, event) in self.ratio.iter_mut().zip(&self.event) {
            *ratio = (*ratio + event).min(most);
        }
        self.attempts += 1;
        self.events += 1;
    }
}

/// ln of the even mixture of e^`ratios`, at least 0.
fn mixture(ratios: &[f64; GRID]) -> f64 {
    let largest = ratios.iter().copied().fold(0.0, f64::max);
    let sum: f64 = ratios.iter().map(|ratio| (ratio - largest).exp()).sum();
    (largest + sum.ln() - (GRID as f64).ln()).max(0.0)
}

/// What no single ratio exceeds: enough for one alternative to speak alone, and no more, so that a long
/// stretch of trouble that is over does not have to be outweighed event by event.
fn ceiling(needed: f64) -> f64 {
    needed + (GRID as f64).ln() + 1.0
}

#[cfg(test)]
mod tests;
