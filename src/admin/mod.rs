//! The admin API: HTTP in front of the controller's commands and views.
//!
//! JSON in and out; every error is an RFC 9457 problem that says what to do. Nothing is decided here:
//! a request is authenticated ([`auth`]) by a token, or by a session of the dashboard ([`session`]), its body
//! parsed into a command, the command asked of the controller, and the answer shown. The dashboard is a page
//! ([`ui`]) that does the same as any client.

mod answer;
mod auth;
mod body;
mod connections;
mod events;
mod figures;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod maintenance;
mod operations;
mod paced;
mod pages;
mod points;
mod problem;
mod refused;
mod rollouts;
mod server;
mod services;
mod session;
mod sets;
pub mod shapes;
mod testers;
mod ui;
mod waiting;

pub use server::{Doors, serve};

use crate::control::command::{Controller, Reload, Upgrade};
use crate::control::journal::Journal;
use crate::control::view::{ServiceView, Snapshot};
use crate::core::own_address::OwnAddresses;
use crate::core::secret::Secret;
use crate::core::settings::{ADMIN_MAINTENANCE, Config};
use crate::observe::access_log::AccessLog;
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use axum::Router;
use axum::routing::{get, post, put};
use frames::Frames;
use problem::Problem;
use refused::Refused;
use session::Sessions;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};

/// What the API works with; cheap to clone.
#[derive(Clone, Debug)]
pub struct State {
    pub controller: Controller,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// For the tokens in effect.
    pub configs: watch::Receiver<Arc<Config>>,
    pub journal: Journal,
    /// Where this process listens: no upstream may lead there.
    pub own: OwnAddresses,
    /// Signs what testers send.
    pub secret: Secret,
    pub metrics: Arc<Metrics>,
    pub access_log: Option<AccessLog>,
    pub reloads: mpsc::Sender<Reload>,
    pub upgrades: mpsc::Sender<Upgrade>,
    pub clock: Clock,
    pub common: Arc<Common>,
    /// True once the process is stopping.
    pub stopping: watch::Receiver<bool>,
}

/// What all requests have in common, and nobody outside sees.
#[derive(Debug)]
pub struct Common {
    /// Turns at rendering the metrics.
    renders: Semaphore,
    /// Guesses at tokens.
    refused: Refused,
    /// Places for streams of events.
    streams: Arc<Semaphore>,
    /// Of the dashboard.
    sessions: Sessions,
    frames: Frames,
}

impl Default for Common {
    fn default() -> Self {
        Common {
            renders: Semaphore::new(operations::RENDERS),
            refused: Refused::default(),
            streams: Arc::new(Semaphore::new(events::STREAMS)),
            sessions: Sessions::default(),
            frames: Frames::default(),
        }
    }
}

impl State {
    fn service(&self, name: &str) -> Result<Arc<ServiceView>, Problem> {
        let found = self.snapshots.borrow().services.get(name).cloned();
        found.ok_or_else(|| Problem::not_found(format!("there is no service {name}")))
    }
}

/// Every path of the API.
pub fn router(state: State) -> Router {
    let protected = Router::new()
        .route("/v1/services", get(services::list))
        .route("/v1/services/{service}", get(services::show))
        .route("/v1/services/{service}/weights", put(services::weights))
        .route("/v1/services/{service}/flip", post(services::flip))
        .route("/v1/services/{service}/rollback", post(services::rollback))
        .route("/v1/services/{service}/testers", post(testers::issue))
        .route("/v1/services/{service}/history", get(services::history))
        .route("/v1/services/{service}/figures", get(frames::series))
        .route("/v1/services/{service}/rollouts", get(rollouts::list).post(rollouts::start))
        .route("/v1/services/{service}/rollouts/{id}", get(rollouts::show))
        .route("/v1/services/{service}/rollouts/{id}/{action}", post(rollouts::act))
        .route(
            "/v1/services/{service}/pools/{pool}/upstreams",
            put(services::register).delete(services::unregister),
        )
        .route("/v1/services/{service}/pools/{pool}/upstreams/{upstream}/{action}", post(services::upstream))
        .route("/v1/sets", get(sets::list))
        .route("/v1/sets/{set}", get(sets::show))
        .route("/v1/sets/{set}/rollback", post(sets::rollback))
        .route("/v1/sets/{set}/history", get(sets::history))
        .route("/v1/sets/{set}/rollouts", post(sets::start))
        .route("/v1/sets/{set}/rollouts/{id}/{action}", post(sets::act))
        .route("/v1/history", get(services::whole_history))
        .route("/v1/events", get(events::stream))
        .route("/v1/whoami", get(session::whoami))
        .route("/v1/session", get(session::show).post(session::open).delete(session::end))
        .route("/v1/maintenance", get(maintenance::show).put(maintenance::put))
        .route(ADMIN_MAINTENANCE, post(maintenance::post))
        .route("/v1/reload", post(operations::reload))
        .route("/v1/upgrade", post(operations::upgrade))
        .route("/api/metrics", get(figures::show))
        .route("/metrics", get(operations::metrics))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .fallback(pages::not_found)
        .layer(axum::middleware::from_fn_with_state(state.clone(), auth::check));
    Router::new()
        .route("/healthz", get(operations::healthy))
        .route("/api/health", get(operations::healthy))
        .route("/readyz", get(operations::ready))
        .route("/api/ready", get(operations::ready))
        .merge(ui::router())
        .method_not_allowed_fallback(pages::method_not_allowed)
        .merge(protected)
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::check))
        .with_state(state)
}
