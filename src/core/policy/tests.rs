//! From counters to verdicts.

use crate::core::client::{ClientCount, Met};
use crate::core::outcome::Totals;
use crate::core::passive::{Accusation, EndedAttempts};
use crate::core::policy::{
    Circumstances, Counted, Limit, Mode, Policy, PolicyEvaluation, Reaction, RelativeReactions, Witnesses,
};
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

fn watch(attempts: u64, failures: u64, slow: u64) -> PolicyEvaluation {
    let mut watch = PolicyEvaluation::new(
        policy(Mode::Evidence),
        Counted::of(&Totals::default(), None),
        None,
        Duration::ZERO,
    );
    let mut totals = Totals { attempts, failures, ..Totals::default() };
    totals.slow[1] = slow;
    totals.fast[1] = attempts - slow;
    watch.observe(Duration::from_secs(9), Counted::of(&totals, None));
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

/// Whatever speaks against the candidate, so many clients met it.
#[derive(Debug)]
struct Clients(ClientCount);

impl Witnesses for Clients {
    fn clients(&self, _met: Met, _since: Duration) -> ClientCount {
        self.0
    }
}

static CLIENTS: [Clients; 4] = [named(0), named(1), named(2), named(3)];

const fn named(named: usize) -> Clients {
    Clients(ClientCount { named, nameless: false })
}

fn slow_for(clients: usize) -> Circumstances<'static> {
    Circumstances { witnesses: Some(&CLIENTS[clients]), stable_up: true, ..Circumstances::default() }
}

#[test]
fn a_slow_answer_needs_three_clients_unless_nobody_has_a_name() {
    let at = Duration::from_secs(9);
    let hangs = watch(30, 0, 30);
    for (clients, expected) in [(0, State::Hold), (2, State::Hold), (3, State::Fail)] {
        let verdict = hangs.verdict(at, &slow_for(clients));
        assert_eq!(verdict.state, expected, "{clients}: {:?}", verdict.reasons);
    }
    let held = hangs.verdict(at, &slow_for(1));
    let reason = &held.reasons[0];
    assert_eq!((reason.metric.as_str(), reason.limit, reason.observed), ("clients", 3.0, 1.0));
    assert!(reason.text.contains("only 1 client met slow answers, and 3 are needed"), "{}", reason.text);
    let untold = Clients(ClientCount { named: 0, nameless: true });
    let seen = Circumstances { witnesses: Some(&untold), ..Circumstances::default() };
    assert_eq!(hangs.verdict(at, &seen).state, State::Fail, "behind a proxy that names nobody");
    let mixed = Clients(ClientCount { named: 1, nameless: true });
    let seen = Circumstances { witnesses: Some(&mixed), ..Circumstances::default() };
    assert_eq!(hangs.verdict(at, &seen).state, State::Hold);
}

#[test]
fn the_plain_rule_and_the_comparison_ask_for_three_clients_too() {
    let watch = PolicyEvaluation::new(
        policy(Mode::Window),
        Counted::of(&Totals::default(), None),
        None,
        Duration::ZERO,
    );
    let latency_ms = Latency { p95: 2500.0, ..Latency::default() };
    let figures = Figures { requests: 500, latency_ms, ..Figures::default() };
    let seen = |clients| Circumstances { figures, ..slow_for(clients) };
    assert_eq!(watch.verdict(Duration::ZERO, &seen(2)).state, State::Hold);
    assert_eq!(watch.verdict(Duration::ZERO, &seen(3)).state, State::Fail);

    let limits =
        vec![Limit::Latency { quantile: 0.5, warning: None, critical: Some(Duration::from_secs(2)) }];
    let policy = Policy { limits, relative: RelativeReactions::all(Reaction::Abort), ..Policy::default() };
    let none = Totals::default();
    let mut watch =
        PolicyEvaluation::new(Arc::new(policy), Counted::of(&none, Some(&none)), None, Duration::ZERO);
    let (mut candidate, mut stable) = (Totals::default(), Totals::default());
    for _ in 0..200 {
        (candidate.attempts, candidate.fast[0], candidate.slow[0]) =
            (candidate.attempts + 10, candidate.fast[0] + 6, candidate.slow[0] + 4);
        (stable.attempts, stable.fast[0], stable.slow[0]) =
            (stable.attempts + 10, stable.fast[0] + 10, stable.slow[0]);
        watch.observe(Duration::from_secs(1), Counted::of(&candidate, Some(&stable)));
    }
    let verdict = |clients| watch.verdict(Duration::from_secs(1), &slow_for(clients));
    assert_eq!(verdict(2).state, State::Hold, "{:?}", verdict(2).reasons);
    assert_eq!(verdict(3).state, State::Fail, "{:?}", verdict(3).reasons);
}

#[test]
fn an_upstream_that_was_taken_out_fails_holds_or_is_shared() {
    let accused = |failures, attempts| {
        let ended = EndedAttempts { attempts, failures };
        let accusation =
            Accusation { upstream: "10.0.0.3:80".into(), ended, since: Duration::ZERO, clients: 1 };
        Circumstances { ejected: Some(accusation), stable_up: true, ..Circumstances::default() }
    };
    let pair = |level| Pair::new(|policy| policy.health = level);
    let critical = Some(Level::Critical);
    assert_eq!(pair(critical).word_with(&accused(3, 3)), said(State::Fail, "health"));
    assert_eq!(pair(critical).word_with(&accused(3, 0)), said(State::Fail, "health"), "not ended yet");
    assert_eq!(pair(critical).word_with(&accused(3, 60)), said(State::Hold, "health"), "5 %, over the limit");
    assert_eq!(pair(critical).word_with(&accused(3, 1000)), (State::Pass, None), "within the limit");
    assert_eq!(pair(Some(Level::Warning)).word_with(&accused(3, 3)), said(State::Hold, "health"));
    assert_eq!(pair(None).word_with(&accused(3, 3)), (State::Pass, None));
    let shared = Circumstances { stable_ejected: true, ..accused(3, 3) };
    assert_eq!(pair(critical).word_with(&shared), said(State::Hold, "shared_outage"));
    let mut pair = Pair::new(|policy| (policy.health, policy.min_clients) = (critical, 3));
    assert_eq!(pair.word_with(&accused(3, 3)), said(State::Hold, "clients"));
    pair = Pair::new(|policy| (policy.health, policy.limits) = (critical, Vec::new()));
    assert_eq!(pair.word_with(&accused(3, 1000)), said(State::Hold, "health"), "no limit allows it");
}

#[test]
fn a_hanging_candidate_fails_on_latency() {
    let verdict = watch(30, 0, 30).verdict(Duration::from_secs(9), &slow_for(3));
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
    let watch = PolicyEvaluation::new(
        policy(Mode::Window),
        Counted::of(&Totals::default(), None),
        None,
        Duration::ZERO,
    );
    let at = |requests, error_rate, p95| {
        let latency_ms = Latency { p95, ..Latency::default() };
        let figures = Figures { requests, error_rate, latency_ms, ..Figures::default() };
        watch.verdict(Duration::ZERO, &Circumstances { figures, ..slow_for(3) }).state
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
    let limits = policy(Mode::Evidence).thresholds(false).slow;
    assert_eq!(limits.0[..3], [1_000_000, 2_000_000, u32::MAX]);
}

#[test]
fn a_body_that_breaks_later_counts_once() {
    let mut watch = PolicyEvaluation::new(
        policy(Mode::Evidence),
        Counted::of(&Totals::default(), None),
        None,
        Duration::ZERO,
    );
    let mut totals = Totals { attempts: 10, ..Totals::default() };
    watch.observe(Duration::ZERO, Counted::of(&totals, None));
    totals.failures = 8;
    watch.observe(Duration::ZERO, Counted::of(&totals, None));
    assert_eq!(watch.verdict(Duration::ZERO, &Circumstances::default()).state, State::Fail);
    assert_eq!(watch.attempts(), 10);
}

/// A candidate and stable under `edit`ed rules, with their counters.
struct Pair {
    watch: PolicyEvaluation,
    candidate: Totals,
    stable: Totals,
}

impl Pair {
    fn new(edit: impl FnOnce(&mut Policy)) -> Self {
        let limits = vec![Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) }];
        let mut policy = Policy { limits, ..Policy::default() };
        edit(&mut policy);
        let none = Totals::default();
        let watch =
            PolicyEvaluation::new(Arc::new(policy), Counted::of(&none, Some(&none)), None, Duration::ZERO);
        Pair { watch, candidate: Totals::default(), stable: Totals::default() }
    }

    /// Rounds of attempts and failures, of the candidate and of stable.
    fn rounds(&mut self, rounds: u64, candidate: (u64, u64), stable: (u64, u64)) {
        for _ in 0..rounds {
            self.candidate.attempts += candidate.0;
            self.candidate.failures += candidate.1;
            self.stable.attempts += stable.0;
            self.stable.failures += stable.1;
            self.watch.observe(Duration::from_secs(1), Counted::of(&self.candidate, Some(&self.stable)));
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
    assert_eq!(pair.word(), (State::Pass, None), "the warning level begins again, too");
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
            policy.relative = RelativeReactions::all(relative);
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
    pair.rounds(20, (1, 1), (9, 0));
    let seen = slow_for;
    assert_eq!(pair.word_with(&seen(1)), said(State::Hold, "clients"));
    assert_eq!(pair.word_with(&seen(2)), said(State::Fail, "error_rate"));
}

/// Met failures right after the first look, a second after the beginning.
#[derive(Debug)]
struct SinceFirstLook;

impl Witnesses for SinceFirstLook {
    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        let is_asked = met == Met::Failures && since <= Duration::from_secs(1);
        ClientCount { named: if is_asked { 2 } else { 0 }, nameless: false }
    }
}

#[test]
fn clients_are_counted_from_before_the_first_failure() {
    let mut watch = Pair::new(|policy| policy.min_clients = 2).watch;
    let at = Duration::from_secs;
    watch.observe(at(1), Counted::of(&Totals { attempts: 50, ..Totals::default() }, None));
    watch.observe(at(2), Counted::of(&Totals { attempts: 90, failures: 20, ..Totals::default() }, None));
    let seen =
        Circumstances { witnesses: Some(&SinceFirstLook), stable_up: true, ..Circumstances::default() };
    assert_eq!(watch.verdict(at(2), &seen).state, State::Fail, "the failures came between the two looks");
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
        let none = Totals::default();
        let counted = Counted::of(&none, Some(&none));
        let mut watch = PolicyEvaluation::new(policy, counted, None, Duration::ZERO);
        let totals = Totals { attempts: 50_000, compared, differing, ..Totals::default() };
        watch.observe(Duration::from_secs(9), Counted::of(&totals, Some(&stable)));
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
