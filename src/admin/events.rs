//! Everything that happens, as server-sent events.
//!
//! The events are the rows of the history, durable and numbered; so a reader that comes back with the number
//! of the last one it saw misses nothing, over a restart of either side too. Nothing is polled: the
//! journal wakes every stream when it has written a row. With `figures=true` a frame of all services comes every
//! second, too; it has no number, for nobody has to come back to one.

use super::State;
use super::auth::Identity;
use super::frames::{self, FiguresFrame};
use super::params::Query;
use super::problem::{Problem, ProblemType};
use super::session::Key;
use crate::control::view::HistoryView;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use utoipa::ToSchema;

/// Streams at a time.
pub(super) const STREAMS: usize = 64;
/// Rows read at once, and events that wait for a client which reads slowly.
const ROWS: usize = 100;
const WAITING: usize = 16;
/// A comment after so much silence keeps proxies from closing the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFilter {
    service: Option<String>,
    /// Whether a frame of figures comes every second, too.
    #[serde(default)]
    figures: bool,
}

/// What a stream sends, and to whom.
struct Feed {
    state: State,
    service: Option<String>,
    after: u64,
    figures: bool,
    session: Option<Key>,
    out: mpsc::Sender<Bytes>,
}

/// From the event after `Last-Event-ID` on; without it, from now on.
pub(super) async fn stream(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    Query(filter): Query<EventFilter>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(service) = &filter.service {
        state.service(service)?;
    }
    let newest = *state.journal.newest().borrow();
    let after = last_event_id(&headers)?.map_or(newest, |id| id.min(newest));
    let place = state.common.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS} streams are open already; close one");
        Problem::new(ProblemType::Unavailable, detail)
    })?;
    let (out, events) = mpsc::channel(WAITING);
    let EventFilter { service, figures } = filter;
    tokio::spawn(Feed { state, service, after, figures, session: who.session, out }.run());
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::new(Events { events, _place: place })).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let fault = || Problem::invalid_field("Last-Event-ID", "is the id of an event, a whole number");
    id.map(Some).ok_or_else(fault)
}

/// Why a stream has something to do.
enum Wake {
    Rows,
    Figures(Arc<FiguresFrame>),
    Silence,
    End,
}

impl Feed {
    /// Sends rows, and frames where they are asked for, until the client, its session or this process goes.
    async fn run(mut self) {
        let (mut newest, mut stopping) = (self.state.journal.newest(), self.state.stopping.clone());
        let mut frames = self.figures.then(|| self.state.common.frames.listen());
        newest.mark_changed();
        if self.figures && !self.frame(&frames::now(&self.state)) {
            return;
        }
        loop {
            let wake = tokio::select! {
                changed = newest.changed() => if changed.is_ok() { Wake::Rows } else { Wake::End },
                frame = next(&mut frames) => Wake::Figures(frame),
                () = tokio::time::sleep(HEARTBEAT) => Wake::Silence,
                () = self.out.closed() => Wake::End,
                _ = stopping.wait_for(|stopping| *stopping) => Wake::End,
            };
            let sent = match wake {
                Wake::Rows => self.rows().await,
                Wake::Figures(frame) => self.frame(&frame),
                Wake::Silence => self.out.send(Bytes::from_static(b":\n\n")).await.is_ok(),
                Wake::End => false,
            };
            if !sent || self.has_lost_its_session() {
                return;
            }
        }
    }

    /// Sends what is new in the history; false where there is nobody to send it to.
    async fn rows(&mut self) -> bool {
        loop {
            let rows = match self.state.journal.rows_after(self.service.clone(), self.after, ROWS).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::error!("a stream of events ends: {error}");
                    return false;
                }
            };
            for row in &rows {
                self.after = row.id;
                if self.out.send(event(row)).await.is_err() {
                    return false;
                }
            }
            if rows.len() < ROWS {
                return true;
            }
        }
    }

    /// A client that reads slowly misses frames; the next one says all that they would have.
    fn frame(&self, frame: &FiguresFrame) -> bool {
        let sent = self.out.try_send(frame.event(self.service.as_deref()));
        !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
    }

    fn has_lost_its_session(&self) -> bool {
        let Some(key) = &self.session else { return false };
        let config = self.state.configs.borrow();
        self.state.common.sessions.token(key, &config.admin.tokens, self.state.clock.now()).is_none()
    }
}

/// The next frame; never one where none was asked for.
async fn next(frames: &mut Option<watch::Receiver<Arc<FiguresFrame>>>) -> Arc<FiguresFrame> {
    if let Some(frames) = frames
        && frames.changed().await.is_ok()
    {
        return frames.borrow_and_update().clone();
    }
    std::future::pending().await
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
