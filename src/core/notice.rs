//! What outsiders hear: one neutral event, whatever receiver it goes to.
//!
//! Which row of history is worth a notice, and of which kind, is decided here and nowhere else; how a
//! notice reads is up to the receivers.

use super::event::Event;
use super::rollout::{Phase, Rollout};
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The metric of the reason that says that stable fails as its candidate does.
pub const SHARED_OUTAGE: &str = "shared_outage";

/// What a notice is about; the words of `on` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Started,
    Step,
    Held,
    /// How a rollout stands, from time to time while it runs.
    Progress,
    Promoted,
    /// A rollout was, or a weight set by hand was taken back.
    Aborted,
    Rollback,
    /// Limits are broken after the promotion.
    Degraded,
    /// An outage that no version is to blame for: stable fails as well, or it is down and another pool, or nobody,
    /// serves.
    Incident,
    /// A rollout waits for somebody's approval.
    Approval,
    Maintenance,
}

/// One event. Times are RFC 3339, shares 0–1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: Kind,
    /// Empty where it is about the whole site.
    pub service: String,
    pub at: String,
    /// The token's name, or `pointsman`.
    pub actor: String,
    /// The sentence of the history.
    pub detail: String,
    pub rollout: Option<String>,
    pub strategy: Option<String>,
    pub version: Option<String>,
    /// The pool the traffic comes from, and the one it goes to.
    pub from: Option<String>,
    pub to: Option<String>,
    /// The candidate's share in percent.
    pub weight: Option<f64>,
    pub step: Option<Place>,
    /// How much longer it takes when nothing stands in the way.
    pub eta_seconds: Option<u64>,
    /// Of the version in question over the window; absent where it had no requests.
    pub error_rate: Option<f64>,
    /// The 95th percentile, likewise.
    pub response_time_ms: Option<f64>,
    /// What went wrong, what has been done about it, and how things are now.
    pub reason: Option<String>,
    pub action: Option<String>,
    pub status: Option<String>,
}

impl Notice {
    /// Of which nothing else is known.
    pub fn new(kind: Kind, service: &str) -> Self {
        Notice {
            kind,
            service: service.to_owned(),
            at: String::new(),
            actor: String::new(),
            detail: String::new(),
            rollout: None,
            strategy: None,
            version: None,
            from: None,
            to: None,
            weight: None,
            step: None,
            eta_seconds: None,
            error_rate: None,
            response_time_ms: None,
            reason: None,
            action: None,
            status: None,
        }
    }
}

/// A step, from 1, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub step: usize,
    pub of: usize,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::Started,
        Kind::Step,
        Kind::Held,
        Kind::Progress,
        Kind::Promoted,
        Kind::Aborted,
        Kind::Rollback,
        Kind::Degraded,
        Kind::Incident,
        Kind::Approval,
        Kind::Maintenance,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Step => "step",
            Kind::Held => "held",
            Kind::Progress => "progress",
            Kind::Promoted => "promoted",
            Kind::Aborted => "aborted",
            Kind::Rollback => "rollback",
            Kind::Degraded => "degraded",
            Kind::Incident => "incident",
            Kind::Approval => "approval",
            Kind::Maintenance => "maintenance",
        }
    }

    /// Whether receivers hear of it unless they say otherwise: of all but maintenance, which somebody
    /// asked for.
    pub fn is_default(self) -> bool {
        self != Kind::Maintenance
    }

    /// What a row of history is to outsiders; `None` where they need not know. A hold is an incident
    /// where it is for an outage of both pools.
    pub fn of(event: Event, verdict: Option<&Verdict>) -> Option<Kind> {
        let shared = || verdict.is_some_and(|v| v.reasons.iter().any(|r| r.metric == SHARED_OUTAGE));
        match event {
            Event::Started => Some(Kind::Started),
            Event::Step => Some(Kind::Step),
            Event::Held if shared() => Some(Kind::Incident),
            Event::Held => Some(Kind::Held),
            Event::Promoted => Some(Kind::Promoted),
            Event::Aborted | Event::TakenBack => Some(Kind::Aborted),
            Event::Rollback | Event::Returned => Some(Kind::Rollback),
            Event::Degraded => Some(Kind::Degraded),
            // Nobody serves, or another pool than those with weight.
            Event::Refuge => Some(Kind::Incident),
            Event::Approval => Some(Kind::Approval),
            Event::Maintenance => Some(Kind::Maintenance),
            Event::Weights | Event::Flip | Event::Drain | Event::Ready | Event::Upstreams | Event::Health => {
                None
            }
            Event::Hook | Event::Testing | Event::Tested | Event::Approved => None,
            Event::Updating | Event::Updated | Event::Passing | Event::Difference | Event::Baking => None,
            Event::Paused | Event::Resumed | Event::Verified | Event::RefugeOver | Event::Recovered => None,
        }
    }
}

/// The time a rollout still takes if every look passes: what is left of its holds and its bake.
pub fn remaining(rollout: &Rollout) -> Duration {
    let plan = &rollout.plan;
    let batches = rollout.batches();
    let holds = |from: usize| match rollout.is_rolling() {
        true => plan.rolling.watch * u32::try_from(batches.saturating_sub(from)).unwrap_or(u32::MAX),
        false => plan.steps.iter().skip(from).map(|step| step.hold).sum::<Duration>(),
    };
    match rollout.phase {
        Phase::Promoted | Phase::Aborted => Duration::ZERO,
        Phase::Baking => plan.bake.saturating_sub(rollout.passed),
        Phase::Shifting => (holds(rollout.step) + plan.bake).saturating_sub(rollout.passed),
        _ => holds(0) + plan.bake,
    }
}

/// For people: seconds below a minute, then whole minutes, rounded up.
pub fn show_eta(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::Plan;
    use crate::core::verdict::{Level, Reason, State};

    fn rollout() -> Rollout {
        Rollout::new(Plan::default(), Vec::new())
    }

    #[test]
    fn the_eta_is_what_is_left_of_holds_and_bake() {
        let mut rollout = rollout();
        let minutes = |rollout: &Rollout| remaining(rollout).as_secs() / 60;
        assert_eq!(minutes(&rollout), 30);
        rollout.phase = Phase::Shifting;
        (rollout.step, rollout.passed) = (1, Duration::from_secs(240));
        assert_eq!(minutes(&rollout), 21);
        (rollout.phase, rollout.passed) = (Phase::Baking, Duration::from_secs(60));
        assert_eq!(minutes(&rollout), 14);
        assert_eq!(
            [45, 90, 1800, 7260].map(show_eta),
            ["45 s", "2 min", "30 min", "2 h 1 min"].map(str::to_owned)
        );
    }

    #[test]
    fn rows_of_history_become_notices_of_their_kind_or_none() {
        let own = [Kind::Progress, Kind::Incident];
        for kind in Kind::ALL.into_iter().filter(|kind| !own.contains(kind)) {
            let event = Event::ALL.into_iter().find(|event| event.label() == kind.label());
            assert_eq!(Kind::of(event.expect("an event of this name"), None), Some(kind));
        }
        for event in [Event::Weights, Event::Flip, Event::Drain, Event::Ready, Event::Recovered] {
            assert_eq!(Kind::of(event, None), None, "{event:?}");
        }
        let reason = Reason::condition(SHARED_OUTAGE, Level::Warning, "blue fails too".into());
        let verdict = Verdict { state: State::Hold, reasons: vec![reason] };
        assert_eq!(Kind::of(Event::Held, Some(&verdict)), Some(Kind::Incident));
        assert_eq!(Kind::of(Event::Refuge, None), Some(Kind::Incident));
        assert_eq!(Kind::of(Event::RefugeOver, None), None);
        assert_eq!(Kind::of(Event::Returned, None), Some(Kind::Rollback));
        assert_eq!(Kind::of(Event::Aborted, Some(&verdict)), Some(Kind::Aborted));
    }
}
