//! From evidence to a verdict with its reasons.

use super::{Bound, Mode, Policy, Watched};
use crate::core::duration;
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::window::{Figures, Latency};
use std::time::Duration;

pub(super) fn verdict(policy: &Policy, levels: &[Watched], now: Duration, figures: &Figures) -> Verdict {
    let broken = levels.iter().filter_map(|watched| match policy.mode {
        Mode::Evidence => by_evidence(watched, now),
        Mode::Window => by_window(policy, watched, figures),
    });
    let mut reasons: Vec<Reason> = broken.collect();
    // A critical level speaks for its warning level too.
    let critical: Vec<String> =
        reasons.iter().filter(|r| r.level == Level::Critical).map(|r| r.metric.clone()).collect();
    reasons.retain(|r| r.level == Level::Critical || !critical.contains(&r.metric));
    reasons.sort_by_key(|r| r.level == Level::Warning);
    let state = match reasons.first().map(|r| r.level) {
        Some(Level::Critical) => State::Fail,
        Some(Level::Warning) => State::Hold,
        None => State::Pass,
    };
    Verdict { state, reasons }
}

fn by_evidence(watched: &Watched, now: Duration) -> Option<Reason> {
    let evidence = &watched.evidence;
    if !evidence.exceeded() {
        return None;
    }
    let (attempts, events) = (evidence.attempts(), evidence.events());
    let share = events as f64 / attempts.max(1) as f64;
    let (ln, needed) = (evidence.ln(), evidence.needed());
    let bound = watched.bound;
    let text = format!(
        "{}; {events} of {attempts} attempts, evidence {ln:.1} of {needed:.1} needed",
        sentence(bound, watched.level, share)
    );
    Some(Reason {
        metric: bound.metric(),
        level: watched.level,
        limit: limit(bound),
        observed: share,
        attempts,
        events,
        evidence: ln,
        needed,
        for_seconds: now.saturating_sub(evidence.since()).as_secs_f64(),
        text,
    })
}

/// The plain rule. It is offered for those who want it; checked often, it reverts healthy versions.
fn by_window(policy: &Policy, watched: &Watched, figures: &Figures) -> Option<Reason> {
    let (observed, broken) = match watched.bound {
        Bound::Errors { share } => (figures.error_rate, figures.error_rate > share),
        Bound::Slow { quantile, time, .. } => {
            let ms = quantile_ms(&figures.latency_ms, quantile);
            (ms / 1000.0, ms > time.as_secs_f64() * 1000.0)
        }
    };
    if !broken || figures.requests < policy.min_sample {
        return None;
    }
    let what = match watched.bound {
        Bound::Errors { .. } => sentence(watched.bound, watched.level, observed),
        Bound::Slow { time, .. } => {
            let metric = watched.bound.metric();
            format!(
                "{metric} {observed:.3} s is over the {} limit of {}",
                name(watched.level),
                duration::show(time)
            )
        }
    };
    Some(Reason {
        metric: watched.bound.metric(),
        level: watched.level,
        limit: limit(watched.bound),
        observed,
        attempts: figures.requests,
        events: figures.failures,
        evidence: 0.0,
        needed: 0.0,
        for_seconds: figures.seconds,
        text: format!("{what}; {} attempts in the last {:.0} s", figures.requests, figures.seconds),
    })
}

/// In the metric's unit: a share for rates, seconds for latencies.
fn limit(bound: Bound) -> f64 {
    match bound {
        Bound::Errors { share } => share,
        Bound::Slow { time, .. } => time.as_secs_f64(),
    }
}

fn sentence(bound: Bound, level: Level, share: f64) -> String {
    let level = name(level);
    match bound {
        Bound::Errors { share: limit } => {
            format!("error rate {} is over the {level} limit of {}", percent(share), percent(limit))
        }
        Bound::Slow { time, quantile, .. } => format!(
            "{} of the attempts took longer than {}, the {level} limit for all but {}",
            percent(share),
            duration::show(time),
            percent(1.0 - quantile)
        ),
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Critical => "critical",
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn quantile_ms(latency: &Latency, quantile: f64) -> f64 {
    match quantile {
        q if q <= 0.5 => latency.p50,
        q if q <= 0.9 => latency.p90,
        q if q <= 0.95 => latency.p95,
        _ => latency.p99,
    }
}

#[cfg(test)]
mod tests {
    use crate::core::outcome::Totals;
    use crate::core::policy::{Limit, Mode, Policy, Watch};
    use crate::core::verdict::{Level, State};
    use crate::core::window::{Figures, Latency};
    use std::sync::Arc;
    use std::time::Duration;

    fn policy(mode: Mode) -> Arc<Policy> {
        let ms = |n| Some(Duration::from_millis(n));
        Arc::new(Policy {
            name: "default".into(),
            mode,
            alpha: 0.001,
            horizon: 1_000_000,
            window: Duration::from_secs(60),
            min_sample: 500,
            limits: vec![
                Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) },
                Limit::Latency { quantile: 0.95, warning: ms(1000), critical: ms(2000) },
            ],
            signals: Vec::new(),
        })
    }

    fn watch(attempts: u64, failures: u64, slow: u64) -> Watch {
        let mut watch = Watch::new(policy(Mode::Evidence), &Totals::default(), Duration::ZERO);
        let mut totals = Totals { attempts, failures, ..Totals::default() };
        totals.slow[1] = slow;
        totals.fast[1] = attempts - slow;
        watch.observe(Duration::from_secs(9), &totals);
        watch
    }

    #[test]
    fn a_handful_of_failures_fails_with_its_figures() {
        let verdict = watch(7, 7, 0).verdict(Duration::from_secs(9), &Figures::default());
        assert_eq!(verdict.state, State::Fail);
        assert_eq!(verdict.reasons.len(), 1, "the critical level speaks for the warning");
        let reason = &verdict.reasons[0];
        assert_eq!((reason.metric.as_str(), reason.level), ("error_rate", Level::Critical));
        assert_eq!((reason.attempts, reason.events, reason.limit), (7, 7, 0.01));
        assert!(reason.evidence >= reason.needed && reason.needed > 20.0, "{reason:?}");
        println!("{}", reason.text);
    }

    #[test]
    fn a_hanging_candidate_fails_on_latency() {
        let verdict = watch(30, 0, 30).verdict(Duration::from_secs(9), &Figures::default());
        assert_eq!(verdict.state, State::Fail);
        assert_eq!(verdict.reasons[0].metric, "latency_p95");
        println!("{}", verdict.reasons[0].text);
    }

    #[test]
    fn between_the_levels_it_holds() {
        let verdict = watch(60_000, 500, 0).verdict(Duration::from_secs(9), &Figures::default());
        assert_eq!(verdict.state, State::Hold);
        assert_eq!(verdict.reasons[0].level, Level::Warning);
    }

    #[test]
    fn good_traffic_passes() {
        let verdict = watch(60_000, 100, 0).verdict(Duration::from_secs(9), &Figures::default());
        assert_eq!((verdict.state, verdict.reasons.len()), (State::Pass, 0));
    }

    #[test]
    fn the_plain_rule_waits_for_its_sample() {
        let watch = Watch::new(policy(Mode::Window), &Totals::default(), Duration::ZERO);
        let at = |requests, error_rate, p95| {
            let latency_ms = Latency { p95, ..Latency::default() };
            let figures = Figures { requests, error_rate, latency_ms, ..Figures::default() };
            watch.verdict(Duration::ZERO, &figures).state
        };
        assert_eq!(at(499, 1.0, 0.0), State::Pass);
        assert_eq!(at(500, 0.02, 0.0), State::Fail);
        assert_eq!(at(500, 0.007, 0.0), State::Hold);
        assert_eq!(at(500, 0.0, 2500.0), State::Fail);
        assert_eq!(at(500, 0.0, 1500.0), State::Hold);
        assert_eq!(at(500, 0.001, 100.0), State::Pass);
    }

    #[test]
    fn each_latency_level_has_its_place() {
        let limits = policy(Mode::Evidence).slow_limits();
        assert_eq!(limits.0[..3], [1_000_000, 2_000_000, u32::MAX]);
    }

    #[test]
    fn a_body_that_breaks_later_counts_once() {
        let mut watch = Watch::new(policy(Mode::Evidence), &Totals::default(), Duration::ZERO);
        let mut totals = Totals { attempts: 10, ..Totals::default() };
        watch.observe(Duration::ZERO, &totals);
        totals.failures = 8;
        watch.observe(Duration::ZERO, &totals);
        assert_eq!(watch.verdict(Duration::ZERO, &Figures::default()).state, State::Fail);
        assert_eq!(watch.attempts(), 10);
    }
}
