//! The clocks of a random run. In every other run the wall clock is right, and a rollout with a deadline ends by it,
//! in an abort or before it in a promotion, and not sooner; a gate with a patience waits no longer. In the others it
//! says anything: nothing else may rest on it.

use super::*;
use jiff::SignedDuration;

/// What the clock on the wall shows at the start of a right one.
const START: &str = "2026-01-01T00:00:00Z";

pub(super) struct Clocks {
    is_right: bool,
    /// What has passed since the start of the run, crashes and all.
    time: Duration,
    /// Since when a rollout has waited at a gate.
    at_gate: Option<Duration>,
}

/// Gives some plans a deadline that can be kept, and their gates a patience.
pub(super) fn limit(plan: &mut Plan, rng: &mut SmallRng) {
    let seconds = |n| Duration::from_secs(n);
    let holds: Duration = plan.steps.iter().map(|step| step.hold).sum();
    let least = plan.bake + if plan.is_rolling() { plan.rolling.watch } else { holds };
    plan.deadline = rng.random_bool(0.4).then(|| least + seconds(rng.random_range(1..60)));
    plan.gate_timeout = rng.random_bool(0.4).then(|| seconds(rng.random_range(1..20)));
}

impl Clocks {
    pub(super) fn of(seed: u64) -> Self {
        Clocks { is_right: seed.is_multiple_of(2), time: Duration::ZERO, at_gate: None }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.time += time;
    }

    pub(super) fn wall(&self, rng: &mut SmallRng) -> String {
        if self.is_right {
            let start: Timestamp = START.parse().expect("a moment");
            return format!("{:.3}", start + SignedDuration::try_from(self.time).expect("short"));
        }
        let wall = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2025-12-31T23:00:00Z", "then"];
        wall.choose(rng).copied().unwrap_or_default().to_owned()
    }

    /// Holds what has become of time limits against the right clock; `has_looked` says that the rollout has just
    /// been looked at, which is when it may end.
    pub(super) fn check(&mut self, state: &ServiceState, has_looked: bool) {
        if !self.is_right {
            return;
        }
        if let Some(last) = state.rollout.as_ref().filter(|last| last.rollout.phase == Phase::Aborted) {
            let why = last.rollout.reason.as_deref().unwrap_or_default();
            let deadline = last.rollout.plan.deadline.filter(|_| why.starts_with("the deadline of"));
            let until = moment(last.ended_at.as_deref().expect("an end"));
            let age =
                Duration::try_from(until.duration_since(moment(&last.started_at))).expect("after the start");
            assert!(deadline.is_none_or(|deadline| age >= deadline), "too soon, after {age:?}: {last:?}");
        }
        let Some(running) = state.running().filter(|running| running.rollout.awaits_approval()) else {
            self.at_gate = None;
            return self.check_deadline(state, has_looked);
        };
        let waited = self.time - *self.at_gate.get_or_insert(self.time);
        let patience = running.rollout.plan.gate_timeout.filter(|_| has_looked);
        assert!(patience.is_none_or(|patience| waited < patience), "{waited:?} at a gate: {running:?}");
        self.check_deadline(state, has_looked);
    }

    fn check_deadline(&self, state: &ServiceState, has_looked: bool) {
        let Some(running) = state.running().filter(|_| has_looked) else { return };
        let now = moment(START) + SignedDuration::try_from(self.time).expect("short");
        let age =
            Duration::try_from(now.duration_since(moment(&running.started_at))).expect("after the start");
        let deadline = running.rollout.plan.deadline;
        assert!(deadline.is_none_or(|deadline| age < deadline), "it runs after {age:?}: {running:?}");
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a right clock")
}
