//! What holds of any round, whatever order its attempts came in.

use super::*;
use crate::core::evidence::{BatchOrder, Evidence};
use crate::core::fleet::Incarnation;
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::Totals;
use crate::core::policy::{Circumstances, Limit, Policy};
use crate::core::rollout::{Observation, UpstreamSeen};
use crate::core::verdict::{Level, Reason, State, Verdict};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const A: f64 = 1e9;
const NOW: Duration = Duration::ZERO;

fn policy() -> Policy {
    let limits = vec![Limit::ErrorRate { warning: None, critical: Some(0.01) }];
    Policy { limits, groups: 64, ..Policy::default() }
}

fn counts(attempts: u64, failures: u64) -> MemberCounts {
    let totals = Totals { attempts, failures, ..Totals::default() };
    MemberCounts { candidate: ArmTally { totals, ..ArmTally::default() }, ..MemberCounts::default() }
}

fn push(incarnation: u64, (round, rung): (u64, u64), counts: MemberCounts) -> EvidencePush {
    let (incarnation, stamp) = (Incarnation(incarnation), PushStamp { round, rung });
    EvidencePush { incarnation, era: 1, stamp, counts, past: MemberPast::default() }
}

fn live(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

proptest! {
    /// The proof of [`BatchOrder::EventsFirst`], tried: no order of the same attempts leads to less.
    #[test]
    fn events_first_is_the_least_evidence_of_all_orders(
        before in proptest::collection::vec(any::<bool>(), 0..40),
        batch in proptest::collection::vec(proptest::bool::weighted(0.2), 0..60),
        limit in 0.002f64..0.3,
    ) {
        let mut any = Evidence::new(limit, A, NOW);
        for is_event in before {
            any.observe(NOW, u64::from(!is_event), u64::from(is_event));
        }
        let mut round = any.clone().in_order(BatchOrder::EventsFirst);
        let events = batch.iter().filter(|is_event| **is_event).count() as u64;
        round.observe(NOW, batch.len() as u64 - events, events);
        for is_event in batch {
            any.observe(NOW, u64::from(!is_event), u64::from(is_event));
            // From there on the ceiling may keep the other one back: it has spoken.
            prop_assume!(!any.exceeded());
        }
        prop_assert!(round.ln() <= any.ln() + 1e-9, "{} and {}", round.ln(), any.ln());
    }

    /// Whatever the members count, and whenever they are asked: the evidence of the fleet is never more than that of the same
    /// attempts one after the other, round by round.
    #[test]
    fn pooled_evidence_is_never_more_than_that_of_one_stream(
        attempts in proptest::collection::vec((0usize..4, proptest::bool::weighted(0.1), 0u8..10), 1..300),
    ) {
        let members = ["a", "b", "c", "d"];
        let mut pool = PooledEvidence::new(&policy(), 1, 0);
        let mut one = Evidence::new(0.01, 2.0 * A, NOW);
        let (mut of, mut round, mut open) = ([(0, 0); 4], 0, Vec::new());
        let everybody = live(&members);
        // Each attempt, and now and then the end of a round.
        for (member, failed, tick) in attempts {
            of[member] = (of[member].0 + 1, of[member].1 + u64::from(failed));
            open.push(failed);
            if tick > 0 {
                continue;
            }
            pool.step(&everybody, ms(round * 2_000));
            round += 1;
            for (name, (attempts, failures)) in members.iter().zip(of) {
                pool.push(name, push(1, (round, failures), counts(attempts, failures)));
            }
            let step = pool.step(&everybody, ms(round * 2_000 - 1_999));
            prop_assert_eq!(step, Some(RoundStep::Judge { silent: Vec::new() }));
            for failed in open.drain(..) {
                one.observe(NOW, u64::from(!failed), u64::from(failed));
                // From there on the ceiling may keep it back: it has spoken.
                prop_assume!(!one.exceeded());
            }
            let evidence = pool.looks().expect("all have pushed").evaluation.evidence();
            let ln = evidence.iter().map(|level| level.ln).fold(0.0, f64::max);
            prop_assert!(ln <= one.ln() + 1e-9, "{} and {}", ln, one.ln());
        }
    }
}

#[test]
fn a_round_with_more_events_than_the_ceiling_has_room_for_still_speaks() {
    let mut evidence = Evidence::new(0.01, A, NOW).in_order(BatchOrder::EventsFirst);
    evidence.observe(NOW, 80, 20);
    assert!(evidence.exceeded(), "20 of 100: {}", evidence.ln());
}

#[test]
fn one_round_at_a_time_is_judged_when_all_have_answered() {
    let everybody = live(&["a", "b"]);
    let mut rounds = EvidenceRounds::after(7);
    assert_eq!(rounds.step(&everybody, ms(0)), Some(RoundStep::Ask(8)));
    assert!(rounds.heard("a", 8, 0));
    assert_eq!(rounds.step(&everybody, ms(1)), None, "one is missing");
    assert!(!rounds.heard("b", 7, 1), "it had not seen the round");
    assert!(!rounds.heard("a", 8, 1), "only the first answer counts");
    assert_eq!(rounds.step(&everybody, ms(2)), None);
    assert!(rounds.heard("b", 8, 1));
    let judged = Some(RoundStep::Judge { silent: Vec::new() });
    assert_eq!(rounds.step(&everybody, ms(3)), judged);
    assert_eq!(rounds.step(&everybody, ms(3)), Some(RoundStep::Ask(9)), "a's event came after its answer");
    assert!(rounds.heard("a", 9, 1) && rounds.heard("b", 9, 1));
    assert_eq!(rounds.step(&everybody, ms(4)), judged);
    assert_eq!(rounds.step(&everybody, ms(5)), None, "nothing is new");
    assert_eq!(rounds.step(&everybody, rounds.due_at()), Some(RoundStep::Ask(10)), "a second later");
    assert!(rounds.heard("a", 10, 1));
    let silent = vec!["b".to_owned()];
    assert_eq!(rounds.step(&everybody, rounds.due_at()), Some(RoundStep::Judge { silent }));
}

/// A pool with all members answering one round after the other.
struct Pool {
    pool: PooledEvidence,
    round: u64,
    now: Duration,
}

impl Pool {
    fn new() -> Self {
        Pool { pool: PooledEvidence::new(&policy(), 1, 0), round: 0, now: NOW }
    }

    fn round(&mut self, pushes: &[(&str, u64, MemberCounts)]) {
        self.now += ms(1_000);
        let everybody: BTreeSet<String> = pushes.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(self.pool.step(&everybody, self.now), Some(RoundStep::Ask(self.round + 1)));
        self.round += 1;
        for (name, incarnation, counts) in pushes {
            let rung = counts.candidate.totals.failures;
            self.pool.push(name, push(*incarnation, (self.round, rung), counts.clone()));
        }
        let step = self.pool.step(&everybody, self.now);
        assert!(matches!(step, Some(RoundStep::Judge { .. })), "{step:?}");
    }

    fn state(&self) -> State {
        let seen = Circumstances { stable_up: true, ..Circumstances::default() };
        self.pool.verdict(self.now, seen).state
    }
}

#[test]
fn counts_of_processes_that_are_gone_stay_in_the_sum() {
    let mut pool = Pool::new();
    pool.round(&[("a", 1, counts(100, 1)), ("b", 1, counts(50, 1))]);
    assert_eq!(pool.pool.attempts(), 150);
    pool.round(&[("a", 2, counts(10, 0)), ("b", 1, counts(60, 1))]);
    assert_eq!(pool.pool.attempts(), 170, "a began again from zero");
    pool.pool.push("a", push(1, (9, 1), counts(101, 1)));
    pool.round(&[("a", 2, counts(20, 0))]);
    assert_eq!(pool.pool.attempts(), 180, "b has left, and a late word of a's former process counts nothing");
    pool.round(&[("a", 2, counts(20, 0)), ("c", 1, counts(5, 0))]);
    assert_eq!(pool.pool.attempts(), 185, "c has joined");
}

#[test]
fn a_push_after_the_answer_waits_for_the_next_round() {
    let (everybody, mut pool) = (live(&["a", "b"]), Pool::new());
    pool.round(&[("a", 1, counts(0, 0)), ("b", 1, counts(0, 0))]);
    assert_eq!(pool.pool.step(&everybody, ms(3_000)), Some(RoundStep::Ask(2)));
    pool.pool.push("a", push(1, (2, 0), counts(0, 0)));
    pool.pool.push("a", push(1, (2, 9), counts(9, 9)));
    pool.pool.push("b", push(1, (2, 0), counts(500, 0)));
    pool.pool.step(&everybody, ms(3_001));
    assert_eq!(pool.pool.attempts(), 500, "the cut is what they answered");
    assert_eq!(pool.pool.step(&everybody, ms(3_002)), Some(RoundStep::Ask(3)));
}

#[test]
fn a_few_failures_at_each_of_ten_are_enough_for_all() {
    let mut pool = Pool::new();
    let names: Vec<String> = (0..10).map(|n| format!("edge-{n}")).collect();
    let all = |failures| -> Vec<(&str, u64, MemberCounts)> {
        names.iter().map(|name| (name.as_str(), 1, counts(failures, failures))).collect()
    };
    pool.round(&all(0));
    assert_eq!(pool.state(), State::Pass);
    pool.round(&all(1));
    assert_eq!(pool.state(), State::Fail, "ten of ten");
}

#[test]
fn a_group_that_is_dead_at_all_members_is_found() {
    let mut pool = Pool::new();
    let with = |attempts, failures, good: u64| {
        let mut sum = counts(good + attempts, failures);
        let candidate = KindCounts { attempts, failures, ..KindCounts::default() };
        sum.groups.insert(7, GroupTally { name: "GET /checkout".into(), candidate, ..GroupTally::default() });
        sum
    };
    pool.round(&[("a", 1, with(0, 0, 0)), ("b", 1, with(0, 0, 0))]);
    for n in 1..=4 {
        pool.round(&[("a", 1, with(n, n, n * 2_000)), ("b", 1, with(n, n, n * 2_000))]);
    }
    let seen = Circumstances { stable_up: true, ..Circumstances::default() };
    let verdict = pool.pool.verdict(pool.now, seen);
    assert_eq!(verdict.state, State::Fail);
    assert_eq!(verdict.reasons[0].group.as_deref(), Some("GET /checkout"), "{:?}", verdict.reasons);
}

#[test]
fn the_baseline_is_what_stable_did_at_all_members() {
    let stable = |before| {
        let mut pool = PooledEvidence::new(&policy(), 1, 0);
        let everybody = live(&["a", "b"]);
        for round in 1..=15 {
            let failures = round - 1;
            assert_eq!(pool.step(&everybody, ms(round * 1_000)), Some(RoundStep::Ask(round)));
            for name in ["a", "b"] {
                let counts =
                    MemberCounts { stable: Some(ArmTally::default()), ..counts(failures * 10, failures) };
                let past = MemberPast { before: Some(before), ..MemberPast::default() };
                pool.push(name, EvidencePush { past, ..push(1, (round, failures), counts) });
            }
            pool.step(&everybody, ms(round * 1_000 + 1));
        }
        let seen = Circumstances { stable_up: true, ..Circumstances::default() };
        pool.verdict(ms(20_000), seen).state
    };
    let before = |failures| KindCounts { attempts: 1_000, failures, ..KindCounts::default() };
    assert_eq!(stable(before(0)), State::Fail, "10 % of errors, and stable had none");
    assert_eq!(stable(before(100)), State::Pass, "as many as stable had before");
}

#[test]
fn a_member_pushes_once_at_a_time_and_again_after_a_failure() {
    let mut pusher = EvidencePusher::default();
    assert_eq!(pusher.next(ms(0)), Some(PushStamp::default()), "the first one says that it is there");
    pusher.ring();
    pusher.asked(4);
    assert_eq!(pusher.next(ms(1)), None, "one is under way");
    pusher.pushed(true, ms(2));
    assert_eq!(pusher.next(ms(2)), Some(PushStamp { round: 4, rung: 1 }));
    pusher.pushed(false, ms(3));
    assert_eq!(pusher.next(ms(3)), None, "not at once");
    assert!(pusher.next(ms(103)).is_some());
    pusher.pushed(true, ms(104));
    assert_eq!(pusher.next(ms(104)), None, "nothing is new");
    pusher.asked(3);
    assert_eq!(pusher.next(ms(104)), None, "an older round is none");
    pusher.lost();
    assert!(pusher.next(ms(105)).is_some());
}

#[test]
fn what_one_member_sees_holds_all() {
    let condition = |text: &str| Reason::condition("health", Level::Critical, text.to_owned());
    let report = |state, reasons, unready: Option<&str>, checks| MemberReport {
        verdict: Verdict { state, reasons },
        unready: unready.map(str::to_owned),
        stable_ready: true,
        upstreams: BTreeMap::from([(
            "10.0.0.1:80".to_owned(),
            UpstreamSeen { in_flight: 2, up: true, good_checks: Some(checks), ..UpstreamSeen::default() },
        )]),
        ..MemberReport::default()
    };
    let members = BTreeMap::from([
        ("edge-1".to_owned(), report(State::Pass, Vec::new(), None, 5)),
        ("edge-2".to_owned(), report(State::Hold, vec![condition("it is down")], Some("status 503"), 2)),
    ]);
    let Observation { verdict, attempts, candidate, stable_ready, upstreams } =
        merged(Verdict::default(), 70, &members);
    assert_eq!((verdict.state, attempts, stable_ready), (State::Hold, 70, true));
    assert_eq!(verdict.reasons[0].text, "edge-2: it is down");
    assert_eq!(candidate, Err("edge-2: status 503".to_owned()));
    let seen = &upstreams["10.0.0.1:80"];
    assert_eq!((seen.in_flight, seen.good_checks), (4, Some(2)));
}

#[test]
fn counts_are_stored_as_they_are() {
    let mut counts = counts(10, 2);
    counts.candidate.totals.latency[17] = 3;
    counts.groups.insert(u64::MAX, GroupTally { name: "GET /".into(), ..GroupTally::default() });
    let text = serde_json::to_string(&counts).expect("JSON");
    assert_eq!(serde_json::from_str::<MemberCounts>(&text).expect("the same"), counts);
    assert!(text.len() < 2_000, "{} bytes", text.len());
}
