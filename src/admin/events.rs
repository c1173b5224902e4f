//! Everything that happens, as server-sent events.
//!
//! The events are the rows of the history, durable and numbered; so whoever comes back with the number
//! of the last one it saw misses nothing, over a restart of either side too. Nothing is polled: the
//! journal wakes every stream when it has written a row.

use super::State;
use super::problem::Problem;
use crate::control::view::HistoryView;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Streams at a time.
pub const STREAMS: usize = 64;
/// Rows read at once, and events that wait for a client which reads slowly.
const ROWS: usize = 100;
const WAITING: usize = 16;
/// A comment after so much silence keeps proxies from closing the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    service: Option<String>,
}

/// From the event after `Last-Event-ID` on; without it, from now on.
pub(super) async fn stream(
    Extract(state): Extract<State>,
    filter: Result<Query<Filter>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::invalid_field("query", error.body_text()))?;
    if let Some(service) = &filter.service {
        state.service(service)?;
    }
    let newest = *state.journal.newest().borrow();
    let after = last_event_id(&headers)?.map_or(newest, |id| id.min(newest));
    let place = state.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS} streams are open already; close one");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    })?;
    let (out, events) = mpsc::channel(WAITING);
    tokio::spawn(feed(state, filter.service, after, out));
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::new(Events { events, _place: place })).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let fault = || Problem::invalid_field("Last-Event-ID", "is the id of an event, a whole number");
    id.map(Some).ok_or_else(fault)
}

/// Sends rows until the client or this process goes.
async fn feed(state: State, service: Option<String>, mut after: u64, out: mpsc::Sender<Bytes>) {
    let (mut newest, mut stopping) = (state.journal.newest(), state.stopping.clone());
    loop {
        newest.mark_unchanged();
        let rows = match state.journal.rows_after(service.clone(), after, ROWS).await {
            Ok(rows) => rows,
            Err(error) => return tracing::error!("a stream of events ends: {error}"),
        };
        for row in &rows {
            after = row.id;
            if out.send(event(row)).await.is_err() {
                return;
            }
        }
        if rows.len() == ROWS {
            continue;
        }
        let was_silent = tokio::select! {
            changed = newest.changed() => if changed.is_err() { return } else { false },
            () = tokio::time::sleep(HEARTBEAT) => true,
            () = out.closed() => return,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        if was_silent && out.send(Bytes::from_static(b":\n\n")).await.is_err() {
            return;
        }
    }
}

fn event(row: &HistoryView) -> Bytes {
    // On one line: JSON has no bare line breaks. Texts and numbers: there is nothing JSON cannot hold.
    let data = serde_json::to_string(row).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", row.id, row.action).into()
}

/// The body of an answer; its place is free again once the connection is done with it.
struct Events {
    events: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.events.poll_recv(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
