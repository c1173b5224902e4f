//! The shapes that the dashboard lives on: who is signed in, points of the past, and the frame of each second.

use crate::control::view::HoldView;
use crate::core::settings::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhoamiView {
    /// The token's name, or `local`.
    pub name: String,
    /// `read`, `deploy` or `admin`; `admin` where no token is configured.
    pub role: Role,
    /// Whether a session of the dashboard says so, rather than a token.
    pub session: bool,
}

/// The body that opens a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionBody {
    pub token: String,
}

/// 15 minutes of a service: a point for each second, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesView {
    pub service: String,
    /// The first second, since 1970; the others follow one by one.
    pub from: u64,
    /// How many points each list has.
    pub seconds: u32,
    pub pools: BTreeMap<String, PoolSeries>,
}

/// The points of one pool, by what they are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolSeries {
    /// Percent of the traffic.
    pub weight: Vec<f64>,
    /// Attempts that came to an end, and those of them that failed.
    pub requests: Vec<u32>,
    pub failures: Vec<u32>,
    /// `null` where nothing was answered.
    pub p95_ms: Vec<Option<f64>>,
}

/// `event: figures`: one second of all services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FrameView {
    /// Seconds since 1970.
    pub at: u64,
    /// The id of the newest row of the history.
    pub newest: u64,
    pub services: BTreeMap<String, ServiceFrame>,
    /// What waits for somebody, the most urgent first.
    pub needs: Vec<NeedView>,
    /// The fleet on one line, where the instance is a member of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fleet: Option<String>,
}

/// One second of a service. What does not apply is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceFrame {
    pub revision: u64,
    pub stable: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub candidate: Option<String>,
    /// Of the rollout that runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<String>,
    /// How the last rollout ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<String>,
    /// The number of the step under way, from 1, and of all steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<(usize, usize)>,
    /// The set that the rollout is a part of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub set: Option<String>,
    /// `pass`, `hold` or `fail`: of the rollout, or of the watch after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<HoldView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<NearestView>,
    #[serde(rename = "maintenance", skip_serializing_if = "std::ops::Not::not", default)]
    pub is_in_maintenance: bool,
    pub pools: BTreeMap<String, PoolFrame>,
}

/// The limit, or comparison with stable, that is nearest to an abort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NearestView {
    pub metric: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
    /// The evidence there is, as a share (0–1) of what an abort needs.
    pub share: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events_to_abort: Option<u64>,
}

/// One second of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolFrame {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// Percent of the traffic.
    pub weight: f64,
    /// Attempts that came to an end in the last second, and those of them that failed.
    pub rate: u32,
    pub errors: u32,
    /// Milliseconds, in the last second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p95: Option<f64>,
    /// Share of failed attempts over the window, 0–1.
    pub error_rate: f64,
    /// Upstreams that are ready, and all.
    pub up: (usize, usize),
}

/// Something that waits for somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NeedView {
    /// Empty where it is the process's own.
    pub service: String,
    /// `state`, `dark`, `gate`, `hold`, `paused`, `refuge`, `certificate`, `docker`, `fleet`, `down` or `reload`.
    pub kind: String,
    pub text: String,
}
