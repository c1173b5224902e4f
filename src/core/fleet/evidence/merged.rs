//! What all members see, as one observation for the rollout.
//!
//! The statistics are the pooled verdict's. Everything else that one member sees holds all of them: an upstream of the
//! candidate that is down for one instance is down for its users, and a promotion gives them no other.

use super::clients::MemberClients;
use crate::core::rollout::{Observation, UpstreamSeen};
use crate::core::verdict::{Level, Reason, State, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one member sees, beside its counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberReport {
    /// By its own evidence, and its own checks and signals.
    pub verdict: Verdict,
    /// Why the candidate could not serve here, if it could not.
    pub unready: Option<String>,
    pub stable_ready: bool,
    /// The candidate's upstreams by label, of a rolling update.
    pub upstreams: BTreeMap<String, UpstreamSeen>,
    pub clients: MemberClients,
}

/// One observation of all `members`. `attempts` and the verdict `pooled` are those of the whole fleet.
pub fn merged(pooled: Verdict, attempts: u64, members: &BTreeMap<String, MemberReport>) -> Observation {
    let (mut unready, mut upstreams): (Vec<String>, BTreeMap<String, UpstreamSeen>) = Default::default();
    for (name, report) in members {
        unready.extend(report.unready.as_ref().map(|why| format!("{name}: {why}")));
        for (upstream, seen) in &report.upstreams {
            upstreams
                .entry(upstream.clone())
                .and_modify(|known| *known = both(name, known, seen))
                .or_insert_with(|| seen.clone());
        }
    }
    Observation {
        verdict: worst(pooled, members),
        attempts,
        candidate: if unready.is_empty() { Ok(()) } else { Err(unready.join("; ")) },
        stable_ready: members.values().all(|report| report.stable_ready),
        upstreams,
    }
}

/// The worst of all verdicts, with its reasons first.
fn worst(pooled: Verdict, members: &BTreeMap<String, MemberReport>) -> Verdict {
    let of_fleet = pooled.reasons.clone();
    let mut all = vec![(pooled.state, pooled.reasons)];
    for (name, report) in members {
        let signed = |reason: &Reason| Reason { text: format!("{name}: {}", reason.text), ..reason.clone() };
        let known = |reason: &&Reason| !of_fleet.iter().any(|known| is_same(known, reason));
        let own: Vec<Reason> = report.verdict.reasons.iter().filter(known).map(signed).collect();
        all.push((report.verdict.state, own));
    }
    all.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let state = all.first().map_or(State::Pass, |(state, _)| *state);
    Verdict { state, reasons: all.into_iter().flat_map(|(_, reasons)| reasons).collect() }
}

/// Whether two reasons are about the same: the fleet's figures stand for those of its members.
fn is_same(one: &Reason, other: &Reason) -> bool {
    one.needed > 0.0 && (&one.metric, &one.group, one.level) == (&other.metric, &other.group, other.level)
}

/// One upstream as two members see it: it is up where all say so, and as proven as the least of them says.
fn both(name: &str, one: &UpstreamSeen, other: &UpstreamSeen) -> UpstreamSeen {
    let good_checks = match (one.good_checks, other.good_checks) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let failing = other.failing.as_ref().map(|why| format!("{name}: {why}"));
    UpstreamSeen {
        in_flight: one.in_flight.saturating_add(other.in_flight),
        up: one.up && other.up,
        draining: one.draining && other.draining,
        good_checks,
        failing: one.failing.clone().or(failing),
    }
}

/// The observation while a member is missing, or its configuration is another: the rollout stands still, and says why.
pub fn held(seen: Observation, why: &[String]) -> Observation {
    let Verdict { state, mut reasons } = seen.verdict;
    let reason = |why: &String| Reason::condition("fleet", Level::Warning, why.clone());
    reasons.extend(why.iter().map(reason));
    let state = if why.is_empty() { state } else { state.max(State::Hold) };
    Observation { verdict: Verdict { state, reasons }, ..seen }
}
