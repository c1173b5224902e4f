//! Services as one: what each does follows from the states of all.

use super::*;
use crate::core::event::Event;
use crate::core::rollout::Phase;
use crate::core::rollout::{Action, After, Plan, Step};
use crate::core::service::tests::{CAREFUL, at, bp, canary, observe, seen, start};
use crate::core::service::{Change, Denied, ServiceState, set_moves};
use crate::core::verdict::State;
use std::time::Duration;

const NAMES: [&str; 3] = ["web", "signaling", "worker"];

/// The services of a set in one process, with what happened in all of them, in its order.
struct Site {
    states: Vec<ServiceState>,
    course: Vec<(usize, Event, u16)>,
    second: u64,
}

fn part() -> SetPart {
    SetPart { name: "site".into(), rollout: "s1".into(), services: NAMES.map(str::to_owned).to_vec() }
}

fn begun(plan: &Plan) -> Site {
    let states = NAMES.map(|_| ServiceState::new("blue", ["blue", "green"])).to_vec();
    let mut site = Site { states, course: Vec::new(), second: 0 };
    for (index, name) in NAMES.into_iter().enumerate() {
        let Change::Start { id, to, version, policy, plan, upstreams, who, .. } =
            start(name, "green", plan.clone())
        else {
            unreachable!("a start")
        };
        site.apply(index, Change::Start { id, to, version, policy, plan, upstreams, set: Some(part()), who });
    }
    site.course.clear();
    site
}

impl Site {
    fn apply(&mut self, index: usize, change: Change<'_>) {
        let applied = self.states[index].apply(change, at(self.second)).expect("accepted");
        let green = applied.state.weights["green"].get();
        self.course.extend(applied.notes.iter().map(|note| (index, note.event, green)));
        self.states[index] = applied.state;
    }

    fn together(&mut self) {
        for _ in 0..NAMES.len() {
            let member = |(service, state): (&'static str, &ServiceState)| Member {
                service,
                standing: state.standing("s1"),
                is_changing: false,
            };
            let members: Vec<_> = NAMES.into_iter().zip(&self.states).map(member).collect();
            for (index, next) in set_moves(&members) {
                match &next {
                    SetMove::GoOn => self.apply(index, Change::GoOn),
                    SetMove::Undo(by) => self.apply(index, Change::Undone { by, caution: CAREFUL }),
                }
            }
        }
    }

    /// One second, in which the verdict of each service is this.
    fn second(&mut self, states: [State; 3]) {
        self.second += 1;
        for (index, state) in states.into_iter().enumerate() {
            if self.states[index].running().is_some() {
                let applied = observe(&self.states[index], &seen(state, self.second * 100), self.second);
                let green = applied.state.weights["green"].get();
                self.course.extend(applied.notes.iter().map(|note| (index, note.event, green)));
                self.states[index] = applied.state;
            }
        }
        self.together();
    }

    fn pass(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second([State::Pass; 3]));
    }

    fn green(&self) -> [u16; 3] {
        [0, 1, 2].map(|index| self.states[index].weights["green"].get())
    }

    fn text(&self, index: usize) -> &str {
        self.states[index]
            .rollout
            .as_ref()
            .and_then(|last| last.rollout.reason.as_deref())
            .unwrap_or_default()
    }
}

#[test]
fn they_go_on_in_their_order_and_are_promoted_in_it() {
    let mut site = begun(&canary());
    site.pass(100);
    let step = |weight| (0..3).map(move |index| (index, Event::Step, weight));
    let expected: Vec<_> = [500, 2500, 10_000]
        .into_iter()
        .flat_map(step)
        .chain((0..3).map(|index| (index, Event::Baking, 10_000)))
        .chain((0..3).map(|index| (index, Event::Promoted, 10_000)))
        .collect();
    assert_eq!(site.course, expected);
}

#[test]
fn one_that_holds_holds_all_and_no_longer_than_it() {
    let mut site = begun(&canary());
    site.pass(3);
    assert_eq!(site.green(), [500; 3]);
    (0..60).for_each(|_| site.second([State::Pass, State::Hold, State::Pass]));
    assert_eq!(site.green(), [500; 3], "the second has not passed its step");
    assert_eq!(site.text(0), "ready to go on, and waits for the other services of its set");
    site.pass(12);
    assert_eq!(site.green(), [2500; 3]);
}

#[test]
fn one_that_fails_takes_all_with_it_and_says_so() {
    let mut site = begun(&canary());
    site.pass(3);
    site.second([State::Pass, State::Pass, State::Fail]);
    assert_eq!(site.green(), [0; 3]);
    assert!(site.states.iter().all(|state| state.running().is_none()));
    assert_eq!(site.text(0), "with worker: error rate 100 %");
    assert!(site.states[0].quarantine("green").is_some(), "its version was aborted, too");
}

#[test]
fn one_that_never_began_or_was_begun_again_alone_undoes_the_others() {
    let mut site = begun(&canary());
    site.states[1] = ServiceState::new("blue", ["blue", "green"]);
    site.second([State::Pass; 3]);
    assert_eq!(site.text(0), "signaling has no part in the rollout of the set, or none any more");
    assert!(site.states[2].running().is_none());
}

#[test]
fn what_was_promoted_goes_back_with_the_one_that_does() {
    let watch = After { watch: Duration::from_secs(600), rollback: true };
    let mut site = begun(&Plan { after: watch, ..canary() });
    site.pass(100);
    assert!(site.states.iter().all(|state| state.stable == "green"));
    site.apply(1, Change::Observed(&seen(State::Fail, 20_000)));
    site.together();
    assert!(site.states.iter().all(|state| state.stable == "blue"), "{:?}", site.course);
    let barred = |state: &ServiceState| state.quarantine("green").is_some_and(|quarantine| quarantine.bars());
    assert!(site.states.iter().all(barred));
}

#[test]
fn an_operators_rollback_of_one_is_one_of_all_and_bars_no_command() {
    let mut site = begun(&canary());
    site.pass(100);
    site.apply(0, Change::Rollback { caution: CAREFUL, who: "kim" });
    site.together();
    assert!(site.states.iter().all(|state| state.stable == "blue"));
    assert_eq!(site.states[1].quarantine("green").map(|q| &*q.why), Some("with web, taken back: by kim"));
    // Somebody wants one of them all the same: it is not taken back again.
    site.apply(2, Change::Flip { to: "green", caution: CAREFUL, who: "kim" });
    site.together();
    assert_eq!(site.green(), [0, 0, 10_000]);
}

#[test]
fn one_that_was_flipped_since_stays_where_it_is() {
    let mut site = begun(&canary());
    site.pass(100);
    site.apply(1, Change::Flip { to: "blue", caution: CAREFUL, who: "kim" });
    site.together();
    assert_eq!(site.green(), [10_000, 0, 10_000], "a flip is about one service");
    site.apply(0, Change::Rollback { caution: CAREFUL, who: "kim" });
    site.together();
    assert_eq!(site.green(), [0; 3]);
}

#[test]
fn one_that_cannot_go_back_stays_and_says_so_once() {
    let mut site = begun(&canary());
    site.pass(100);
    site.states[2].previous = None;
    site.apply(0, Change::Rollback { caution: CAREFUL, who: "kim" });
    site.course.clear();
    site.together();
    site.together();
    assert_eq!(site.course, [(1, Event::Rollback, 0), (2, Event::Degraded, 10_000)]);
}

#[test]
fn an_approval_is_given_once_and_holds_until_all_have_come_as_far() {
    let gated = Step { gate: true, ..Step::weight(bp(500), Duration::ZERO) };
    let plan = Plan { steps: vec![gated, Step::weight(bp(10_000), Duration::ZERO)], ..canary() };
    let mut site = begun(&plan);
    for index in [1, 2] {
        let plan = &mut site.states[index].rollout.as_mut().expect("a rollout").rollout.plan;
        plan.steps[0].gate = false;
    }
    site.pass(5);
    assert_eq!(site.course.last(), Some(&(0, Event::Approval, 500)));
    site.apply(0, Change::Asked { id: "web", action: Action::Resume, who: "kim" });
    (0..5).for_each(|_| site.second([State::Pass, State::Pass, State::Hold]));
    assert_eq!(site.green(), [500; 3]);
    site.course.clear();
    site.pass(2);
    assert_eq!(site.green(), [10_000; 3]);
    assert!(site.course.iter().all(|(_, event, _)| *event != Event::Approval), "{:?}", site.course);
}

#[test]
fn a_dry_run_goes_on_together_and_leaves_nothing() {
    let mut site = begun(&Plan { dry_run: true, ..canary() });
    site.pass(100);
    assert_eq!(site.green(), [0; 3]);
    let phases = site.states.iter().map(|state| state.rollout.as_ref().expect("a rollout").rollout.phase);
    assert!(phases.eq([Phase::Promoted; 3]));
}

#[test]
fn one_that_is_promoted_before_another_fails_goes_back() {
    let mut site = begun(&canary());
    site.pass(3);
    let ahead = ServiceState::clone(&site.states[0]);
    let promoted = ahead.apply(Change::Asked { id: "web", action: Action::Promote, who: "kim" }, at(4));
    site.states[0] = promoted.expect("promoted").state;
    site.second([State::Pass, State::Fail, State::Pass]);
    assert_eq!(site.green(), [0; 3], "{:?}", site.course);
}

#[test]
fn a_rolling_update_is_no_part_of_a_set() {
    let plan = crate::core::service::tests::rolling();
    let state = ServiceState::new("blue", ["blue", "green"]);
    let Change::Start { id, to, version, policy, plan, upstreams, who, .. } = start("web", "green", plan)
    else {
        unreachable!("a start")
    };
    let start = Change::Start { id, to, version, policy, plan, upstreams, set: Some(part()), who };
    assert!(matches!(state.apply(start, at(0)), Err(Denied::Invalid(faults)) if faults[0].0 == "strategy"));
}
