//! The admin API: HTTP in front of the controller's commands and views.
//!
//! JSON in and out; every error is an RFC 9457 problem that says what to do. Nothing is decided here:
//! a request is authenticated ([`auth`]) by a token, or by a session of the dashboard ([`session`]), its body
//! parsed into a command, the command asked of the controller, and the answer shown. The dashboard is a page
//! ([`ui`]) that does the same as any client.

mod answer;
mod auth;
mod body;
mod calls;
mod connections;
mod course;
mod described;
mod events;
mod figures;
mod fleet;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod maintenance;
mod openapi;
mod operations;
mod paced;
mod pages;
mod params;
mod points;
mod problem;
mod process;
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

pub use openapi::openapi;
pub use process::{Process, ReloadNews, Served};
pub use server::{Doors, serve};

use crate::control::command::{Controller, Reload, Upgrade};
use crate::control::journal::Journal;
use crate::control::view::{ServiceView, Snapshot};
use crate::core::own_address::OwnAddresses;
use crate::core::secret::Secret;
use crate::core::settings::Config;
use crate::observe::access_log::AccessLog;
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use axum::Router;
use calls::Call;
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
    pub process: Arc<Process>,
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

/// Every path of the API, and the pages of the dashboard.
pub fn router(state: State) -> Router {
    let (open, rest): (Vec<Call>, Vec<Call>) = calls::all().into_iter().partition(Call::is_before_the_door);
    let protected = routed(rest)
        .method_not_allowed_fallback(pages::method_not_allowed)
        .fallback(pages::not_found)
        .layer(axum::middleware::from_fn_with_state(state.clone(), auth::check));
    routed(open)
        .merge(ui::router())
        .method_not_allowed_fallback(pages::method_not_allowed)
        .merge(protected)
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::check))
        .with_state(state)
}

fn routed(calls: Vec<Call>) -> Router<State> {
    calls.into_iter().fold(Router::new(), |router, call| router.route(call.path, call.served()))
}
