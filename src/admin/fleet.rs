//! The fleet that this instance is a member of.

use super::State;
use super::auth::Identity;
use super::body::NoBody;
use super::params::Named;
use super::problem::Problem;
use crate::control::fleet::FleetHandle;
use crate::core::fleet::status::FleetView;
use axum::extract::State as Extract;
use axum::{Extension, Json};
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer waits until what is shown has no member any more that was forgotten.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn show(Extract(state): Extract<State>) -> Result<Json<FleetView>, Problem> {
    let view = handle(&state)?.view.borrow().clone();
    Ok(Json(FleetView::clone(&view)))
}

pub(super) async fn forget(
    Extract(state): Extract<State>,
    Named(member): Named<String>,
    Extension(who): Extension<Identity>,
    _: NoBody,
) -> Result<Json<FleetView>, Problem> {
    let fleet = handle(&state)?;
    fleet.forget(&member, &who.signed()).await?;
    let mut view = fleet.view.clone();
    let is_shown = view.wait_for(|view| view.members.iter().all(|other| other.name != member));
    // Where the store falls silent now, what is known is shown.
    let _ = timeout(SHOWN_WITHIN, is_shown).await;
    show(Extract(state)).await
}

fn handle(state: &State) -> Result<&FleetHandle, Problem> {
    let none = "this instance is alone; a section [fleet] in its configuration makes it a member of a fleet";
    state.process.fleet.as_ref().ok_or_else(|| Problem::not_found(none))
}
