//! The inputs of the rollout machine, and its effects.

use super::plan::HookPoint;
use crate::core::event::Event;
use crate::core::verdict::Verdict;
use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is seen of the candidate at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What the policy says of the candidate.
    pub verdict: Verdict,
    /// Attempts on the candidate, ever growing; falls to 0 when counting starts over.
    pub attempts: u64,
    /// Whether an upstream of the candidate is known to be ready; if not, which is not, and its last answer.
    pub candidate: Result<(), String>,
    /// Whether stable could take all traffic.
    pub stable_ready: bool,
    /// The candidate's upstreams by label; only a rolling update looks at them.
    pub upstreams: BTreeMap<String, UpstreamSeen>,
}

/// What is seen of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamSeen {
    pub in_flight: u32,
    /// By its checks, and not ejected for failing requests.
    pub up: bool,
    /// Whether it is kept from new requests.
    pub draining: bool,
    /// Checks that it has passed in this process; `None` where there is no check.
    pub good_checks: Option<u64>,
    /// What its last check found wrong.
    pub failing: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pause,
    /// After a pause, or past a gate.
    Resume,
    /// Skips what is left.
    Promote,
    Abort,
    /// An abort that had taken effect in a process that ended before it was written. What it was for is not
    /// known any more, so a batch under watch goes out, too.
    Withdraw,
}

#[derive(Clone, Debug)]
pub enum Input<'a> {
    Observed(&'a Observation),
    /// Time has passed, and nothing is known of the candidate.
    Elapsed,
    /// Somebody asked for it, by name.
    Asked(Action, &'a str),
    /// The other services of its set have come as far as it has.
    GoOn,
    /// Another service of its set was undone; which, and why.
    Undone(&'a str),
    /// What became of a [`Work`]; ignored where it is no longer wanted.
    Done(&'a Work, &'a WorkResult),
    /// The deploy job's word that an upstream runs the new version.
    Updated {
        upstream: &'a str,
        who: &'a str,
    },
}

/// Work outside of this process that a rollout waits for. It is wanted as long as [`super::Rollout::work`]
/// says so, and asked for again after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// The smoke tests, against all upstreams of the candidate or one.
    Smoke(Option<String>),
    Hook(HookPoint),
    /// The hook that updates an upstream.
    Update(String),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkResult {
    Passed,
    Refused(Vec<String>),
    /// Nobody could say; it is asked for again.
    Unanswered(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The candidate gets this share, stable the rest.
    Weight(BasisPoints),
    /// The candidate becomes stable, stable becomes previous.
    Promote,
    /// All traffic goes back to stable.
    Revert,
    /// After a promotion: the previous pool becomes stable again, with all traffic; what was wrong.
    Return(String),
    /// An upstream of the candidate gets no new requests.
    Drain(String),
    /// It gets requests again.
    Ready(String),
    Note(Note),
}

/// One row of history: its kind, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub event: Event,
    pub text: String,
}

impl Note {
    /// Whether one of several takes traffic away from a version.
    pub(crate) fn any_takes_traffic_away(notes: &[Note]) -> bool {
        notes.iter().any(|note| note.event.takes_traffic_away())
    }

    pub(crate) fn of_dry_run(self) -> Self {
        let text = format!("dry run, nothing moved: {}", self.text);
        Note { text, ..self }
    }
}

pub(super) fn note(event: Event, text: String) -> Effect {
    Effect::Note(Note { event, text })
}
