//! What ends by itself: the deadline of a rollout, and the patience of a gate.

use super::*;
use jiff::{SignedDuration, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// The moment so many seconds after the start, as text.
fn clock(second: i64) -> String {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
    format!("{:.3}", start + SignedDuration::from_secs(second))
}

/// Both clocks go on alike.
fn change_at(state: &ServiceState, change: Change<'_>, second: u64) -> Applied {
    let wall = clock(second as i64);
    state.apply(change, Moment { now: Duration::from_secs(second), wall: &wall }).expect("allowed")
}

fn begun(plan: Plan) -> ServiceState {
    let state = change_at(&service(), start("r1", "green", plan), 0).state;
    change_at(&state, Change::Observed(&seen(State::Pass, 0)), 0).state
}

fn asked(state: &ServiceState, action: Action, second: u64) -> ServiceState {
    change_at(state, Change::Asked { id: "r1", action, who: "op" }, second).state
}

fn reason(state: &ServiceState) -> String {
    state.rollout.as_ref().and_then(|running| running.rollout.reason.clone()).unwrap_or_default()
}

fn ends_at(state: &ServiceState) -> Option<String> {
    state.rollout.as_ref().and_then(|running| running.rollout.ends_at())
}

fn within(seconds: u64) -> Plan {
    Plan { deadline: Some(SECOND * seconds as u32), ..canary() }
}

/// The state after a restart of the process, which the wall clock says took so long.
fn restarted(state: &ServiceState, now: u64, wall: i64) -> ServiceState {
    let stored = serde_json::to_string(state).expect("JSON");
    let stored: ServiceState = serde_json::from_str(&stored).expect("a state");
    let sets: BTreeMap<_, _> = ["blue", "green", "red"].map(|pool| (pool.to_owned(), BTreeSet::new())).into();
    let configured = Configured { stable: "blue", sets: &sets };
    let wall = clock(wall);
    let moment = Moment { now: Duration::from_secs(now), wall: &wall };
    Recovery::of(stored, configured, Aborts::default(), "recovery", moment).state
}

#[test]
fn a_held_rollout_is_aborted_at_its_deadline_and_says_what_held_it() {
    let held = change_at(&begun(within(100)), Change::Observed(&seen(State::Hold, 10)), 7).state;
    assert_eq!(ends_at(&held).as_deref(), Some("2026-01-01T00:01:40Z"));
    let before = change_at(&held, Change::Observed(&seen(State::Hold, 20)), 99).state;
    assert_eq!(phase(&before), Phase::Shifting);
    let after = change_at(&before, Change::Observed(&seen(State::Hold, 30)), 100);
    assert_eq!((phase(&after.state), after.state.weights["blue"]), (Phase::Aborted, bp(10_000)));
    assert_eq!(after.order, Order::EffectFirst);
    let why = "the deadline of 100s has passed: held since 2026-01-01T00:00:07.000Z because error rate 100 %";
    assert_eq!(reason(&after.state), why);
    let verdict = &after.state.rollout.as_ref().expect("a rollout").rollout.verdict;
    assert_eq!((verdict.state, &*verdict.reasons[0].metric), (State::Fail, "deadline"));
    assert_eq!(ends_at(&after.state), None);
}

#[test]
fn a_pause_ends_by_the_deadline_whether_or_not_anything_is_known_of_the_candidate() {
    let paused = asked(&begun(within(100)), Action::Pause, 10);
    let later = change_at(&paused, Change::Elapsed, 99).state;
    assert_eq!(phase(&later), Phase::Shifting);
    let ended = change_at(&later, Change::Elapsed, 101).state;
    let why = "the deadline of 100s has passed: paused since 2026-01-01T00:00:10.000Z, and nobody resumed it";
    assert_eq!((phase(&ended), &*reason(&ended)), (Phase::Aborted, why));
}

#[test]
fn the_patience_of_a_gate_counts_from_when_it_began_to_wait() {
    let mut plan = Plan { gate_timeout: Some(20 * SECOND), ..canary() };
    plan.steps[0].gate = true;
    let mut state = begun(plan);
    for second in 0..30 {
        state = change_at(&state, Change::Observed(&seen(State::Pass, second * 100)), second).state;
    }
    assert_eq!(ends_at(&state).as_deref(), Some("2026-01-01T00:00:30Z"), "{}", reason(&state));
    let last = change_at(&state, Change::Observed(&seen(State::Pass, 9000)), 29).state;
    assert_eq!(phase(&last), Phase::Shifting);
    assert_eq!(
        phase(&change_at(&last, Change::Observed(&seen(State::Pass, 9000)), 30).state),
        Phase::Aborted
    );
}

#[test]
fn an_approval_ends_the_wait_and_a_pause_at_the_gate_does_not() {
    let plan = Plan { gate: true, gate_timeout: Some(20 * SECOND), ..canary() };
    let paused = asked(&begun(plan), Action::Pause, 5);
    let open = asked(&asked(&paused, Action::Resume, 6), Action::Resume, 19);
    assert_eq!(phase(&change_at(&open, Change::Observed(&seen(State::Pass, 0)), 60).state), Phase::Shifting);
    let ended = change_at(&paused, Change::Observed(&seen(State::Pass, 0)), 20).state;
    let why = "the gate_timeout of 20s has passed: waited for approval since 2026-01-01T00:00:00.000Z, and nobody \
               gave it";
    assert_eq!((phase(&ended), &*reason(&ended)), (Phase::Aborted, why));
}

#[test]
fn the_time_of_a_restart_counts_as_far_as_the_wall_clock_tells_it() {
    let paused = asked(&begun(within(100)), Action::Pause, 10);
    let soon = restarted(&paused, 0, 60);
    assert_eq!(phase(&elapsed(&soon, 39, 99)), Phase::Shifting);
    assert_eq!(phase(&elapsed(&soon, 40, 100)), Phase::Aborted);
    let long = restarted(&paused, 0, 3600);
    assert_eq!(phase(&elapsed(&long, 0, 3600)), Phase::Aborted);
    let backwards = restarted(&paused, 0, -3600);
    assert_eq!(phase(&elapsed(&backwards, 89, -3511)), Phase::Shifting);
    assert_eq!(phase(&elapsed(&backwards, 90, -3510)), Phase::Aborted);
}

#[test]
fn a_wall_clock_that_jumps_in_a_running_process_ends_nothing() {
    let paused = asked(&begun(within(100)), Action::Pause, 10);
    let jumped = elapsed(&paused, 20, 7200);
    assert_eq!(
        (phase(&jumped), ends_at(&jumped).as_deref()),
        (Phase::Shifting, Some("2026-01-01T02:01:20Z"))
    );
}

/// The clocks differ.
fn elapsed(state: &ServiceState, now: u64, wall: i64) -> ServiceState {
    let wall = clock(wall);
    let moment = Moment { now: Duration::from_secs(now), wall: &wall };
    state.apply(Change::Elapsed, moment).expect("allowed").state
}

#[test]
fn a_promotion_before_the_deadline_is_for_good() {
    let promoted = asked(&begun(within(100)), Action::Promote, 99);
    let later = change_at(&promoted, Change::Observed(&seen(State::Pass, 0)), 500).state;
    assert_eq!((phase(&later), later.stable.as_str()), (Phase::Promoted, "green"));
}

#[test]
fn a_deadline_that_no_rollout_could_keep_is_refused_with_its_remedy() {
    let refused = |plan| match service().apply(start("r1", "green", plan), at(0)) {
        Err(Denied::Invalid(faults)) => faults,
        other => panic!("{other:?}"),
    };
    let [(path, detail)] = &refused(within(50))[..] else { panic!("one fault") };
    assert_eq!(path, "deadline");
    assert_eq!(
        detail,
        "50s must be more than what holds and bake take by themselves, 50s; raise it, or leave it out for none"
    );
    let faults = refused(Plan { gate_timeout: Some(Duration::ZERO), ..canary() });
    assert_eq!(faults[0].0, "gate_timeout");
}
