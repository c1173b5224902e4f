//! How often a policy would have aborted a version that is good: stable's own traffic, taken for a
//! candidate's, as it was and resampled.
//!
//! Resampling draws stretches of [`BLOCK`] outcomes in a row, with replacement, and strings them together
//! (a moving block bootstrap): trouble that comes in bursts stays in bursts.

use super::order::{Fact, What};
use crate::core::client::{ClientCount, Met};
use crate::core::hash::mix;
use crate::core::outcome::{MAX_LIMITS, Outcome, SlowLimits, Totals};
use crate::core::policy::{Circumstances, Counted, Policy, PolicyEvaluation, Witnesses};
use crate::core::verdict::State;
use std::sync::Arc;
use std::time::Duration;

/// Outcomes in a row that are drawn at a time.
const BLOCK: usize = 500;
/// Most outcomes that are kept, and most of one resampled run.
const MOST: usize = 4_000_000;
const LONGEST: usize = 200_000;

/// Outcomes of one pool in their order, two bytes each.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// Bit 0: it failed. Bits 1 to 8: it was slower than the limit of that index.
    kept: Vec<u16>,
    left_out: u64,
}

/// What became of the resampled runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampled {
    pub runs: u32,
    /// Attempts of each.
    pub attempts: usize,
    /// Runs that were aborted.
    pub aborted: u32,
}

impl Outcomes {
    /// Keeps an outcome; a body that breaks later is none of its own.
    pub fn keep(&mut self, fact: &Fact, slow: &SlowLimits) {
        let attempt = &fact.attempt;
        if fact.what != What::Known || !attempt.outcome.is_decided() {
            return;
        }
        if self.kept.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let mut bits = u16::from(matches!(attempt.outcome, Outcome::Failure(_)));
        for (slot, limit) in slow.used().iter().enumerate() {
            let is_slow = attempt.code != 101 && attempt.took_us() > u64::from(*limit);
            bits |= u16::from(is_slow) << (slot + 1);
        }
        self.kept.push(bits);
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Outcomes beyond those that are kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Runs of as many attempts as were kept, drawn by `seed`. `None` without outcomes.
    pub fn resample(&self, policy: &Arc<Policy>, seed: u64, runs: u32) -> Option<Resampled> {
        let attempts = self.kept.len().min(LONGEST);
        let (last, mut draw) = (self.kept.len().checked_sub(BLOCK.min(self.kept.len()))?, seed);
        if attempts == 0 {
            return None;
        }
        let mut aborted = 0;
        for _ in 0..runs {
            let mut run = Run::new(policy.clone());
            let mut left = attempts;
            while left > 0 && !run.aborted {
                draw = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let from = (mix(draw) % (last as u64 + 1)) as usize;
                let block = &self.kept[from..(from + BLOCK.min(left)).min(self.kept.len())];
                block.iter().for_each(|bits| run.take(*bits));
                left -= block.len();
            }
            aborted += u32::from(run.aborted);
        }
        Some(Resampled { runs, attempts, aborted })
    }
}

/// What is drawn came to as many clients as anybody may ask for.
#[derive(Debug)]
struct Everybody;

impl Witnesses for Everybody {
    fn clients(&self, _met: Met, _since: Duration) -> ClientCount {
        ClientCount::MANY
    }
}

/// One run under a watch of its own; nobody is compared with.
struct Run {
    evaluation: PolicyEvaluation,
    totals: Totals,
    limits: usize,
    aborted: bool,
}

impl Run {
    fn new(policy: Arc<Policy>) -> Self {
        let (totals, limits) = (Totals::default(), policy.thresholds(false).slow.used().len());
        let counted = Counted::of(&totals, None);
        let evaluation = PolicyEvaluation::new(policy, counted, None, Duration::ZERO);
        Run { evaluation, totals, limits, aborted: false }
    }

    fn take(&mut self, bits: u16) {
        self.totals.attempts += 1;
        self.totals.answered += 1;
        if bits == 0 || self.aborted {
            return;
        }
        self.totals.failures += u64::from(bits & 1);
        for slot in 0..self.limits.min(MAX_LIMITS) {
            self.totals.slow[slot] += u64::from(bits >> (slot + 1) & 1);
            self.totals.fast[slot] = self.totals.answered - self.totals.slow[slot];
        }
        self.evaluation.observe(Duration::ZERO, Counted::of(&self.totals, None));
        let seen = Circumstances { witnesses: Some(&Everybody), stable_up: true, ..Circumstances::default() };
        self.aborted = self.evaluation.verdict(Duration::ZERO, &seen).state == State::Fail;
    }
}
