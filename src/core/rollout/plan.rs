//! What a rollout is meant to do: its strategy, steps, gates and patience.

use super::Phase;
use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// How the candidate gets its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Step by step, each step held while the verdict passes.
    Canary,
    /// All at once, then baked.
    BlueGreen,
    /// One batch of upstreams after the other within the pool, which keeps its weight.
    Rolling,
}

/// One step: the candidate's weight, and how long the verdict must pass there. In a mirror step it has none
/// and gets copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub weight: BasisPoints,
    /// The share of stable's safe requests that is copied to the candidate; only before the first weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<BasisPoints>,
    pub hold: Duration,
    /// Whether somebody must approve before it goes on.
    #[serde(default)]
    pub gate: bool,
}

/// What a step with too few attempts does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// It holds until the attempts have come.
    #[default]
    Hold,
    /// Time alone moves it.
    Advance,
}

/// How a rolling update goes through the upstreams of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// Upstreams that may be out of service at a time: the size of a batch.
    pub max_unavailable: usize,
    /// How long requests in flight may take to finish.
    pub drain: Duration,
    /// How long an update may take, until the hook or the deploy job says so.
    pub update: Duration,
    /// How long the verdict must pass with a batch back in service.
    pub watch: Duration,
    /// Whether a hook carries out the update; else the deploy job says when it is done.
    pub hook: bool,
}

/// What is done once a version has been promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// How long the policy keeps watch over it; zero is not at all.
    pub watch: Duration,
    /// Whether a broken limit goes back to the previous pool by itself, while that is healthy.
    pub rollback: bool,
}

/// The whole plan. A blue-green plan has the one step of 100 %, a rolling one has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub strategy: Strategy,
    /// Mirror steps come first; then weights ascend, the last is 100 %.
    pub steps: Vec<Step>,
    /// Whether somebody must approve before the candidate gets any traffic.
    pub gate: bool,
    /// Time under watch at 100 % before the promotion.
    pub bake: Duration,
    /// Attempts on the candidate that a step needs before it may end.
    pub min_attempts: u64,
    pub idle: Idle,
    /// How long the candidate may take to become healthy, its smoke tests to end and a hook to answer.
    pub prepare: Duration,
    /// By when it has ended, from its start on; it is aborted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// How long it waits for an approval before it is aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_timeout: Option<Duration>,
    /// Whether there are smoke tests.
    pub smoke: bool,
    /// The places at which a hook is asked.
    pub hooks: BTreeSet<HookPoint>,
    pub rolling: Rolling,
    pub after: After,
    /// Says what it would do, and moves nothing.
    pub dry_run: bool,
    /// Whether it goes from step to step only as it is asked, together with other services.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub together: bool,
}

/// Before or after a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HookPoint {
    pub phase: Phase,
    pub after: bool,
}

impl HookPoint {
    /// Every place at which something may be refused. What follows the end is reported by notifications.
    pub const ALL: [HookPoint; 9] = [
        HookPoint::before(Phase::Preparing),
        HookPoint::after(Phase::Preparing),
        HookPoint::before(Phase::Testing),
        HookPoint::after(Phase::Testing),
        HookPoint::before(Phase::Shifting),
        HookPoint::after(Phase::Shifting),
        HookPoint::before(Phase::Baking),
        HookPoint::after(Phase::Baking),
        HookPoint::before(Phase::Promoted),
    ];

    pub const fn before(phase: Phase) -> Self {
        HookPoint { phase, after: false }
    }

    pub const fn after(phase: Phase) -> Self {
        HookPoint { phase, after: true }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", if self.after { "after" } else { "before" }, self.phase.label())
    }
}

impl From<HookPoint> for String {
    fn from(point: HookPoint) -> String {
        point.to_string()
    }
}

impl TryFrom<String> for HookPoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = HookPoint::ALL.into_iter().find(|point| point.to_string() == text);
        found.ok_or_else(|| format!("{text} is no place for a hook"))
    }
}

impl Step {
    /// One that gives a weight, without a gate.
    pub fn weight(weight: BasisPoints, hold: Duration) -> Self {
        Step { weight, mirror: None, hold, gate: false }
    }

    /// One that mirrors, without a gate.
    pub fn mirror(share: BasisPoints, hold: Duration) -> Self {
        Step { weight: BasisPoints::ZERO, mirror: Some(share), hold, gate: false }
    }
}

/// `5 %`, or `10 % mirrored`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mirror {
            Some(share) => write!(f, "{share} mirrored"),
            None => write!(f, "{}", self.weight),
        }
    }
}

impl Plan {
    /// What is wrong with the steps, each with the index of the step it is in; empty when nothing is.
    pub fn faults(&self) -> Vec<(usize, String)> {
        let mut faults = Vec::new();
        if self.is_rolling() {
            return faults;
        }
        let mut before = BasisPoints::ZERO;
        for (index, step) in self.steps.iter().enumerate() {
            match step.mirror {
                Some(_) if before > BasisPoints::ZERO => {
                    let text = "a mirror step stands before the first weight: once the candidate serves, its \
                                own requests are the better evidence";
                    faults.push((index, text.to_owned()));
                }
                Some(BasisPoints::ZERO) => faults.push((index, "mirror must be above 0".to_owned())),
                Some(_) => {}
                None if step.weight <= before => {
                    let text = format!("weight {} must be above the step before ({before})", step.weight);
                    faults.push((index, text));
                }
                None => {}
            }
            before = before.max(step.weight);
        }
        if before != BasisPoints::FULL {
            let last = self.steps.len().saturating_sub(1);
            faults.push((last, "the last step must have weight 100".to_owned()));
        }
        faults
    }

    pub fn is_rolling(&self) -> bool {
        self.strategy == Strategy::Rolling
    }
}

/// The runbook's canary: 5 % for 5 minutes, 25 % for 10, then all, and 15 minutes under watch.
impl Default for Plan {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let step = |bp, n| Some(Step::weight(BasisPoints::new(bp)?, minutes(n)));
        Plan {
            strategy: Strategy::Canary,
            steps: [step(500, 5), step(2500, 10), step(10_000, 0)].into_iter().flatten().collect(),
            gate: false,
            bake: minutes(15),
            min_attempts: 50,
            idle: Idle::Hold,
            prepare: minutes(5),
            deadline: None,
            gate_timeout: None,
            smoke: false,
            hooks: BTreeSet::new(),
            rolling: Rolling::default(),
            after: After::default(),
            dry_run: false,
            together: false,
        }
    }
}

impl Default for Rolling {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Rolling {
            max_unavailable: 1,
            drain: seconds(30),
            update: seconds(600),
            watch: seconds(30),
            hook: false,
        }
    }
}

impl Default for After {
    fn default() -> Self {
        After { watch: Duration::from_secs(3600), rollback: false }
    }
}

impl Strategy {
    pub const ALL: [Strategy; 3] = [Strategy::Canary, Strategy::BlueGreen, Strategy::Rolling];

    /// The one with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.label() == label)
    }

    /// As in the configuration and the API.
    pub fn label(self) -> &'static str {
        match self {
            Strategy::Canary => "canary",
            Strategy::BlueGreen => "blue-green",
            Strategy::Rolling => "rolling",
        }
    }
}
