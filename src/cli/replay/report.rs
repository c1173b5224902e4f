//! What a replay found, as it is shown: the shape of `--output json`.

use super::logs::{Place, Tale};
use super::pass::{Calendar, Found, VariantFound};
use super::roles::Roles;
use crate::core::replay::stretch::{Course, ReplayChange, ReplayStretch};
use crate::core::verdict::{Reason, State};
use serde::Serialize;

/// Times are RFC 3339 in UTC.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub roles: Roles,
    /// The name of the policy, and what of it no log tells of.
    pub policy: String,
    pub not_in_logs: Vec<String>,
    #[serde(flatten)]
    pub tale: Tale,
    /// Outcomes that stand so late in the log that they were taken in out of order.
    pub out_of_order: u64,
    pub stretches: Vec<StretchView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_if: Option<TradeView>,
}

/// One stretch of the candidate's traffic, taken for a rollout.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StretchView {
    pub began: String,
    pub ended: String,
    /// On the candidate; a request that was tried again has several.
    pub attempts: u64,
    pub failures: u64,
    /// Attempts that their clients left before they were answered.
    pub abandoned: u64,
    /// Requests that ended on the candidate, and those that failed for their users.
    pub requests: u64,
    pub failures_seen: u64,
    /// Where the policy would have aborted.
    pub aborted: Option<DecisionView>,
    /// Failures that users saw after that.
    pub failures_spared: u64,
    pub changes: Vec<ChangeView>,
    pub more_changes: u64,
    pub course: CourseView,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct DecisionView {
    pub at: String,
    /// The request that completed the evidence: its id where the log has it, and its line.
    pub request_id: Option<String>,
    pub place: Option<Place>,
    /// Attempts on the candidate until then, that one included; failures among them, and those seen.
    pub attempts: u64,
    pub failures: u64,
    pub failures_seen: u64,
    /// The kind of events that decided, and the group of requests, where it is one of them.
    pub kind: String,
    pub group: Option<String>,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ChangeView {
    pub at: String,
    /// `held`, `passing` or `aborted`.
    pub action: &'static str,
    /// The last attempt before it that spoke against the candidate.
    pub request_id: Option<String>,
    pub place: Option<Place>,
    pub attempts: u64,
    pub failures: u64,
    /// As the rollout's history words it.
    pub text: String,
    pub reasons: Vec<Reason>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CourseView {
    pub point_seconds: f64,
    pub points: Vec<PointView>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PointView {
    pub attempts: u64,
    pub failures: u64,
    /// As a share of what is needed, both as logarithms.
    pub evidence: f64,
    pub verdict: State,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct TradeView {
    pub seed: u64,
    /// Attempts on stable that the variants were tried on, and those beyond what is kept.
    pub stable_attempts: usize,
    pub stable_attempts_left_out: u64,
    pub variants: Vec<VariantView>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct VariantView {
    pub name: String,
    /// Stretches that it would have aborted, and the first of those decisions.
    pub aborted_stretches: usize,
    pub first: Option<DecisionView>,
    pub failures_spared: u64,
    /// How often it aborts stable's own traffic, each time beginning again.
    pub stable_aborts: Option<u64>,
    /// Runs over resampled traffic of stable, how long they were, and how many were aborted.
    pub resampled_runs: Option<u32>,
    pub resampled_attempts: Option<usize>,
    pub resampled_aborted: Option<u32>,
}

impl Report {
    pub(super) fn new(roles: Roles, policy: &str, not_in_logs: Vec<String>, seed: u64, found: Found) -> Self {
        let calendar = found.calendar;
        let trade = || TradeView {
            seed,
            stable_attempts: found.outcomes.0,
            stable_attempts_left_out: found.outcomes.1,
            variants: found
                .variants
                .iter()
                .map(|variant| variant_view(variant, calendar, &found.tale))
                .collect(),
        };
        let what_if = (!found.variants.is_empty()).then(trade);
        Report {
            roles,
            policy: policy.to_owned(),
            not_in_logs,
            out_of_order: found.late,
            stretches: found
                .stretches
                .iter()
                .map(|stretch| stretch_view(stretch, calendar, &found.tale))
                .collect(),
            what_if,
            tale: found.tale,
        }
    }
}

fn stretch_view(stretch: &ReplayStretch, calendar: Calendar, tale: &Tale) -> StretchView {
    let at = |time| format!("{:.3}", calendar.at(time));
    let change = |change: &ReplayChange| ChangeView {
        at: at(change.at),
        action: change.event.label(),
        place: change.mark.as_ref().and_then(|mark| tale.place(mark.line)),
        request_id: change.mark.as_ref().and_then(|mark| mark.request.as_deref().map(str::to_owned)),
        attempts: change.attempts,
        failures: change.failures,
        text: change.text.clone(),
        reasons: change.reasons.clone(),
    };
    StretchView {
        began: at(stretch.began),
        ended: at(stretch.ended),
        attempts: stretch.attempts,
        failures: stretch.failures,
        abandoned: stretch.abandoned,
        requests: stretch.requests,
        failures_seen: stretch.seen,
        aborted: stretch.decision().map(|decision| decision_view(decision, calendar, tale)),
        failures_spared: stretch.spared,
        changes: stretch.changes.iter().map(change).collect(),
        more_changes: stretch.more_changes,
        course: course_view(&stretch.course),
    }
}

fn decision_view(change: &ReplayChange, calendar: Calendar, tale: &Tale) -> DecisionView {
    let first = change.reasons.first();
    DecisionView {
        kind: first.map(|reason| reason.kind.clone()).unwrap_or_default(),
        group: first.and_then(|reason| reason.group.clone()),
        at: format!("{:.3}", calendar.at(change.at)),
        request_id: change.mark.as_ref().and_then(|mark| mark.request.as_deref().map(str::to_owned)),
        place: change.mark.as_ref().and_then(|mark| tale.place(mark.line)),
        attempts: change.attempts,
        failures: change.failures,
        failures_seen: change.seen,
        reason: change.text.clone(),
    }
}

fn course_view(course: &Course) -> CourseView {
    let points = course.points.iter().map(|point| PointView {
        attempts: point.attempts,
        failures: point.failures,
        evidence: point.evidence,
        verdict: point.state,
    });
    CourseView { point_seconds: course.width.as_secs_f64(), points: points.collect() }
}

fn variant_view(variant: &VariantFound, calendar: Calendar, tale: &Tale) -> VariantView {
    let decisions = || variant.stretches.iter().filter_map(ReplayStretch::decision);
    VariantView {
        name: variant.name.clone(),
        aborted_stretches: decisions().count(),
        first: decisions().next().map(|decision| decision_view(decision, calendar, tale)),
        failures_spared: variant.stretches.iter().map(|stretch| stretch.spared).sum(),
        stable_aborts: variant.stable_aborts,
        resampled_runs: variant.resampled.map(|resampled| resampled.runs),
        resampled_attempts: variant.resampled.map(|resampled| resampled.attempts),
        resampled_aborted: variant.resampled.map(|resampled| resampled.aborted),
    }
}
