//! Sets: several services as one rollout.

use super::State;
use super::auth::Identity;
use super::body::{Body, MaybeBody, NoBody};
use super::pages;
use super::params::{IfMatch, Named, Query};
use super::problem::Problem;
use super::rollouts::{rollout_action, start_meant};
use super::services::{Force, Paging, paged, unreadable};
use super::shapes::{HistoryPage, RollbackBody, StartBody};
use super::waiting::{Waiting, Waits};
use crate::control::command::{Reply, SetOrder};
use crate::control::view::{HistoryView, SetView, Snapshot};
use crate::core::settings::ServiceSet;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Vec<SetView>> {
    let config = state.configs.borrow().clone();
    let snapshot = state.snapshots.borrow().clone();
    Json(config.sets.iter().map(|set| SetView::of(set, &snapshot)).collect())
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    Named(name): Named<String>,
    Query(typed): Query<Waits>,
) -> Result<Response, Problem> {
    let waiting = Waiting::meant(&typed)?;
    let set = find(&state, &name)?;
    let after = waiting.after.unwrap_or_else(|| view(&state, &set).revision);
    let news = |snapshot: &Snapshot| SetView::of(&set, snapshot).revision > after;
    waiting.until(&state, news).await;
    let view = view(&state, &set);
    Ok(([(header::ETAG, format!("\"{}\"", view.revision))], Json(view)).into_response())
}

pub(super) async fn start(
    Extract(state): Extract<State>,
    Named(name): Named<String>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    headers: HeaderMap,
    Body(body): Body<StartBody>,
) -> Result<Response, Problem> {
    let start = Box::new(start_meant(&headers, body)?);
    let replies =
        state.controller.ask_set(who.actor(), name.clone(), SetOrder::Start(start), if_match).await?;
    let is_new = replies.iter().any(|reply| matches!(reply, Reply::Rollout { created: true, .. }));
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let set = find(&state, &name)?;
    Ok((status, Json(view(&state, &set))).into_response())
}

pub(super) async fn act(
    Extract(state): Extract<State>,
    Named((name, id, action)): Named<(String, String, String)>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    uri: Uri,
    _: NoBody,
) -> Result<Response, Problem> {
    let Some(action) = rollout_action(&action) else { return Err(pages::not_found(uri).await) };
    state.controller.ask_set(who.actor(), name.clone(), SetOrder::Act { id, action }, if_match).await?;
    let set = find(&state, &name)?;
    Ok(Json(view(&state, &set)).into_response())
}

pub(super) async fn rollback(
    Extract(state): Extract<State>,
    Named(name): Named<String>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Query(Force { force: asked }): Query<Force>,
    MaybeBody(body): MaybeBody<RollbackBody>,
) -> Result<Json<SetView>, Problem> {
    let force = body.force | asked;
    state.controller.ask_set(who.actor(), name.clone(), SetOrder::Rollback { force }, if_match).await?;
    let set = find(&state, &name)?;
    Ok(Json(view(&state, &set)))
}

/// The rows of all its services, in one order.
pub(super) async fn history(
    Extract(state): Extract<State>,
    Named(name): Named<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<HistoryPage>, Problem> {
    let set = find(&state, &name)?;
    let (before, limit) = paged(&paging);
    let mut rows: Vec<HistoryView> = Vec::new();
    for service in set.services {
        let read = state.journal.history(Some(service), before, limit + 1).await;
        rows.extend(read.map_err(unreadable)?);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    Ok(Json(HistoryPage::of(rows, limit, &format!("/v1/sets/{name}/history"))))
}

fn find(state: &State, name: &str) -> Result<ServiceSet, Problem> {
    let config = state.configs.borrow().clone();
    let found = config.sets.iter().find(|set| set.name == name).cloned();
    found.ok_or_else(|| Problem::not_found(format!("there is no set {name}")))
}

fn view(state: &State, set: &ServiceSet) -> SetView {
    SetView::of(set, &state.snapshots.borrow())
}
