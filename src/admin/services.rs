//! Services: their views, weights, flips, upstreams and history.

use super::auth::Identity;
use super::body::{Body, MaybeBody, NoBody};
use super::params::{IfMatch, Named, Query};
use super::problem::{Problem, ProblemType};
use super::shapes::{FlipBody, HistoryPage, RollbackBody, UpstreamEntry, UpstreamsBody, WeightsBody};
use super::waiting::{Waiting, Waits};
use super::{State, pages};
use crate::control::command::{Command, Fault, Reply, UpstreamAction};
use crate::control::journal::JournalError;
use crate::control::view::{ServiceView, Snapshot};
use crate::core::own_address::OwnAddresses;
use crate::core::settings::{Upstream, UpstreamHost};
use crate::core::weight::BasisPoints;
use axum::extract::State as Extract;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;
use utoipa::ToSchema;

/// The longest that a look-up may hold up an answer.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Entries of a page.
const PAGE: usize = 50;

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Vec<Arc<ServiceView>>> {
    let services = state.snapshots.borrow().services.values().cloned().collect();
    Json(services)
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Query(typed): Query<Waits>,
) -> Result<Response, Problem> {
    let waiting = Waiting::meant(&typed)?;
    let after = waiting.after.unwrap_or(state.service(&service)?.revision);
    let news = |snapshot: &Snapshot| snapshot.services.get(&service).is_none_or(|view| view.revision > after);
    waiting.until(&state, news).await;
    Ok(shown(&*state.service(&service)?))
}

/// `?force=true`, beside the same in the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    #[serde(default)]
    pub force: bool,
}

pub(super) async fn weights(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Query(Force { force: asked }): Query<Force>,
    Body(body): Body<WeightsBody>,
) -> Result<Response, Problem> {
    let weights = weights_meant(&body)?;
    let force = body.force | asked;
    ask(&state, &who, if_match, Command::Weights { service, weights, force }).await
}

/// Every fault at once.
pub(super) fn weights_meant(body: &WeightsBody) -> Result<BTreeMap<String, BasisPoints>, Problem> {
    let mut weights = BTreeMap::new();
    let mut faults = Vec::new();
    for (pool, percent) in &body.weights {
        match BasisPoints::from_percent(*percent) {
            Some(weight) => drop(weights.insert(pool.clone(), weight)),
            None => {
                let detail = format!("{percent} is not a percentage from 0 to 100 with at most two decimals");
                faults.push(Fault { path: pool.clone(), detail });
            }
        }
    }
    if faults.is_empty() { Ok(weights) } else { Err(Problem::invalid(faults)) }
}

pub(super) async fn flip(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Query(Force { force: asked }): Query<Force>,
    Body(body): Body<FlipBody>,
) -> Result<Response, Problem> {
    let force = body.force | asked;
    ask(&state, &who, if_match, Command::Flip { service, to: body.to, force }).await
}

pub(super) async fn rollback(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Query(Force { force: asked }): Query<Force>,
    MaybeBody(body): MaybeBody<RollbackBody>,
) -> Result<Response, Problem> {
    let force = body.force | asked;
    ask(&state, &who, if_match, Command::Rollback { service, force }).await
}

pub(super) async fn upstream(
    Extract(state): Extract<State>,
    Named((service, pool, upstream, action)): Named<(String, String, String, String)>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    uri: Uri,
    _: NoBody,
) -> Result<Response, Problem> {
    let action = match action.as_str() {
        "drain" => UpstreamAction::Drain,
        "ready" => UpstreamAction::Ready,
        _ => return Err(pages::not_found(uri).await),
    };
    ask(&state, &who, if_match, Command::Upstream { service, pool, upstream, action }).await
}

pub(super) async fn register(
    Extract(state): Extract<State>,
    Named((service, pool)): Named<(String, String)>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<UpstreamsBody>,
) -> Result<Response, Problem> {
    let set = upstreams_meant(body)?;
    lead_elsewhere(&state.own, &set).await?;
    ask(&state, &who, if_match, Command::Upstreams { service, pool, set: Some(set) }).await
}

/// Every fault at once, as with the other bodies.
pub(super) fn upstreams_meant(body: UpstreamsBody) -> Result<Vec<Upstream>, Problem> {
    let mut set = Vec::new();
    let mut faults = Vec::new();
    for (index, entry) in body.upstreams.into_iter().enumerate() {
        match upstream_meant(entry) {
            Ok(upstream) => set.push(upstream),
            Err(detail) => faults.push(Fault { path: format!("upstreams[{index}]"), detail }),
        }
    }
    if faults.is_empty() { Ok(set) } else { Err(Problem::invalid(faults)) }
}

fn upstream_meant(entry: UpstreamEntry) -> Result<Upstream, String> {
    let record = match entry {
        UpstreamEntry::Address(address) => json!({ "address": address }),
        UpstreamEntry::Detailed(body) => json!(body),
    };
    serde_json::from_value(record).map_err(|error| error.to_string())
}

pub(super) async fn unregister(
    Extract(state): Extract<State>,
    Named((service, pool)): Named<(String, String)>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    _: NoBody,
) -> Result<Response, Problem> {
    ask(&state, &who, if_match, Command::Upstreams { service, pool, set: None }).await
}

/// Refuses names that stand for an address of this proxy now; what they stand for later is seen to by the controller.
async fn lead_elsewhere(own: &OwnAddresses, set: &[Upstream]) -> Result<(), Problem> {
    let mut faults = Vec::new();
    for (index, upstream) in set.iter().enumerate() {
        let UpstreamHost::Name { host, port } = &upstream.host else { continue };
        if !own.has_port(*port) {
            continue;
        }
        let found = timeout(LOOK_UP, lookup_host((&**host, *port))).await;
        let addresses: Vec<_> = found.ok().and_then(Result::ok).into_iter().flatten().collect();
        let back = addresses.into_iter().find_map(|address| Some((address, own.at(address.into())?)));
        if let Some((address, own)) = back {
            let detail = format!("{address} is {own} of this proxy itself, so a request would never end");
            faults.push(Fault { path: format!("upstreams[{index}]"), detail });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The id of a row: those before it.
    before: Option<u64>,
    #[schema(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

pub(super) async fn history(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<HistoryPage>, Problem> {
    state.service(&service)?;
    rows(&state, Some(service), paging).await
}

/// Over all services.
pub(super) async fn whole_history(
    Extract(state): Extract<State>,
    Query(paging): Query<Paging>,
) -> Result<Json<HistoryPage>, Problem> {
    rows(&state, None, paging).await
}

async fn rows(state: &State, service: Option<String>, paging: Paging) -> Result<Json<HistoryPage>, Problem> {
    let (before, limit) = paged(&paging);
    let read = state.journal.history(service.clone(), before, limit + 1).await;
    let path = service.map_or("/v1/history".into(), |service| format!("/v1/services/{service}/history"));
    Ok(Json(HistoryPage::of(read.map_err(unreadable)?, limit, &path)))
}

/// Where a page begins, and how many entries it has.
pub(super) fn paged(paging: &Paging) -> (Option<u64>, usize) {
    (paging.before, page(paging.limit))
}

pub(super) fn unreadable(error: JournalError) -> Problem {
    Problem::new(ProblemType::Unavailable, error.to_string())
}

/// How many entries a page has.
pub(super) fn page(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE)
}

async fn ask(
    state: &State,
    who: &Identity,
    if_match: Option<u64>,
    command: Command,
) -> Result<Response, Problem> {
    let service = command.service().unwrap_or_default().to_owned();
    let asked = state.controller.ask_if(who.actor(), command, if_match).await;
    match asked.map_err(|refusal| Problem::about(&service, refusal))? {
        Reply::Service(view) => Ok(shown(&view)),
        // Commands about services are answered with services.
        Reply::Rollout { view, .. } => Ok(Json(view).into_response()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn shown(view: &ServiceView) -> Response {
    ([(header::ETAG, format!("\"{}\"", view.revision))], Json(view)).into_response()
}
