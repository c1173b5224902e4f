//! What a rollout is meant to do: its strategy, steps and patience.

use crate::core::weight::BasisPoints;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the candidate gets its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Step by step, each step held while the verdict passes.
    Canary,
    /// All at once, then baked.
    BlueGreen,
}

/// One step: the candidate's weight, and how long the verdict must pass there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub weight: BasisPoints,
    pub hold: Duration,
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

/// The whole plan. A blue-green plan has the one step of 100 %.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub strategy: Strategy,
    /// At least one; weights ascend, the last is 100 %.
    pub steps: Vec<Step>,
    /// Time under watch at 100 % before the promotion.
    pub bake: Duration,
    /// Attempts on the candidate that a step needs before it may end.
    pub min_attempts: u64,
    pub idle: Idle,
    /// How long the candidate may take to become healthy.
    pub prepare: Duration,
}

impl Plan {
    /// What is wrong with the steps, each with the index of the step it is in; empty when nothing is.
    pub fn faults(&self) -> Vec<(usize, String)> {
        let mut faults = Vec::new();
        let mut before = BasisPoints::ZERO;
        for (index, step) in self.steps.iter().enumerate() {
            if step.weight <= before {
                faults.push((
                    index,
                    format!("weight {} must be above the step before ({before})", step.weight),
                ));
            }
            before = step.weight;
        }
        if before != BasisPoints::FULL {
            let last = self.steps.len().saturating_sub(1);
            faults.push((last, "the last step must have weight 100".to_owned()));
        }
        faults
    }
}

impl Strategy {
    pub const ALL: [Strategy; 2] = [Strategy::Canary, Strategy::BlueGreen];

    /// The one with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.label() == label)
    }

    /// As in the configuration and the API.
    pub fn label(self) -> &'static str {
        match self {
            Strategy::Canary => "canary",
            Strategy::BlueGreen => "blue-green",
        }
    }
}
