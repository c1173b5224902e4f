//! What a service's rollout is judged by in a fleet: what this instance sees, and what all see together.

use crate::core::fleet::evidence::MemberReport;
use crate::core::rollout::Observation;
use std::time::Duration;

/// An observation of all members is good for so long: there is another one each second.
const FRESH: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(in crate::control) struct FleetObservation {
    /// What this instance sees; `None` while nothing is known of the candidate.
    report: Option<MemberReport>,
    /// What all see, of which rollout, and since when it is known.
    pooled: Option<(Duration, String, Observation)>,
    /// Since when the counts of all are awaited, of which rollout.
    awaited: Option<(Duration, String)>,
}

impl FleetObservation {
    pub(in crate::control) fn report(&self) -> Option<&MemberReport> {
        self.report.as_ref()
    }

    pub(in crate::control) fn note(&mut self, seen: Option<&Observation>) {
        self.report = seen.map(|seen| MemberReport {
            verdict: seen.verdict.clone(),
            unready: seen.candidate.as_ref().err().cloned(),
            stable_ready: seen.stable_ready,
            upstreams: seen.upstreams.clone(),
            ..MemberReport::default()
        });
    }

    pub(in crate::control) fn pool(&mut self, now: Duration, rollout: String, seen: Observation) {
        self.pooled = Some((now, rollout, seen));
    }

    /// What all see of a rollout, if that is known and not old.
    pub(in crate::control) fn pooled(&mut self, now: Duration, rollout: &str) -> Option<Observation> {
        let pooled = self.pooled.as_ref().filter(|(at, id, _)| now < *at + FRESH && id == rollout);
        let pooled = pooled.map(|(_, _, seen)| seen.clone());
        if pooled.is_some() {
            self.awaited = None;
        } else if self.awaited.as_ref().is_none_or(|(_, id)| id != rollout) {
            self.awaited = Some((now, rollout.to_owned()));
        }
        pooled
    }

    /// Whether that is awaited for longer than it takes while all is well.
    pub(in crate::control) fn is_awaited_long(&self, now: Duration) -> bool {
        self.awaited.as_ref().is_some_and(|(since, _)| now >= *since + FRESH)
    }
}
