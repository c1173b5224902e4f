//! What is shown of a fleet, as one member knows it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A fleet, as one member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FleetView {
    /// The name of the member that says this.
    pub name: String,
    /// Whether changes of the store are heard now.
    pub connected: bool,
    /// Why they are not, or why this instance is no part of the fleet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The last revision of the store that was seen; 0 before the first.
    pub revision: u64,
    /// By name. Those that are gone are there until they are forgotten.
    pub members: Vec<FleetMemberView>,
    /// By service: why its rollout stands still, as the leader knows it. Empty at all others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub holds: BTreeMap<String, Vec<String>>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FleetMemberView {
    pub name: String,
    /// Whether it advances and promotes.
    pub leader: bool,
    /// Whether it is there: its lease has not ended.
    pub alive: bool,
    /// Of the program; absent of one that is gone, as are `config` and `ready`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// A digest of its configuration, as far as all must have the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<String>,
    /// Whether it has the secret of the member that says this.
    pub same_secret: bool,
    /// By service: the number of the state that its table shows.
    pub applied: BTreeMap<String, u64>,
    /// Since when it is gone, RFC 3339; absent of one that is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen: Option<String>,
    /// Whether it has a state of every service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready: Option<bool>,
}
