//! The evidence of the groups of a candidate's requests: a route that is dead is not diluted by those that live.
//!
//! Each group is held against the critical levels of the policy by a test of its own, for which the evidence must be
//! stronger by the number of groups (the union bound). What stable does in the same group is its yardstick: a route
//! that fails by design on both versions speaks against nobody, and an outage of both is the service's to tell.

use super::bound::KindBound;
use super::limit_evidence::{Beginning, LimitEvidence};
use super::stable_comparison::StableComparison;
use crate::core::evidence::BatchOrder;
use crate::core::evidence::relative::Relative;
use crate::core::kind_counts::KindCounts;
use crate::core::verdict::Level;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What was counted of one group; counts only grow.
#[derive(Clone, Debug)]
pub struct GroupCounts {
    /// Which it is, whatever it is called.
    pub key: u64,
    /// "GET /checkout"
    pub name: Arc<str>,
    pub candidate: KindCounts,
    pub stable: KindCounts,
    /// What a sample of stable's requests came to in the time before; taken as it is when the evaluation begins.
    pub before: KindCounts,
}

#[derive(Clone, Debug)]
pub(super) struct GroupEvaluation {
    bounds: Vec<KindBound>,
    threshold: f64,
    ratio: f64,
    order: BatchOrder,
    /// Where the counters stood when the evaluation began, by key.
    begun: HashMap<u64, Begun>,
    groups: HashMap<u64, Group>,
}

/// Where the counters of one group began.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    candidate: KindCounts,
    stable: KindCounts,
    before: KindCounts,
}

/// One group with its evidence.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub name: Arc<str>,
    pub levels: Vec<LimitEvidence>,
    /// The counters of candidate and stable as they were taken in last.
    seen: (KindCounts, KindCounts),
}

impl GroupEvaluation {
    /// Of the critical `bounds`, each to be broken by evidence of `threshold` (A).
    pub(super) fn new(bounds: Vec<KindBound>, threshold: f64, ratio: f64, begun: &[GroupCounts]) -> Self {
        let of = |group: &GroupCounts| Begun {
            candidate: group.candidate,
            stable: group.stable,
            before: group.before,
        };
        let begun = begun.iter().map(|group| (group.key, of(group))).collect();
        let (order, groups) = (BatchOrder::default(), HashMap::new());
        GroupEvaluation { bounds, threshold, ratio, order, begun, groups }
    }

    /// Batches count in another order.
    pub(super) fn in_order(self, order: BatchOrder) -> Self {
        GroupEvaluation { order, ..self }
    }

    /// Goes on with the evidence of a former evaluation, if that was by the same levels.
    pub(super) fn adopt(&mut self, former: GroupEvaluation) {
        if (&self.bounds, self.ratio) != (&former.bounds, former.ratio) {
            return;
        }
        let (threshold, ratio) = (self.threshold, self.ratio);
        *self = GroupEvaluation { threshold, ..former };
        for group in self.groups.values_mut() {
            for level in &mut group.levels {
                level.needs(threshold, ratio);
            }
        }
    }

    /// Takes in what came; `is_compared` where there is a stable pool beside.
    pub(super) fn observe(&mut self, now: Duration, counted: &[GroupCounts], is_compared: bool) {
        for counts in counted {
            let Begun { candidate, stable, before } =
                self.begun.get(&counts.key).copied().unwrap_or_default();
            if !self.groups.contains_key(&counts.key) {
                if counts.candidate == candidate {
                    continue;
                }
                let group = self.group(counts, (&candidate, &stable), is_compared, now);
                self.groups.insert(counts.key, group);
            }
            let Some(group) = self.groups.get_mut(&counts.key) else { continue };
            let now_seen = (counts.candidate, counts.stable);
            if std::mem::replace(&mut group.seen, now_seen) == now_seen {
                continue;
            }
            let known = counts.stable.since(&stable).plus(&before);
            for level in &mut group.levels {
                level.observe(now, &counts.candidate, is_compared.then_some(&counts.stable));
                level.follow(&known, now);
            }
        }
    }

    /// Moves on to where the counters stand.
    pub(super) fn pass_over(&mut self, counted: &[GroupCounts]) {
        for counts in counted {
            match self.groups.get_mut(&counts.key) {
                Some(group) => {
                    group.seen = (counts.candidate, counts.stable);
                    for level in &mut group.levels {
                        level.pass_over(&counts.candidate, Some(&counts.stable));
                    }
                }
                None => {
                    let begun = self.begun.entry(counts.key).or_default();
                    (begun.candidate, begun.stable) = (counts.candidate, counts.stable);
                }
            }
        }
    }

    /// Those that broke a level, the strongest evidence first; where stable breaks it in the same way, nobody did.
    pub(super) fn broken(&self) -> Vec<(&Group, &LimitEvidence)> {
        let levels =
            self.groups.values().flat_map(|group| group.levels.iter().map(move |level| (group, level)));
        let mut broken: Vec<_> =
            levels.filter(|(_, level)| level.evidence.exceeded() && !level.is_shared_outage()).collect();
        broken.sort_by(|(_, one), (_, other)| other.evidence.ln().total_cmp(&one.evidence.ln()));
        broken
    }

    /// All with any evidence, the strongest first.
    pub(super) fn suspects(&self) -> Vec<(&Group, &LimitEvidence)> {
        let levels =
            self.groups.values().flat_map(|group| group.levels.iter().map(move |level| (group, level)));
        let mut suspects: Vec<_> = levels.filter(|(_, level)| level.evidence.ln() > 0.0).collect();
        suspects.sort_by(|(_, one), (_, other)| other.evidence.ln().total_cmp(&one.evidence.ln()));
        suspects
    }

    /// Events so far, over all groups.
    pub(super) fn events(&self) -> u64 {
        self.groups.values().flat_map(|group| &group.levels).map(LimitEvidence::events).sum()
    }

    fn group(
        &self,
        counts: &GroupCounts,
        (candidate, stable): (&KindCounts, &KindCounts),
        is_compared: bool,
        now: Duration,
    ) -> Group {
        let (threshold, ratio) = (self.threshold, self.ratio);
        let beginning = Beginning { counts: candidate, before: None, threshold, ratio, learns: false, now };
        let level = |bound: &KindBound| {
            let relative = || Relative::new(ratio, threshold, now);
            let beside = is_compared.then(|| StableComparison::new(*bound, relative(), stable));
            LimitEvidence::new((Level::Critical, *bound), beside, beginning).in_order(self.order)
        };
        Group {
            name: counts.name.clone(),
            levels: self.bounds.iter().map(level).collect(),
            seen: (*candidate, *stable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::baseline::raised;

    #[test]
    fn what_stable_did_is_counted_once() {
        let counts = |attempts, failures| KindCounts { attempts, failures, ..KindCounts::default() };
        let group = |candidate, stable: KindCounts| GroupCounts {
            key: 7,
            name: "GET /feature".into(),
            candidate,
            stable,
            // As live: all since an earlier time.
            before: stable,
        };
        let bound = KindBound::Errors { share: 0.01 };
        let begun = [group(counts(0, 0), counts(100, 10))];
        let mut groups = GroupEvaluation::new(vec![bound], 1e9, 1.5, &begun);
        groups.observe(Duration::ZERO, &[group(counts(1, 0), counts(300, 30))], true);
        let level = &groups.groups[&7].levels[0];
        assert_eq!(level.allowed, raised(0.01, (30, 300), 1.5));
    }
}
