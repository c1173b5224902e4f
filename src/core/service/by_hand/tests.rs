//! Weights set by hand: who is watched, what takes them back, and what becomes of that.

use super::*;
use crate::core::service::tests::{CAREFUL, FORCED, at, bp, canary, observe, rolling, seen, service, start};
use crate::core::service::{Aborts, Change, Configured, Recovery};
use std::collections::{BTreeMap, BTreeSet};

fn weights(state: &ServiceState, all: &[(&str, u16)]) -> ServiceState {
    let weights = all.iter().map(|(pool, weight)| ((*pool).to_owned(), bp(*weight))).collect();
    let change = Change::Weights { weights: &weights, caution: FORCED, who: "op" };
    state.apply(change, at(0)).expect("set").state
}

fn watched(state: &ServiceState) -> Option<&str> {
    state.watched_by_hand().map(|hand| hand.pool.as_str())
}

fn taken(state: &ServiceState) -> Applied {
    observe(state, &seen(State::Fail, 6), 1)
}

#[test]
fn the_pool_with_the_most_weight_is_watched_and_then_the_next() {
    let state = weights(&service(), &[("blue", 5_000), ("green", 2_000), ("red", 3_000)]);
    assert_eq!(watched(&state), Some("red"));
    let applied = taken(&state);
    assert!(applied.takes_traffic_away() && applied.order == Order::EffectFirst, "{applied:?}");
    let state = applied.state;
    assert_eq!((state.weights["red"], state.weights["blue"]), (bp(0), bp(8_000)), "its own weight alone");
    let text = "the weight of red that was set by hand, 30 %, was taken back to blue: error rate 100 %";
    assert_eq!((applied.notes.len(), &*applied.notes[0].text), (1, text));
    let quarantine = state.quarantine("red").expect("it is quarantined");
    assert!(quarantine.bars() && state.unfit("red").is_some(), "{quarantine:?}");
    assert_eq!(watched(&state), Some("green"));
    let last = state.taken.as_ref().expect("a record");
    assert_eq!((last.seq, last.weight, last.verdict.reasons[0].events), (state.seq, bp(3_000), 6));
    assert_eq!(watched(&taken(&state).state), None, "stable has everything");
}

#[test]
fn what_keeps_its_limits_keeps_its_weight() {
    let mut state = weights(&service(), &[("blue", 5_000), ("green", 5_000)]);
    for (second, verdict) in [(0, State::Pass), (10, State::Hold), (40, State::Pass)] {
        let applied = observe(&state, &seen(verdict, second), second);
        assert_eq!((applied.order, applied.notes.len()), (Order::Quiet, 0));
        state = applied.state;
        assert_eq!(state.hand.as_ref().map(|hand| hand.verdict.state), Some(verdict), "it is shown");
    }
    assert_eq!(state.hand.map(|hand| hand.passed), Some(Duration::from_secs(40)));
    assert_eq!(state.weights["green"], bp(5_000));
}

#[test]
fn a_pool_that_is_down_loses_its_weight_where_stable_can_take_it() {
    let state = weights(&service(), &[("blue", 5_000), ("green", 5_000)]);
    let down = Observation { candidate: Err("u1:1: status 503".into()), ..seen(State::Pass, 0) };
    let both = Observation { stable_ready: false, ..down.clone() };
    let applied = observe(&state, &both, 1);
    assert_eq!((applied.order, applied.state.weights["green"]), (Order::Quiet, bp(5_000)));
    let applied = observe(&state, &down, 1);
    assert_eq!(applied.state.weights["green"], bp(0));
    assert!(applied.notes[0].text.ends_with("health: no upstream is ready (u1:1: status 503)"));
}

#[test]
fn rollouts_flips_and_promotions_are_not_its_business() {
    let by_hand = weights(&service(), &[("blue", 5_000), ("green", 5_000)]);
    let flipped = by_hand.apply(Change::Flip { to: "green", caution: CAREFUL, who: "op" }, at(0));
    assert_eq!(watched(&flipped.expect("flipped").state), None, "green is stable now");
    let started = by_hand.apply(start("r1", "green", canary()), at(0)).expect("started").state;
    assert_eq!((watched(&started), &started.hand), (None, &None), "the rollout watches it");
    let update = by_hand.apply(start("r1", "blue", rolling()), at(0)).expect("started").state;
    assert_eq!((watched(&update), update.hand.is_some()), (None, true), "it goes on after the update");
}

#[test]
fn a_weight_whose_return_was_not_written_is_taken_back_again() {
    let before = weights(&service(), &[("blue", 5_000), ("green", 5_000)]);
    let after = taken(&before).state;
    let flip = before.apply(Change::Flip { to: "green", caution: CAREFUL, who: "op" }, at(0));
    let start = before.apply(start("r1", "green", canary()), at(0));
    let overtaken = [before, flip.expect("flipped").state, start.expect("started").state];
    let sets = ["blue", "green", "red"].map(|pool| (pool.to_owned(), BTreeSet::new()));
    let sets: BTreeMap<_, BTreeSet<String>> = sets.into();
    let configured = Configured { stable: "blue", sets: &sets };
    let come_back = |stored: &ServiceState, name| {
        let aborts = Aborts { weights: Some((after.seq, name)), ..Aborts::default() };
        Recovery::of(stored.clone(), configured, aborts, "recovery", at(9))
    };
    for stored in overtaken {
        for name in ["green", "gre"] {
            let Recovery { state, notes, .. } = come_back(&stored, name);
            assert_eq!((state.stable.as_str(), state.weights["blue"]), ("blue", bp(10_000)), "{notes:?}");
            assert!(state.running().is_none() && state.quarantine("green").is_some(), "{state:?}");
            assert!(notes.iter().any(|note| note.event == Event::TakenBack), "{notes:?}");
        }
    }
    let again = weights(&after, &[("green", 10_000)]);
    assert_eq!(come_back(&again, "green").state.weights["green"], bp(10_000), "it was durable");
}
