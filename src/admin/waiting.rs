//! Long polling: `?wait=30s&after=REVISION` waits for news.

use super::State;
use super::problem::Problem;
use crate::control::view::Snapshot;
use crate::core::duration;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest wait for news.
const LONGEST: Duration = Duration::from_secs(60);

/// The query as typed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Waits {
    /// A duration, `30s`; a minute at most.
    #[schema(format = "pointsman-duration", pattern = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s|m|h|d)$")]
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
    pub(super) fn meant(typed: &Waits) -> Result<Self, Problem> {
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
