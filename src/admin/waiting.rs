//! Long polling: `?wait=30s&after=REVISION` waits for news.

use super::State;
use super::problem::Problem;
use crate::control::view::Snapshot;
use crate::core::duration;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for news.
const LONGEST: Duration = Duration::from_secs(60);

/// The query as typed.
pub(super) type Asked = Result<Query<Typed>, QueryRejection>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    /// A duration, `30s`.
    wait: Option<String>,
    /// Wait until the revision is beyond this one.
    after: Option<u64>,
}

/// What it means.
pub(super) struct Waiting {
    wait: Duration,
    /// The revision that is known; the current one where none is given.
    pub after: Option<u64>,
}

impl Waiting {
    pub(super) fn meant(asked: Asked) -> Result<Self, Problem> {
        let Query(typed) = asked.map_err(|error| Problem::invalid_field("query", error.body_text()))?;
        let wait = match &typed.wait {
            None => Duration::ZERO,
            Some(text) => duration::parse(text).map_err(|why| Problem::invalid_field("wait", why))?,
        };
        Ok(Waiting { wait: wait.min(LONGEST), after: typed.after })
    }

    /// Waits for news, for the end of the time or of the process.
    pub(super) async fn until(&self, state: &State, news: impl Fn(&Snapshot) -> bool) {
        let (mut snapshots, mut stopping) = (state.snapshots.clone(), state.stopping.clone());
        tokio::select! {
            _ = snapshots.wait_for(|snapshot: &Arc<Snapshot>| news(snapshot)) => (),
            _ = stopping.wait_for(|stopping| *stopping) => (),
            () = tokio::time::sleep(self.wait) => (),
        }
    }
}
