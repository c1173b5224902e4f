//! What a policy says of a candidate, always with its reasons.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Pass goes on, hold stands still, fail aborts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = VerdictState)]
pub enum State {
    #[default]
    Pass,
    Hold,
    Fail,
}

impl State {
    pub fn label(self) -> &'static str {
        match self {
            State::Pass => "pass",
            State::Hold => "hold",
            State::Fail => "fail",
        }
    }
}

/// How serious the broken limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Warning,
    Critical,
}

/// One reason of a verdict, with the figures it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The kind of events: `errors`, `abandoned`, `latency`, `duration`, `4xx`, `3xx`, `empty`, `differences`; empty
    /// where the rule is a plain condition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The group of requests that they are of; without it, of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `error_rate`, `abandoned`, `latency_p50` … `latency_p99`, `duration_p50` …, `differences`: a limit is broken. With
    /// `_relative`, or `_over_stable_p75` and `_p95`: it is kept, or there is none, but the candidate is worse than stable. `shared_outage`: it is broken by stable too. `clients`: it is
    /// broken, but for too few clients. `health`, `smoke`, `hook`, `attempts` (still missing), or a signal's name.
    pub metric: String,
    pub level: Level,
    /// The limit in the metric's unit: a share (0–1) for rates, seconds for latencies, how many times as
    /// often for `_relative`, a count for `attempts` and `clients`, the signal's own.
    pub limit: f64,
    /// The observed value in the same unit, over the stretch the evidence rests on.
    pub observed: f64,
    /// Attempts and events (failures, or slow attempts) in that stretch.
    pub attempts: u64,
    pub events: u64,
    /// The evidence and the evidence needed, as natural logarithms; 0 where the rule is a plain condition.
    pub evidence: f64,
    pub needed: f64,
    /// Seconds since the stretch began.
    pub for_seconds: f64,
    /// The same as a sentence for people.
    pub text: String,
}

/// A state with its reasons; a pass may have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub state: State,
    pub reasons: Vec<Reason>,
}

impl Reason {
    /// For a plain condition: no evidence stands behind it.
    pub fn condition(metric: &str, level: Level, text: String) -> Self {
        Reason {
            kind: String::new(),
            group: None,
            metric: metric.to_owned(),
            level,
            limit: 0.0,
            observed: 0.0,
            attempts: 0,
            events: 0,
            evidence: 0.0,
            needed: 0.0,
            for_seconds: 0.0,
            text,
        }
    }
}
