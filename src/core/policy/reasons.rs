//! The reasons of a verdict, as figures and as sentences.

use super::Policy;
use super::bound::KindBound;
use super::kind::Kind;
use super::kind_comparison::KindComparison;
use super::limit_evidence::LimitEvidence;
use crate::core::duration;
use crate::core::evidence::Evidence;
use crate::core::evidence::relative::{Batch, Relative};
use crate::core::notice::SHARED_OUTAGE;
use crate::core::verdict::{Level, Reason};
use crate::core::window::Figures;
use std::time::Duration;

/// A level is broken, by evidence.
pub(super) fn broken(watched: &LimitEvidence, now: Duration) -> Reason {
    let (evidence, bound) = (&watched.evidence, watched.bound);
    let (attempts, events) = (evidence.attempts(), evidence.events());
    let observed = share(Batch { attempts, events });
    let (ln, needed) = (evidence.ln(), evidence.needed());
    let what = sentence(watched, observed);
    Reason {
        kind: bound.kind().label().to_owned(),
        group: None,
        metric: bound.metric(),
        level: watched.level,
        limit: limit(watched),
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
pub(super) fn in_window(watched: &LimitEvidence, figures: &Figures) -> Reason {
    let (bound, level) = (watched.bound, watched.level);
    let (observed, what) = match bound {
        KindBound::Errors { .. } => (figures.error_rate, sentence(watched, figures.error_rate)),
        KindBound::Differences { .. } => {
            let observed = share(Batch { attempts: figures.compared, events: figures.differing });
            (observed, sentence(watched, observed))
        }
        KindBound::Abandoned { .. } | KindBound::Long { .. } => (0.0, sentence(watched, 0.0)),
        KindBound::Slow { quantile, time, .. } => {
            let seconds = figures.latency_ms.quantile(quantile) / 1000.0;
            let (metric, level, time) = (bound.metric(), name(level), duration::show(time));
            (seconds, format!("{metric} {seconds:.3} s is over the {level} limit of {time}"))
        }
    };
    let (attempts, events) = match bound {
        KindBound::Differences { .. } => (figures.compared, figures.differing),
        _ => (figures.requests, figures.failures),
    };
    Reason {
        kind: bound.kind().label().to_owned(),
        group: None,
        metric: bound.metric(),
        level,
        limit: limit(watched),
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
pub(super) fn shared_outage(watched: &LimitEvidence, broken: Reason) -> Reason {
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

/// The candidate keeps its limit, but has more events than stable.
pub(super) fn worse(policy: &Policy, watched: &LimitEvidence, relative: &Relative, now: Duration) -> Reason {
    let what = match watched.bound {
        KindBound::Errors { .. } => "fails".to_owned(),
        KindBound::Abandoned { .. } => "is left by its clients".to_owned(),
        KindBound::Differences { .. } => "differs".to_owned(),
        KindBound::Slow { time, .. } => format!("takes longer than {}", duration::show(time)),
        KindBound::Long { time, .. } => {
            format!("takes longer than {} to its last byte", duration::show(time))
        }
    };
    Reason {
        metric: watched.bound.relative_metric(),
        level: watched.level,
        ..times(policy, watched.bound.kind(), &what, relative, now)
    }
}

/// The candidate has more events of a kind than stable.
pub(super) fn more_than_stable(policy: &Policy, comparison: &KindComparison, now: Duration) -> Reason {
    let metric = comparison.metric();
    let what = what_it_does(comparison);
    Reason { metric, ..times(policy, comparison.kind, &what, &comparison.relative, now) }
}

/// The candidate, which has all of the traffic, has more events of a kind than stable had before.
pub(super) fn more_than_before(comparison: &KindComparison, evidence: &Evidence, now: Duration) -> Reason {
    let (known, what) = (comparison.past.known(), what_it_does(comparison));
    let (attempts, events) = (evidence.attempts(), evidence.events());
    let (ln, needed) = (evidence.ln(), evidence.needed());
    let observed = share(Batch { attempts, events });
    let text = format!(
        "the candidate {what} far more often than stable did before: {events} of {attempts} attempts ({}), stable {} of \
         {} ({}), evidence {ln:.1} of {needed:.1} needed",
        percent(observed),
        known.events,
        known.attempts,
        percent(share(known)),
    );
    Reason {
        kind: comparison.kind.label().to_owned(),
        group: None,
        metric: comparison.metric_of_past(),
        level: Level::Warning,
        limit: evidence.limit(),
        observed,
        attempts,
        events,
        evidence: ln,
        needed,
        for_seconds: now.saturating_sub(evidence.since()).as_secs_f64(),
        text,
    }
}

/// As it stands after "the candidate".
fn what_it_does(comparison: &KindComparison) -> String {
    match (comparison.kind, comparison.quantile()) {
        (Kind::Errors, _) => "fails".to_owned(),
        (Kind::Abandoned, _) => "is left by its clients before it answers".to_owned(),
        (Kind::ClientErrors, _) => "answers with a 4xx status".to_owned(),
        (Kind::Redirects, _) => "answers with a 3xx status".to_owned(),
        (Kind::Empty, _) => "answers a GET with an empty page".to_owned(),
        (kind, Some((quantile, time))) => {
            let end = if kind == Kind::Duration { " to its last byte" } else { "" };
            let (time, percent) = (in_milliseconds(time), quantile * 100.0);
            format!("takes longer than {time}{end}, about stable's p{percent:.0},")
        }
        (kind, None) => format!("has {}", kind.label()),
    }
}

/// A group of requests broke a level of its own.
pub(super) fn of_group(group: &str, watched: &LimitEvidence, now: Duration) -> Reason {
    let reason = broken(watched, now);
    let stable = watched.beside.as_ref().map(|beside| beside.all());
    let beside = stable.map(|stable| format!(", on stable {} of {}", stable.events, stable.attempts));
    let (events, attempts) = (reason.events, reason.attempts);
    let what = verb(watched.bound);
    let text =
        format!("{group}: {events} of {attempts} {what}{}; {}", beside.unwrap_or_default(), reason.text);
    Reason { group: Some(group.to_owned()), text, ..reason }
}

/// How many times as often as stable.
fn times(policy: &Policy, kind: Kind, what: &str, relative: &Relative, now: Duration) -> Reason {
    let (candidate, stable) = relative.stretch();
    let (ln, needed) = (relative.ln(), relative.needed());
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
        kind: kind.label().to_owned(),
        group: None,
        metric: String::new(),
        level: Level::Warning,
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

/// In the metric's unit: a share for rates, seconds for times.
pub(super) fn limit(watched: &LimitEvidence) -> f64 {
    match watched.bound {
        KindBound::Errors { .. } | KindBound::Abandoned { .. } | KindBound::Differences { .. } => {
            watched.allowed
        }
        KindBound::Slow { time, .. } | KindBound::Long { time, .. } => time.as_secs_f64(),
    }
}

fn sentence(watched: &LimitEvidence, share: f64) -> String {
    let (level, bound, raised) = (name(watched.level), watched.bound, raised(watched));
    let (share, allowed) = (percent(share), percent(watched.allowed));
    match bound {
        KindBound::Errors { .. } => {
            format!("error rate {share} is over the {level} limit of {allowed}{raised}")
        }
        KindBound::Abandoned { .. } => format!(
            "{share} of the requests were left by their clients before they were answered, over the {level} limit \
             of {allowed}{raised}"
        ),
        KindBound::Differences { .. } => {
            format!("{share} of the answers differ from stable's, over the {level} limit of {allowed}")
        }
        KindBound::Slow { time, .. } => format!(
            "{share} of the attempts took longer than {}, the {level} limit for all but {allowed}{raised}",
            duration::show(time),
        ),
        KindBound::Long { time, .. } => format!(
            "{share} of the answers took longer than {} to their last byte, the {level} limit for all but \
             {allowed}{raised}",
            duration::show(time),
        ),
    }
}

/// Where the level is not the policy's own.
fn raised(watched: &LimitEvidence) -> String {
    match watched.is_raised() {
        true => format!(" (raised from {}: stable broke that already)", percent(watched.bound.allowed())),
        false => String::new(),
    }
}

/// What the events are out of.
fn counted(bound: KindBound) -> &'static str {
    match bound {
        KindBound::Differences { .. } => "answers compared",
        KindBound::Long { .. } => "answers",
        KindBound::Errors { .. } | KindBound::Abandoned { .. } | KindBound::Slow { .. } => "attempts",
    }
}

/// What became of those that are events.
fn verb(bound: KindBound) -> &'static str {
    match bound {
        KindBound::Errors { .. } => "failed",
        KindBound::Abandoned { .. } => "were left by their clients",
        KindBound::Slow { .. } => "were slow",
        KindBound::Long { .. } => "took too long",
        KindBound::Differences { .. } => "differ",
    }
}

/// The events of a kind, as clients meet them.
pub(super) fn events(kind: Kind) -> &'static str {
    match kind {
        Kind::Errors => "failures",
        Kind::Abandoned => "answers that did not come",
        Kind::Latency | Kind::Duration => "slow answers",
        Kind::ClientErrors => "4xx answers",
        Kind::Redirects => "redirects",
        Kind::Empty => "empty answers",
        Kind::Differences => "differences",
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
pub(super) fn times_as_often(candidate: Batch, stable: Batch) -> f64 {
    let rate = (stable.events as f64).max(0.5) / stable.attempts.max(1) as f64;
    share(candidate) / rate
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn in_milliseconds(time: Duration) -> String {
    duration::show(Duration::from_millis(time.as_micros().div_ceil(1000) as u64))
}
