//! What a mirror step has brought since the watch over it began, as it is shown.

use super::view::MirrorView;
use crate::core::outcome::Totals;
use crate::core::weight::BasisPoints;
use std::time::Duration;

/// Samples of one mirror step that are kept.
const SAMPLES: usize = 5;
/// Time between two of them.
const SPACING: Duration = Duration::from_secs(1);

/// What a mirror step has brought since the watch over it began.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    before: Totals,
    now: Totals,
    samples: Vec<String>,
    sampled_at: Option<Duration>,
}

impl Mirrored {
    pub(super) fn begin(totals: &Totals) -> Self {
        Mirrored { before: totals.clone(), now: totals.clone(), ..Mirrored::default() }
    }

    pub(super) fn observe(&mut self, totals: &Totals) {
        self.now.clone_from(totals);
    }

    pub(super) fn view(&self, share: BasisPoints) -> MirrorView {
        let since = |count: fn(&Totals) -> u64| count(&self.now).saturating_sub(count(&self.before));
        MirrorView {
            share: share.percent(),
            requests: since(|totals| totals.attempts),
            failures: since(|totals| totals.failures),
            dropped: since(|totals| totals.dropped),
            compared: since(|totals| totals.compared),
            differences: since(|totals| totals.differing),
            samples: self.samples.clone(),
        }
    }

    /// Keeps a sample of an answer that differed; whether there was room for it.
    pub(super) fn keep(&mut self, sample: &str, now: Duration) -> bool {
        let fits = self.samples.len() < SAMPLES && self.sampled_at.is_none_or(|at| now >= at + SPACING);
        if fits {
            self.sampled_at = Some(now);
            self.samples.push(sample.to_owned());
        }
        fits
    }
}
