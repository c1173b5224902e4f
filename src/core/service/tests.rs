mod deadlines;
mod way_back;

use super::*;
use crate::core::event::Event;
use crate::core::refuge::Refuge;
use crate::core::rollout::{
    Action, After, HookPoint, Idle, Note, Observation, Phase, Plan, Rolling, Stage, Step, Strategy,
    UpstreamSeen, Work, WorkResult,
};
use crate::core::verdict::{Level, Reason, State, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) fn bp(n: u16) -> BasisPoints {
    BasisPoints::new(n).expect("at most 10000")
}

pub(crate) fn canary() -> Plan {
    let step = |weight, seconds| Step::weight(bp(weight), Duration::from_secs(seconds));
    Plan {
        strategy: Strategy::Canary,
        steps: vec![step(500, 10), step(2500, 10), step(10_000, 0)],
        bake: Duration::from_secs(30),
        prepare: Duration::from_secs(60),
        rolling: Rolling {
            drain: Duration::from_secs(10),
            update: Duration::from_secs(60),
            watch: Duration::from_secs(5),
            ..Rolling::default()
        },
        after: After { watch: Duration::ZERO, rollback: false },
        ..Plan::default()
    }
}

pub(crate) fn rolling() -> Plan {
    Plan { strategy: Strategy::Rolling, steps: Vec::new(), min_attempts: 0, ..canary() }
}

pub(crate) fn start<'a>(id: &str, to: &'a str, plan: Plan) -> Change<'a> {
    let upstreams = UPSTREAMS.map(str::to_owned).to_vec();
    Change::Start {
        id: id.to_owned(),
        to,
        version: None,
        policy: None,
        plan,
        upstreams,
        set: None,
        who: "ci",
    }
}

pub(crate) const UPSTREAMS: [&str; 3] = ["u1:1", "u2:1", "u3:1"];

/// Nothing is down, and nothing forced.
pub(crate) const CAREFUL: Caution<'static> = Caution { down: &BTreeMap::new(), force: false };
pub(super) const FORCED: Caution<'static> = Caution { down: &BTreeMap::new(), force: true };

pub(super) fn seen(state: State, attempts: u64) -> Observation {
    let reason = Reason {
        kind: String::new(),
        group: None,
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
    let verdict = Verdict { state, reasons };
    Observation { verdict, attempts, candidate: Ok(()), stable_ready: true, upstreams: BTreeMap::new() }
}

pub(super) fn at(second: u64) -> Moment<'static> {
    Moment { now: Duration::from_secs(second), wall: "2026-01-01T00:00:00Z" }
}

pub(super) fn service() -> ServiceState {
    ServiceState::new("blue", ["blue", "green", "red"])
}

fn started(plan: Plan) -> ServiceState {
    service().apply(start("r1", "green", plan), at(0)).expect("started").state
}

pub(super) fn observe(state: &ServiceState, observation: &Observation, second: u64) -> Applied {
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
            applied.notes.iter().map(|note| (second, note.event, applied.state.weights["green"].get())),
        );
        state = applied.state;
    }
    assert_eq!(
        course,
        [
            (0, Event::Step, 500),
            (11, Event::Step, 2500),
            (21, Event::Step, 10_000),
            (22, Event::Baking, 10_000),
            (52, Event::Promoted, 10_000)
        ]
    );
    assert_eq!((state.stable.as_str(), state.previous.as_deref()), ("green", Some("blue")));
}

#[test]
fn the_number_of_a_state_is_stored_under_the_name_it_always_had() {
    let text = serde_json::to_value(ServiceState::new("blue", ["blue"])).expect("JSON");
    assert_eq!((&text["revision"], text.get("seq")), (&serde_json::json!(1), None));
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
        held += applied.notes.iter().filter(|note| note.event == Event::Held).count();
        state = applied.state;
    }
    assert_eq!((held, phase(&state), state.weights["green"]), (1, Phase::Shifting, bp(500)));
    let passed = state.rollout.as_ref().map(|running| running.rollout.passed);
    assert_eq!(passed, Some(Duration::ZERO));
}

#[test]
fn a_hold_that_comes_to_have_another_reason_is_noted_again() {
    let state = observe(&started(canary()), &seen(State::Pass, 0), 0).state;
    let mut shared = seen(State::Hold, 100);
    let held = observe(&state, &shared, 1);
    shared.verdict.reasons[0].metric = "shared_outage".into();
    let again = observe(&held.state, &shared, 2);
    assert_eq!((held.notes[0].event, again.notes[0].event), (Event::Held, Event::Held));
    assert_eq!(observe(&again.state, &shared, 3).notes, [], "once for each reason");
    assert_eq!(observe(&again.state, &seen(State::Pass, 200), 3).notes[0].event, Event::Passing);
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
        Change::Weights { weights: &half, caution: CAREFUL, who: "op" },
        Change::Flip { to: "red", caution: CAREFUL, who: "op" },
        start("r2", "red", canary()),
    ] {
        let denied = state.apply(change, at(1)).expect_err("denied");
        assert!(matches!(denied, Denied::Conflict { rollout: Some(ref id), .. } if id == "r1"), "{denied:?}");
    }
}

#[test]
fn weights_are_checked_before_anything_changes() {
    let state = service();
    let set = |pairs: &[(&str, u16)]| {
        let weights = pairs.iter().map(|(pool, weight)| ((*pool).to_owned(), bp(*weight))).collect();
        state.apply(Change::Weights { weights: &weights, caution: CAREFUL, who: "op" }, at(0))
    };
    assert!(matches!(set(&[("blue", 9000)]), Err(Denied::Invalid(_))));
    assert!(matches!(set(&[("blue", 9000), ("pink", 1000)]), Err(Denied::Invalid(_))));
    let next = set(&[("blue", 9000), ("red", 1000)]).expect("accepted").state;
    assert_eq!((next.weights["green"], next.weights["red"], next.seq), (bp(0), bp(1000), 2));
    assert_eq!(next.stable, "blue", "weights leave the roles alone");
}

#[test]
fn a_flip_swaps_the_roles_and_a_rollback_goes_back_once() {
    let denied = service()
        .apply(Change::Rollback { caution: CAREFUL, who: "op" }, at(0))
        .expect_err("nothing to go back to");
    assert!(matches!(denied, Denied::Conflict { .. }));
    let flipped = service()
        .apply(Change::Flip { to: "green", caution: CAREFUL, who: "op" }, at(0))
        .expect("flipped")
        .state;
    assert_eq!((flipped.stable.as_str(), flipped.previous.as_deref()), ("green", Some("blue")));
    let again = flipped
        .apply(Change::Flip { to: "green", caution: CAREFUL, who: "op" }, at(0))
        .expect("idempotent")
        .state;
    assert_eq!(again.previous.as_deref(), Some("blue"));
    let back =
        again.apply(Change::Rollback { caution: CAREFUL, who: "op" }, at(0)).expect("rolled back").state;
    assert_eq!(
        (back.stable.as_str(), back.previous.as_deref(), back.weights["blue"]),
        ("blue", None, bp(10_000))
    );
    let again = back.apply(Change::Rollback { caution: CAREFUL, who: "op" }, at(0)).expect_err("once");
    assert!(
        matches!(again, Denied::Conflict { ref detail, .. } if detail.contains("green was rolled back")),
        "{again:?}"
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
    assert_eq!(state.effective_weights(up(&["green", "red"]), Refuge::Healthy)["blue"], bp(0));
    assert_eq!(state.effective_weights(up(&["green", "red"]), Refuge::Healthy)["green"], bp(10_000));
    assert_eq!(state.effective_weights(up(&["red"]), Refuge::Healthy)["red"], bp(10_000));
    assert_eq!(state.effective_weights(up(&[]), Refuge::Healthy)["blue"], bp(7000));
}

#[test]
fn a_reload_keeps_weights_and_refuses_to_take_a_pool_in_use() {
    let state = service()
        .apply(Change::Flip { to: "green", caution: CAREFUL, who: "op" }, at(0))
        .expect("flipped")
        .state;
    let next = state.reconcile(["green", "new"]).expect("blue has no weight");
    assert_eq!((next.weights["green"], next.weights["new"], next.previous), (bp(10_000), bp(0), None));
    let faults = state.reconcile(["blue", "red"]).expect_err("green has all traffic");
    assert!(faults[0].contains("100 %"), "{faults:?}");
    let faults = started(canary()).reconcile(["blue", "red"]).expect_err("green is a candidate");
    assert!(faults[0].contains("rollout r1"), "{faults:?}");
}

fn done(state: &ServiceState, work: &Work, result: &WorkResult) -> ServiceState {
    state.apply(Change::Done { id: "r1", work, result }, at(2)).expect("never denied").state
}

fn ask(state: &ServiceState, action: Action) -> Result<ServiceState, Denied> {
    state.apply(Change::Asked { id: "r1", action, who: "op" }, at(3)).map(|applied| applied.state)
}

#[test]
fn smoke_tests_come_before_traffic_and_their_failures_are_the_verdict() {
    let state = observe(&started(Plan { smoke: true, ..canary() }), &seen(State::Pass, 0), 0).state;
    assert_eq!((phase(&state), state.weights["green"]), (Phase::Testing, bp(0)));
    assert_eq!(state.work(), [("r1", Work::Smoke(None))]);
    assert!(matches!(ask(&state, Action::Promote), Err(Denied::Conflict { .. })), "not tested yet");
    let good = done(&state, &Work::Smoke(None), &WorkResult::Passed);
    let good = observe(&good, &seen(State::Pass, 0), 3).state;
    assert_eq!((phase(&good), good.weights["green"]), (Phase::Shifting, bp(500)));
    let bad = WorkResult::Refused(vec!["GET /api/ready: status 503, expected 200".into()]);
    let bad = done(&state, &Work::Smoke(None), &bad);
    let rollout = &bad.rollout.as_ref().expect("a rollout").rollout;
    assert_eq!((rollout.phase, rollout.verdict.state), (Phase::Aborted, State::Fail));
    assert_eq!(rollout.verdict.reasons[0].metric, "smoke");
    assert!(rollout.reason.as_ref().is_some_and(|why| why.contains("status 503")), "{rollout:?}");
    let paused = ask(&state, Action::Pause).expect("paused");
    assert_eq!(paused.work(), [], "nothing is asked for in a pause");
    let ignored = done(&paused, &Work::Smoke(None), &WorkResult::Passed);
    assert_eq!(phase(&ignored), Phase::Testing, "it will be asked for again");
}

#[test]
fn a_gate_waits_for_approval_and_blocks_no_abort() {
    let state = observe(&started(Plan { gate: true, ..canary() }), &seen(State::Pass, 0), 0).state;
    let label = |state: &ServiceState| state.rollout.as_ref().map(|running| running.rollout.label());
    assert_eq!((label(&state), state.weights["green"]), (Some("paused"), bp(0)));
    let later = observe(&state, &seen(State::Pass, 0), 500).state;
    assert_eq!(label(&later), Some("paused"), "time opens no gate");
    let open = observe(&ask(&later, Action::Resume).expect("approved"), &seen(State::Pass, 0), 501).state;
    assert_eq!((label(&open), open.weights["green"]), (Some("shifting"), bp(500)));
    assert_eq!(label(&ask(&later, Action::Abort).expect("aborted")), Some("aborted"));
    assert_eq!(ask(&later, Action::Promote).expect("promoted").stable, "green");

    let mut plan = canary();
    plan.steps[0].gate = true;
    let mut state = started(plan);
    for second in 0..40 {
        state = observe(&state, &seen(State::Pass, second * 100), second).state;
    }
    assert_eq!((label(&state), state.weights["green"]), (Some("paused"), bp(500)), "after the hold");
    let failed = observe(&state, &seen(State::Fail, 9000), 41).state;
    assert_eq!((label(&failed), failed.weights["green"]), (Some("aborted"), bp(0)));
    let open = observe(&ask(&state, Action::Resume).expect("approved"), &seen(State::Pass, 9000), 41).state;
    let open = observe(&open, &seen(State::Pass, 9000), 42).state;
    assert_eq!(open.weights["green"], bp(2500));
}

#[test]
fn hooks_are_asked_between_the_phases_and_may_refuse() {
    let point = HookPoint::before(Phase::Shifting);
    let hooks = BTreeSet::from([HookPoint::after(Phase::Preparing), point]);
    let state = observe(&started(Plan { hooks, ..canary() }), &seen(State::Pass, 0), 0).state;
    assert_eq!(state.work(), [("r1", Work::Hook(HookPoint::after(Phase::Preparing)))]);
    let state = done(&state, &Work::Hook(point), &WorkResult::Passed);
    assert_eq!(state.work().len(), 1, "one after the other");
    let state = done(&state, &Work::Hook(HookPoint::after(Phase::Preparing)), &WorkResult::Passed);
    assert_eq!(state.work(), [("r1", Work::Hook(point))]);
    let unsure = done(&state, &Work::Hook(point), &WorkResult::Unanswered("status 500".into()));
    assert_eq!(unsure.work(), [("r1", Work::Hook(point))], "asked again");
    let refused = done(&unsure, &Work::Hook(point), &WorkResult::Refused(vec!["freeze".into()]));
    assert_eq!(phase(&refused), Phase::Aborted);
    let never = observe(&observe(&unsure, &seen(State::Pass, 0), 0).state, &seen(State::Pass, 0), 61).state;
    let reason = never.rollout.as_ref().and_then(|r| r.rollout.reason.clone()).unwrap_or_default();
    assert!(phase(&never) == Phase::Aborted && reason.contains("status 500"), "{reason}");
    let agreed = done(&unsure, &Work::Hook(point), &WorkResult::Passed);
    assert_eq!(observe(&agreed, &seen(State::Pass, 0), 1).state.weights["green"], bp(500));
}

#[test]
fn a_dry_run_says_what_it_would_do_and_moves_nothing() {
    let mut state = started(Plan { dry_run: true, ..canary() });
    let half = BTreeMap::from([("blue".to_owned(), bp(5000)), ("green".to_owned(), bp(5000))]);
    let weights = Change::Weights { weights: &half, caution: CAREFUL, who: "op" };
    state = state.apply(weights, at(0)).expect("the operator gives it traffic").state;
    let mut told = Vec::new();
    for second in 0..120 {
        let applied = observe(&state, &seen(State::Pass, second * 100), second);
        told.extend(applied.notes.iter().map(|note| note.text.clone()));
        state = applied.state;
    }
    assert_eq!((phase(&state), state.stable.as_str()), (Phase::Promoted, "blue"));
    assert_eq!(state.weights["green"], bp(5000));
    assert!(told.iter().all(|text| text.starts_with("dry run")), "{told:?}");
}

/// The three upstreams of green, all up.
fn instances(checks: u64) -> BTreeMap<String, UpstreamSeen> {
    let one = UpstreamSeen { up: true, good_checks: Some(checks), ..UpstreamSeen::default() };
    UPSTREAMS.map(|name| (name.to_owned(), one.clone())).into_iter().collect()
}

/// Looks at a rolling update: what drains is seen as draining.
fn roll(state: &ServiceState, verdict: State, second: u64) -> ServiceState {
    let mut upstreams = instances(second);
    for (_, name) in &state.draining {
        upstreams.get_mut(name).expect("known").draining = true;
    }
    observe(state, &Observation { upstreams, ..seen(verdict, second * 100) }, second).state
}

fn stages(state: &ServiceState) -> Vec<Stage> {
    state.rollout.as_ref().expect("a rollout").rollout.instances.iter().map(|i| i.stage).collect()
}

fn say_updated(state: &ServiceState, upstream: &str) -> ServiceState {
    let change = Change::Drain { pool: "green", upstream, drains: false, who: "deploy" };
    state.apply(change, at(0)).expect("the deploy job's word").state
}

#[test]
fn a_rolling_update_takes_one_upstream_after_the_other() {
    let mut state = started(rolling());
    let before = state.weights.clone();
    let mut order = Vec::new();
    for second in 0..200 {
        state = roll(&state, State::Pass, second);
        assert!(state.draining.len() <= 1, "one at a time");
        if let Some(index) = stages(&state).iter().position(|stage| *stage == Stage::Updating) {
            order.push(index);
            state = say_updated(&state, UPSTREAMS[index]);
        }
    }
    assert_eq!((phase(&state), order), (Phase::Promoted, vec![0, 1, 2]));
    assert_eq!((&state.weights, state.draining.len()), (&before, 0));
    assert_eq!(state.stable, "blue", "roles and weights are left alone");
}

#[test]
fn a_rolling_update_stops_at_the_first_failure_and_leaves_the_rest_serving() {
    let mut state = started(rolling());
    for second in 0..4 {
        state = roll(&state, State::Pass, second);
    }
    assert_eq!(stages(&state)[0], Stage::Updating);
    let mut late = state.clone();
    for second in 4..120 {
        late = roll(&late, State::Pass, second);
    }
    assert_eq!((phase(&late), stages(&late)[0]), (Phase::Aborted, Stage::Failed));
    assert_eq!(late.draining.len(), 1, "what is unproven stays out");
    let reason = late.rollout.as_ref().and_then(|r| r.rollout.reason.clone()).unwrap_or_default();
    assert!(reason.contains("out of service: u1:1; not updated, serving: u2:1, u3:1"), "{reason}");

    let mut bad = say_updated(&state, "u1:1");
    for second in 4..9 {
        bad = roll(&bad, State::Pass, second);
    }
    assert_eq!((stages(&bad)[0], bad.draining.len()), (Stage::Serving, 0));
    bad = roll(&bad, State::Fail, 10);
    assert_eq!((phase(&bad), stages(&bad)[0]), (Phase::Aborted, Stage::Failed));
    assert!(bad.draining.contains(&("green".into(), "u1:1".into())), "the bad one goes out");

    let stopped = ask(&roll(&started(rolling()), State::Pass, 0), Action::Abort).expect("aborted");
    assert_eq!(stopped.draining.len(), 0, "what was not touched serves again");
    let alone = Change::Start {
        id: "r1".into(),
        to: "green",
        version: None,
        policy: None,
        plan: rolling(),
        upstreams: vec!["u1:1".into()],
        set: None,
        who: "ci",
    };
    assert!(matches!(service().apply(alone, at(0)), Err(Denied::Invalid(_))), "nobody would serve");
}

#[test]
fn after_a_promotion_the_policy_keeps_watch_and_goes_back_where_asked_to() {
    for rollback in [false, true] {
        let after = After { watch: Duration::from_secs(100), rollback };
        let plan = Plan { after, smoke: true, ..canary() };
        let state = observe(&started(plan), &seen(State::Pass, 0), 0).state;
        let state = done(&state, &Work::Smoke(None), &WorkResult::Passed);
        let state = observe(&state, &seen(State::Pass, 0), 1).state;
        let state = ask(&state, Action::Promote).expect("promoted");
        assert_eq!(state.work(), [("r1", Work::Smoke(None))], "once more");
        let good = done(&state, &Work::Smoke(None), &WorkResult::Passed);
        let good = observe(&good, &seen(State::Pass, 0), 4).state;
        let over = observe(&good, &seen(State::Pass, 0), 150);
        assert_eq!((over.notes[0].event, over.state.guard), (Event::Verified, None));
        for bad in [
            observe(&good, &seen(State::Fail, 9), 5),
            observe(
                &done(&state, &Work::Smoke(None), &WorkResult::Refused(vec!["no".into()])),
                &seen(State::Pass, 0),
                5,
            ),
        ] {
            let (event, stable) =
                if rollback { (Event::Returned, "blue") } else { (Event::Degraded, "green") };
            assert_eq!((bad.notes[0].event, bad.state.stable.as_str()), (event, stable));
            assert_eq!((bad.order, bad.state.weights[stable]), (Order::EffectFirst, bp(10_000)));
        }
        let both = Observation { stable_ready: false, ..seen(State::Fail, 9) };
        assert_eq!(observe(&good, &both, 5).state.stable, "green", "previous is not healthy");
    }
}

#[test]
fn a_dry_run_after_a_promotion_does_not_confuse_the_watch() {
    let after = After { watch: Duration::from_secs(1000), rollback: true };
    let state = observe(&started(Plan { after, ..canary() }), &seen(State::Pass, 0), 0).state;
    let state = ask(&state, Action::Promote).expect("promoted");
    let dry = state.apply(start("r2", "red", Plan { dry_run: true, ..canary() }), at(4)).expect("a dry run");
    let ended = dry.state.apply(Change::Asked { id: "r2", action: Action::Abort, who: "op" }, at(5));
    let ended = observe(&ended.expect("aborted").state, &seen(State::Pass, 0), 6).state;
    let back = observe(&ended, &seen(State::Fail, 9), 7);
    assert_eq!((back.notes[0].event, back.state.stable.as_str()), (Event::Returned, "blue"));
    assert_eq!((back.state.previous.as_deref(), back.state.weights["blue"]), (None, bp(10_000)));
}

#[test]
fn a_registered_set_replaces_the_upstreams_and_their_drains() {
    let mut state = service();
    state.draining = BTreeSet::from([("green".into(), "old:1".into()), ("blue".into(), "b:1".into())]);
    let set = vec![serde_json::from_str(r#"{"address": "10.0.0.9:80"}"#).expect("an upstream")];
    let change = |set: Option<Vec<Upstream>>| {
        let addresses = set.iter().flatten().map(|upstream| upstream.address.to_string()).collect();
        Change::Upstreams { pool: "green", set, addresses, who: "ci" }
    };
    let applied = state.apply(change(Some(set.clone())), at(0)).expect("registered");
    assert_eq!((applied.order, applied.notes[0].event), (Order::JournalFirst, Event::Upstreams));
    assert_eq!(applied.state.draining.len(), 1);
    assert_eq!(applied.state.apply(change(Some(set)), at(0)).expect("again").order, Order::Quiet);
    assert!(applied.state.apply(change(None), at(0)).expect("reset").state.upstreams.is_empty());
}

fn replaced(state: &ServiceState, address: &str) -> Applied {
    let set = vec![serde_json::from_str(&format!(r#"{{"address": "{address}"}}"#)).expect("an upstream")];
    let addresses = BTreeSet::from([address.to_owned()]);
    let change = Change::Upstreams { pool: "green", set: Some(set), addresses, who: "ci" };
    state.apply(change, at(5)).expect("registered")
}

#[test]
fn other_upstreams_begin_the_step_again_with_what_was_approved() {
    let mut plan = Plan { min_attempts: 100, ..canary() };
    plan.steps[0].gate = true;
    let mut state = started(plan);
    for second in 0..12 {
        state = observe(&state, &seen(State::Pass, second * 20), second).state;
    }
    let rollout = |state: &ServiceState| state.rollout.as_ref().expect("a rollout").rollout.clone();
    assert!(rollout(&state).awaits_approval() && rollout(&state).step_attempts == 220);
    let applied = replaced(&state, "10.0.0.9:80");
    let text = "green has other upstreams than the rollout r1 began with: step 1 of 3 starts over";
    assert_eq!(applied.notes.last().map(|note| &*note.text), Some(text));
    let again = rollout(&applied.state);
    assert_eq!((again.passed, again.step_attempts, again.awaits_approval()), (Duration::ZERO, 0, false));
    // What is counted begins from zero, too.
    let next = observe(&applied.state, &seen(State::Pass, 7), 12).state;
    assert_eq!((rollout(&next).step_attempts, rollout(&next).step), (7, 0));
    // A reload that names others does the same; one that names the same ones does nothing.
    for (address, attempts) in [("10.0.0.9:80", 7), ("10.0.0.10:80", 0)] {
        let mut reloaded = next.clone();
        let sets = BTreeMap::from([("green".to_owned(), BTreeSet::from([address.to_owned()]))]);
        reloaded.note_upstreams(&sets, false, "");
        assert_eq!(rollout(&reloaded).step_attempts, attempts, "{address}");
    }
}

#[test]
fn other_upstreams_in_the_bake_or_before_traffic_begin_that_again() {
    let mut state = started(Plan { smoke: true, ..canary() });
    state = observe(&state, &seen(State::Pass, 0), 0).state;
    state = observe(&state, &seen(State::Pass, 0), 1).state;
    assert_eq!(phase(&state), Phase::Testing);
    assert_eq!(phase(&replaced(&state, "10.0.0.9:80").state), Phase::Preparing);
    let mut state = started(Plan { steps: canary().steps[2..].to_vec(), min_attempts: 0, ..canary() });
    for second in 0..20 {
        state = observe(&state, &seen(State::Pass, second), second).state;
    }
    assert_eq!(phase(&state), Phase::Baking);
    let applied = replaced(&state, "10.0.0.9:80");
    assert!(applied.notes.last().is_some_and(|note| note.text.ends_with("the bake starts over")));
    assert_eq!(applied.state.rollout.expect("a rollout").rollout.passed, Duration::ZERO);
}

#[test]
fn a_start_says_what_was_set_by_hand_and_so_does_its_abort() {
    let half = BTreeMap::from([("blue".to_owned(), bp(5_000)), ("green".to_owned(), bp(5_000))]);
    let weights = Change::Weights { weights: &half, caution: CAREFUL, who: "op" };
    let state = service().apply(weights, at(0)).expect("set").state;
    let abort = |plan: Plan, to| {
        let started = state.apply(start("r1", to, plan), at(0)).expect("started");
        let abort = Change::Asked { id: "r1", action: Action::Abort, who: "op" };
        let aborted = started.state.apply(abort, at(1)).expect("aborted");
        let text = |applied: &Applied| applied.notes.last().expect("a note").text.clone();
        (text(&started), text(&aborted), aborted.state.weights["green"])
    };
    let (started, aborted, weight) = abort(canary(), "green");
    assert!(started.ends_with("an abort puts it on blue, too"), "{started}");
    let says = "aborted by op; all traffic is on blue, the 50 % that green had by hand, too";
    assert_eq!((aborted.as_str(), weight), (says, bp(0)));
    for plan in [rolling(), Plan { dry_run: true, ..canary() }] {
        let (started, aborted, weight) = abort(plan, "green");
        assert!(
            started.ends_with("green has 50 %, set by hand: it stays as it is, after an abort, too"),
            "{started}"
        );
        assert!(!aborted.contains("by hand") && weight == bp(5_000), "{aborted}");
    }
    assert!(!abort(rolling(), "blue").0.contains("by hand"), "stable has what is its own");
}

fn mirrored_canary() -> Plan {
    let mut plan = Plan { min_attempts: 50, ..canary() };
    plan.steps.insert(0, Step::mirror(bp(1_000), Duration::from_secs(10)));
    plan
}

#[test]
fn a_mirror_step_comes_before_any_weight_and_counts_its_copies() {
    let mut state = started(mirrored_canary());
    let mut course = Vec::new();
    for second in 0..40 {
        // The copies come late; the counts of users' requests begin again.
        let attempts = if second < 20 { second } else { second * 100 };
        let mirrors = state.running().and_then(|running| running.rollout.mirrors());
        let applied = observe(&state, &seen(State::Pass, attempts), second);
        if second == 15 {
            assert_eq!(mirrors, Some(bp(1_000)));
            let reason = applied.state.rollout.as_ref().and_then(|running| running.rollout.reason.clone());
            assert_eq!(reason.as_deref(), Some("needs 35 more mirrored requests on the candidate"));
        }
        let of = |note: &Note| (second, note.text.clone(), applied.state.weights["green"].get());
        course.extend(applied.notes.iter().filter(|note| note.event == Event::Step).map(of));
        state = applied.state;
    }
    let at = |second: u64, text: &str, weight| (second, text.to_owned(), weight);
    assert_eq!(
        course,
        [
            at(0, "step 1 of 4: 10 % mirrored for 10s", 0),
            at(20, "step 2 of 4: 5 % for 10s", 500),
            at(30, "step 3 of 4: 25 % for 10s", 2_500)
        ]
    );
    assert_eq!(state.running().and_then(|running| running.rollout.mirrors()), None);
}

#[test]
fn an_abort_in_a_mirror_step_says_that_no_user_met_it() {
    let state = observe(&started(mirrored_canary()), &seen(State::Pass, 0), 0).state;
    let applied = observe(&state, &seen(State::Fail, 6), 1);
    assert_eq!((applied.order, applied.state.weights["green"]), (Order::EffectFirst, bp(0)));
    assert_eq!(applied.notes[0].text, "error rate 100 %; it had mirrored requests only");
}

#[test]
fn a_mirror_step_takes_back_weight_that_an_operator_gave() {
    let half = BTreeMap::from([("blue".to_owned(), bp(5_000)), ("green".to_owned(), bp(5_000))]);
    let weights = Change::Weights { weights: &half, caution: CAREFUL, who: "op" };
    let state = service().apply(weights, at(0)).expect("set").state;
    let state = state.apply(start("r1", "green", mirrored_canary()), at(0)).expect("started").state;
    assert_eq!(observe(&state, &seen(State::Pass, 0), 0).state.weights["green"], bp(0));
}

/// Records of versions that knew no mirror are read, and none that needs it not is written with it.
#[test]
fn steps_are_stored_as_before() {
    let stored = r#"{"weight":500,"hold":{"secs":10,"nanos":0},"gate":false}"#;
    let step: Step = serde_json::from_str(stored).expect("read");
    assert_eq!(step, Step::weight(bp(500), Duration::from_secs(10)));
    assert_eq!(serde_json::to_string(&step).expect("written"), stored);
    let mirror = Step::mirror(bp(1_000), Duration::ZERO);
    let again = serde_json::to_string(&mirror).expect("written");
    assert_eq!(serde_json::from_str::<Step>(&again).expect("read"), mirror);
}
