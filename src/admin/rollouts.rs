//! Rollouts: start, show, wait for news, act.

use super::auth::Identity;
use super::body::{Body, NoBody};
use super::params::{IfMatch, Named, Query, idempotency_key};
use super::problem::{Problem, rollout_path};
use super::services::page;
use super::shapes::{RolloutList, StartBody, StepBody};
use super::waiting::{Waiting, Waits};
use super::{State, pages};
use crate::control::command::{Command, Fault, Reply, RolloutAction, StartRollout};
use crate::control::view::{RolloutView, Snapshot};
use crate::core::duration;
use crate::core::rollout::Step;
use crate::core::text;
use crate::core::weight::BasisPoints;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::time::Duration;
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutPaging {
    /// The id of a rollout: those that began before it.
    before: Option<String>,
    #[schema(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Query(paging): Query<RolloutPaging>,
) -> Result<Json<RolloutList>, Problem> {
    let limit = page(paging.limit);
    let current = state.service(&service)?.rollout.clone();
    let ended = state.snapshots.borrow().ended.clone();
    let mut rollouts: Vec<&RolloutView> = ended.values().map(|view| &**view).collect();
    rollouts.retain(|view| {
        view.service == service && current.as_ref().is_none_or(|current| current.id != view.id)
    });
    rollouts.extend(&current);
    rollouts.sort_by(|one, other| (&other.started_at, &other.id).cmp(&(&one.started_at, &one.id)));
    let from = match &paging.before {
        None => 0,
        Some(before) => {
            rollouts.iter().position(|view| view.id == *before).map(|at| at + 1).ok_or_else(|| {
                Problem::invalid_field("before", format!("the service {service} has no rollout {before}"))
            })?
        }
    };
    let rest = rollouts.get(from..).unwrap_or_default();
    let page: Vec<RolloutView> = rest.iter().take(limit).map(|view| (*view).clone()).collect();
    let last = page.last().filter(|_| rest.len() > page.len());
    let next = last.map(|last| format!("/v1/services/{service}/rollouts?before={}&limit={limit}", last.id));
    Ok(Json(RolloutList { rollouts: page, next }))
}

pub(super) async fn start(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    IfMatch(if_match): IfMatch,
    Body(body): Body<StartBody>,
) -> Result<Response, Problem> {
    let start = Box::new(start_meant(&headers, body)?);
    let command = Command::Start { service: service.clone(), start };
    let asked = state.controller.ask_if(who.actor(), command, if_match).await;
    let reply = asked.map_err(|refusal| Problem::about(&service, refusal))?;
    Ok(match reply {
        Reply::Rollout { view, created } => {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            let location = rollout_path(&view.service, &view.id);
            (status, [(header::LOCATION, location)], Json(view)).into_response()
        }
        // A start is answered with a rollout.
        _ => StatusCode::NO_CONTENT.into_response(),
    })
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    Named((service, id)): Named<(String, String)>,
    Query(typed): Query<Waits>,
) -> Result<Json<RolloutView>, Problem> {
    let waiting = Waiting::meant(&typed)?;
    let current = find(&state.snapshots.borrow(), &service, &id)?;
    let after = waiting.after.unwrap_or(current.revision);
    let news = |snapshot: &Snapshot| {
        let view = snapshot.rollout(&service, &id);
        view.is_none_or(|view| view.revision > after || view.outcome.is_some())
    };
    waiting.until(&state, news).await;
    find(&state.snapshots.borrow(), &service, &id).map(Json)
}

pub(super) async fn act(
    Extract(state): Extract<State>,
    Named((service, id, action)): Named<(String, String, String)>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    uri: Uri,
    _: NoBody,
) -> Result<Response, Problem> {
    let Some(action) = rollout_action(&action) else { return Err(pages::not_found(uri).await) };
    let command = Command::Rollout { service: service.clone(), id, action };
    let asked = state.controller.ask_if(who.actor(), command, if_match).await;
    Ok(match asked.map_err(|refusal| Problem::about(&service, refusal))? {
        Reply::Rollout { view, .. } => Json(view).into_response(),
        Reply::Service(view) => Json(view).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
}

pub(super) fn rollout_action(name: &str) -> Option<RolloutAction> {
    match name {
        "pause" => Some(RolloutAction::Pause),
        "resume" => Some(RolloutAction::Resume),
        "promote" => Some(RolloutAction::Promote),
        "abort" => Some(RolloutAction::Abort),
        _ => None,
    }
}

/// A start with the key that it was sent with.
pub(super) fn start_meant(headers: &HeaderMap, body: StartBody) -> Result<StartRollout, Problem> {
    let asked = Some(digest(&body));
    Ok(StartRollout { idempotency_key: idempotency_key(headers)?, asked, ..meant(body)? })
}

pub(super) fn find(snapshot: &Snapshot, service: &str, id: &str) -> Result<RolloutView, Problem> {
    if snapshot.services.get(service).is_none() {
        return Err(Problem::not_found(format!("there is no service {service}")));
    }
    let missing = || Problem::not_found(format!("the service {service} has no rollout {id}"));
    snapshot.rollout(service, id).ok_or_else(missing)
}

/// Tells one body from another, whatever the order of its fields.
fn digest(body: &StartBody) -> String {
    let text = serde_json::to_vec(body).unwrap_or_default();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From what was sent to what is meant; every fault at once.
pub(super) fn meant(body: StartBody) -> Result<StartRollout, Problem> {
    let mut faults = Vec::new();
    let mut fault = |path: String, detail: String| faults.push(Fault { path, detail });
    let names =
        [("to", Some(&body.to)), ("version", body.version.as_ref()), ("policy", body.policy.as_ref())];
    for (path, name) in names {
        if let Some(Err(why)) = name.map(|name| text::check(name)) {
            fault(path.into(), why);
        }
    }
    let steps = body.steps.as_ref().map(|steps| {
        let steps = steps.iter().enumerate();
        steps.filter_map(|(index, body)| step(index, body, &mut fault)).collect()
    });
    let mut time = |key: &str, text: &Option<String>| match text.as_deref().map(duration::parse)? {
        Ok(time) => Some(time),
        Err(why) => {
            fault(key.into(), why);
            None
        }
    };
    let deadline = time("deadline", &body.deadline);
    let gate_timeout = time("gate_timeout", &body.gate_timeout);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let StartBody { to, strategy, version, policy, gate, dry_run, .. } = body;
    Ok(StartRollout {
        to,
        strategy,
        version,
        steps,
        policy,
        gate,
        deadline,
        gate_timeout,
        dry_run,
        idempotency_key: None,
        asked: None,
        set: None,
    })
}

/// One step; where it is at fault, `fault` is called with the path and what is wrong.
fn step(index: usize, body: &StepBody, fault: &mut impl FnMut(String, String)) -> Option<Step> {
    let (key, percent) = match (body.weight, body.mirror) {
        (Some(weight), None) => ("weight", weight),
        (None, Some(mirror)) => ("mirror", mirror),
        (Some(_), Some(_)) => {
            fault(format!("steps[{index}].mirror"), "a step has a weight or mirrors, not both".into());
            return None;
        }
        (None, None) => {
            fault(format!("steps[{index}].weight"), "is missing; or name mirror in its place".into());
            return None;
        }
    };
    let share = BasisPoints::from_percent(percent);
    if share.is_none() {
        let detail = format!("{percent} is not a percentage with at most two decimals");
        fault(format!("steps[{index}].{key}"), detail);
    }
    let hold = match body.hold.as_deref().map(duration::parse) {
        None => Some(Duration::ZERO),
        Some(Ok(hold)) => Some(hold),
        Some(Err(why)) => {
            fault(format!("steps[{index}].hold"), why);
            None
        }
    };
    let (share, hold) = (share?, hold?);
    let step = if key == "mirror" { Step::mirror(share, hold) } else { Step::weight(share, hold) };
    Some(Step { gate: body.gate, ..step })
}
