//! From counters to verdicts.

use crate::core::outcome::Totals;
use crate::core::policy::{Circumstances, Limit, Mode, Policy, Reaction, Watch};
use crate::core::verdict::{Level, State};
use crate::core::window::{Figures, Latency};
use std::sync::Arc;
use std::time::Duration;

fn policy(mode: Mode) -> Arc<Policy> {
    let ms = |n| Some(Duration::from_millis(n));
    Arc::new(Policy {
        mode,
        limits: vec![
            Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) },
            Limit::Latency { quantile: 0.95, warning: ms(1000), critical: ms(2000) },
        ],
        ..Policy::default()
    })
}

fn watch(attempts: u64, failures: u64, slow: u64) -> Watch {
    let mut watch = Watch::new(policy(Mode::Evidence), &Totals::default(), None, Duration::ZERO);
    let mut totals = Totals { attempts, failures, ..Totals::default() };
    totals.slow[1] = slow;
    totals.fast[1] = attempts - slow;
    watch.observe(Duration::from_secs(9), &totals, None);
    watch
}

#[test]
fn a_handful_of_failures_fails_with_its_figures() {
    let verdict = watch(7, 7, 0).verdict(Duration::from_secs(9), &Circumstances::default());
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
    let verdict = watch(30, 0, 30).verdict(Duration::from_secs(9), &Circumstances::default());
    assert_eq!(verdict.state, State::Fail);
    assert_eq!(verdict.reasons[0].metric, "latency_p95");
    println!("{}", verdict.reasons[0].text);
}

#[test]
fn between_the_levels_it_holds() {
    let verdict = watch(60_000, 500, 0).verdict(Duration::from_secs(9), &Circumstances::default());
    assert_eq!(verdict.state, State::Hold);
    assert_eq!(verdict.reasons[0].level, Level::Warning);
}

#[test]
fn good_traffic_passes() {
    let verdict = watch(60_000, 100, 0).verdict(Duration::from_secs(9), &Circumstances::default());
    assert_eq!((verdict.state, verdict.reasons.len()), (State::Pass, 0));
}

#[test]
fn the_plain_rule_waits_for_its_sample() {
    let watch = Watch::new(policy(Mode::Window), &Totals::default(), None, Duration::ZERO);
    let at = |requests, error_rate, p95| {
        let latency_ms = Latency { p95, ..Latency::default() };
        let figures = Figures { requests, error_rate, latency_ms, ..Figures::default() };
        watch.verdict(Duration::ZERO, &Circumstances { figures, ..Circumstances::default() }).state
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
    let mut watch = Watch::new(policy(Mode::Evidence), &Totals::default(), None, Duration::ZERO);
    let mut totals = Totals { attempts: 10, ..Totals::default() };
    watch.observe(Duration::ZERO, &totals, None);
    totals.failures = 8;
    watch.observe(Duration::ZERO, &totals, None);
    assert_eq!(watch.verdict(Duration::ZERO, &Circumstances::default()).state, State::Fail);
    assert_eq!(watch.attempts(), 10);
}

/// A candidate and stable under `edit`ed rules, with their counters.
struct Pair {
    watch: Watch,
    candidate: Totals,
    stable: Totals,
}

impl Pair {
    fn new(edit: impl FnOnce(&mut Policy)) -> Self {
        let limits = vec![Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) }];
        let mut policy = Policy { limits, ..Policy::default() };
        edit(&mut policy);
        let none = Totals::default();
        let watch = Watch::new(Arc::new(policy), &none, Some(&none), Duration::ZERO);
        Pair { watch, candidate: Totals::default(), stable: Totals::default() }
    }

    /// Rounds of attempts and failures, of the candidate and of stable.
    fn rounds(&mut self, rounds: u64, candidate: (u64, u64), stable: (u64, u64)) {
        for _ in 0..rounds {
            self.candidate.attempts += candidate.0;
            self.candidate.failures += candidate.1;
            self.stable.attempts += stable.0;
            self.stable.failures += stable.1;
            self.watch.observe(Duration::from_secs(1), &self.candidate, Some(&self.stable));
        }
    }

    fn word(&self) -> (State, Option<String>) {
        self.word_with(&Circumstances { stable_up: true, ..Circumstances::default() })
    }

    fn word_with(&self, seen: &Circumstances<'_>) -> (State, Option<String>) {
        let verdict = self.watch.verdict(Duration::from_secs(2), seen);
        for reason in &verdict.reasons {
            println!("{:?}: {}: {}", verdict.state, reason.metric, reason.text);
        }
        (verdict.state, verdict.reasons.first().map(|reason| reason.metric.clone()))
    }
}

fn said(state: State, metric: &str) -> (State, Option<String>) {
    (state, Some(metric.to_owned()))
}

#[test]
fn a_shared_outage_holds_until_only_the_candidate_is_left_failing() {
    let mut pair = Pair::new(|_| ());
    pair.rounds(100, (2, 1), (6, 3));
    assert_eq!(pair.word(), said(State::Hold, "shared_outage"));
    pair.rounds(40, (2, 1), (6, 0));
    assert_eq!(pair.word(), said(State::Fail, "error_rate"));
}

#[test]
fn when_both_recover_nobody_is_blamed_and_nothing_is_left() {
    let mut pair = Pair::new(|_| ());
    pair.rounds(100, (2, 1), (6, 3));
    pair.rounds(120, (2, 0), (6, 0));
    assert_eq!(pair.word(), (State::Pass, None), "the warning level begins anew, too");
}

#[test]
fn stable_that_lost_its_traffic_excuses_nothing() {
    let mut pair = Pair::new(|_| ());
    pair.rounds(100, (2, 1), (6, 3));
    assert_eq!(pair.word(), said(State::Hold, "shared_outage"));
    pair.rounds(400, (2, 1), (0, 0));
    assert_eq!(pair.word(), said(State::Fail, "error_rate"));
}

#[test]
fn a_shared_outage_may_abort() {
    let mut pair = Pair::new(|policy| policy.on_shared_outage = Reaction::Abort);
    pair.rounds(100, (2, 1), (6, 3));
    assert_eq!(pair.word(), said(State::Fail, "error_rate"));
}

#[test]
fn worse_than_stable_within_the_limit_holds_aborts_or_is_ignored() {
    for (relative, expected) in [
        (Reaction::Hold, said(State::Hold, "error_rate_relative")),
        (Reaction::Abort, said(State::Fail, "error_rate_relative")),
        (Reaction::Off, (State::Pass, None)),
    ] {
        let mut pair = Pair::new(|policy| {
            policy.relative = relative;
            policy.limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.1) }];
        });
        pair.rounds(80, (20, 1), (20, 0));
        assert_eq!(pair.word(), expected);
    }
}

#[test]
fn how_much_worse_it_may_be_is_the_ratio() {
    for (ratio, expected) in [(1.5, State::Hold), (6.0, State::Pass)] {
        let mut pair = Pair::new(|policy| {
            policy.relative_ratio = ratio;
            policy.limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.4) }];
        });
        pair.rounds(150, (10, 1), (50, 1));
        assert_eq!(pair.word().0, expected, "five times as often as stable");
    }
}

#[test]
fn one_client_is_not_a_version_where_several_are_asked_for() {
    let mut pair = Pair::new(|policy| policy.min_clients = 2);
    pair.rounds(10, (1, 0), (9, 0));
    assert_eq!(pair.watch.clients_since(Duration::from_secs(2)), None, "nothing to count yet");
    pair.rounds(20, (1, 1), (9, 0));
    assert!(pair.watch.clients_since(Duration::from_secs(2)).is_some());
    let seen = |clients| Circumstances { clients, stable_up: true, ..Circumstances::default() };
    assert_eq!(pair.word_with(&seen(1)), said(State::Hold, "clients"));
    assert_eq!(pair.word_with(&seen(2)), said(State::Fail, "error_rate"));
}

#[test]
fn clients_are_counted_from_before_the_first_failure() {
    let mut watch = Pair::new(|policy| policy.min_clients = 2).watch;
    let at = Duration::from_secs;
    watch.observe(at(1), &Totals { attempts: 50, ..Totals::default() }, None);
    watch.observe(at(2), &Totals { attempts: 90, failures: 20, ..Totals::default() }, None);
    assert_eq!(watch.clients_since(at(2)), Some(at(1)), "the failures came between the two looks");
}

#[test]
fn an_upstream_found_down_fails_holds_or_is_shared() {
    let down = || Some("10.0.0.3:3000: answered 503".to_owned());
    let seen = |stable_up| Circumstances { down: down(), stable_up, ..Circumstances::default() };
    let pair = |level| Pair::new(|policy| policy.health = level);
    assert_eq!(pair(Some(Level::Critical)).word_with(&seen(true)), said(State::Fail, "health"));
    assert_eq!(pair(Some(Level::Warning)).word_with(&seen(true)), said(State::Hold, "health"));
    assert_eq!(pair(None).word_with(&seen(true)), (State::Pass, None));
    assert_eq!(pair(Some(Level::Critical)).word_with(&seen(false)), said(State::Hold, "shared_outage"));
}

#[test]
fn differences_are_judged_as_failures_are() {
    let limits = vec![Limit::Differences { warning: Some(0.01), critical: Some(0.05) }];
    let judged = |mode, compared, differing| {
        let policy = Arc::new(Policy { mode, limits: limits.clone(), ..Policy::default() });
        let stable = Totals { attempts: 10_000, failures: 10_000, ..Totals::default() };
        let mut watch = Watch::new(policy, &Totals::default(), Some(&Totals::default()), Duration::ZERO);
        let totals = Totals { attempts: 50_000, compared, differing, ..Totals::default() };
        watch.observe(Duration::from_secs(9), &totals, Some(&stable));
        let figures = Figures { compared, differing, ..Figures::default() };
        watch.verdict(Duration::from_secs(9), &Circumstances { figures, ..Circumstances::default() })
    };
    for mode in [Mode::Evidence, Mode::Window] {
        assert_eq!(judged(mode, 1_000, 0).state, State::Pass);
        assert_eq!(judged(mode, 20_000, 600).state, State::Hold);
        let verdict = judged(mode, 1_000, 200);
        assert_eq!(verdict.state, State::Fail, "stable has no part in it");
        let reason = &verdict.reasons[0];
        // Of the stretch that the evidence rests on.
        assert!((reason.observed - 0.2).abs() < 0.01, "{reason:?}");
        assert_eq!((reason.metric.as_str(), reason.limit), ("differences", 0.05));
        println!("{}", reason.text);
        let told = "of the answers differ from stable's, over the critical limit of 5 %";
        assert!(reason.text.contains(told), "{}", reason.text);
    }
    assert_eq!(judged(Mode::Window, 400, 400).state, State::Pass, "the plain rule waits for its sample");
}
