//! The reasons of a verdict, as figures and as sentences.

use super::judge::quantile_ms;
use super::watch::Watched;
use super::{Bound, Policy};
use crate::core::duration;
use crate::core::evidence::relative::{Batch, Relative};
use crate::core::notice::SHARED_OUTAGE;
use crate::core::verdict::{Level, Reason};
use crate::core::window::Figures;
use std::time::Duration;

/// A level is broken, by evidence.
pub(super) fn broken(watched: &Watched, now: Duration) -> Reason {
    let (evidence, bound) = (&watched.evidence, watched.bound);
    let (attempts, events) = (evidence.attempts(), evidence.events());
    let observed = share(Batch { attempts, events });
    let (ln, needed) = (evidence.ln(), evidence.needed());
    let what = sentence(bound, watched.level, observed);
    Reason {
        metric: bound.metric(),
        level: watched.level,
        limit: limit(bound),
        observed,
        attempts,
        events,
        evidence: ln,
        needed,
        for_seconds: now.saturating_sub(evidence.since()).as_secs_f64(),
        text: format!(
            "{what}; {events} of {attempts} {}, evidence {ln:.1} of {needed:.1} needed",
            counted(bound)
        ),
    }
}

/// A level is broken, by the figures of the window.
pub(super) fn in_window(watched: &Watched, figures: &Figures) -> Reason {
    let (bound, level) = (watched.bound, watched.level);
    let (observed, what) = match bound {
        Bound::Errors { .. } => (figures.error_rate, sentence(bound, level, figures.error_rate)),
        Bound::Differences { .. } => {
            let observed = share(Batch { attempts: figures.compared, events: figures.differing });
            (observed, sentence(bound, level, observed))
        }
        Bound::Slow { quantile, time, .. } => {
            let seconds = quantile_ms(&figures.latency_ms, quantile) / 1000.0;
            let (metric, level, time) = (bound.metric(), name(level), duration::show(time));
            (seconds, format!("{metric} {seconds:.3} s is over the {level} limit of {time}"))
        }
    };
    let (attempts, events) = match bound {
        Bound::Differences { .. } => (figures.compared, figures.differing),
        _ => (figures.requests, figures.failures),
    };
    Reason {
        metric: bound.metric(),
        level,
        limit: limit(bound),
        observed,
        attempts,
        events,
        evidence: 0.0,
        needed: 0.0,
        for_seconds: figures.seconds,
        text: format!("{what}; {attempts} {} in the last {:.0} s", counted(bound), figures.seconds),
    }
}

/// A broken critical level that stable breaks too.
pub(super) fn shared_outage(watched: &Watched, broken: Reason) -> Reason {
    let stable = watched.beside.as_ref().map(|beside| beside.stretch).unwrap_or_default();
    let text = format!(
        "both pools fail, and the candidate is not the worse one: {}; of stable {} of {} attempts ({})",
        broken.text,
        stable.events,
        stable.attempts,
        percent(share(stable))
    );
    Reason { metric: SHARED_OUTAGE.to_owned(), text, ..broken }
}

/// The candidate keeps its limit, but comes to more events than stable.
pub(super) fn worse(policy: &Policy, watched: &Watched, relative: &Relative, now: Duration) -> Reason {
    let (candidate, stable) = relative.stretch();
    let (ln, needed) = (relative.ln(), relative.needed());
    let what = match watched.bound {
        Bound::Errors { .. } => "fails".to_owned(),
        Bound::Differences { .. } => "differs".to_owned(),
        Bound::Slow { time, .. } => format!("takes longer than {}", duration::show(time)),
    };
    let text = format!(
        "the candidate {what} more than {} times as often as stable: {} of {} attempts ({}) to {} of {} ({}), evidence {ln:.1} of {needed:.1} needed",
        policy.relative_ratio,
        candidate.events,
        candidate.attempts,
        percent(share(candidate)),
        stable.events,
        stable.attempts,
        percent(share(stable)),
    );
    Reason {
        metric: watched.bound.relative_metric(),
        level: watched.level,
        limit: policy.relative_ratio,
        observed: times_as_often(candidate, stable),
        attempts: candidate.attempts,
        events: candidate.events,
        evidence: ln,
        needed,
        for_seconds: now.saturating_sub(relative.since()).as_secs_f64(),
        text,
    }
}

/// What would fail the candidate, but comes from too few clients.
pub(super) fn few_clients(needed: usize, clients: usize, what: &str, reason: Reason) -> Reason {
    let met = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
    let text = format!("only {met} met {what}, and {needed} are needed: {}", reason.text);
    Reason { metric: "clients".to_owned(), limit: needed as f64, observed: clients as f64, text, ..reason }
}

/// In the metric's unit: a share for rates, seconds for latencies.
fn limit(bound: Bound) -> f64 {
    match bound {
        Bound::Errors { share } | Bound::Differences { share } => share,
        Bound::Slow { time, .. } => time.as_secs_f64(),
    }
}

fn sentence(bound: Bound, level: Level, share: f64) -> String {
    let level = name(level);
    match bound {
        Bound::Errors { share: limit } => {
            format!("error rate {} is over the {level} limit of {}", percent(share), percent(limit))
        }
        Bound::Differences { share: limit } => format!(
            "{} of the answers differ from stable's, over the {level} limit of {}",
            percent(share),
            percent(limit)
        ),
        Bound::Slow { time, quantile, .. } => format!(
            "{} of the attempts took longer than {}, the {level} limit for all but {}",
            percent(share),
            duration::show(time),
            percent(1.0 - quantile)
        ),
    }
}

/// What the events are out of.
fn counted(bound: Bound) -> &'static str {
    match bound {
        Bound::Differences { .. } => "answers compared",
        Bound::Errors { .. } | Bound::Slow { .. } => "attempts",
    }
}

pub(super) fn name(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Critical => "critical",
    }
}

fn share(batch: Batch) -> f64 {
    batch.events as f64 / batch.attempts.max(1) as f64
}

/// The ratio of the two rates; where stable had no event, half of one is taken for it.
fn times_as_often(candidate: Batch, stable: Batch) -> f64 {
    let rate = (stable.events as f64).max(0.5) / stable.attempts.max(1) as f64;
    share(candidate) / rate
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
