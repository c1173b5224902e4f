//! The evaluation of one candidate: its evidence under a policy, with stable's beside it.

use super::bound::KindBound;
use super::circumstances::Circumstances;
use super::gathered::Gathered;
use super::groups::{GroupCounts, GroupEvaluation};
use super::kind::Kind;
use super::kind_comparison::{ArmCounts, KindComparison};
use super::limit_evidence::{Beginning, LimitEvidence};
use super::reported::{self, Reported};
use super::stable_comparison::StableComparison;
use super::{Mode, Policy, Reaction, judge};
use crate::core::evidence::BatchOrder;
use crate::core::evidence::relative::Relative;
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::Totals;
use crate::core::passive::Accusation;
use crate::core::verdict::{Level, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// Threshold of the warning levels: a false hold costs only time, and comes at most about once in this
/// many attempts of a candidate that is exactly at its limit.
const WARNING_THRESHOLD: f64 = 10_000.0;
/// Stable's quantiles that times are compared by.
const QUANTILES: [f64; 2] = [0.75, 0.95];

/// The evidence of one candidate under one policy.
#[derive(Clone, Debug)]
pub struct PolicyEvaluation {
    gathered: Gathered,
    attempts_before: u64,
    attempts: u64,
}

/// What was counted of the candidate, of the pool it is compared with, and of the groups of their requests.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub candidate: ArmCounts<'a>,
    /// Without it only the candidate's own limits count.
    pub stable: Option<ArmCounts<'a>>,
    pub groups: &'a [GroupCounts],
}

impl<'a> Counted<'a> {
    /// Without groups, and without the times of whole answers.
    pub fn of(candidate: &'a Totals, stable: Option<&'a Totals>) -> Self {
        let counts = |totals| ArmCounts { totals, durations: None };
        Counted { candidate: counts(candidate), stable: stable.map(counts), groups: &[] }
    }
}

impl PolicyEvaluation {
    /// From now on: `counted` is where the counters stand, `before` what stable did in the last ten minutes. With several critical limits, each gets an equal part of
    /// `alpha`, and so do each comparison that may abort and all groups under one limit, so that the bound on false
    /// aborts holds for all together.
    pub fn new(
        policy: Arc<Policy>,
        counted: Counted<'_>,
        before: Option<&KindCounts>,
        now: Duration,
    ) -> Self {
        let levels = policy.levels();
        let critical: Vec<KindBound> =
            levels.iter().filter(|(level, _)| *level == Level::Critical).map(|(_, bound)| *bound).collect();
        let stable = counted.stable.filter(|_| policy.mode == Mode::Evidence);
        let kinds = stable.map(|_| compared_kinds(&policy)).unwrap_or_default();
        let of_groups: Vec<KindBound> = match (policy.mode, policy.groups) {
            (Mode::Evidence, 1..) => critical.iter().copied().filter(KindBound::is_of_stable_too).collect(),
            _ => Vec::new(),
        };
        let threshold = policy.threshold(tests(&policy, &critical, &kinds, of_groups.len()));
        let (ratio, counts) = (policy.relative_ratio, KindCounts::from(counted.candidate.totals));
        let stable_counts = stable.map(|stable| KindCounts::from(stable.totals));
        let limit = |(level, bound): (Level, KindBound)| {
            let is_critical = level == Level::Critical;
            let relative = || Relative::new(ratio, threshold, now);
            let beside = |stable| StableComparison::new(bound, relative(), stable);
            let beside =
                stable_counts.as_ref().filter(|_| is_critical && bound.is_of_stable_too()).map(beside);
            let threshold = if is_critical { threshold } else { WARNING_THRESHOLD };
            LimitEvidence::new(
                (level, bound),
                beside,
                Beginning { counts: &counts, before, threshold, ratio, learns: is_critical, now },
            )
        };
        let comparison = |(kind, quantile): (Kind, Option<f64>)| {
            let (rule, candidate) = ((Relative::new(ratio, threshold, now), threshold), counted.candidate);
            let stable = stable?;
            Some(match quantile {
                None => KindComparison::plain(kind, rule, (candidate, stable), before),
                Some(quantile) => KindComparison::by_quantile((kind, quantile), rule, candidate, stable),
            })
        };
        let each = threshold * policy.groups.max(1) as f64;
        let groups =
            (!of_groups.is_empty()).then(|| GroupEvaluation::new(of_groups, each, ratio, counted.groups));
        let gathered = Gathered {
            levels: levels.into_iter().map(limit).collect(),
            comparisons: kinds.into_iter().filter_map(comparison).collect(),
            groups,
            policy,
            began: now,
        };
        PolicyEvaluation { gathered, attempts_before: counted.candidate.totals.attempts, attempts: 0 }
    }

    /// The same, of what several processes count: what comes between two looks is a round of theirs.
    pub fn in_rounds(mut self) -> Self {
        let order = BatchOrder::EventsFirst;
        let Gathered { levels, groups, .. } = &mut self.gathered;
        *levels = std::mem::take(levels).into_iter().map(|level| level.in_order(order)).collect();
        *groups = groups.take().map(|groups| groups.in_order(order));
        self
    }

    /// Goes on with what a former evaluation of the same candidate knows, under another policy that counts in the same
    /// way: a level, a comparison and the groups that are as before keep their evidence.
    pub fn adopt(&mut self, former: PolicyEvaluation) {
        (self.attempts_before, self.attempts) = (former.attempts_before, former.attempts);
        let Gathered { levels, comparisons, groups, began, .. } = former.gathered;
        self.gathered.began = began;
        let mut levels: Vec<Option<LimitEvidence>> = levels.into_iter().map(Some).collect();
        for level in &mut self.gathered.levels {
            let alike = levels.iter_mut().find(|of| of.as_ref().is_some_and(|of| level.is_like(of)));
            if let Some(former) = alike.and_then(Option::take) {
                level.adopt(former);
            }
        }
        self.adopt_comparisons(comparisons, true);
        if let (Some(groups), Some(former)) = (&mut self.gathered.groups, groups) {
            groups.adopt(former);
        }
    }

    /// What stable is known to have done by kind; the evidence against the candidate begins from zero.
    pub fn remember(&mut self, former: PolicyEvaluation) {
        self.adopt_comparisons(former.gathered.comparisons, false);
    }

    fn adopt_comparisons(&mut self, former: Vec<KindComparison>, with_evidence: bool) {
        for comparison in &mut self.gathered.comparisons {
            if let Some(former) = former.iter().find(|of| comparison.is_like(of)) {
                comparison.adopt(former.clone(), with_evidence);
            }
        }
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.gathered.policy
    }

    /// Takes in what came since the last call; a stable pool is there as it was at the beginning.
    pub fn observe(&mut self, now: Duration, counted: Counted<'_>) {
        let totals = counted.candidate.totals;
        self.attempts = totals.attempts.saturating_sub(self.attempts_before);
        let counts = KindCounts::from(totals);
        let stable_counts = counted.stable.map(|stable| KindCounts::from(stable.totals));
        let mut recovered = Vec::new();
        for limit in &mut self.gathered.levels {
            if limit.observe(now, &counts, stable_counts.as_ref()) {
                recovered.push(limit.bound.metric());
            }
        }
        for limit in &mut self.gathered.levels {
            if !recovered.is_empty() && recovered.contains(&limit.bound.metric()) {
                limit.evidence.restart(now);
            }
        }
        if let Some(stable) = counted.stable {
            self.gathered
                .comparisons
                .iter_mut()
                .for_each(|kind| kind.observe(now, counted.candidate, stable));
        }
        if let Some(groups) = &mut self.gathered.groups {
            groups.observe(now, counted.groups, counted.stable.is_some());
        }
        self.follow_baseline(now);
    }

    /// Moves on to where the counters stand, without evidence for or against anybody.
    pub fn pass_over(&mut self, counted: Counted<'_>) {
        let counts = KindCounts::from(counted.candidate.totals);
        let stable_counts = counted.stable.map(|stable| KindCounts::from(stable.totals));
        for limit in &mut self.gathered.levels {
            limit.pass_over(&counts, stable_counts.as_ref());
        }
        if let Some(stable) = counted.stable {
            self.gathered.comparisons.iter_mut().for_each(|kind| kind.pass_over(counted.candidate, stable));
        }
        if let Some(groups) = &mut self.gathered.groups {
            groups.pass_over(counted.groups);
        }
    }

    /// A warning level is raised as its critical level was, whose stable pool stands beside it.
    fn follow_baseline(&mut self, now: Duration) {
        let raised: Vec<(String, f64)> = self
            .gathered
            .levels
            .iter()
            .filter(|limit| limit.level == Level::Critical && limit.is_raised())
            .map(|limit| (limit.bound.metric(), limit.allowed))
            .collect();
        for limit in self.gathered.levels.iter_mut().filter(|limit| limit.level == Level::Warning) {
            let metric = limit.bound.metric();
            if let Some((_, allowed)) = raised.iter().find(|(of, _)| *of == metric) {
                limit.raise_to(*allowed, now);
            }
        }
    }

    /// Attempts since the evaluation began.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Events so far, over all limits: whether anything got worse.
    pub fn events(&self) -> u64 {
        let groups = self.gathered.groups.as_ref().map_or(0, GroupEvaluation::events);
        self.gathered.levels.iter().map(LimitEvidence::events).sum::<u64>() + groups
    }

    /// Whether an upstream that was taken out for failing requests failed more of them than may be.
    pub fn is_too_much(&self, accused: &Accusation) -> bool {
        self.gathered.policy.is_too_much(accused.ended.share())
    }

    /// What the policy says now.
    pub fn verdict(&self, now: Duration, seen: &Circumstances<'_>) -> Verdict {
        judge::verdict(&self.gathered, now, seen)
    }

    /// How far it is from an abort: each critical level, each comparison, and the groups with any evidence.
    pub fn evidence(&self) -> Vec<Reported> {
        reported::all(&self.gathered)
    }
}

/// The kinds that are compared though no critical level of their own does it, with the quantile for times.
fn compared_kinds(policy: &Policy) -> Vec<(Kind, Option<f64>)> {
    let has_level = |kind: Kind| {
        policy.levels().iter().any(|(level, bound)| *level == Level::Critical && bound.kind() == kind)
    };
    let plain = [Kind::Errors, Kind::Abandoned, Kind::ClientErrors, Kind::Redirects, Kind::Empty];
    let plain = plain.into_iter().filter(|kind| !has_level(*kind)).map(|kind| (kind, None));
    let timed = [Kind::Latency, Kind::Duration];
    let timed = timed.into_iter().flat_map(|kind| QUANTILES.map(|quantile| (kind, Some(quantile))));
    plain.chain(timed).filter(|(kind, _)| policy.relative.of(*kind) != Reaction::Off).collect()
}

/// How many tests share `alpha`.
fn tests(policy: &Policy, critical: &[KindBound], kinds: &[(Kind, Option<f64>)], of_groups: usize) -> usize {
    let aborts = |kind: Kind| policy.relative.of(kind) == Reaction::Abort;
    let beside = critical.iter().filter(|bound| bound.is_of_stable_too() && aborts(bound.kind())).count();
    let compared = kinds.iter().filter(|(kind, _)| aborts(*kind)).count();
    (critical.len() + beside + compared + of_groups).max(1)
}
