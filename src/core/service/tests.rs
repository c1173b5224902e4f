use super::*;
use crate::core::rollout::{Action, Idle, Observation, Phase, Plan, Step, Strategy};
use crate::core::verdict::{Level, Reason, State, Verdict};
use std::time::Duration;

pub(super) fn bp(n: u16) -> BasisPoints {
    BasisPoints::new(n).expect("at most 10000")
}

pub(super) fn canary() -> Plan {
    let step = |weight, seconds| Step { weight: bp(weight), hold: Duration::from_secs(seconds) };
    Plan {
        strategy: Strategy::Canary,
        steps: vec![step(500, 10), step(2500, 10), step(10_000, 0)],
        bake: Duration::from_secs(30),
        min_attempts: 50,
        idle: Idle::Hold,
        prepare: Duration::from_secs(60),
    }
}

fn seen(state: State, attempts: u64) -> Observation {
    let reason = Reason {
        metric: "error_rate".into(),
        level: Level::Critical,
        limit: 0.01,
        observed: 1.0,
        attempts: 6,
        events: 6,
        evidence: 21.0,
        needed: 20.7,
        for_seconds: 1.0,
        text: "error rate 100 %".into(),
    };
    let reasons = if state == State::Pass { Vec::new() } else { vec![reason] };
    Observation { verdict: Verdict { state, reasons }, attempts, candidate: Ok(()), stable_ready: true }
}

fn at(second: u64) -> Moment<'static> {
    Moment { now: Duration::from_secs(second), wall: "2026-01-01T00:00:00Z" }
}

fn service() -> ServiceState {
    ServiceState::new("blue", ["blue", "green", "red"])
}

fn started(plan: Plan) -> ServiceState {
    let change = Change::Start { id: "r1".into(), to: "green", version: None, policy: None, plan, who: "ci" };
    service().apply(change, at(0)).expect("started").state
}

fn observe(state: &ServiceState, observation: &Observation, second: u64) -> Applied {
    state.apply(Change::Observed(observation), at(second)).expect("never denied")
}

fn phase(state: &ServiceState) -> Phase {
    state.rollout.as_ref().expect("a rollout").rollout.phase
}

#[test]
fn a_good_canary_goes_5_25_100_and_is_promoted() {
    let mut state = started(canary());
    let mut course = Vec::new();
    for second in 0..120 {
        let applied = observe(&state, &seen(State::Pass, second * 100), second);
        course.extend(
            applied.notes.iter().map(|note| (second, note.action, applied.state.weights["green"].get())),
        );
        state = applied.state;
    }
    assert_eq!(
        course,
        [
            (0, "step", 500),
            (11, "step", 2500),
            (21, "step", 10_000),
            (22, "baking", 10_000),
            (52, "promoted", 10_000)
        ]
    );
    assert_eq!((state.stable.as_str(), state.previous.as_deref()), ("green", Some("blue")));
}

#[test]
fn a_failing_verdict_reverts_at_once_and_before_the_journal() {
    let state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    let applied = observe(&state, &seen(State::Fail, 6), 1);
    assert_eq!(applied.order, Order::EffectFirst);
    assert_eq!((applied.state.weights["green"], applied.state.weights["blue"]), (bp(0), bp(10_000)));
    assert_eq!(applied.notes[0].text, "error rate 100 %");
    let paused = state
        .apply(Change::Asked { id: "r1", action: Action::Pause, who: "op" }, at(1))
        .expect("paused")
        .state;
    assert_eq!(
        phase(&observe(&paused, &seen(State::Fail, 6), 2).state),
        Phase::Aborted,
        "a pause blocks no abort"
    );
}

#[test]
fn a_hold_stops_the_clock_and_is_noted_once() {
    let mut state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    let mut held = 0;
    for second in 1..100 {
        let applied = observe(&state, &seen(State::Hold, second * 100), second);
        held += applied.notes.iter().filter(|note| note.action == "held").count();
        state = applied.state;
    }
    assert_eq!((held, phase(&state), state.weights["green"]), (1, Phase::Shifting, bp(500)));
    let passed = state.rollout.as_ref().map(|running| running.rollout.passed);
    assert_eq!(passed, Some(Duration::ZERO));
}

#[test]
fn without_attempts_a_step_holds_and_says_how_many_are_missing() {
    let mut state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    for second in 1..60 {
        state = observe(&state, &seen(State::Pass, 20), second).state;
    }
    let running = state.rollout.as_ref().expect("a rollout");
    assert_eq!(running.rollout.step, 0);
    assert_eq!(running.rollout.reason.as_deref(), Some("needs 30 more attempts on the candidate"));
    state = observe(&state, &seen(State::Pass, 50), 61).state;
    assert_eq!(state.weights["green"], bp(2500));
    let mut state = started(Plan { idle: Idle::Advance, ..canary() });
    let mut notes = Vec::new();
    for second in 0..12 {
        let applied = observe(&state, &seen(State::Pass, 0), second);
        (state, notes) = (applied.state, [notes, applied.notes].concat());
    }
    assert_eq!(state.weights["green"], bp(2500), "time alone moved it");
    assert!(notes.iter().any(|note| note.text.contains("by time alone")), "{notes:?}");
}

#[test]
fn a_candidate_that_is_never_healthy_is_given_up_with_its_last_answer() {
    let sick = Observation { candidate: Err("10.0.0.3:3000: status 503".into()), ..seen(State::Pass, 0) };
    let mut state = started(canary());
    for second in 0..=60 {
        state = observe(&state, &sick, second).state;
    }
    let reason =
        state.rollout.as_ref().and_then(|running| running.rollout.reason.clone()).unwrap_or_default();
    assert_eq!(phase(&state), Phase::Aborted);
    assert!(reason.contains("10.0.0.3:3000: status 503"), "{reason}");
}

#[test]
fn a_candidate_that_goes_down_is_aborted_if_stable_can_take_over() {
    let state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    let down = Observation { candidate: Err("refused".into()), ..seen(State::Pass, 9) };
    assert_eq!(phase(&observe(&state, &down, 1).state), Phase::Aborted);
    let both = Observation { stable_ready: false, ..down };
    assert_eq!(phase(&observe(&state, &both, 1).state), Phase::Shifting);
}

#[test]
fn operators_cannot_interfere_with_a_rollout_but_by_its_commands() {
    let state = started(canary());
    let half = BTreeMap::from([("blue".to_owned(), bp(5000)), ("green".to_owned(), bp(5000))]);
    for change in [
        Change::Weights { weights: &half, if_match: None, who: "op" },
        Change::Flip { to: "red", who: "op" },
        Change::Rollback { who: "op" },
        Change::Start { id: "r2".into(), to: "red", version: None, policy: None, plan: canary(), who: "op" },
    ] {
        let denied = state.apply(change, at(1)).expect_err("denied");
        assert!(matches!(denied, Denied::Conflict { rollout: Some(ref id), .. } if id == "r1"), "{denied:?}");
    }
}

#[test]
fn weights_are_checked_before_anything_changes() {
    let state = service();
    let set = |pairs: &[(&str, u16)], if_match| {
        let weights = pairs.iter().map(|(pool, weight)| ((*pool).to_owned(), bp(*weight))).collect();
        state.apply(Change::Weights { weights: &weights, if_match, who: "op" }, at(0))
    };
    assert!(matches!(set(&[("blue", 9000)], None), Err(Denied::Invalid(_))));
    assert!(matches!(set(&[("blue", 9000), ("pink", 1000)], None), Err(Denied::Invalid(_))));
    assert_eq!(set(&[("blue", 10_000)], Some(7)).expect_err("denied"), Denied::Precondition { current: 1 });
    let next = set(&[("blue", 9000), ("red", 1000)], Some(1)).expect("accepted").state;
    assert_eq!((next.weights["green"], next.weights["red"], next.revision), (bp(0), bp(1000), 2));
    assert_eq!(next.stable, "blue", "weights leave the roles alone");
}

#[test]
fn flip_and_rollback_swap_the_roles() {
    let denied = service().apply(Change::Rollback { who: "op" }, at(0)).expect_err("nothing to go back to");
    assert!(matches!(denied, Denied::Conflict { .. }));
    let flipped = service().apply(Change::Flip { to: "green", who: "op" }, at(0)).expect("flipped").state;
    assert_eq!((flipped.stable.as_str(), flipped.previous.as_deref()), ("green", Some("blue")));
    let again = flipped.apply(Change::Flip { to: "green", who: "op" }, at(0)).expect("idempotent").state;
    assert_eq!(again.previous.as_deref(), Some("blue"));
    let back = again.apply(Change::Rollback { who: "op" }, at(0)).expect("rolled back").state;
    assert_eq!(
        (back.stable.as_str(), back.previous.as_deref(), back.weights["blue"]),
        ("blue", Some("green"), bp(10_000))
    );
}

#[test]
fn ending_twice_is_fine_ending_otherwise_is_not() {
    let state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    let ask =
        |state: &ServiceState, action| state.apply(Change::Asked { id: "r1", action, who: "op" }, at(1));
    let aborted = ask(&state, Action::Abort).expect("aborted").state;
    assert_eq!(ask(&aborted, Action::Abort).expect("again").order, Order::Quiet);
    assert!(matches!(ask(&aborted, Action::Promote), Err(Denied::Conflict { .. })));
    assert!(
        matches!(ask(&started(canary()), Action::Promote), Err(Denied::Conflict { .. })),
        "not yet healthy"
    );
    let promoted = ask(&state, Action::Promote).expect("promoted").state;
    assert_eq!((promoted.stable.as_str(), promoted.weights["green"]), ("green", bp(10_000)));
    assert!(matches!(ask(&promoted, Action::Pause), Err(Denied::Conflict { .. })));
}

#[test]
fn weight_goes_where_somebody_is_up() {
    let mut state = service();
    state.weights =
        BTreeMap::from([("blue".into(), bp(7000)), ("green".into(), bp(3000)), ("red".into(), bp(0))]);
    let up = |pools: &'static [&'static str]| move |pool: &str| pools.contains(&pool);
    assert_eq!(state.effective_weights(up(&["green", "red"]))["blue"], bp(0));
    assert_eq!(state.effective_weights(up(&["green", "red"]))["green"], bp(3000));
    assert_eq!(state.effective_weights(up(&["red"]))["red"], bp(10_000));
    assert_eq!(state.effective_weights(up(&[]))["blue"], bp(7000));
}

#[test]
fn a_reload_keeps_weights_and_refuses_to_take_a_pool_in_use() {
    let state = service().apply(Change::Flip { to: "green", who: "op" }, at(0)).expect("flipped").state;
    let next = state.reconcile(["green", "new"]).expect("blue has no weight");
    assert_eq!((next.weights["green"], next.weights["new"], next.previous), (bp(10_000), bp(0), None));
    let faults = state.reconcile(["blue", "red"]).expect_err("green has all traffic");
    assert!(faults[0].contains("100 %"), "{faults:?}");
    let faults = started(canary()).reconcile(["blue", "red"]).expect_err("green is a candidate");
    assert!(faults[0].contains("rollout r1"), "{faults:?}");
}
