//! Services: their views, weights, flips, upstreams and history.

use super::auth::Identity;
use super::body::{Body, MaybeBody, NoBody};
use super::problem::Problem;
use super::shapes::{FlipBody, HistoryPage, RollbackBody, UpstreamsBody, WeightEntry};
use super::waiting::{Asked, Waiting};
use super::{State, pages};
use crate::control::command::{Command, Fault, Reply, UpstreamAction};
use crate::control::journal::JournalError;
use crate::control::view::{ServiceView, Snapshot};
use crate::core::own_address::OwnAddresses;
use crate::core::settings::{Upstream, UpstreamHost};
use crate::core::weight::BasisPoints;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// The longest that a look-up may hold up an answer.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Entries that a page has, and may have.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Vec<Arc<ServiceView>>> {
    let services = state.snapshots.borrow().services.values().cloned().collect();
    Json(services)
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    Path(service): Path<String>,
    waiting: Asked,
) -> Result<Response, Problem> {
    let waiting = Waiting::meant(waiting)?;
    let after = waiting.after.unwrap_or(state.service(&service)?.revision);
    let news = |snapshot: &Snapshot| snapshot.services.get(&service).is_none_or(|view| view.revision > after);
    waiting.until(&state, news).await;
    Ok(shown(&*state.service(&service)?))
}

/// `?force=true`, beside the same in the body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Force {
    #[serde(default)]
    force: bool,
}

pub(super) type Forced = Result<Query<Force>, QueryRejection>;

pub(super) fn forced(query: Forced) -> Result<bool, Problem> {
    let Query(query) = query.map_err(|error| Problem::invalid_field("force", error.body_text()))?;
    Ok(query.force)
}

pub(super) async fn weights(
    Extract(state): Extract<State>,
    Path(service): Path<String>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    query: Forced,
    Body(body): Body<BTreeMap<String, WeightEntry>>,
) -> Result<Response, Problem> {
    let (weights, force) = weights_meant(body)?;
    let force = force | forced(query)?;
    let if_match = if_match(&headers)?;
    ask(&state, &who, &service.clone(), Command::Weights { service, weights, if_match, force }).await
}

/// The weights by pool, and whether they are forced.
pub(super) fn weights_meant(
    body: BTreeMap<String, WeightEntry>,
) -> Result<(BTreeMap<String, BasisPoints>, bool), Problem> {
    let mut weights = BTreeMap::new();
    let mut faults = Vec::new();
    let mut force = false;
    for (pool, entry) in body {
        let percent = match entry {
            WeightEntry::Percent(percent) => percent,
            WeightEntry::Force(value) if pool == "force" => {
                force = value;
                continue;
            }
            WeightEntry::Force(value) => {
                faults.push(Fault { path: pool, detail: format!("{value} is not a number of percent") });
                continue;
            }
        };
        match BasisPoints::from_percent(percent) {
            Some(weight) => drop(weights.insert(pool, weight)),
            None => {
                let detail = format!("{percent} is not a percentage from 0 to 100 with at most two decimals");
                faults.push(Fault { path: pool, detail });
            }
        }
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    Ok((weights, force))
}

pub(super) async fn flip(
    Extract(state): Extract<State>,
    Path(service): Path<String>,
    Extension(who): Extension<Identity>,
    query: Forced,
    Body(body): Body<FlipBody>,
) -> Result<Response, Problem> {
    let force = body.force | forced(query)?;
    ask(&state, &who, &service.clone(), Command::Flip { service, to: body.to, force }).await
}

pub(super) async fn rollback(
    Extract(state): Extract<State>,
    Path(service): Path<String>,
    Extension(who): Extension<Identity>,
    query: Forced,
    MaybeBody(body): MaybeBody<RollbackBody>,
) -> Result<Response, Problem> {
    let force = body.force | forced(query)?;
    ask(&state, &who, &service.clone(), Command::Rollback { service, force }).await
}

pub(super) async fn upstream(
    Extract(state): Extract<State>,
    Path((service, pool, upstream, action)): Path<(String, String, String, String)>,
    Extension(who): Extension<Identity>,
    uri: Uri,
    _: NoBody,
) -> Result<Response, Problem> {
    let action = match action.as_str() {
        "drain" => UpstreamAction::Drain,
        "ready" => UpstreamAction::Ready,
        _ => return Err(pages::not_found(uri).await),
    };
    ask(&state, &who, &service.clone(), Command::Upstream { service, pool, upstream, action }).await
}

pub(super) async fn register(
    Extract(state): Extract<State>,
    Path((service, pool)): Path<(String, String)>,
    Extension(who): Extension<Identity>,
    Body(body): Body<UpstreamsBody>,
) -> Result<Response, Problem> {
    let set = upstreams_meant(body)?;
    lead_elsewhere(&state.own, &set).await?;
    ask(&state, &who, &service.clone(), Command::Upstreams { service, pool, set: Some(set) }).await
}

/// Every fault at once, as with the other bodies.
pub(super) fn upstreams_meant(body: UpstreamsBody) -> Result<Vec<Upstream>, Problem> {
    let mut set = Vec::new();
    let mut faults = Vec::new();
    for (index, value) in body.upstreams.into_iter().enumerate() {
        let value = match value {
            Value::String(address) => json!({ "address": address }),
            value => value,
        };
        match serde_json::from_value::<Upstream>(value) {
            Ok(upstream) => set.push(upstream),
            Err(error) => {
                faults.push(Fault { path: format!("upstreams[{index}]"), detail: error.to_string() });
            }
        }
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    Ok(set)
}

pub(super) async fn unregister(
    Extract(state): Extract<State>,
    Path((service, pool)): Path<(String, String)>,
    Extension(who): Extension<Identity>,
    _: NoBody,
) -> Result<Response, Problem> {
    ask(&state, &who, &service.clone(), Command::Upstreams { service, pool, set: None }).await
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn history(
    Extract(state): Extract<State>,
    Path(service): Path<String>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<HistoryPage>, Problem> {
    state.service(&service)?;
    rows(&state, Some(service), paging).await
}

/// Over all services.
pub(super) async fn whole_history(
    Extract(state): Extract<State>,
    paging: Result<Query<Paging>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<HistoryPage>, Problem> {
    rows(&state, None, paging).await
}

async fn rows(
    state: &State,
    service: Option<String>,
    paging: Result<Query<Paging>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<HistoryPage>, Problem> {
    let (before, limit) = paged(paging)?;
    let read = state.journal.history(service.clone(), before, limit + 1).await;
    let path = service.map_or("/v1/history".into(), |service| format!("/v1/services/{service}/history"));
    Ok(Json(HistoryPage::of(read.map_err(unreadable)?, limit, &path)))
}

/// Where a page begins, and how many entries it has.
pub(super) fn paged(paging: Result<Query<Paging>, QueryRejection>) -> Result<(Option<u64>, usize), Problem> {
    let Query(paging) = paging.map_err(|error| Problem::invalid_field("query", error.body_text()))?;
    Ok((paging.before, page(paging.limit)?))
}

pub(super) fn unreadable(error: JournalError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
}

/// How many entries a page has.
pub(super) fn page(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    match (1..=LARGEST_PAGE).contains(&limit) {
        true => Ok(limit),
        false => Err(Problem::invalid_field("limit", format!("from 1 to {LARGEST_PAGE}"))),
    }
}

async fn ask(state: &State, who: &Identity, service: &str, command: Command) -> Result<Response, Problem> {
    let asked = state.controller.ask(who.actor(), command).await;
    match asked.map_err(|refusal| Problem::about(service, refusal))? {
        Reply::Service(view) => Ok(shown(&view)),
        // Commands about services are answered with services.
        Reply::Rollout { view, .. } => Ok(Json(view).into_response()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn shown(view: &ServiceView) -> Response {
    ([(header::ETAG, format!("\"{}\"", view.revision))], Json(view)).into_response()
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision = text.trim_start_matches("W/").trim_matches('"').parse();
    revision.map(Some).map_err(|_| {
        Problem::invalid_field("If-Match", format!("{text:?} is not an ETag of a service, such as \"17\""))
    })
}
