//! Mirror steps, as far as the controller goes: what the table says of them, what is counted and shown, and
//! the samples of answers that differed.

use super::links::Links;
use super::live::{Live, SELF};
use super::view::MirrorView;
use crate::core::event::Event;
use crate::core::mirror::{Mirroring, UnderWay};
use crate::core::outcome::{ArmId, Totals};
use crate::core::rollout::Note;
use crate::core::service::Running;
use crate::core::weight::BasisPoints;
use std::sync::Arc;
use std::time::Duration;

/// Samples of one mirror step that are kept.
const SAMPLES: usize = 5;
/// Time between two of them.
const SPACING: Duration = Duration::from_secs(1);

/// Where what comes of copies to one pool is counted; made when a rollout mirrors to it for the first time.
#[derive(Clone, Debug)]
pub(super) struct MirrorArm {
    pub arm: ArmId,
    pub under_way: Arc<UnderWay>,
}

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

    /// Whether there is room for one more sample now.
    fn takes(&mut self, now: Duration) -> bool {
        let fits = self.samples.len() < SAMPLES && self.sampled_at.is_none_or(|at| now >= at + SPACING);
        if fits {
            self.sampled_at = Some(now);
        }
        fits
    }
}

impl Live {
    /// The rollout that mirrors now, and what share.
    fn mirrors(&self) -> Option<(&Running, BasisPoints)> {
        let running = self.state.running()?;
        running.rollout.mirrors().map(|share| (running, share))
    }

    /// Makes what is needed before the table says that requests are mirrored.
    pub(super) fn ready_mirror(&mut self, links: &Links) {
        let Some(to) = self.mirrors().map(|(running, _)| running.to.clone()) else { return };
        let Some(pool) = self.pools.get_mut(to.as_str()).filter(|pool| pool.mirror.is_none()) else { return };
        match links.recorder.mirror_arm(&self.settings.name, &to) {
            Some(arm) => {
                links.recorder.begin(arm, pool.begun_us());
                pool.mirror = Some(MirrorArm { arm, under_way: Arc::default() });
            }
            None => tracing::error!("nothing can be mirrored to {to}: more pools than can be measured"),
        }
    }

    /// What the table says of it.
    pub(super) fn mirroring(&self) -> Option<Mirroring> {
        let (running, share) = self.mirrors()?;
        let MirrorArm { arm, under_way } = self.pools.get(running.to.as_str())?.mirror.clone()?;
        let (stable, candidate) = (self.index(&self.state.stable)?, self.index(&running.to)?);
        let mirror = self.settings.mirror.clone();
        (stable != candidate).then_some(Mirroring { stable, candidate, arm, share, mirror, under_way })
    }

    /// What is shown of the mirror step under way.
    pub(super) fn mirrored(&self) -> Option<MirrorView> {
        let (_, share) = self.mirrors()?;
        Some(self.watch.as_ref()?.mirrored.as_ref()?.view(share))
    }

    /// Writes a sample of an answer that differed into the history, unless there are enough.
    pub(super) fn differed(&mut self, arm: ArmId, text: &str, links: &Links) {
        let Some((running, _)) = self.mirrors() else { return };
        let is_its = self.pools.get(running.to.as_str()).and_then(|pool| pool.mirror.as_ref());
        if is_its.is_none_or(|mirror| mirror.arm != arm) {
            return;
        }
        let mirrored = self.watch.as_mut().and_then(|watching| watching.mirrored.as_mut());
        if let Some(mirrored) = mirrored
            && mirrored.takes(links.clock.now())
        {
            mirrored.samples.push(text.to_owned());
            let note = [Note { event: Event::Difference, text: format!("mirrored {text}") }];
            let lines = self.log_lines(&self.state, &note, SELF);
            self.todo.log.extend(lines);
            self.note(&note, links);
        }
    }
}
