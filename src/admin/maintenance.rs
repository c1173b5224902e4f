//! Maintenance: switch it, show it.
//!
//! `POST /api/maintenance` is there for runbooks, unchanged; a route with `admin = "maintenance"` leads to
//! it from the public side.

use super::State;
use super::auth::Identity;
use super::body::{AnyBody, Body};
use super::params::IfMatch;
use super::problem::Problem;
use super::shapes::{MaintenanceBody, MaintenanceStatus};
use crate::control::command::{Command, MaintenanceSwitch, Reply};
use crate::control::view::MaintenanceView;
use crate::core::duration;
use axum::extract::State as Extract;
use axum::{Extension, Json};
use std::ops::RangeInclusive;
use std::time::Duration;

const LENGTHS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30 * 86_400);

pub(super) async fn show(Extract(state): Extract<State>) -> Json<MaintenanceView> {
    Json(state.snapshots.borrow().maintenance.clone())
}

pub(super) async fn put(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<MaintenanceBody>,
) -> Result<Json<MaintenanceView>, Problem> {
    switch(&state, &who, if_match, body).await
}

pub(super) async fn post(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    IfMatch(if_match): IfMatch,
    AnyBody(body): AnyBody<MaintenanceBody>,
) -> Result<Json<MaintenanceView>, Problem> {
    switch(&state, &who, if_match, body).await
}

async fn switch(
    state: &State,
    who: &Identity,
    if_match: Option<u64>,
    body: MaintenanceBody,
) -> Result<Json<MaintenanceView>, Problem> {
    let switch = meant(&body)?;
    if if_match.is_some() && body.service.is_none() {
        let detail = "the whole site has no revision; name a service, or leave it out";
        return Err(Problem::invalid_field("If-Match", detail));
    }
    let command = Command::Maintenance { service: body.service, switch };
    Ok(Json(match state.controller.ask_if(who.actor(), command, if_match).await? {
        Reply::Maintenance(view) => view,
        // A switch is answered with what is under maintenance.
        _ => MaintenanceView::default(),
    }))
}

pub(super) fn meant(body: &MaintenanceBody) -> Result<MaintenanceSwitch, Problem> {
    let length = length(body)?;
    match body.status {
        MaintenanceStatus::Maintenance => Ok(MaintenanceSwitch::On { length }),
        MaintenanceStatus::Operational if length.is_none() => Ok(MaintenanceSwitch::Off),
        MaintenanceStatus::Operational => {
            Err(Problem::invalid_field("status", "operational takes no duration"))
        }
    }
}

fn length(body: &MaintenanceBody) -> Result<Option<Duration>, Problem> {
    let (path, length) = match (body.duration_minutes, &body.duration) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_field("duration", "give duration or duration_minutes, not both"));
        }
        (Some(minutes), None) => (
            "duration_minutes",
            Duration::try_from_secs_f64(minutes * 60.0)
                .map_err(|_| "must be from 100ms to 30 days".to_owned()),
        ),
        (None, Some(text)) => ("duration", duration::parse(text)),
    };
    let length = length.map_err(|why| Problem::invalid_field(path, why))?;
    if !LENGTHS.contains(&length) {
        return Err(Problem::invalid_field(path, "must be from 100ms to 30 days"));
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Option<MaintenanceSwitch> {
        meant(&serde_json::from_str(json).ok()?).ok()
    }

    #[test]
    fn lengths_in_minutes_or_as_durations() {
        let on = |seconds| Some(MaintenanceSwitch::On { length: Some(Duration::from_secs(seconds)) });
        assert_eq!(body(r#"{"status": "maintenance", "duration_minutes": 30}"#), on(1800));
        assert_eq!(body(r#"{"status": "maintenance", "duration_minutes": 0.5}"#), on(30));
        assert_eq!(body(r#"{"status": "maintenance", "duration": "2h"}"#), on(7200));
        assert_eq!(body(r#"{"status": "maintenance"}"#), Some(MaintenanceSwitch::On { length: None }));
        assert_eq!(body(r#"{"status": "operational"}"#), Some(MaintenanceSwitch::Off));
        for wrong in [
            r#"{"status": "broken"}"#,
            r#"{"status": "operational", "duration_minutes": 3}"#,
            r#"{"status": "maintenance", "duration_minutes": 3, "duration": "3m"}"#,
            r#"{"status": "maintenance", "duration_minutes": 0}"#,
            r#"{"status": "maintenance", "duration_minutes": -1}"#,
            r#"{"status": "maintenance", "duration_minutes": 1e300}"#,
            r#"{"status": "maintenance", "duration": "31d"}"#,
            r#"{"status": "maintenance", "duration": "soon"}"#,
        ] {
            assert_eq!(body(wrong), None, "{wrong}");
        }
    }
}
