//! By when a rollout ends, whatever it waits for: the deadline of the whole, and the patience of a gate.
//!
//! Both count time that passes at gates, in pauses and in holds, and while the process is down. Within one process
//! the process clock counts, so that a wall clock that jumps ends nothing; how long the process was down only the
//! wall clock can say. An abort puts every user back on stable: a rollout that nobody ends would leave
//! some of them on a version that has proven nothing.

use super::plan::Plan;
use super::state::{Phase, Rollout, Still, Stillness};
use crate::core::duration;
use crate::core::verdict::State;
use jiff::{SignedDuration, Timestamp, Unit};
use std::time::Duration;

impl Rollout {
    /// Counts its age up to now: `now` on the process clock, `wall` as RFC 3339.
    pub fn grow_older(&mut self, now: Duration, wall: &str) {
        if self.has_ended() {
            return;
        }
        let of = &mut self.lifetime;
        of.age += now.saturating_sub(of.counted.replace(now).unwrap_or(now));
        wall.clone_into(&mut of.counted_at);
    }

    /// It goes on in another process: the time in between counts, as far as the wall clock tells it.
    pub fn come_back(&mut self, now: Duration, wall: &str) {
        self.lifetime.age += between(&self.lifetime.counted_at, wall).unwrap_or_default();
        self.lifetime.counted = Some(now);
        self.grow_older(now, wall);
    }

    /// When it ends by itself, if nobody and nothing ends it before, RFC 3339.
    pub fn ends_at(&self) -> Option<String> {
        let left = self.limits().map(|(limit, passed, _)| limit.saturating_sub(passed)).min();
        let left = left.filter(|_| !self.has_ended())?;
        let counted_at: Timestamp = self.lifetime.counted_at.parse().ok()?;
        let end = counted_at.checked_add(SignedDuration::try_from(left).ok()?).ok()?;
        Some(format!("{:.0}", end.round(Unit::Second).ok()?))
    }

    /// The metric and the reason of an abort, where a time that was set has passed.
    pub(super) fn overdue(&self) -> Option<(&'static str, String)> {
        let (limit, _, metric) = self.limits().find(|(limit, passed, _)| passed >= limit)?;
        let why = format!("the {metric} of {} has passed: {}", duration::show(limit), self.last_standing());
        Some((metric, why))
    }

    /// Each time that was set, how much of it has passed, and its name.
    fn limits(&self) -> impl Iterator<Item = (Duration, Duration, &'static str)> {
        let age = self.lifetime.age;
        let at_the_gate = self.lifetime.still.as_ref().filter(|still| still.cause == Stillness::Gate);
        let at_the_gate = at_the_gate.map(|still| age.saturating_sub(still.age));
        let deadline = self.plan.deadline.map(|limit| (limit, age, "deadline"));
        let gate = self.plan.gate_timeout.zip(at_the_gate).map(|(limit, age)| (limit, age, "gate_timeout"));
        deadline.into_iter().chain(gate)
    }

    /// What it waited for until now.
    fn last_standing(&self) -> String {
        let reason = self.reason.as_deref();
        match &self.lifetime.still {
            Some(Still { cause: Stillness::Gate, since, .. }) => {
                format!("waited for approval since {since}, and nobody gave it")
            }
            Some(Still { cause: Stillness::Paused, since, .. }) => {
                format!("paused since {since}, and nobody resumed it")
            }
            Some(Still { cause: Stillness::Held, since, .. }) => {
                format!("held since {since} because {}", reason.unwrap_or("the verdict did not pass"))
            }
            None => {
                let place = match self.phase {
                    Phase::Preparing | Phase::Testing => self.phase.label().to_owned(),
                    _ => self.standing(),
                };
                reason.map(|reason| format!("{place}, {reason}")).unwrap_or(place)
            }
        }
    }

    /// Notes since when it stands still, where that has begun, ended, or has another cause.
    pub(super) fn note_stillness(&mut self) {
        let under_watch = matches!(self.phase, Phase::Shifting | Phase::Baking);
        let cause = match () {
            () if self.awaits_approval() => Some(Stillness::Gate),
            () if self.paused => Some(Stillness::Paused),
            () if under_watch && self.verdict.state == State::Hold => Some(Stillness::Held),
            () => None,
        };
        if self.lifetime.still.as_ref().map(|still| still.cause) != cause {
            let (since, age) = (&self.lifetime.counted_at, self.lifetime.age);
            self.lifetime.still = cause.map(|cause| Still { cause, since: since.clone(), age });
        }
    }

    /// What it stood still for is of no account any more.
    pub(super) fn forget_stillness(&mut self) {
        self.lifetime.still = None;
    }
}

impl Plan {
    /// What is wrong with its deadline and its patience, by key.
    pub fn time_faults(&self) -> Vec<(&'static str, String)> {
        let holds: Duration = self.steps.iter().map(|step| step.hold).sum();
        let least = self.bake + if self.is_rolling() { self.rolling.watch } else { holds };
        let mut faults = Vec::new();
        if let Some(deadline) = self.deadline.filter(|deadline| *deadline <= least) {
            let (deadline, least) = (duration::show(deadline), duration::show(least));
            let detail = format!(
                "{deadline} must be more than what holds and bake take by themselves, {least}; raise it, or leave \
                 it out for none"
            );
            faults.push(("deadline", detail));
        }
        if self.gate_timeout.is_some_and(|timeout| timeout.is_zero()) {
            let detail = "must be above 0s, so that somebody can approve; leave it out for none";
            faults.push(("gate_timeout", detail.to_owned()));
        }
        faults
    }
}

/// The time from one moment to a later one, both RFC 3339.
fn between(from: &str, to: &str) -> Option<Duration> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Duration::try_from(to.duration_since(from)).ok()
}
