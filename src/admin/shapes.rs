//! The shapes that clients send and receive, beside the controller's views.

mod bodies;
mod dashboard;
mod process;

pub use bodies::{
    FlipBody, MaintenanceBody, MaintenanceStatus, RollbackBody, StartBody, StepBody, TesterBody,
    UpstreamBody, UpstreamEntry, UpstreamsBody, WeightsBody,
};
pub use dashboard::{
    FrameView, NearestView, NeedView, PoolFrame, PoolSeries, SeriesView, ServiceFrame, SessionBody,
    WhoamiView,
};

pub use process::{
    CertificateView, ConfigurationView, DockerView, ListenerView, PolicyView, ProcessLimitsView, ProcessView,
    RefusedContainerView, ReloadView, UseView,
};

use crate::control::command::Fault;
use crate::control::view::{HistoryView, RolloutView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// RFC 9457, with the extensions `errors`, `rollout` and `rollout_url`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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

/// A tester's value, and where it may be sent: any one of them is enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TesterView {
    pub value: String,
    pub header: String,
    pub cookie: String,
    pub query: String,
    /// RFC 3339, UTC.
    pub expires_at: String,
}

/// The figures under the names that runbooks know. Counters since the process started, all else over the
/// window; of the requests that the proxy made to upstreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RolloutList {
    pub rollouts: Vec<RolloutView>,
    /// The path of the next, older page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Whether the process lives and could serve.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// `ok`, `degraded` (it serves, but its state was damaged at the start), or `unavailable`.
    pub status: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
}
