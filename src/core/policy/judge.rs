//! From evidence and conditions to a verdict.
//!
//! | limit broken | stable failing too | candidate worse | verdict |
//! |---|---|---|---|
//! | no | – | no | pass |
//! | no | – | yes | hold (`relative`) |
//! | yes | no | – | fail |
//! | yes | yes | yes | fail |
//! | yes | yes | no | hold: a shared outage (`on_shared_outage`) |

use super::watch::{Circumstances, Watch, Watched};
use super::{Bound, Mode, Policy, Reaction, conditions, reasons};
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::window::{Figures, Latency};
use std::time::Duration;

/// A reason, and what it alone would come to.
type Finding = (State, Reason);

pub(super) fn verdict(watch: &Watch, now: Duration, seen: &Circumstances<'_>) -> Verdict {
    let policy = &*watch.policy;
    let mut findings: Vec<Finding> = Vec::new();
    // A broken critical level speaks for its warning level too.
    let mut spoken = Vec::new();
    for watched in of_level(watch, Level::Critical) {
        match by_mode(policy, watched, now, seen) {
            Some(finding) => {
                spoken.push(watched.bound.metric());
                findings.push(finding);
            }
            None => findings.extend(worse(policy, watched, now, seen)),
        }
    }
    findings.extend(conditions::health(policy, seen));
    for watched in of_level(watch, Level::Warning) {
        if !spoken.contains(&watched.bound.metric()) {
            findings.extend(by_mode(policy, watched, now, seen));
        }
    }
    findings.extend(
        seen.readings.into_iter().flat_map(|r| conditions::signals(&policy.signals, r, watch.began, now)),
    );
    findings.sort_by(|(one, _), (other, _)| other.cmp(one));
    let state = findings.first().map_or(State::Pass, |(state, _)| *state);
    Verdict { state, reasons: findings.into_iter().map(|(_, reason)| reason).collect() }
}

fn of_level(watch: &Watch, level: Level) -> impl Iterator<Item = &Watched> {
    watch.levels.iter().filter(move |watched| watched.level == level)
}

/// What a level comes to that is broken.
fn by_mode(policy: &Policy, watched: &Watched, now: Duration, seen: &Circumstances<'_>) -> Option<Finding> {
    let reason = match policy.mode {
        Mode::Evidence if !watched.evidence.exceeded() => return None,
        Mode::Evidence => reasons::broken(watched, now),
        Mode::Window if !is_over(policy, watched.bound, &seen.figures) => return None,
        Mode::Window => reasons::in_window(watched, &seen.figures),
    };
    if watched.level == Level::Warning {
        return Some((State::Hold, reason));
    }
    if watched.is_shared_outage() && policy.on_shared_outage != Reaction::Abort {
        return Some((State::Hold, reasons::shared_outage(watched, reason)));
    }
    Some(blame(policy, watched, seen, reason))
}

/// What it comes to when a limit is kept, but the candidate is worse than stable.
fn worse(policy: &Policy, watched: &Watched, now: Duration, seen: &Circumstances<'_>) -> Option<Finding> {
    let relative = watched.beside.as_ref().map(|beside| &beside.relative)?;
    if policy.relative == Reaction::Off || !relative.exceeded() {
        return None;
    }
    let reason = reasons::worse(policy, watched, relative, now);
    match policy.relative {
        Reaction::Abort => Some(blame(policy, watched, seen, reason)),
        _ => Some((State::Hold, Reason { level: Level::Warning, ..reason })),
    }
}

/// A fail, unless its events come from too few clients.
fn blame(policy: &Policy, watched: &Watched, seen: &Circumstances<'_>, reason: Reason) -> Finding {
    let (needed, met, what) = match watched.bound {
        Bound::Errors { .. } => (policy.min_clients, seen.clients, "failures"),
        Bound::Slow { slot, .. } => {
            let met = seen.slow_clients.get(slot).copied().unwrap_or_default();
            (policy.slow_clients(met), met.get(), "slow answers")
        }
        // Of copies, which no client waits for.
        Bound::Differences { .. } => (0, 0, ""),
    };
    if needed > 1 && met < needed {
        return (State::Hold, reasons::few_clients(needed, met, what, reason));
    }
    (State::Fail, reason)
}

/// The plain rule. It is offered for those who want it; checked often, it reverts healthy versions.
fn is_over(policy: &Policy, bound: Bound, figures: &Figures) -> bool {
    if let Bound::Differences { share } = bound {
        return figures.compared >= policy.min_sample
            && figures.differing as f64 > share * figures.compared as f64;
    }
    let broken = match bound {
        Bound::Errors { share } => figures.error_rate > share,
        Bound::Differences { .. } => false,
        Bound::Slow { quantile, time, .. } => {
            quantile_ms(&figures.latency_ms, quantile) > time.as_secs_f64() * 1000.0
        }
    };
    broken && figures.requests >= policy.min_sample
}

pub(super) fn quantile_ms(latency: &Latency, quantile: f64) -> f64 {
    match quantile {
        q if q <= 0.5 => latency.p50,
        q if q <= 0.9 => latency.p90,
        q if q <= 0.95 => latency.p95,
        _ => latency.p99,
    }
}
