//! The last attempts that spoke against a rollout's candidate, which are shown once it has ended, too.

use super::view::FailureView;
use crate::core::failed_attempt::FailedAttempt;
use crate::observe::clock::{Clock, wall};
use std::collections::VecDeque;
use std::time::Duration;

/// Those of one rollout that are kept: the last ones, which decide.
const KEPT: usize = 20;

/// Attempts of one rollout's candidate: the running one's, or the last one's.
#[derive(Debug, Default)]
pub(super) struct FailedAttempts {
    rollout: String,
    kept: VecDeque<FailureView>,
}

impl FailedAttempts {
    pub(super) fn keep(&mut self, rollout: &str, failed: FailedAttempt, clock: Clock) {
        if self.rollout != rollout {
            rollout.clone_into(&mut self.rollout);
            self.kept.clear();
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        let ago = Duration::from_micros(clock.now_us().saturating_sub(failed.at_us));
        self.kept.push_back(FailureView {
            // A process does not run for so long that its clock has no date.
            at: wall().checked_sub(ago).unwrap_or_else(|_| wall()).to_string(),
            request_id: failed.request_id,
            request: failed.request,
            status: Some(failed.status).filter(|status| *status > 0),
            outcome: failed.outcome.to_owned(),
            upstream: Some(failed.upstream).filter(|upstream| !upstream.is_empty()),
        });
    }

    pub(super) fn of(&self, rollout: &str) -> Vec<FailureView> {
        let is_its = self.rollout == rollout;
        self.kept.iter().filter(|_| is_its).cloned().collect()
    }
}
