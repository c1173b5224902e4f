//! How often a policy would have aborted a version that is good: stable's own traffic, taken for a
//! candidate's, as it was and resampled.
//!
//! Resampling draws stretches of [`BLOCK`] outcomes in a row, with replacement, and strings them together
//! (a moving block bootstrap): trouble that comes in bursts stays in bursts.

use super::attempt::{Ending, past};
use super::order::{Fact, What};
use crate::core::client::{ClientCount, Met};
use crate::core::hash::mix;
use crate::core::outcome::{MAX_LIMITS, Outcome, Thresholds, Totals};
use crate::core::policy::{Circumstances, Counted, Policy, PolicyEvaluation, Witnesses};
use crate::core::verdict::State;
use std::sync::Arc;
use std::time::Duration;

/// Outcomes in a row that are drawn at a time.
const BLOCK: usize = 500;
/// Most outcomes that are kept, and most of one resampled run.
const MOST: usize = 4_000_000;
const LONGEST: usize = 200_000;

/// Outcomes of one pool in their order, four bytes each.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    kept: Vec<Kept>,
    left_out: u64,
}

/// What one attempt came to, in bits: whether it failed, its client left, its answer is whole or was cut short; and the
/// limits that its head and its end passed.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    what: u8,
    late: u8,
    long: u8,
}

const FAILED: u8 = 1;
const ABANDONED: u8 = 2;
const WHOLE: u8 = 4;
const CUT: u8 = 8;

impl Kept {
    fn is(self, what: u8) -> bool {
        self.what & what != 0
    }

    /// Whether any test has to look at it.
    fn is_event(self) -> bool {
        self.is(FAILED | ABANDONED) || self.late != 0 || self.long != 0
    }
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
    /// Keeps an outcome; a body that breaks or ends later is none of its own.
    pub fn keep(&mut self, fact: &Fact, thresholds: &Thresholds) {
        let attempt = &fact.attempt;
        let is_abandoned = attempt.outcome == Outcome::Abandoned;
        if fact.what != What::Known || !(attempt.outcome.is_decided() || is_abandoned) {
            return;
        }
        if self.kept.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let mut kept = Kept { late: attempt.late(&thresholds.slow).unwrap_or_default(), ..Kept::default() };
        let has_failed = matches!(attempt.outcome, Outcome::Failure(_));
        kept.what = if has_failed { FAILED } else { 0 } | if is_abandoned { ABANDONED } else { 0 };
        if let Some((end, _)) = attempt.ended() {
            kept.what |= if end.ending == Ending::Cut { CUT } else { WHOLE };
            kept.long = past(&thresholds.long, end.took_us);
        }
        self.kept.push(kept);
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
                block.iter().for_each(|kept| run.take(*kept));
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
    thresholds: Thresholds,
    /// Answers past each limit, to the head and to the end; and all that are whole.
    late: [u64; MAX_LIMITS],
    long: [u64; MAX_LIMITS],
    whole: u64,
    aborted: bool,
}

impl Run {
    fn new(policy: Arc<Policy>) -> Self {
        let (totals, thresholds) = (Totals::default(), policy.thresholds(false));
        let counted = Counted::of(&totals, None);
        let evaluation = PolicyEvaluation::new(policy, counted, None, Duration::ZERO);
        let none = [0; MAX_LIMITS];
        Run { evaluation, totals, thresholds, late: none, long: none, whole: 0, aborted: false }
    }

    fn take(&mut self, kept: Kept) {
        let is_answered = !kept.is(ABANDONED);
        self.totals.attempts += u64::from(is_answered);
        self.totals.answered += u64::from(is_answered);
        self.whole += u64::from(kept.is(WHOLE));
        if !kept.is_event() || self.aborted {
            return;
        }
        let totals = &mut self.totals;
        totals.failures += u64::from(kept.is(FAILED));
        totals.abandoned += u64::from(kept.is(ABANDONED));
        let bit = |bits: u8, slot: usize| u64::from(bits >> slot & 1);
        for slot in 0..self.thresholds.slow.used().len() {
            totals.slow[slot] += bit(kept.late, slot);
            self.late[slot] += bit(kept.late, slot) * u64::from(is_answered);
            totals.fast[slot] = totals.answered - self.late[slot];
        }
        for slot in 0..self.thresholds.long.used().len() {
            totals.long[slot] += bit(kept.long, slot);
            self.long[slot] += bit(kept.long, slot) * u64::from(kept.is(WHOLE));
            totals.brief[slot] = self.whole - self.long[slot];
        }
        self.evaluation.observe(Duration::ZERO, Counted::of(&self.totals, None));
        let seen = Circumstances { witnesses: Some(&Everybody), stable_up: true, ..Circumstances::default() };
        self.aborted = self.evaluation.verdict(Duration::ZERO, &seen).state == State::Fail;
    }
}
