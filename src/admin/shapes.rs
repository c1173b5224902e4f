//! The shapes that clients send and receive, beside the controller's views.

mod dashboard;

pub use dashboard::{
    FrameView, NearestView, NeedView, PoolFrame, PoolSeries, SeriesView, ServiceFrame, SessionBody,
    WhoamiView,
};

use crate::control::command::Fault;
use crate::control::view::{HistoryView, RolloutView};
use serde::{Deserialize, Serialize};

/// RFC 9457, with the extensions `errors`, `rollout` and `rollout_url`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemView {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Each fault of the body, by the path of its field.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<Fault>,
    /// The id of the rollout that is in the way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollout: Option<String>,
    /// Where it is shown; the same as the `Location` header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollout_url: Option<String>,
}

/// The body of a flip.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlipBody {
    pub to: String,
    /// Whether the pool may be down, or hold an aborted version.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// The body of a rollback, which may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// Whether the pool may be down, or hold another version than when it was stable.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// What stands beside a name in the body that sets weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WeightEntry {
    /// Percent of a pool.
    Percent(f64),
    /// Of the key `force`.
    Force(bool),
}

impl<'de> Deserialize<'de> for WeightEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl serde::de::Visitor<'_> for Entry {
            type Value = WeightEntry;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of percent")
            }
            fn visit_bool<E>(self, force: bool) -> Result<WeightEntry, E> {
                Ok(WeightEntry::Force(force))
            }
            fn visit_f64<E>(self, percent: f64) -> Result<WeightEntry, E> {
                Ok(WeightEntry::Percent(percent))
            }
            fn visit_u64<E>(self, percent: u64) -> Result<WeightEntry, E> {
                Ok(WeightEntry::Percent(percent as f64))
            }
            fn visit_i64<E>(self, percent: i64) -> Result<WeightEntry, E> {
                Ok(WeightEntry::Percent(percent as f64))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

/// The body that asks for a tester's value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TesterBody {
    /// A pool, or `stable` or `candidate`.
    pub to: String,
    /// A duration, `8h` by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl: Option<String>,
}

/// A tester's value, and where it may be sent: any one of them is enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TesterView {
    pub value: String,
    pub header: String,
    pub cookie: String,
    pub query: String,
    /// RFC 3339, UTC.
    pub expires_at: String,
}

/// The body that starts a rollout; what is left out comes from the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    pub to: String,
    /// `canary`, `blue-green` or `rolling`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steps: Option<Vec<StepBody>>,
    /// The name of a policy of the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// Whether somebody must approve before the candidate gets traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate: Option<bool>,
    /// A duration, `4h`: by when it has ended, or is aborted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deadline: Option<String>,
    /// A duration, `24h`: how long it waits for an approval before it is aborted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate_timeout: Option<String>,
    /// Says what it would do, and moves nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// Percent, up to two decimals. Either this or `mirror`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<f64>,
    /// Percent of stable's safe requests that are copied to the candidate; before the first weight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mirror: Option<f64>,
    /// A duration, `5m`; none by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<String>,
    /// Whether somebody must approve before it goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub gate: bool,
}

/// The body that registers a pool's upstreams: each an address, or an object with `address` and, where
/// wanted, `weight`, `backup` and `max_conns`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamsBody {
    pub upstreams: Vec<serde_json::Value>,
}

/// The body that switches maintenance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    /// `maintenance` or `operational`.
    pub status: String,
    /// Without it, or `duration`, it lasts until it is switched off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_minutes: Option<f64>,
    /// A duration, `30m`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration: Option<String>,
    /// One service; the whole site without.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
}

/// The figures under the names that runbooks know. Counters since the process started, all else over the
/// window; of the requests that the proxy made to upstreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FiguresView {
    pub http_requests_total: u64,
    /// The mean, to the head of the answer.
    pub http_requests_duration_seconds: f64,
    pub http_requests_failed: u64,
    pub error_rate_percent: f64,
    /// The 95th percentile of the slowest pool that served.
    pub response_time_ms: f64,
    /// The service's own signals; `null` where there are none.
    pub database_connections: Option<f64>,
    pub memory_usage_mb: Option<f64>,
    pub cpu_usage_percent: Option<f64>,
}

/// One page of history, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryPage {
    pub history: Vec<HistoryView>,
    /// The path of the next, older page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

impl HistoryPage {
    /// The first rows, newest first: one more than the page has tells that there is another.
    pub(super) fn of(mut history: Vec<HistoryView>, limit: usize, path: &str) -> Self {
        let more = history.len() > limit;
        history.truncate(limit);
        let last = history.last().filter(|_| more);
        let next = last.map(|row| format!("{path}?before={}&limit={limit}", row.id));
        HistoryPage { history, next }
    }
}

/// One page of a service's rollouts, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolloutList {
    pub rollouts: Vec<RolloutView>,
    /// The path of the next, older page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Whether the process lives and could serve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`, `degraded` (it serves, but its state was damaged at the start), or `unavailable`.
    pub status: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
}
