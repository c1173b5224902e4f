//! Kinds of events, groups and the baseline, as a log tells of them.

use super::*;
use crate::core::group::{Shape, name};
use crate::core::policy::{Reaction, RelativeReactions};
use crate::core::replay::attempt::{Ending, LoggedEnd, LoggedGroup};

const OK: Outcome = Outcome::Success;

/// A good answer to a GET of one page, from one of many clients.
fn good(role: ReplayRole, started_us: u64) -> ReplayAttempt {
    let client = ClientKey::of([10, 0, (started_us >> 8) as u8, started_us as u8].into());
    let end = Some(LoggedEnd { took_us: 4_000, ending: Ending::Whole });
    let attempt = attempt(role, started_us, 2_000, OK);
    ReplayAttempt { end, client: Some(client), group: Some(group("GET", "/page")), ..attempt }
}

fn group(method: &str, path: &str) -> LoggedGroup {
    let shape = Shape::of(0, method.as_bytes(), path.as_bytes());
    LoggedGroup { shape, name: name(method, path.as_bytes()).into() }
}

/// Stable alone for a while, then one in four for the candidate; what each attempt is, by its index.
fn rollout(each: impl Fn(ReplayRole, u64, ReplayAttempt) -> ReplayAttempt) -> Vec<ReplayAttempt> {
    let alone = (0..4_000).map(|index| (ReplayRole::Stable, index));
    let beside = (4_000..12_000)
        .map(|index| (if index % 4 == 3 { ReplayRole::Candidate } else { ReplayRole::Stable }, index));
    alone.chain(beside).map(|(role, index)| each(role, index, good(role, index * 10_007))).collect()
}

fn aborting(limits: Vec<Limit>) -> Arc<Policy> {
    let relative = RelativeReactions::all(Reaction::Abort);
    Arc::new(Policy { limits, relative, ..Policy::default() })
}

/// The decision of the one stretch.
#[track_caller]
fn reason(policy: &Arc<Policy>, attempts: Vec<ReplayAttempt>) -> crate::core::verdict::Reason {
    let stretches = replay(policy, MINE, attempts);
    let [stretch] = stretches.as_slice() else { panic!("{} stretches", stretches.len()) };
    let decision = stretch.decision().unwrap_or_else(|| panic!("an abort: {:?}", stretch.changes));
    decision.reasons[0].clone()
}

#[test]
fn every_kind_a_log_tells_of_is_found() {
    let code = |code: u16| move |attempt: ReplayAttempt| ReplayAttempt { code, ..attempt };
    let end = |took_us, ending| {
        move |attempt: ReplayAttempt| ReplayAttempt { end: Some(LoggedEnd { took_us, ending }), ..attempt }
    };
    let left = |attempt: ReplayAttempt| ReplayAttempt {
        outcome: Outcome::Abandoned,
        code: 0,
        end: None,
        known_us: attempt.started_us + 90_000,
        ..attempt
    };
    let slow = |attempt: ReplayAttempt| ReplayAttempt { known_us: attempt.started_us + 30_000, ..attempt };
    let kinds: [(&str, &dyn Fn(ReplayAttempt) -> ReplayAttempt); 6] = [
        ("4xx", &code(404)),
        ("3xx", &code(302)),
        ("empty", &end(4_000, Ending::Empty)),
        ("duration", &end(400_000, Ending::Whole)),
        ("latency", &slow),
        ("abandoned", &left),
    ];
    let policy = aborting(vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }]);
    for (kind, bad) in kinds {
        let of = |role, index: u64, attempt| match role {
            ReplayRole::Candidate if !index.is_multiple_of(3) => bad(attempt),
            _ => attempt,
        };
        assert_eq!(reason(&policy, rollout(of)).kind, kind);
        let same = |_, index: u64, attempt| if index.is_multiple_of(3) { bad(attempt) } else { attempt };
        let both = replay(&policy, MINE, rollout(same));
        assert!(both[0].decision().is_none(), "{kind} of both: {:?}", both[0].changes);
    }
}

#[test]
fn limits_of_durations_and_of_clients_that_left_are_kept() {
    let critical = Some(Duration::from_millis(100));
    let policy = policy(vec![Limit::Duration { quantile: 0.95, warning: None, critical }]);
    let of = |role, _, attempt| match role {
        ReplayRole::Candidate => {
            ReplayAttempt { end: Some(LoggedEnd { took_us: 150_000, ending: Ending::Cut }), ..attempt }
        }
        ReplayRole::Stable => attempt,
    };
    let found = reason(&policy, rollout(of));
    assert_eq!((found.metric.as_str(), found.kind.as_str()), ("duration_p95", "duration"), "{}", found.text);
}

#[test]
fn a_dead_route_is_named() {
    let of = |role, index: u64, attempt: ReplayAttempt| match index % 50 {
        3 => {
            let outcome = if role == ReplayRole::Candidate { FAILED } else { OK };
            ReplayAttempt { outcome, group: Some(group("POST", "/checkout/12345")), end: None, ..attempt }
        }
        _ => attempt,
    };
    let policy = policy(vec![Limit::ErrorRate { warning: None, critical: Some(0.05) }]);
    let found = reason(&policy, rollout(of));
    assert_eq!(found.group.as_deref(), Some("POST /checkout/*"), "{}", found.text);
    assert!(found.events <= 11 && found.text.contains("on stable 0 of"), "{}", found.text);
}

#[test]
fn what_stable_broke_before_is_the_yardstick() {
    let of = |role, index: u64, attempt| match (role, index % 20) {
        (_, 0 | 7) => ReplayAttempt { outcome: FAILED, code: 503, end: None, ..attempt },
        _ => attempt,
    };
    let policy = one_percent();
    let both = replay(&policy, MINE, rollout(of));
    assert!(both[0].decision().is_none(), "{:?}", both[0].changes);
    let worse = |role, index: u64, attempt| match role {
        ReplayRole::Candidate if index.is_multiple_of(3) => {
            ReplayAttempt { outcome: FAILED, code: 503, end: None, ..attempt }
        }
        _ => of(role, index, attempt),
    };
    let found = reason(&policy, rollout(worse));
    assert!(found.text.contains("raised from 1 %: stable broke that already"), "{}", found.text);
}
