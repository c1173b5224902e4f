//! What each pool did in each second of the last 15 minutes: the points of the dashboard's curves.
//!
//! A pool has a point only for a second in which something came to an end there, so a service that nobody asks costs
//! neither time nor memory; what is missing is zero to readers. Each point is the difference of two readings of the
//! pool's counters, never a second count beside them. Where many pools serve, each keeps a shorter past.

use crate::core::latency::{BUCKETS, quantile_us};
use crate::core::outcome::{ArmId, SlowLimits, Totals};
use crate::observe::activity::Seen;
use crate::observe::recorder::Recorder;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// How far back points go, in seconds.
pub(super) const PAST_S: u32 = 900;
/// Points of all pools together: 8 MB.
const POINTS: usize = 400_000;

/// One second of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// Its number since points are taken.
    second: u32,
    pub requests: u32,
    pub failures: u32,
    /// 0 without an answer.
    pub p95_us: u32,
    pub weight_bp: u16,
}

/// The points of all pools.
#[derive(Debug, Default)]
pub(super) struct Points {
    lines: HashMap<ArmId, Line>,
    names: BTreeMap<Arc<str>, BTreeMap<Arc<str>, ArmId>>,
    busy: BTreeSet<ArmId>,
    seen: Seen,
    /// The first second that was looked at, and the last one.
    span: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Line {
    service: Arc<str>,
    pool: Arc<str>,
    points: VecDeque<Point>,
    /// As read last.
    attempts: u64,
    failures: u64,
    latency: Box<[u64; BUCKETS]>,
}

impl Points {
    /// Takes the points of a second that has just ended; `weight` says what a pool's is, in hundredths of a percent.
    pub(super) fn take(
        &mut self,
        recorder: &Recorder,
        (second, now_us): (u32, u64),
        weight: impl Fn(&str, &str) -> u16,
    ) {
        let news = recorder.news(&mut self.seen);
        if news.iter().any(|(arm, _)| !self.lines.contains_key(arm)) {
            self.learn(recorder);
        }
        self.busy.extend(news.into_iter().map(|(arm, _)| arm));
        let longest = (POINTS / self.lines.len().max(1)).min(PAST_S as usize);
        let lines = &mut self.lines;
        self.busy.retain(|arm| {
            let Some(line) = lines.get_mut(arm) else { return false };
            let totals = recorder.totals(*arm, now_us, &SlowLimits::default());
            let is_busy = totals.in_flight > 0;
            if let Some(point) = line.read(&totals) {
                let weight_bp = weight(&line.service, &line.pool);
                line.points.push_back(Point { second, weight_bp, ..point });
            }
            is_busy
        });
        for line in lines.values_mut() {
            line.forget(second, longest);
        }
        let first = self.span.map_or(second, |(first, _)| first);
        self.span = Some((first.max(second.saturating_sub(PAST_S - 1)), second));
    }

    /// Users' requests alone: mirrored ones are counted on arms that have no line here.
    fn learn(&mut self, recorder: &Recorder) {
        for (arm, service, pool) in recorder.arms() {
            self.names.entry(service.clone()).or_default().insert(pool.clone(), arm);
            self.lines.entry(arm).or_insert_with(|| Line {
                service,
                pool,
                points: VecDeque::new(),
                attempts: 0,
                failures: 0,
                latency: Box::new([0; BUCKETS]),
            });
        }
    }

    /// The seconds that there are, the first and the last one.
    pub(super) fn span(&self) -> Option<(u32, u32)> {
        self.span
    }

    /// A pool's last second; all zero where nothing came to an end in it.
    pub(super) fn latest(&self, service: &str, pool: &str) -> Point {
        let last = self.line(service, pool).and_then(|line| line.points.back()).copied();
        last.filter(|point| self.span.is_some_and(|(_, now)| now == point.second)).unwrap_or_default()
    }

    /// A pool's points, one for each second of the span. A second without one has the weight of the point before it;
    /// those behind the last one have the weight that there is now.
    pub(super) fn of(&self, service: &str, pool: &str, weight_bp: u16) -> Vec<Point> {
        let Some((first, last)) = self.span else { return Vec::new() };
        let mut points = self.line(service, pool).into_iter().flat_map(|line| &line.points).peekable();
        let mut before = points.peek().map_or(weight_bp, |point| point.weight_bp);
        let mut filled = Vec::with_capacity((last - first + 1) as usize);
        for second in first..=last {
            while points.next_if(|point| point.second < second).is_some() {}
            match points.next_if(|point| point.second == second) {
                Some(point) => filled.push(*point),
                None => {
                    let weight_bp = if points.peek().is_some() { before } else { weight_bp };
                    filled.push(Point { second, weight_bp, ..Point::default() });
                }
            }
            before = filled.last().map_or(before, |point| point.weight_bp);
        }
        filled
    }

    fn line(&self, service: &str, pool: &str) -> Option<&Line> {
        self.lines.get(self.names.get(service)?.get(pool)?)
    }
}

impl Line {
    /// What has come to an end since the last reading, if anything has.
    fn read(&mut self, totals: &Totals) -> Option<Point> {
        let requests = totals.attempts.saturating_sub(self.attempts);
        let failures = totals.failures.saturating_sub(self.failures);
        if requests == 0 {
            return None;
        }
        let mut latency = [0; BUCKETS];
        for ((new, now), before) in latency.iter_mut().zip(&totals.latency).zip(self.latency.iter()) {
            *new = now.saturating_sub(*before);
        }
        (self.attempts, self.failures) = (totals.attempts, totals.failures);
        *self.latency = totals.latency;
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let p95_us = quantile_us(&latency, 0.95).map_or(0, narrow);
        Some(Point { requests: narrow(requests), failures: narrow(failures), p95_us, ..Point::default() })
    }

    fn forget(&mut self, second: u32, longest: usize) {
        let is_old = |point: &Point| point.second + PAST_S <= second;
        while self.points.len() > longest || self.points.front().is_some_and(is_old) {
            self.points.pop_front();
        }
        if self.points.is_empty() {
            self.points = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::client::ClientKey;
    use crate::core::outcome::{Outcome, Reason};

    fn answer(recorder: &Recorder, arm: ArmId, times: u64, outcome: Outcome) {
        let shard = recorder.shard(0);
        for _ in 0..times {
            let started = shard.start(arm, 0, ClientKey::NAMELESS);
            shard.answered(arm, started, 20_000, (outcome, 200), &SlowLimits::default().into());
        }
    }

    #[test]
    fn a_second_holds_what_came_to_an_end_in_it() {
        let recorder = Recorder::new(1);
        let [blue, _] = ["blue", "green"].map(|pool| recorder.arm("web", pool).expect("a free arm"));
        let mut points = Points::default();
        let take = |points: &mut Points, second: u32, weight| {
            points.take(&recorder, (second, u64::from(second) * 1_000_000), |_, _| weight);
        };
        answer(&recorder, blue, 10, Outcome::Success);
        take(&mut points, 5, 10_000);
        take(&mut points, 6, 10_000);
        answer(&recorder, blue, 3, Outcome::Success);
        answer(&recorder, blue, 2, Outcome::Failure(Reason::Status));
        take(&mut points, 7, 9_500);
        let shown = |pool, now| -> Vec<_> {
            let all = points.of("web", pool, now).into_iter();
            all.map(|point| (point.second, point.requests, point.failures, point.weight_bp)).collect()
        };
        assert_eq!(shown("blue", 9_500), [(5, 10, 0, 10_000), (6, 0, 0, 10_000), (7, 5, 2, 9_500)]);
        assert_eq!(shown("green", 500), [(5, 0, 0, 500), (6, 0, 0, 500), (7, 0, 0, 500)]);
        let latest = points.latest("web", "blue");
        assert_eq!((latest.requests, latest.failures), (5, 2));
        assert!((20_000..23_000).contains(&latest.p95_us), "{latest:?}");
        assert_eq!(points.latest("web", "green"), Point::default());
    }

    #[test]
    fn the_past_is_bounded_and_gone_after_a_quiet_quarter_of_an_hour() {
        let recorder = Recorder::new(1);
        let arm = recorder.arm("web", "blue").expect("a free arm");
        let mut points = Points::default();
        for second in 0..2000 {
            answer(&recorder, arm, 1, Outcome::Success);
            points.take(&recorder, (second, 0), |_, _| 10_000);
        }
        assert_eq!(points.of("web", "blue", 0).len(), PAST_S as usize);
        assert_eq!(points.lines[&arm].points.len(), PAST_S as usize);
        points.take(&recorder, (2000 + PAST_S, 0), |_, _| 10_000);
        assert_eq!(points.lines[&arm].points.capacity(), 0);
    }
}
