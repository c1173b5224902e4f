//! The evidence of one level of one limit: of a candidate, or of one group of its requests.

use super::baseline::{self, LEAST_ATTEMPTS};
use super::bound::KindBound;
use super::stable_comparison::StableComparison;
use crate::core::evidence::relative::Batch;
use crate::core::evidence::{BatchOrder, Evidence};
use crate::core::kind_counts::KindCounts;
use crate::core::verdict::Level;
use std::time::Duration;

/// How far the level has to move by stable's figures before the evidence is gathered against the new one.
const MOVED: f64 = 1.25;

/// The highest share of failures that is learned from what stable does beside the candidate.
const MOST_LEARNED: f64 = 0.3;

#[derive(Clone, Debug)]
pub(super) struct LimitEvidence {
    pub level: Level,
    pub bound: KindBound,
    /// The share of events that is allowed: the limit's own, or raised by stable's baseline.
    pub allowed: f64,
    pub evidence: Evidence,
    /// Stable beside the candidate; of critical levels only, and where there is a stable pool.
    pub beside: Option<StableComparison>,
    /// Non-events and events taken in already.
    seen: (u64, u64),
    threshold: f64,
    ratio: f64,
    /// Whether the baseline is still to come: stable did too little before.
    needs_baseline: bool,
}

/// Where a level begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning<'a> {
    pub counts: &'a KindCounts,
    /// What stable did in the time before.
    pub before: Option<&'a KindCounts>,
    /// How strong the evidence must be (A), and how many times as often as stable the candidate may have events.
    pub threshold: f64,
    pub ratio: f64,
    /// Whether stable's first attempts beside the candidate are the baseline where there is none from before.
    pub learns: bool,
    pub now: Duration,
}

impl LimitEvidence {
    pub(super) fn new(
        (level, bound): (Level, KindBound),
        beside: Option<StableComparison>,
        beginning: Beginning<'_>,
    ) -> Self {
        let Beginning { counts, before, threshold, ratio, learns, now } = beginning;
        let before = before
            .map(|before| bound.counts(before))
            .filter(|(others, events)| others + events >= LEAST_ATTEMPTS);
        let raise = |(others, events)| baseline::raised(bound.allowed(), (events, others + events), ratio);
        let allowed = before.map_or(bound.allowed(), raise);
        LimitEvidence {
            level,
            bound,
            allowed,
            evidence: Evidence::new(allowed, threshold, now),
            needs_baseline: learns && before.is_none() && beside.is_some(),
            beside,
            seen: bound.counts(counts),
            threshold,
            ratio,
        }
    }

    /// The same, of which batches count in another order.
    pub(super) fn in_order(self, order: BatchOrder) -> Self {
        LimitEvidence { evidence: self.evidence.in_order(order), ..self }
    }

    /// Goes on with the evidence of a former evaluation of the same level.
    pub(super) fn adopt(&mut self, former: LimitEvidence) {
        let (threshold, ratio) = (self.threshold, self.ratio);
        let beside = former.beside.clone().filter(|_| self.beside.is_some());
        *self = LimitEvidence { beside, ..former };
        self.needs(threshold, ratio);
    }

    /// The evidence has to be as strong as another threshold says.
    pub(super) fn needs(&mut self, threshold: f64, ratio: f64) {
        (self.threshold, self.ratio) = (threshold, ratio);
        self.evidence = self.evidence.clone().needing(threshold);
        self.beside = self.beside.take().map(|beside| beside.needing(threshold));
    }

    /// Whether it asks the same of the candidate as another.
    pub(super) fn is_like(&self, other: &LimitEvidence) -> bool {
        (self.level, self.bound, self.ratio) == (other.level, other.bound, other.ratio)
    }

    /// Takes in what came. Whether stable is over its trouble, so that the evidence is gathered from now on.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        candidate: &KindCounts,
        stable: Option<&KindCounts>,
    ) -> bool {
        let (others, events) = self.bound.counts(candidate);
        let (others_seen, events_seen) = self.seen;
        // A success whose body broke later moves from one count to the other.
        let (others, events) = (others.max(others_seen), events.max(events_seen));
        self.seen = (others, events);
        let (others, events) = (others - others_seen, events - events_seen);
        let was_shared = self.is_shared_outage();
        let stood_at_zero = self.evidence.observe(now, others, events);
        let (Some(beside), Some(stable)) = (&mut self.beside, stable) else { return false };
        if stood_at_zero {
            beside.begin();
        }
        beside.observe(now, Batch { attempts: others + events, events }, stable);
        self.learn(now);
        let Some(beside) = &mut self.beside else { return false };
        let goes_on = beside.is_failing(self.allowed) && self.evidence.exceeded();
        let is_over = beside.has_recovered(self.allowed) || (was_shared && !goes_on);
        if is_over {
            beside.begin();
            self.evidence.restart(now);
        }
        is_over
    }

    /// Moves on to where the counters stand.
    pub(super) fn pass_over(&mut self, candidate: &KindCounts, stable: Option<&KindCounts>) {
        self.seen = self.bound.counts(candidate);
        if let (Some(beside), Some(stable)) = (&mut self.beside, stable) {
            beside.pass_over(stable);
        }
    }

    /// Where stable did too little before, its first attempts beside the candidate are the baseline.
    fn learn(&mut self, now: Duration) {
        let all = self.beside.as_ref().map(StableComparison::all).unwrap_or_default();
        if self.needs_baseline && all.attempts >= LEAST_ATTEMPTS {
            self.needs_baseline = false;
            let raised = baseline::raised(self.bound.allowed(), (all.events, all.attempts), self.ratio);
            // More than that is no habit of stable's, but an outage that the rollout began in.
            if raised <= MOST_LEARNED || self.bound.kind().is_of_time() {
                self.allow(raised, now);
            }
        }
    }

    /// Raises the level, or lowers it, by all that stable is known to have done.
    pub(super) fn follow(&mut self, stable: &KindCounts, now: Duration) {
        let (others, events) = self.bound.counts(stable);
        let allowed = baseline::raised(self.bound.allowed(), (events, others + events), self.ratio);
        let has_moved = allowed > self.allowed * MOVED || allowed < self.allowed / MOVED;
        if has_moved && others + events >= baseline::LEAST_OF_GROUP {
            self.allow(allowed, now);
        }
    }

    /// Raises the level to what another level of the same limit was raised to.
    pub(super) fn raise_to(&mut self, allowed: f64, now: Duration) {
        if allowed > self.allowed {
            self.allow(allowed, now);
        }
    }

    fn allow(&mut self, allowed: f64, now: Duration) {
        if allowed != self.allowed {
            self.allowed = allowed;
            let order = self.evidence.order();
            self.evidence = Evidence::new(allowed, self.threshold, now).in_order(order);
        }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.seen.1
    }

    pub(super) fn is_raised(&self) -> bool {
        self.allowed > self.bound.allowed()
    }

    /// The limit is broken, stable breaks it too, and the candidate is not worse.
    pub(super) fn is_shared_outage(&self) -> bool {
        let beside = self.beside.as_ref().filter(|beside| beside.is_failing(self.allowed));
        self.evidence.exceeded() && beside.is_some_and(|beside| !beside.relative.exceeded())
    }
}
