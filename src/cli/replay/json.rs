//! A line of our own log in JSON.

use super::said::{Said, Tried, Unread, micros, outcome, outcome_of};
use super::times;
use crate::core::outcome::{Outcome, Reason};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    start: Cow<'a, str>,
    #[serde(borrow, default)]
    client: Cow<'a, str>,
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    uri: Cow<'a, str>,
    status: u16,
    grpc: Option<u8>,
    bytes: Option<u64>,
    request_time: f64,
    #[serde(borrow, default)]
    service: Cow<'a, str>,
    #[serde(borrow, default)]
    pool: Cow<'a, str>,
    #[serde(default)]
    attempts: u8,
    #[serde(borrow, default)]
    outcome: Cow<'a, str>,
    outcome_time: Option<f64>,
    began: Option<f64>,
    broke_time: Option<f64>,
    duration: Option<f64>,
    cut_time: Option<f64>,
    evidence: Option<bool>,
    upstream_header_time: Option<f64>,
    upstream_response_time: Option<f64>,
    #[serde(borrow, default)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    earlier: Vec<Earlier<'a>>,
}

#[derive(Deserialize)]
struct Earlier<'a> {
    #[serde(borrow, default)]
    outcome: Cow<'a, str>,
    status: u16,
    grpc: Option<u8>,
    #[serde(borrow, default)]
    pool: Cow<'a, str>,
    #[serde(default)]
    began: f64,
    outcome_time: f64,
    broke_time: Option<f64>,
    duration: Option<f64>,
    cut_time: Option<f64>,
    evidence: Option<bool>,
}

/// One that is no evidence says nothing, whatever its outcome.
fn counted(outcome: Outcome, evidence: Option<bool>) -> Outcome {
    if evidence == Some(false) { Outcome::Ignored } else { outcome }
}

pub(super) fn read(text: &[u8]) -> Result<Said<'_>, Unread> {
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let duration_us = micros(line.request_time);
    let (started_us, ended_us) = if line.start.is_empty() {
        let ended = times::rfc3339(&line.time)?;
        (ended.saturating_sub(duration_us as i64), ended)
    } else {
        let started = times::rfc3339(&line.start)?;
        (started, started.saturating_add(duration_us as i64))
    };
    let mut tried = Vec::new();
    for attempt in line.earlier {
        tried.push(Tried {
            outcome: counted(outcome(&attempt.outcome)?, attempt.evidence),
            pool: attempt.pool,
            began_us: micros(attempt.began),
            took_us: micros(attempt.outcome_time),
            broke_us: attempt.broke_time.map(micros),
            whole_us: attempt.duration.map(micros),
            cut_us: attempt.cut_time.map(micros),
            code: attempt.status,
            grpc: attempt.grpc,
        });
    }
    // A log of before outcomes were in it.
    let outcome = match &*line.outcome {
        "" if line.attempts == 0 => Outcome::Failure(Reason::Unavailable),
        "" => outcome_of(line.status),
        word => outcome(word)?,
    };
    let is_charged = !line.outcome.is_empty() || line.attempts > 0 || line.status == 503;
    if !line.pool.is_empty() && is_charged {
        let took = line.outcome_time.or(line.upstream_header_time).or(line.upstream_response_time);
        tried.push(Tried {
            pool: line.pool,
            began_us: micros(line.began.unwrap_or(0.0)),
            took_us: micros(took.unwrap_or(line.request_time)),
            broke_us: line.broke_time.map(micros),
            whole_us: line.duration.map(micros),
            cut_us: line.cut_time.map(micros),
            grpc: line.grpc,
            // Without an answer's head the client's status is ours.
            code: if line.upstream_header_time.is_some() { line.status } else { 0 },
            outcome: counted(outcome, line.evidence),
        });
    }
    let failed = line.status >= 500 || line.broke_time.is_some();
    let (service, request, client) = (line.service, line.request_id, line.client);
    let (method, target, bytes) = (line.method, line.uri, line.bytes);
    Ok(Said { service, request, client, method, target, bytes, failed, started_us, ended_us, tried })
}
