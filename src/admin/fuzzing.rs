//! What must hold of any body of a request.

use super::body::{Body, parse};
use super::problem::Problem;
use super::shapes::{FlipBody, MaintenanceBody, StartBody, UpstreamsBody, WeightsBody};
use super::{maintenance, rollouts, services};
use crate::core::settings::Upstream;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A byte that says for which call, then the body.
pub fn admin_json(data: &[u8]) {
    let Some((call, json)) = data.split_first() else { return };
    match call {
        b'f' => body(json, |_: FlipBody| Ok(())),
        b'm' => body(json, |body: MaintenanceBody| maintenance::meant(&body).map(drop)),
        b'u' => body(json, |body: UpstreamsBody| services::upstreams_meant(body).map(are_stored_alike)),
        b'w' => body(json, |body: WeightsBody| services::weights_meant(&body).map(drop)),
        _ => body(json, |body: StartBody| rollouts::meant(body).map(drop)),
    }
}

fn body<T: DeserializeOwned + Serialize + ToSchema>(
    json: &[u8],
    meant: impl FnOnce(T) -> Result<(), Problem>,
) {
    let body = match parse::<T>(json) {
        Ok(Body(body)) => body,
        Err(problem) => return says_where(&problem, json),
    };
    let Ok(sent) = serde_json::to_value(&body) else { panic!("what was read can be sent") };
    match parse::<T>(sent.to_string().as_bytes()).map(|Body(again)| serde_json::to_value(again)) {
        Ok(Ok(again)) => assert!(alike(&sent, &again), "{sent} is not {again}"),
        other => panic!("{sent} is not read again: {other:?}"),
    }
    if let Err(problem) = meant(body) {
        says_where(&problem, json);
    }
}

fn are_stored_alike(upstreams: Vec<Upstream>) {
    for upstream in upstreams {
        let stored = serde_json::to_value(&upstream).and_then(serde_json::from_value::<Upstream>);
        assert!(stored.as_ref().is_ok_and(|stored| *stored == upstream), "{upstream:?} is not {stored:?}");
    }
}

/// The last digits of a float may be lost on the way.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| alike(one, other)))
        }
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(a), Some(b)) => one == other || (a - b).abs() <= a.abs() * 1e-14,
            _ => false,
        },
        _ => one == other,
    }
}

/// A refusal names fields that were sent, and calls malformed only what is no JSON.
fn says_where(problem: &Problem, json: &[u8]) {
    let view = &problem.view;
    assert!(!view.detail.is_empty() && problem.status.as_u16() == view.status);
    let Ok(sent) = serde_json::from_slice::<Value>(json) else { return };
    assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", view.detail);
    assert!(!view.errors.is_empty());
    let mut paths = BTreeSet::from([String::new()]);
    collect(&sent, "", &mut paths);
    for fault in &view.errors {
        // What is missing is named, too, by its place in what was sent.
        let inside = fault.path.rsplit_once('.').map_or("", |(before, _)| before);
        let known = paths.contains(&fault.path) || paths.contains(inside);
        assert!(known && !fault.detail.is_empty(), "{fault:?} of {sent}");
    }
}

fn collect(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    let mut inner = |path: String, value: &Value| {
        collect(value, &path, paths);
        paths.insert(path);
    };
    match value {
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| inner(format!("{path}[{index}]"), value));
        }
        Value::Object(values) => values.iter().for_each(|(key, value)| {
            inner(if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value);
        }),
        _ => {}
    }
}
