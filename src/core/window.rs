//! A pool's figures over the last seconds: for people to look at. Evidence decides.
//!
//! A pool that serves nobody needs no samples: the last one holds as long as nothing is counted
//! ([`Window::hold`]), so that a thousand idle pools cost neither memory nor time.

use super::latency::{BUCKETS, quantile_us, upper_bound_us};
use super::outcome::{Reason, Totals};
use std::collections::VecDeque;
use std::time::Duration;

/// At most one sample in this time is kept.
const SPACING: Duration = Duration::from_secs(1);

/// Samples of the counters, as old as the window is long.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    samples: VecDeque<(Duration, Box<Totals>)>,
    /// Until when the last sample is known to have held.
    held: Duration,
}

/// Milliseconds to the head of the answer; quantiles are upper bounds, exact to 12.5 %. Zero without
/// requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    /// Of those that are kept, the nearest quantile (0–1) that is not below.
    pub fn quantile(&self, quantile: f64) -> f64 {
        match quantile {
            q if q <= 0.5 => self.p50,
            q if q <= 0.9 => self.p90,
            q if q <= 0.95 => self.p95,
            _ => self.p99,
        }
    }
}

/// What a pool did in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How far back they really reach.
    pub seconds: f64,
    pub requests: u64,
    pub failures: u64,
    /// Failures because the upstream stayed silent.
    pub timeouts: u64,
    /// Failures that no user saw: stable answered instead.
    pub shielded: u64,
    /// Requests that were kept from it by what the proxy itself is short of.
    pub own_limits: u64,
    /// Attempts that count for nothing else, since their upstream warmed up.
    pub warming: u64,
    /// Answers to copies that were compared with stable's, and how many of them differ.
    pub compared: u64,
    pub differing: u64,
    /// Share of failed attempts, 0–1.
    pub error_rate: f64,
    pub latency_ms: Latency,
}

impl Window {
    pub fn new(length: Duration) -> Self {
        Window { length, samples: VecDeque::new(), held: Duration::ZERO }
    }

    /// Takes a sample, if the last is old enough, and forgets those older than the window. Whether the last sample
    /// has all that was counted.
    pub fn push(&mut self, now: Duration, totals: &Totals) -> bool {
        self.keep_held(now);
        if let Some((_, last)) = self.samples.back().filter(|(at, _)| now < *at + SPACING) {
            return **last == *totals;
        }
        self.samples.push_back((now, Box::new(totals.clone())));
        self.forget(now);
        true
    }

    /// Nothing has been counted since the last sample.
    pub fn hold(&mut self, now: Duration) {
        self.held = self.held.max(now);
        self.forget(now);
    }

    /// Where the last sample held for a while, what is counted now has come since then.
    fn keep_held(&mut self, now: Duration) {
        let (since, is_alone) = (self.since(now), self.samples.len() == 1);
        let Some((at, last)) = self.samples.back_mut() else { return };
        if is_alone {
            *at = since;
        }
        if self.held >= *at + SPACING {
            let last = last.clone();
            self.samples.push_back((self.held, last));
        }
    }

    /// How far back the window reaches. A sample that has held for longer than the window is as good as one from
    /// the window's beginning.
    fn since(&self, now: Duration) -> Duration {
        let first = self.samples.front().map_or(now, |(at, _)| *at);
        match self.is_still() {
            true => first.max(self.held.min(now.saturating_sub(self.length))),
            false => first,
        }
    }

    /// The oldest stays as the base until the next one is as old as the window.
    fn forget(&mut self, now: Duration) {
        while self.samples.get(1).is_some_and(|(at, _)| *at + self.length <= now) {
            self.samples.pop_front();
        }
    }

    /// Whether time alone changes none of the figures any more, as long as nothing is counted.
    pub fn is_still(&self) -> bool {
        self.samples.len() <= 1
    }

    /// The figures while nothing has been counted since the last sample.
    pub fn held_figures(&self, now: Duration) -> Figures {
        self.samples.back().map(|(_, totals)| self.figures(now, totals)).unwrap_or_default()
    }

    /// The figures between the oldest sample and `totals`.
    pub fn figures(&self, now: Duration, totals: &Totals) -> Figures {
        let Some((_, base)) = self.samples.front() else { return Figures::default() };
        let requests = totals.attempts.saturating_sub(base.attempts);
        let failures = totals.failures.saturating_sub(base.failures);
        let timeouts = |totals: &Totals| totals.reasons.get(Reason::Timeout as usize).copied().unwrap_or(0);
        Figures {
            seconds: now.saturating_sub(self.since(now)).as_secs_f64(),
            requests,
            failures,
            timeouts: timeouts(totals).saturating_sub(timeouts(base)),
            shielded: totals.shielded.saturating_sub(base.shielded),
            own_limits: totals.own_limits.saturating_sub(base.own_limits),
            warming: totals.warming.saturating_sub(base.warming),
            compared: totals.compared.saturating_sub(base.compared),
            differing: totals.differing.saturating_sub(base.differing),
            error_rate: if requests == 0 { 0.0 } else { failures as f64 / requests as f64 },
            latency_ms: latency(base, totals),
        }
    }
}

fn latency(base: &Totals, totals: &Totals) -> Latency {
    let answered = totals.answered.saturating_sub(base.answered);
    if answered == 0 {
        return Latency::default();
    }
    let mut counts = [0; BUCKETS];
    for (count, (now, then)) in counts.iter_mut().zip(totals.latency.iter().zip(&base.latency)) {
        *count = now.saturating_sub(*then);
    }
    let sum = totals.latency_sum_us.saturating_sub(base.latency_sum_us) as f64;
    let quantile = |q| quantile_us(&counts, q).unwrap_or(0) as f64 / 1000.0;
    let highest = counts.iter().rposition(|count| *count > 0).map_or(0, upper_bound_us);
    Latency {
        mean: sum / answered as f64 / 1000.0,
        p50: quantile(0.50),
        p90: quantile(0.90),
        p95: quantile(0.95),
        p99: quantile(0.99),
        max: highest as f64 / 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::latency::bucket_of;

    fn add(totals: &mut Totals, count: u64, failures: u64, us: u64) {
        totals.attempts += count;
        totals.failures += failures;
        totals.answered += count;
        totals.latency_sum_us += count * us;
        totals.latency[bucket_of(us)] += count;
    }

    #[test]
    fn old_requests_leave_the_window() {
        let at = Duration::from_secs;
        let mut window = Window::new(at(60));
        let mut totals = Totals::default();
        window.push(at(0), &totals);
        add(&mut totals, 100, 10, 20_000);
        totals.reasons[Reason::Timeout as usize] += 4;
        let figures = window.figures(at(1), &totals);
        assert_eq!((figures.requests, figures.failures, figures.error_rate), (100, 10, 0.1));
        assert_eq!(figures.timeouts, 4);
        assert_eq!(figures.latency_ms.mean, 20.0);
        assert!((20.0..22.6).contains(&figures.latency_ms.p99), "{figures:?}");
        for second in 1..=120 {
            window.push(at(second), &totals);
        }
        assert_eq!(window.figures(at(120), &totals).requests, 0);
        assert!(window.samples.len() <= 62, "{} samples", window.samples.len());
    }

    #[test]
    fn samples_are_spaced() {
        let mut window = Window::new(Duration::from_secs(60));
        for ms in 0..2500 {
            window.push(Duration::from_millis(ms), &Totals::default());
        }
        assert_eq!(window.samples.len(), 3);
    }

    #[test]
    fn a_pool_that_serves_nobody_needs_one_sample() {
        let at = Duration::from_secs;
        let mut window = Window::new(at(60));
        let mut totals = Totals::default();
        for second in 0..=1000 {
            match second {
                0 | 500 => assert!(window.push(at(second), &totals)),
                _ => window.hold(at(second)),
            }
            if second == 499 {
                add(&mut totals, 100, 10, 20_000);
            }
        }
        assert!(window.is_still() && window.held_figures(at(1000)).requests == 0);
        assert_eq!(window.held_figures(at(1000)).seconds, 60.0, "as far back as a window of samples");
        add(&mut totals, 5, 0, 20_000);
        window.push(at(1001), &totals);
        assert_eq!(window.figures(at(1001), &totals).requests, 5);
        assert_eq!(window.samples.len(), 3, "what it held, and until when: {:?}", window.samples);
        assert_eq!(window.figures(at(1060), &totals).requests, 5);
        window.hold(at(1061));
        assert_eq!(window.held_figures(at(1061)).requests, 0);
    }
}
