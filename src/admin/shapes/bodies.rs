//! The bodies of requests. What a schema cannot say of them is checked where they are carried out.

use crate::core::rollout::Strategy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The body of a flip.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlipBody {
    #[schema(format = "pointsman-name", min_length = 1, max_length = 256)]
    pub to: String,
    /// Whether the pool may be down, or hold an aborted version.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// The body of a rollback, which may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// Whether the pool may be down, or hold another version than when it was stable.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// The body that sets weights: percent by pool, up to two decimals; pools left out get 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WeightsBody {
    /// Whether pools may be down, or hold an aborted version.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
    #[serde(flatten)]
    pub weights: BTreeMap<String, f64>,
}

/// The body that asks for a tester's value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TesterBody {
    /// A pool, or `stable` or `candidate`.
    #[schema(format = "pointsman-name", min_length = 1, max_length = 256)]
    pub to: String,
    /// A duration, `8h` by default.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl: Option<String>,
}

/// The body that starts a rollout; what is left out comes from the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    #[schema(format = "pointsman-name", min_length = 1, max_length = 256)]
    pub to: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub strategy: Option<Strategy>,
    #[schema(format = "pointsman-name", max_length = 256)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steps: Option<Vec<StepBody>>,
    /// The name of a policy of the configuration.
    #[schema(format = "pointsman-name", min_length = 1, max_length = 256)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// Whether somebody must approve before the candidate gets traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate: Option<bool>,
    /// A duration, `4h`: by when it has ended, or is aborted.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deadline: Option<String>,
    /// A duration, `24h`: how long it waits for an approval before it is aborted.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate_timeout: Option<String>,
    /// Says what it would do, and moves nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// Percent, up to two decimals. Either this or `mirror`.
    #[schema(minimum = 0, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<f64>,
    /// Percent of stable's safe requests that are copied to the candidate; before the first weight.
    #[schema(minimum = 0, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mirror: Option<f64>,
    /// A duration, `5m`; none by default.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<String>,
    /// Whether somebody must approve before it goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub gate: bool,
}

/// The body that registers a pool's upstreams.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamsBody {
    #[schema(min_items = 1)]
    pub upstreams: Vec<UpstreamEntry>,
}

/// One upstream of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum UpstreamEntry {
    /// `10.0.0.1:3000`, `[::1]:3000`, `app:3000` or `unix:/run/app.sock`.
    Address(String),
    Detailed(UpstreamBody),
}

/// An address with what goes along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamBody {
    /// `10.0.0.1:3000`, `[::1]:3000`, `app:3000` or `unix:/run/app.sock`.
    #[schema(min_length = 1)]
    pub address: String,
    /// Its share beside the others of the pool, 1 by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 100)]
    pub weight: Option<u16>,
    /// Whether it serves only where no other one can.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub backup: bool,
    /// Connections at a time; 0, the default, is no limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    pub max_conns: Option<u32>,
}

/// What a service, or the site, is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaintenanceStatus {
    Maintenance,
    #[default]
    Operational,
}

/// The body that switches maintenance.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    pub status: MaintenanceStatus,
    /// Without it, or `duration`, it lasts until it is switched off.
    #[schema(minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_minutes: Option<f64>,
    /// A duration, `30m`.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration: Option<String>,
    /// One service; the whole site without.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
}
