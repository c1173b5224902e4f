//! What the dashboard shows of all services, once a second: a compact frame in place of every service's whole view.
//!
//! A frame is made only while somebody listens, once for all who do. The points behind `figures` are taken all the
//! time, so that a page that is opened has its 15 minutes at once.

mod needs;
mod shown;

use super::State;
use super::params::Named;
use super::points::Points;
use super::problem::Problem;
use super::shapes::{FrameView, PoolSeries, SeriesView};
use crate::control::view::{ServiceView, Snapshot};
use crate::observe::clock::{self, Clock};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

const SECOND: Duration = Duration::from_secs(1);

/// The points of all pools, and the frame of the second.
#[derive(Debug, Default)]
pub(super) struct Frames {
    points: Mutex<Points>,
    latest: watch::Sender<Arc<FiguresFrame>>,
}

/// One second of all services, and as it is sent to those who watch all of them.
#[derive(Debug, Default)]
pub(super) struct FiguresFrame {
    view: FrameView,
    event: Bytes,
}

impl FiguresFrame {
    fn new(view: FrameView) -> Self {
        let event = event(&view);
        FiguresFrame { view, event }
    }

    /// As it is sent; of one service, if one is named.
    pub(super) fn event(&self, service: Option<&str>) -> Bytes {
        let Some(service) = service else { return self.event.clone() };
        let mut view = FrameView { at: self.view.at, newest: self.view.newest, ..FrameView::default() };
        view.services.extend(self.view.services.get(service).map(|of| (service.to_owned(), of.clone())));
        view.needs.extend(self.view.needs.iter().filter(|need| need.service == service).cloned());
        event(&view)
    }
}

fn event(view: &FrameView) -> Bytes {
    // Texts and numbers: there is nothing JSON cannot hold.
    format!("event: figures\ndata: {}\n\n", serde_json::to_string(view).unwrap_or_default()).into()
}

impl Frames {
    /// The frames from now on.
    pub(super) fn listen(&self) -> watch::Receiver<Arc<FiguresFrame>> {
        self.latest.subscribe()
    }

    fn points(&self) -> MutexGuard<'_, Points> {
        // Every change is whole.
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the points of each second, and makes its frame where somebody listens, until the process stops.
pub(super) async fn keep(state: State) {
    let mut stopping = state.stopping.clone();
    let begun = state.clock.now();
    let mut beat = interval(SECOND);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = beat.tick() => (),
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let snapshot = state.snapshots.borrow().clone();
        let mut points = state.common.frames.points();
        points.take(state.metrics.recorder(), moment(state.clock, begun), |service, pool| {
            weight(&snapshot, service, pool)
        });
        if state.common.frames.latest.receiver_count() > 0 {
            state.common.frames.latest.send_replace(frame(&state, &snapshot, &points));
        }
    }
}

/// What is so now, for who has just begun to listen.
pub(super) fn now(state: &State) -> Arc<FiguresFrame> {
    let snapshot = state.snapshots.borrow().clone();
    frame(state, &snapshot, &state.common.frames.points())
}

fn frame(state: &State, snapshot: &Snapshot, points: &Points) -> Arc<FiguresFrame> {
    let newest = *state.journal.newest().borrow();
    Arc::new(FiguresFrame::new(shown::frame(
        (snapshot, &state.process),
        points,
        (clock::unix_seconds(), newest),
    )))
}

/// The second that has just ended, by its number since the first beat, and the time in µs. A beat that comes a little
/// early or late has the number of its second all the same.
fn moment(clock: Clock, begun: Duration) -> (u32, u64) {
    let now = clock.now();
    let beats = now.saturating_sub(begun).as_secs_f64().round();
    // A process does not run for a century.
    (beats as u32, now.as_micros() as u64)
}

/// In hundredths of a percent.
fn weight(snapshot: &Snapshot, service: &str, pool: &str) -> u16 {
    let pool = snapshot.services.get(service).and_then(|view| view.pools.get(pool));
    pool.map_or(0, |pool| (pool.effective_weight * 100.0).round() as u16)
}

/// 15 minutes of a service.
pub(super) async fn series(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
) -> Result<Json<SeriesView>, Problem> {
    let view = state.service(&service)?;
    Ok(Json(series_of(&state, &view)))
}

pub(super) fn series_of(state: &State, view: &ServiceView) -> SeriesView {
    let points = state.common.frames.points();
    let span = points.span();
    let pools = view.pools.iter().map(|(name, pool)| {
        let weight_bp = (pool.effective_weight * 100.0).round() as u16;
        let all = points.of(&view.name, name, weight_bp);
        let series = PoolSeries {
            weight: all.iter().map(|point| f64::from(point.weight_bp) / 100.0).collect(),
            requests: all.iter().map(|point| point.requests).collect(),
            failures: all.iter().map(|point| point.failures).collect(),
            p95_ms: all.iter().map(|point| shown::p95_ms(*point)).collect(),
        };
        (name.clone(), series)
    });
    let pools: BTreeMap<String, PoolSeries> = pools.collect();
    let past = span.map_or(0, |(first, last)| last - first);
    let from = clock::unix_seconds().saturating_sub(u64::from(past));
    let seconds = span.map_or(0, |_| past + 1);
    SeriesView { service: view.name.clone(), from, seconds, pools }
}
