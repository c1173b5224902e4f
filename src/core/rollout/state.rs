//! The state of one rollout, as it is stored: how far it has come, and what it waits for.

use super::input::UpstreamSeen;
use super::plan::{HookPoint, Plan};
use crate::core::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The state of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub plan: Plan,
    pub phase: Phase,
    pub paused: bool,
    /// Index of the current step of the plan, or of the batch of a rolling update.
    pub step: usize,
    /// Time spent passing in the current step or the bake, or waiting in preparation and tests.
    pub passed: Duration,
    /// Attempts on the candidate since the step began.
    pub step_attempts: u64,
    /// The last verdict, with what the machine itself waits for.
    pub verdict: Verdict,
    /// Why it ended or waits.
    pub reason: Option<String>,
    /// What stands between this phase and the next.
    pub crossing: Option<Crossing>,
    pub approval: Approval,
    /// The upstreams that a rolling update goes through, in its order.
    pub instances: Vec<Instance>,
    #[serde(default)]
    pub lifetime: Lifetime,
    #[serde(skip)]
    pub(super) seen: Seen,
}

/// What is only of use within one run of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub at: Option<Duration>,
    pub passing: bool,
    /// Whether it would go on by itself, and waits for the others of its set.
    pub ready: bool,
    /// Whether its reason has said so.
    pub is_ready_told: bool,
    pub attempts: u64,
    /// The metrics that the hold at hand has been noted for.
    pub held_for: BTreeSet<String>,
}

/// Two rollouts are the same whenever they would be stored the same.
impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The age of a rollout, and since when it stands still.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lifetime {
    /// Time since the start, over restarts.
    pub(super) age: Duration,
    /// The time of day when the age was counted last, RFC 3339.
    pub(super) counted_at: String,
    /// The same on the process clock; of no use in another process.
    #[serde(skip)]
    pub(super) counted: Option<Duration>,
    pub(super) still: Option<Still>,
}

/// Two rollouts are the same however old they are.
impl PartialEq for Lifetime {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A rollout that stands still.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Still {
    pub cause: Stillness,
    /// The time of day when that began, RFC 3339, and how old the rollout was.
    pub since: String,
    pub age: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stillness {
    Gate,
    Paused,
    Held,
}

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The candidate must become healthy.
    Preparing,
    /// Smoke tests against the candidate itself; no user sees it yet.
    Testing,
    /// Step by step towards 100 %, or batch by batch through the pool.
    Shifting,
    /// All of it, still under watch.
    Baking,
    Promoted,
    Aborted,
}

impl Phase {
    pub const fn label(self) -> &'static str {
        match self {
            Phase::Preparing => "preparing",
            Phase::Testing => "testing",
            Phase::Shifting => "shifting",
            Phase::Baking => "baking",
            Phase::Promoted => "promoted",
            Phase::Aborted => "aborted",
        }
    }
}

/// What must happen before another phase begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    pub to: Phase,
    /// Whether somebody must approve, before the hooks are asked.
    pub gate: bool,
    /// The hooks still to be asked, in order.
    pub hooks: Vec<HookPoint>,
    /// How long the first of them has been waited for.
    pub waited: Duration,
}

/// Where a gate stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    #[default]
    NotNeeded,
    Waiting,
    Given,
}

/// One upstream of a rolling update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub upstream: String,
    pub stage: Stage,
    /// Time spent in the stage.
    pub waited: Duration,
    /// Good checks there had been when it was to be proven.
    #[serde(skip)]
    checks_before: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its turn has not come.
    Waiting,
    /// Requests in flight finish.
    Draining,
    /// The hook, or the deploy job, brings the new version.
    Updating,
    /// A check must pass.
    Proving,
    /// The smoke tests, against this one.
    Testing,
    /// In service with the new version.
    Serving,
    /// Out of service.
    Failed,
}

impl Instance {
    pub(super) fn new(upstream: String) -> Self {
        Instance { upstream, stage: Stage::Waiting, waited: Duration::ZERO, checks_before: None }
    }

    pub(super) fn enter(&mut self, stage: Stage) {
        (self.stage, self.waited, self.checks_before) = (stage, Duration::ZERO, None);
    }

    /// Whether the update keeps it from its requests.
    pub fn is_out(&self) -> bool {
        matches!(self.stage, Stage::Draining | Stage::Updating | Stage::Proving | Stage::Testing)
    }

    /// Whether two checks have passed since it was to be proven: the first may have begun before the update.
    /// Without checks it counts as proven.
    pub(super) fn is_proven(&mut self, seen: &UpstreamSeen) -> bool {
        let Some(good) = seen.good_checks else { return true };
        // The checks of a container that came meanwhile begin from zero.
        let before = self.checks_before.map_or(good, |before| before.min(good));
        self.checks_before = Some(before);
        seen.up && good > before + 1
    }
}
