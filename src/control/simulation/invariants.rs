//! What holds after every step, and for every single change.

use super::*;
use crate::core::rollout::Stage;
use crate::core::service::Quarantine;

/// What holds for every state.
pub(super) fn check_state(state: &ServiceState, up: &BTreeSet<&str>, refuge: Refuge) {
    let sum: u32 = state.weights.values().map(|weight| u32::from(weight.get())).sum();
    assert_eq!(sum, 10_000, "weights sum to 100 %: {state:?}");
    assert_eq!(state.unsound(), None, "what can be reached is sound: {state:?}");
    let effective = state.effective_weights(|pool| up.contains(pool), refuge);
    let nobody = state.coverage(|pool| up.contains(pool), refuge) == Coverage::Nobody;
    assert!(effective.values().any(|weight| *weight > BasisPoints::ZERO), "somebody serves: {effective:?}");
    for (pool, weight) in &effective {
        let wasted = *weight > BasisPoints::ZERO && !up.contains(pool) && !nobody;
        assert!(!wasted, "{pool} is down and has {weight} while {up:?} are up");
    }
    let others = state.weights.iter().filter(|(pool, _)| **pool != state.stable).map(|(_, weight)| *weight);
    let (most, moves) =
        (others.max(), state.running().is_some_and(|running| running.rollout.moves_traffic()));
    let watched = state.hand.as_ref().map(|hand| state.weights[&hand.pool]);
    let expected = most.filter(|most| *most > BasisPoints::ZERO && !moves);
    assert_eq!(watched, expected, "what was given by hand is watched, the most of it first: {state:?}");
    let Some(running) = state.running() else { return };
    let rollout = &running.rollout;
    if rollout.is_rolling() {
        assert!(rollout.step < rollout.batches());
        let out = rollout.instances.iter().filter(|instance| instance.is_out()).count();
        assert!(out <= rollout.plan.rolling.max_unavailable, "{out} are out: {rollout:?}");
    } else {
        assert_eq!(running.from, state.stable, "the roles stand until the end");
        assert!(rollout.step < rollout.plan.steps.len());
        let weight = state.weights[&running.to];
        let before = matches!(rollout.phase, Phase::Preparing | Phase::Testing) && rollout.moves_traffic();
        // An operator may have given it traffic before.
        let steps = rollout.plan.steps.iter().any(|step| step.weight == weight);
        assert!(before || steps || !rollout.moves_traffic(), "a weight of no step: {weight}");
        assert!(rollout.mirrors().is_none() || weight == BasisPoints::ZERO, "a mirror step gives weight");
    }
    if rollout.awaits_approval() {
        assert_eq!(rollout.work(), [], "nothing is asked before the approval");
        assert_eq!(rollout.label(), "paused");
    }
}

/// What holds for every change.
pub(super) fn check_step(before: &ServiceState, applied: &Applied) {
    let after = &applied.state;
    if before.weights != after.weights || before.stable != after.stable || !applied.notes.is_empty() {
        assert!(after.seq > before.seq, "the number grows on every change");
    } else {
        assert_eq!(applied.order, Order::Quiet, "nothing to journal where nothing changed");
    }
    let ended = before.rollout.as_ref().filter(|running| running.rollout.has_ended());
    if let Some(ended) = ended.filter(|running| after.rollout.as_ref().is_some_and(|r| r.id == running.id)) {
        let but_set = |running: &Running| Running { set: None, ..running.clone() };
        let is = after.rollout.as_ref().map(but_set);
        assert_eq!(is, Some(but_set(ended)), "an ended rollout changes no more, but may leave its set");
    }
    if let Some(was) = before.running() {
        check_rollout(was, before, applied);
    }
    if applied.notes.iter().any(|note| note.event == Event::TakenBack) {
        check_taken_back(before, applied);
    }
    let returned = applied.notes.iter().any(|note| note.event == Event::Returned);
    let gained =
        after.weights.iter().any(|(pool, weight)| *pool != before.stable && *weight > before.weights[pool]);
    assert!(
        !gained || returned || applied.order == Order::JournalFirst,
        "a candidate gains weight only after the journal"
    );
}

/// A weight that is taken back goes to stable, of the pool that was watched alone, and nothing holds that up.
fn check_taken_back(before: &ServiceState, applied: &Applied) {
    let (after, hand) = (&applied.state, before.watched_by_hand().expect("a pool was watched"));
    assert_eq!(applied.order, Order::EffectFirst, "it waits for no disk");
    assert_ne!(before.stable, hand.pool, "stable is not watched by it");
    assert_eq!(after.weights[&hand.pool], BasisPoints::ZERO);
    for pool in before.weights.keys().filter(|pool| **pool != hand.pool && **pool != before.stable) {
        assert_eq!(after.weights[pool], before.weights[pool], "only its own weight moves");
    }
    assert!(
        after.quarantine(&hand.pool).is_some_and(Quarantine::bars),
        "it is quarantined like an aborted one"
    );
    assert_eq!((&after.stable, &after.previous), (&before.stable, &before.previous), "the roles stand");
}

fn check_rollout(was: &Running, before: &ServiceState, applied: &Applied) {
    let after = &applied.state;
    let Some(is) = after.rollout.as_ref().filter(|is| is.id == was.id) else { return };
    let aborted = is.rollout.phase == Phase::Aborted;
    // A rollback ends a dry run on its way to the version before.
    let rolled_back = applied.notes.iter().any(|note| note.event == Event::Rollback);
    if aborted && !rolled_back {
        assert_eq!(applied.order, Order::EffectFirst, "an abort waits for no disk");
        assert!(is.rollout.reason.as_ref().is_some_and(|why| !why.is_empty()), "it says why");
    }
    if aborted && was.rollout.moves_traffic() {
        assert_eq!(after.weights[&is.to], BasisPoints::ZERO, "an aborted candidate has no weight");
        assert_eq!(after.weights[&is.from], BasisPoints::FULL);
    }
    let asked_weights = applied.notes.iter().any(|note| note.event == Event::Weights);
    if !was.rollout.moves_traffic() && !asked_weights && !rolled_back {
        assert_eq!(after.weights, before.weights, "nothing is shifted");
        assert_eq!(after.stable, before.stable);
    }
    // Users come with the first weight, and only once every mirror step has passed or an operator said so.
    if was.rollout.mirrors().is_some() && after.weights[&is.to] > BasisPoints::ZERO {
        let next = is.rollout.plan.steps.get(is.rollout.step).is_some_and(|step| step.mirror.is_none());
        let moved_on = next && is.rollout.phase == Phase::Shifting;
        assert!(moved_on || is.rollout.phase == Phase::Promoted, "a mirror step gives weight");
    }
    if was.rollout.is_rolling() && !was.rollout.plan.dry_run {
        check_instances(is, after);
    }
}

/// What is being updated is out of service, and what has not been touched is in, unless an operator
/// drained it.
fn check_instances(is: &Running, after: &ServiceState) {
    for instance in &is.rollout.instances {
        let drained = after.draining.contains(&(is.to.clone(), instance.upstream.clone()));
        let out = instance.is_out() || instance.stage == Stage::Failed;
        assert!(drained || !out, "{} is {:?} and gets requests", instance.upstream, instance.stage);
    }
}
