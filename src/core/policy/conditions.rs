//! Plain conditions: the candidate's health, and the signals of its upstreams.

use super::circumstances::Circumstances;
use super::readings::{Finding, Readings};
use super::reasons::name as level_name;
use super::{BROKEN, Policy, Reaction, reasons};
use crate::core::notice::SHARED_OUTAGE;
use crate::core::passive::Accusation;
use crate::core::signal::Signal;
use crate::core::verdict::{Level, Reason, State};
use std::time::Duration;

/// An upstream of the candidate that active checks found down, or that was taken out for failing requests.
pub(super) fn health(policy: &Policy, seen: &Circumstances<'_>) -> Option<(State, Reason)> {
    let (checked, ejected) = (checked(policy, seen), ejected(policy, seen));
    checked.into_iter().chain(ejected).max_by_key(|(state, _)| *state)
}

/// Of an upstream that fails most of its requests, the same as of one whose check fails. One that merely
/// fails more than may be is waited for, and one that fails less is what the limit allows.
fn ejected(policy: &Policy, seen: &Circumstances<'_>) -> Option<(State, Reason)> {
    let (level, Accusation { upstream, ended, clients, .. }) = (policy.health?, seen.ejected.as_ref()?);
    let share = ended.share();
    if !policy.is_too_much(ended.share()) {
        return None;
    }
    let failed = format!("{} of {} requests failed", ended.failures, ended.attempts.max(ended.failures));
    let text =
        format!("an upstream of the candidate was taken out for failing requests: {upstream}: {failed}");
    let is_critical = level == Level::Critical && share >= BROKEN;
    let reason = Reason {
        observed: share,
        attempts: ended.attempts.max(ended.failures),
        events: ended.failures,
        ..Reason::condition("health", level, text)
    };
    if seen.stable_ejected && policy.on_shared_outage != Reaction::Abort {
        let text = format!("both pools fail: {}, and one of stable was, too", reason.text);
        return Some((State::Hold, Reason { metric: SHARED_OUTAGE.to_owned(), text, ..reason }));
    }
    if is_critical && *clients < policy.min_clients {
        return Some((State::Hold, reasons::few_clients(policy.min_clients, *clients, "failures", reason)));
    }
    Some((if is_critical { State::Fail } else { State::Hold }, reason))
}

/// An upstream of the candidate that active checks found down.
fn checked(policy: &Policy, seen: &Circumstances<'_>) -> Option<(State, Reason)> {
    let (level, down) = (policy.health?, seen.down.as_ref()?);
    let shared = !seen.stable_up && policy.on_shared_outage != Reaction::Abort;
    let (metric, text) = if shared {
        (SHARED_OUTAGE, format!("both pools fail: {down}, and no upstream of stable is up"))
    } else {
        ("health", format!("an upstream of the candidate is down: {down}"))
    };
    let state = if level == Level::Critical && !shared { State::Fail } else { State::Hold };
    Some((state, Reason::condition(metric, level, text)))
}

/// Each signal's word: the worst upstream's. Silence counts from when the watch `began`.
pub(super) fn signals<'a>(
    signals: &'a [Signal],
    readings: &'a Readings,
    began: Duration,
    now: Duration,
) -> impl Iterator<Item = (State, Reason)> + 'a {
    signals.iter().filter_map(move |signal| {
        let (upstream, finding) = readings.worst(signal, began, now)?;
        Some(worded(signal, upstream, &finding))
    })
}

fn worded(signal: &Signal, upstream: &str, finding: &Finding) -> (State, Reason) {
    let name = &*signal.name;
    match finding {
        Finding::Missing { why } => {
            let text = format!("{name} of {upstream} is not known: {why}");
            (State::Hold, Reason::condition(name, Level::Warning, text))
        }
        Finding::Over { level, value, values, since } => {
            let limit = if *level == Level::Critical { signal.critical } else { signal.warning };
            let limit = limit.unwrap_or_default();
            let word = level_name(*level);
            let text = format!(
                "{name} of {upstream} is {value}, at or over the {word} level of {limit}, {values} times in a row"
            );
            let reason = Reason {
                limit,
                observed: *value,
                events: u64::from(*values),
                for_seconds: since.as_secs_f64(),
                ..Reason::condition(name, *level, text)
            };
            (if *level == Level::Critical { State::Fail } else { State::Hold }, reason)
        }
    }
}
