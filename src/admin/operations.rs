//! The process itself: health, metrics and reload.

use super::State;
use super::auth::Identity;
use super::body::NoBody;
use super::problem::Problem;
use super::shapes::HealthView;
use crate::control::command::{Refusal, ReloadReport, UpgradeReport};
use crate::control::view::ServiceView;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::sync::oneshot;

/// How many render the metrics at a time.
pub(super) const RENDERS: usize = 1;

/// Lives: it can answer.
pub(super) async fn healthy() -> Json<HealthView> {
    Json(HealthView { status: "ok".into(), reasons: Vec::new() })
}

/// Could serve: not stopping, and every service has a pool that is up for its traffic.
pub(super) async fn ready(Extract(state): Extract<State>) -> Response {
    let mut reasons = Vec::new();
    if *state.stopping.borrow() {
        reasons.push("the process is stopping".to_owned());
    }
    let (services, unheard) = {
        let snapshot = state.snapshots.borrow();
        (snapshot.services.clone(), snapshot.unheard.clone())
    };
    let unknown = |name: &String| {
        format!("service {name}: the fleet is not heard yet, and nothing of it is known here")
    };
    reasons.extend(unheard.iter().map(unknown));
    let dark = services.values().filter(|service| !has_ready_upstream(service));
    reasons.extend(dark.map(|service| format!("service {}: no upstream is ready", service.name)));
    if reasons.is_empty() {
        // It serves; that its state was not the last one is for people to know.
        let reasons = state.snapshots.borrow().degraded.to_vec();
        let status = if reasons.is_empty() { "ok" } else { "degraded" };
        return Json(HealthView { status: status.into(), reasons }).into_response();
    }
    let body = HealthView { status: "unavailable".into(), reasons };
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

fn has_ready_upstream(service: &ServiceView) -> bool {
    let mut serving = service.pools.values().filter(|pool| pool.effective_weight > 0.0);
    serving.any(|pool| pool.upstreams.iter().any(|upstream| upstream.state == "ready"))
}

pub(super) async fn metrics(Extract(state): Extract<State>) -> Response {
    // A crowd that asks for figures waits for its turn, so that others have theirs.
    let _turn = state.common.renders.acquire().await;
    if let Some(log) = &state.access_log {
        state.metrics.log_dropped(log.dropped());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
        .into_response()
}

pub(super) async fn reload(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    _: NoBody,
) -> Result<Json<ReloadReport>, Problem> {
    let stopped = || Refusal::Unavailable("the process is stopping".into());
    let (answer, report) = oneshot::channel();
    state.reloads.send((who.signed(), answer)).await.map_err(|_| stopped())?;
    Ok(Json(report.await.map_err(|_| stopped())??))
}

pub(super) async fn upgrade(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    _: NoBody,
) -> Result<Json<UpgradeReport>, Problem> {
    let stopped = || Refusal::Unavailable("the process is stopping".into());
    let (answer, report) = oneshot::channel();
    state.upgrades.send((who.signed(), answer)).await.map_err(|_| stopped())?;
    Ok(Json(report.await.map_err(|_| stopped())??))
}
