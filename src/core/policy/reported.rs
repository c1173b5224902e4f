//! How far a candidate is from an abort, in figures.

use super::gathered::Gathered;
use super::groups::GroupEvaluation;
use super::kind::Kind;
use super::kind_comparison::KindComparison;
use super::limit_evidence::LimitEvidence;
use super::reasons;
use crate::core::evidence::Evidence;
use crate::core::evidence::relative::Relative;
use crate::core::verdict::Level;
use std::sync::Arc;

/// Groups that are reported, of those with any evidence.
const MOST_GROUPS: usize = 8;

/// The evidence of one limit or comparison, of the candidate or of one group of its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    pub kind: Kind,
    pub group: Option<Arc<str>>,
    /// As in [`crate::core::verdict::Reason`].
    pub metric: String,
    pub limit: f64,
    /// The share of attempts that are events, since the evidence last stood at zero; of a comparison how many times as
    /// often as with stable.
    pub observed: f64,
    pub attempts: u64,
    pub events: u64,
    /// The evidence, and the evidence needed: natural logarithms.
    pub ln: f64,
    pub needed: f64,
    /// So many events in a row break the limit; `None` of comparisons, and where no number does.
    pub events_to_abort: Option<u64>,
}

/// Critical levels and comparisons in their order, then groups, the strongest evidence first.
pub(super) fn all(gathered: &Gathered) -> Vec<Reported> {
    let ratio = gathered.policy.relative_ratio;
    let critical = gathered.levels.iter().filter(|limit| limit.level == Level::Critical);
    let levels = critical.flat_map(|limit| {
        let relative = limit.beside.as_ref().map(|beside| &beside.relative);
        let metric = || limit.bound.relative_metric();
        let relative = relative.map(|relative| compared(limit.bound.kind(), metric(), relative, ratio));
        std::iter::once(of_limit(limit, None)).chain(relative)
    });
    let kinds = gathered.comparisons.iter().flat_map(|kind| {
        let beside = compared(kind.kind, kind.metric(), &kind.relative, ratio);
        let alone = kind.past.evidence().map(|evidence| of_past(kind, evidence));
        std::iter::once(beside).chain(alone)
    });
    let groups = gathered.groups.as_ref().map(GroupEvaluation::suspects).unwrap_or_default();
    let groups = groups.into_iter().take(MOST_GROUPS);
    let groups = groups.map(|(group, limit)| of_limit(limit, Some(group.name.clone())));
    levels.chain(kinds).chain(groups).collect()
}

fn of_limit(limit: &LimitEvidence, group: Option<Arc<str>>) -> Reported {
    let (attempts, events) = (limit.evidence.attempts(), limit.evidence.events());
    Reported {
        kind: limit.bound.kind(),
        group,
        metric: limit.bound.metric(),
        limit: reasons::limit(limit),
        observed: events as f64 / attempts.max(1) as f64,
        attempts,
        events,
        ln: limit.evidence.ln(),
        needed: limit.evidence.needed(),
        events_to_abort: limit.evidence.events_to_exceed(),
    }
}

fn of_past(kind: &KindComparison, evidence: &Evidence) -> Reported {
    let (attempts, events) = (evidence.attempts(), evidence.events());
    Reported {
        kind: kind.kind,
        group: None,
        metric: kind.metric_of_past(),
        limit: evidence.limit(),
        observed: events as f64 / attempts.max(1) as f64,
        attempts,
        events,
        ln: evidence.ln(),
        needed: evidence.needed(),
        events_to_abort: None,
    }
}

fn compared(kind: Kind, metric: String, relative: &Relative, ratio: f64) -> Reported {
    let (candidate, stable) = relative.stretch();
    Reported {
        kind,
        group: None,
        metric,
        limit: ratio,
        observed: reasons::times_as_often(candidate, stable),
        attempts: candidate.attempts,
        events: candidate.events,
        ln: relative.ln(),
        needed: relative.needed(),
        events_to_abort: None,
    }
}
