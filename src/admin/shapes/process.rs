//! The shapes of the process itself: what it serves with, and what it was told.

use crate::control::command::Fault;
use crate::core::fleet::status::FleetView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessView {
    pub version: String,
    pub pid: u32,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub listeners: Vec<ListenerView>,
    pub admin: ListenerView,
    pub limits: ProcessLimitsView,
    pub configuration: ConfigurationView,
    /// By their names.
    pub policies: BTreeMap<String, PolicyView>,
    /// Where `[docker]` is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub docker: Option<DockerView>,
    /// Where `[fleet]` is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fleet: Option<FleetView>,
}

/// How it stands with Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DockerView {
    pub socket: String,
    /// Why it is not followed now; the containers stay as they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub down: Option<String>,
    /// The containers that are upstreams.
    pub upstreams: u64,
    /// Containers that have the labels and are none.
    pub refused: Vec<RefusedContainerView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedContainerView {
    pub container: String,
    /// Why, and what to write.
    pub detail: String,
}

/// A listener, and what it presents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListenerView {
    /// `http` or `https`.
    pub scheme: String,
    pub address: String,
    /// Clients that are connected; absent for the admin API.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connections: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub certificates: Vec<CertificateView>,
}

/// A certificate that is in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// The file that it was read from.
    pub file: String,
    /// In lower case; a wildcard has its `*.`.
    pub names: Vec<String>,
    /// RFC 3339, UTC.
    pub expires_at: String,
    /// What is wrong with the files as they are now, while the certificate that was read before stays.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub complaint: Option<String>,
}

/// What is used of the limits of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessLimitsView {
    /// Clients that are connected, over all listeners.
    pub connections: UseView,
    /// Bytes of bodies and of answers that are not read yet.
    pub memory_bytes: UseView,
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UseView {
    pub used: u64,
    pub limit: u64,
}

/// The configuration in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationView {
    /// Absent where there is none, as in the demo.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// When what is in effect was read: at the start, or by the last reload that succeeded.
    pub loaded_at: String,
    /// The paths that differ in the file as it was read last, and take effect at the next start.
    pub needs_restart: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_reload: Option<ReloadView>,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadView {
    pub at: String,
    /// Who asked for it.
    pub by: String,
    pub ok: bool,
    /// Why nothing has changed, where it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The paths that have changed.
    pub changed: Vec<String>,
    /// The faults of the file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<Fault>,
}

/// A policy, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// `evidence` or `window`.
    pub mode: String,
    /// The services that it guards.
    pub services: Vec<String>,
}
