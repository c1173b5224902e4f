//! Recorded attempts, in their order, under a policy.

mod kinds;
mod live;

use super::attempt::{Mark, ReplayAttempt, ReplayRole};
use super::order::{Fact, ReplayOrder, What};
use super::stretch::ReplayStretch;
use super::tally::Tally;
use super::trade::Outcomes;
use super::{Replay, Setting};
use crate::core::client::ClientKey;
use crate::core::event::Event;
use crate::core::outcome::{Outcome, Reason, SlowLimits, Thresholds};
use crate::core::policy::{Limit, Mode, Policy};
use std::sync::Arc;
use std::time::Duration;

const FAILED: Outcome = Outcome::Failure(Reason::Status);
const MINE: Setting =
    Setting { subject: ReplayRole::Candidate, compared: true, gap: Duration::from_secs(300), again: false };

fn attempt(role: ReplayRole, started_us: u64, took_us: u64, outcome: Outcome) -> ReplayAttempt {
    let code = if outcome == FAILED { 500 } else { 200 };
    let mark = Mark { line: started_us, request: Some(format!("r{started_us}").into()) };
    let client = Some(ClientKey::of([10, 0, 0, (started_us % 7) as u8].into()));
    let seen_failed = Some(outcome == FAILED);
    let known_us = started_us + took_us;
    let (broke_us, end, group) = (None, None, None);
    ReplayAttempt {
        role,
        started_us,
        known_us,
        broke_us,
        end,
        outcome,
        code,
        client,
        group,
        mark,
        seen_failed,
    }
}

fn policy(limits: Vec<Limit>) -> Arc<Policy> {
    Arc::new(Policy { limits, ..Policy::default() })
}

fn one_percent() -> Arc<Policy> {
    policy(vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }])
}

fn facts(slow: SlowLimits, attempts: Vec<ReplayAttempt>) -> Vec<Fact> {
    let mut order = ReplayOrder::new(slow);
    for attempt in attempts {
        let ended_us = attempt.broke_us.unwrap_or(attempt.known_us);
        order.push(attempt, ended_us);
    }
    std::iter::from_fn(|| order.release()).collect()
}

fn replay(policy: &Arc<Policy>, setting: Setting, attempts: Vec<ReplayAttempt>) -> Vec<ReplayStretch> {
    let mut replay = Replay::new(policy.clone(), setting);
    for fact in facts(policy.thresholds(false).slow, attempts) {
        replay.feed(&fact);
    }
    replay.finish()
}

/// One attempt on the candidate to nine on stable, 10 ms apart.
fn traffic(
    count: u64,
    candidate: impl Fn(u64) -> Outcome,
    stable: impl Fn(u64) -> Outcome,
) -> Vec<ReplayAttempt> {
    let each = |index: u64| match index % 10 {
        9 => attempt(ReplayRole::Candidate, index * 10_000, 2_000, candidate(index / 10)),
        _ => attempt(ReplayRole::Stable, index * 10_000, 2_000, stable(index)),
    };
    (0..count).map(each).collect()
}

#[test]
fn a_bad_version_is_aborted_at_its_sixth_failure_and_users_are_counted() {
    let fails = |index| if index < 20 { Outcome::Success } else { FAILED };
    let stretches = replay(&one_percent(), MINE, traffic(500, fails, |_| Outcome::Success));
    let [stretch] = stretches.as_slice() else { panic!("{} stretches", stretches.len()) };
    let decision = stretch.decision().expect("an abort");
    assert_eq!((decision.attempts, decision.failures, decision.seen), (26, 6, 6));
    assert_eq!(decision.mark.as_ref().and_then(|mark| mark.request.as_deref()), Some("r2590000"));
    assert_eq!(decision.at, Duration::from_micros(2_592_000));
    assert!(decision.text.contains("6 of 6 attempts"), "{}", decision.text);
    assert_eq!((stretch.attempts, stretch.failures, stretch.seen, stretch.spared), (50, 30, 30, 24));
}

#[test]
fn a_good_version_is_not_and_a_shared_outage_is_held() {
    let good = replay(&one_percent(), MINE, traffic(20_000, |_| Outcome::Success, |_| Outcome::Success));
    assert!(good[0].changes.is_empty(), "{:?}", good[0].changes);
    let both = |index: u64| if index.is_multiple_of(5) { FAILED } else { Outcome::Success };
    let shared = replay(&one_percent(), MINE, traffic(20_000, both, |index| both(index / 9)));
    let texts: Vec<_> = shared[0].changes.iter().map(|change| (change.event, &*change.text)).collect();
    assert!(shared[0].decision().is_none(), "{texts:?}");
    assert!(
        texts.iter().any(|(event, text)| *event == Event::Held && text.contains("both pools fail")),
        "{texts:?}"
    );
    let alone = Setting { compared: false, ..MINE };
    assert!(
        replay(&one_percent(), alone, traffic(20_000, both, |_| Outcome::Success))[0].decision().is_some()
    );
}

#[test]
fn what_hangs_is_found_at_the_limit_not_at_its_answer() {
    let critical = Some(Duration::from_millis(300));
    let policy = policy(vec![Limit::Latency { quantile: 0.95, warning: None, critical }]);
    let hangs = |index: u64| attempt(ReplayRole::Candidate, index * 10_000, 60_000_000, Outcome::Success);
    let stretches = replay(&policy, MINE, (0..40).map(hangs).collect());
    let decision = stretches[0].decision().expect("an abort");
    assert!(decision.at < Duration::from_secs(1), "{:?}", decision.at);
    assert!(decision.text.contains("longer than 300ms"), "{}", decision.text);
    assert_eq!(decision.attempts, 0, "none is answered yet");
}

#[test]
fn after_a_gap_another_stretch_begins() {
    let later = |mut attempt: ReplayAttempt| {
        attempt.started_us += 1_000_000_000;
        attempt.known_us += 1_000_000_000;
        attempt
    };
    let bad = || traffic(200, |_| FAILED, |_| Outcome::Success);
    let all: Vec<_> = bad().into_iter().chain(bad().into_iter().map(later)).collect();
    let stretches = replay(&one_percent(), MINE, all);
    let decided: Vec<_> = stretches.iter().map(|stretch| stretch.decision().map(|d| d.failures)).collect();
    assert_eq!(decided, [Some(6), Some(6)]);
}

#[test]
fn the_plain_rule_sees_its_window_go_by() {
    let limits = one_percent().limits.clone();
    let plain = Policy { mode: Mode::Window, min_sample: 40, limits, ..Policy::default() };
    let fails = |index: u64| if index.is_multiple_of(20) { FAILED } else { Outcome::Success };
    let stretches = replay(&Arc::new(plain), MINE, traffic(2_000, fails, |_| Outcome::Success));
    let decision = stretches[0].decision().expect("an abort");
    assert!((40..=60).contains(&decision.attempts), "{decision:?}");
}

#[test]
fn failures_of_few_clients_are_held() {
    let policy = Arc::new(Policy { min_clients: 8, ..Policy::clone(&one_percent()) });
    let stretches = replay(&policy, MINE, traffic(1_000, |_| FAILED, |_| Outcome::Success));
    assert!(stretches[0].decision().is_none());
    assert!(stretches[0].changes[0].text.contains("8 are needed"), "{}", stretches[0].changes[0].text);
}

#[test]
fn an_answer_that_breaks_is_a_success_first() {
    let slow = SlowLimits::default();
    let mut broken = attempt(ReplayRole::Candidate, 0, 1_000, Outcome::Failure(Reason::Reset));
    broken.broke_us = Some(500_000);
    let facts = facts(slow, vec![broken, attempt(ReplayRole::Candidate, 100, 2_000, Outcome::Success)]);
    let order: Vec<_> = facts.iter().map(|fact| (fact.at_us, fact.what)).collect();
    assert_eq!(order, [(1_000, What::Known), (2_100, What::Known), (500_000, What::Broke)]);
    let mut tally = Tally::new(slow.into());
    let mut seen = Vec::new();
    for fact in &facts {
        tally.take(fact);
        seen.push((tally.totals().attempts, tally.totals().failures));
    }
    assert_eq!(seen, [(1, 0), (2, 0), (2, 1)]);
}

#[test]
fn what_is_released_waits_for_earlier_ones_and_late_ones_are_counted() {
    let mut order = ReplayOrder::new(SlowLimits::default());
    order.push(attempt(ReplayRole::Stable, 10_000_000, 1_000, Outcome::Success), 10_001_000);
    order.push(attempt(ReplayRole::Stable, 5_000_000, 1_000, Outcome::Success), 40_000_000);
    assert!(order.due().is_none(), "others may still be before it");
    order.push(attempt(ReplayRole::Stable, 99_000_000, 1_000, Outcome::Success), 99_001_000);
    let released: Vec<_> = std::iter::from_fn(|| order.due()).map(|fact| fact.at_us).collect();
    assert_eq!(released, [5_001_000, 10_001_000]);
    order.push(attempt(ReplayRole::Stable, 1_000_000, 1_000, Outcome::Success), 99_500_000);
    assert_eq!((order.late(), order.release().map(|fact| fact.at_us)), (1, Some(10_001_000)));
}

#[test]
fn false_aborts_are_counted_on_stable_itself_and_resampled_the_same_by_the_same_seed() {
    let fails =
        |every: u64| move |index: u64| if index.is_multiple_of(every) { FAILED } else { Outcome::Success };
    let mirror = Setting { subject: ReplayRole::Stable, compared: false, again: true, ..MINE };
    let run = |every| {
        let (mut replay, mut outcomes) = (Replay::new(one_percent(), mirror), Outcomes::default());
        for fact in facts(SlowLimits::default(), traffic(30_000, |_| Outcome::Success, fails(every))) {
            replay.feed(&fact);
            if fact.attempt.role == ReplayRole::Stable {
                outcomes.keep(&fact, &Thresholds::default());
            }
        }
        assert_eq!(outcomes.len(), 27_000);
        let resampled = outcomes.resample(&one_percent(), 7, 20).expect("outcomes");
        assert_eq!(outcomes.resample(&one_percent(), 7, 20), Some(resampled));
        (replay.aborts(), resampled.aborted)
    };
    assert_eq!(run(500), (0, 0), "0.2 % failing under a limit of 1 %");
    let (aborts, resampled) = run(10);
    assert!(aborts > 10, "it begins again each time: {aborts}");
    assert_eq!(resampled, 20);
}
