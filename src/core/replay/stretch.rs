//! One stretch of a candidate's traffic: what would have been decided, what users saw, and its course.

use super::attempt::Mark;
use super::order::{Fact, What};
use crate::core::event::Event;
use crate::core::outcome::Outcome;
use crate::core::verdict::{Reason, State};
use std::time::Duration;

/// Most points of a course; twice as few when it grows beyond.
const POINTS: usize = 512;
/// How long a point is at first.
const FINEST: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct ReplayStretch {
    /// On the log's clock.
    pub began: Duration,
    pub ended: Duration,
    /// Attempts on the candidate, and those that failed.
    pub attempts: u64,
    pub failures: u64,
    /// Attempts that their clients left before they were answered.
    pub abandoned: u64,
    /// Requests that the candidate answered, failures that users saw of them, and how many of those came
    /// after the abort.
    pub requests: u64,
    pub seen: u64,
    pub spared: u64,
    pub changes: Vec<ReplayChange>,
    /// Changes beyond those that are kept.
    pub more_changes: u64,
    pub course: Course,
}

/// A change of the verdict, as the rollout's history words it.
#[derive(Clone, Debug)]
pub struct ReplayChange {
    pub at: Duration,
    /// [`Event::Held`], [`Event::Passing`] or [`Event::Aborted`].
    pub event: Event,
    pub text: String,
    pub reasons: Vec<Reason>,
    /// The last attempt before it that spoke against the candidate.
    pub mark: Option<Mark>,
    /// Attempts and failures of the stretch until then, and failures that users saw.
    pub attempts: u64,
    pub failures: u64,
    pub seen: u64,
}

/// Changes that are kept of one stretch.
const KEPT: usize = 200;

/// A stretch in points of equal length.
#[derive(Clone, Debug)]
pub struct Course {
    began: Duration,
    pub width: Duration,
    pub points: Vec<Point>,
    /// What the last look said, which stands until the next.
    standing: Point,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub attempts: u64,
    pub failures: u64,
    /// The most evidence, as a share of what is needed (both ln).
    pub evidence: f64,
    /// The worst verdict.
    pub state: State,
}

impl ReplayStretch {
    pub(super) fn new(began: Duration) -> Self {
        ReplayStretch {
            began,
            ended: began,
            attempts: 0,
            failures: 0,
            abandoned: 0,
            requests: 0,
            seen: 0,
            spared: 0,
            changes: Vec::new(),
            more_changes: 0,
            course: Course { began, width: FINEST, points: Vec::new(), standing: Point::default() },
        }
    }

    /// What ended it, if the policy did.
    pub fn decision(&self) -> Option<&ReplayChange> {
        self.changes.iter().find(|change| change.event == Event::Aborted)
    }

    pub(super) fn note(&mut self, fact: &Fact) {
        let attempt = &fact.attempt;
        let counts = fact.what == What::Known && attempt.first_outcome().is_decided();
        let fails = match fact.what {
            What::Known => matches!(attempt.first_outcome(), Outcome::Failure(_)),
            What::Broke => true,
            What::Overdue(_) | What::Ended => false,
        };
        self.abandoned += u64::from(fact.what == What::Known && attempt.outcome == Outcome::Abandoned);
        self.attempts += u64::from(counts);
        self.failures += u64::from(fails);
        if let Some(point) = self.course.at(Duration::from_micros(fact.at_us)) {
            point.attempts += u64::from(counts);
            point.failures += u64::from(fails);
        }
        // A user sees an answer that breaks when it does.
        let is_last_word = match attempt.broke_us {
            Some(_) => fact.what == What::Broke,
            None => fact.what == What::Known,
        };
        if let (true, Some(failed)) = (is_last_word, attempt.seen_failed) {
            self.requests += 1;
            self.seen += u64::from(failed);
            self.spared += u64::from(failed && self.decision().is_some());
        }
    }

    pub(super) fn changed(&mut self, change: ReplayChange) {
        if self.changes.len() >= KEPT && change.event != Event::Aborted {
            self.more_changes += 1;
            return;
        }
        let (attempts, failures, seen) = (self.attempts, self.failures, self.seen);
        self.changes.push(ReplayChange { attempts, failures, seen, ..change });
    }
}

impl ReplayChange {
    pub(super) fn new(
        at: Duration,
        event: Event,
        text: String,
        reasons: Vec<Reason>,
        mark: Option<&Mark>,
    ) -> Self {
        ReplayChange { at, event, text, reasons, mark: mark.cloned(), attempts: 0, failures: 0, seen: 0 }
    }
}

impl Course {
    pub(super) fn weigh(&mut self, now: Duration, evidence: f64, state: State) {
        if let Some(point) = self.at(now) {
            point.evidence = point.evidence.max(evidence);
            point.state = point.state.max(state);
        }
        // After an abort there is nothing to say.
        let is_over = state == State::Fail;
        self.standing =
            if is_over { Point::default() } else { Point { evidence, state, ..Point::default() } };
    }

    /// The point of a time; points are merged when there would be too many.
    fn at(&mut self, now: Duration) -> Option<&mut Point> {
        let mut index = self.index(now);
        while index >= POINTS {
            self.width *= 2;
            self.points = self.points.chunks(2).map(merged).collect();
            index = self.index(now);
        }
        if self.points.len() <= index {
            self.points.resize(index + 1, self.standing);
        }
        self.points.get_mut(index)
    }

    fn index(&self, now: Duration) -> usize {
        let passed = now.saturating_sub(self.began).as_micros() / self.width.as_micros().max(1);
        usize::try_from(passed).unwrap_or(usize::MAX)
    }
}

/// Several points as one.
pub fn merged(points: &[Point]) -> Point {
    points.iter().fold(Point::default(), |all, point| Point {
        attempts: all.attempts + point.attempts,
        failures: all.failures + point.failures,
        evidence: all.evidence.max(point.evidence),
        state: all.state.max(point.state),
    })
}
