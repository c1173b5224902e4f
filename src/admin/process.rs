//! The process itself: its listeners and certificates, its limits with their use, and its configuration.

use super::State;
use super::shapes::{
    CertificateView, ConfigurationView, DockerView, ListenerView, PolicyView, ProcessLimitsView, ProcessView,
    RefusedContainerView, ReloadView, UseView,
};
use crate::control::fleet::FleetHandle;
use crate::core::container::DockerStatus;
use crate::core::fleet::status::FleetView;
use crate::core::policy::Mode;
use crate::core::settings::Config;
use crate::observe::metrics::ClientCounts;
use crate::tls::{CertificateFacts, Certificates};
use axum::Json;
use axum::extract::State as Extract;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// What the composition root knows of the process.
#[derive(Clone, Debug)]
pub struct Process {
    /// RFC 3339.
    pub started_at: String,
    pub file: Option<String>,
    pub listeners: Vec<Served>,
    pub admin: Served,
    /// In the order of the listeners.
    pub clients: ClientCounts,
    pub reloads: watch::Receiver<ReloadNews>,
    pub docker: watch::Receiver<DockerStatus>,
    /// `None` where the instance is alone.
    pub fleet: Option<FleetHandle>,
}

/// A listener that serves.
#[derive(Clone, Debug)]
pub struct Served {
    pub scheme: &'static str,
    pub address: SocketAddr,
    pub certificates: Option<Arc<Certificates>>,
}

/// What has become of reloads.
#[derive(Clone, Debug, Default)]
pub struct ReloadNews {
    pub last: Option<ReloadView>,
    /// When the last one succeeded, if one has.
    pub loaded_at: Option<String>,
    /// As of that one.
    pub needs_restart: Vec<String>,
}

pub(super) async fn show(Extract(state): Extract<State>) -> Json<ProcessView> {
    let process = &state.process;
    let counts = process.clients.listeners.iter().map(|listener| listener.open.load(Ordering::Relaxed));
    let counts: Vec<u32> = counts.collect();
    let clients = &process.clients;
    let limits = ProcessLimitsView {
        connections: UseView {
            used: counts.iter().map(|count| u64::from(*count)).sum(),
            limit: clients.most.load(Ordering::Relaxed).into(),
        },
        memory_bytes: UseView { used: clients.memory.held() as u64, limit: clients.memory.limit() as u64 },
    };
    let listeners = process.listeners.iter().zip(&counts).map(|(served, count)| served.view(Some(*count)));
    let listeners = listeners.collect();
    let reloads = process.reloads.borrow().clone();
    Json(ProcessView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: process.started_at.clone(),
        listeners,
        admin: process.admin.view(None),
        limits,
        configuration: ConfigurationView {
            file: process.file.clone(),
            loaded_at: reloads.loaded_at.unwrap_or_else(|| process.started_at.clone()),
            needs_restart: reloads.needs_restart,
            last_reload: reloads.last,
        },
        policies: policies(&state.configs.borrow()),
        docker: docker(&process.docker.borrow()),
        fleet: process.fleet.as_ref().map(|fleet| FleetView::clone(&fleet.view.borrow())),
    })
}

fn docker(status: &DockerStatus) -> Option<DockerView> {
    let refused = status.refused.iter().map(|(container, detail)| RefusedContainerView {
        container: container.clone(),
        detail: detail.clone(),
    });
    Some(DockerView {
        socket: status.socket.clone()?,
        down: status.down.clone(),
        upstreams: status.upstreams as u64,
        refused: refused.collect(),
    })
}

fn policies(config: &Config) -> BTreeMap<String, PolicyView> {
    let view = |name: &String, mode: Mode| {
        let services = config
            .services
            .values()
            .filter(|service| service.policy.as_ref().is_some_and(|policy| policy.name == *name));
        let mode = match mode {
            Mode::Evidence => "evidence",
            Mode::Window => "window",
        };
        PolicyView {
            mode: mode.to_owned(),
            services: services.map(|service| service.name.to_string()).collect(),
        }
    };
    config.policies.iter().map(|(name, policy)| (name.clone(), view(name, policy.mode))).collect()
}

impl Process {
    /// Those of all listeners, and of the admin API.
    pub(super) fn certificates(&self) -> Vec<CertificateFacts> {
        let served = self.listeners.iter().chain([&self.admin]);
        served.filter_map(|served| served.certificates.as_ref()).flat_map(|all| all.described()).collect()
    }
}

impl Served {
    fn view(&self, connections: Option<u32>) -> ListenerView {
        let certificates = self.certificates.as_ref().map(|all| all.described()).unwrap_or_default();
        let certificates = certificates.into_iter().map(|one| CertificateView {
            file: one.file,
            names: one.names,
            expires_at: jiff::Timestamp::from_second(one.until).map(|at| at.to_string()).unwrap_or_default(),
            complaint: one.complaint,
        });
        ListenerView {
            scheme: self.scheme.to_owned(),
            address: self.address.to_string(),
            connections,
            certificates: certificates.collect(),
        }
    }
}
