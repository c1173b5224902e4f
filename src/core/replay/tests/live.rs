//! What a replay feeds the evaluation with is what the live counters do: the same facts, the same verdict.

use super::*;
use crate::core::client::Met;
use crate::core::group::{Groups, Shape, Side};
use crate::core::outcome::{Durations, Totals};
use crate::core::policy::Witnesses;
use crate::core::replay::attempt::{Ending, LoggedEnd, LoggedGroup};
use crate::core::replay::groups::{LoggedGroups, event};
use crate::observe::recorder::Recorder;
use crate::observe::shard::{AnswerEnd, Started};
use crate::observe::witnesses::ArmWitnesses;
use proptest::prelude::*;

/// One pool as the data plane counts it.
struct Live {
    recorder: Recorder,
    arm: crate::core::outcome::ArmId,
    thresholds: Thresholds,
    starts: Vec<Started>,
    groups: Groups,
    ids: Vec<crate::core::group::GroupId>,
}

impl Live {
    fn new(thresholds: Thresholds) -> Self {
        let recorder = Recorder::new(1);
        let arm = recorder.arm("web", "green").expect("a free arm");
        Live { recorder, arm, thresholds, starts: Vec::new(), groups: Groups::new(64, 1), ids: Vec::new() }
    }

    fn begin(&mut self, attempt: &ReplayAttempt) {
        let client = attempt.client.expect("a client");
        self.starts.push(self.recorder.shard(0).start(self.arm, attempt.started_us, client));
        self.ids.push(crate::core::group::GroupId::REST);
    }

    fn take(&mut self, index: usize, fact: &Fact) {
        let (shard, attempt, started) = (self.recorder.shard(0), &fact.attempt, self.starts[index]);
        match fact.what {
            What::Overdue(_) => return,
            What::Known => {
                let outcome = attempt.first_outcome();
                if let Outcome::Failure(_) = outcome {
                    shard.failed_for(self.arm, started, fact.at_us);
                }
                shard.answered(self.arm, started, fact.at_us, (outcome, attempt.code), &self.thresholds);
                let group = attempt.group.as_ref().expect("a group");
                if outcome != Outcome::Ignored {
                    let may_claim = !(400..500).contains(&attempt.code);
                    self.ids[index] = self.groups.of(group.shape, may_claim, || group.name.to_string());
                }
            }
            What::Broke => {
                shard.failed_for(self.arm, started, fact.at_us);
                shard.broken(self.arm, started, Reason::Reset);
            }
            What::Ended => {
                let (end, _) = attempt.ended().expect("an end");
                let ending = match end.ending {
                    Ending::Whole => AnswerEnd::Whole,
                    Ending::Empty => AnswerEnd::Empty,
                    Ending::Declined => AnswerEnd::Declined,
                    Ending::Cut => AnswerEnd::Cut,
                };
                shard.finished(self.arm, started, fact.at_us, (end.took_us, ending), &self.thresholds);
            }
        }
        if let Some(event) = event(fact, &self.thresholds) {
            self.groups.count(0, Side::Candidate, self.ids[index], event);
        }
    }

    fn counts(&self, now_us: u64) -> (Totals, Durations) {
        let mut totals = self.recorder.totals(self.arm, now_us, &self.thresholds.slow);
        totals.in_flight = 0;
        totals.fast[self.thresholds.slow.used().len()..].fill(0);
        totals.brief[self.thresholds.long.used().len()..].fill(0);
        (totals, self.recorder.durations(self.arm))
    }
}

fn attempts(rows: Vec<(u64, u64, u8)>) -> Vec<ReplayAttempt> {
    let mut at = 0;
    let each = |(gap, took, kind): (u64, u64, u8)| {
        at += gap;
        let outcome = match kind {
            0 => FAILED,
            1 => Outcome::Ignored,
            5 => Outcome::Abandoned,
            _ => Outcome::Success,
        };
        let mut attempt = attempt(ReplayRole::Candidate, at, took, outcome);
        attempt.mark.line = at;
        let path = format!("/{}", (b'a' + (took % 3) as u8) as char);
        let shape = Shape::of(0, b"GET", path.as_bytes());
        attempt.group = Some(LoggedGroup { shape, name: path.into() });
        let end = |more, ending| Some(LoggedEnd { took_us: took + more, ending });
        match kind {
            4 => {
                (attempt.outcome, attempt.broke_us) =
                    (Outcome::Failure(Reason::Reset), Some(at + took + 1_000))
            }
            5 => attempt.code = 0,
            6 => attempt.end = end(0, Ending::Empty),
            7 => attempt.end = end(900_000, Ending::Cut),
            8 => attempt.code = 404,
            9 => attempt.end = end(took, Ending::Whole),
            _ => {}
        }
        attempt
    };
    rows.into_iter().map(each).collect()
}

proptest! {
    /// The counters are the live ones, at every moment, and so are those of each group and the clients.
    #[test]
    fn a_tally_counts_as_the_shards_do(
        rows in prop::collection::vec((1u64..300_000, 0u64..3_000_000, 0u8..10), 1..60),
    ) {
        let mut thresholds = Thresholds { is_compared: true, ..Thresholds::default() };
        thresholds.slow.0[..2].copy_from_slice(&[400_000, 1_000_000]);
        thresholds.long.0[..2].copy_from_slice(&[800_000, 2_000_000]);
        let attempts = attempts(rows);
        let (mut live, mut tally) = (Live::new(thresholds), Tally::new(thresholds));
        let mut groups = LoggedGroups::new(64, thresholds).expect("groups");
        for fact in facts(thresholds.slow, attempts.clone()) {
            while attempts.get(live.starts.len()).is_some_and(|next| next.started_us <= fact.at_us) {
                live.begin(&attempts[live.starts.len()]);
            }
            tally.take(&fact);
            groups.take(Side::Candidate, &fact);
            let index = attempts.iter().position(|attempt| *attempt == fact.attempt).expect("one of them");
            live.take(index, &fact);
            let overdue_now = attempts.iter().any(|a| {
                let slow = thresholds.slow;
                slow.used().iter().any(|limit| super::super::order::overdue_at(a.started_us, *limit) == fact.at_us)
            });
            // Facts of the same moment have an order of their own.
            if matches!(fact.what, What::Overdue(_)) || overdue_now {
                continue;
            }
            let (totals, durations) = live.counts(fact.at_us);
            prop_assert_eq!(tally.counts().totals, &totals);
            prop_assert_eq!(tally.counts().durations, Some(&durations));
            for logged in groups.touched() {
                let all = live.groups.snapshot();
                let group = all.iter().find(|group| group.key == logged.key).expect("the same groups");
                prop_assert_eq!((&logged.name, &logged.candidate), (&group.name, &group.candidate));
            }
            let slow = thresholds.slow;
            let witnesses =
                ArmWitnesses { recorder: &live.recorder, arm: live.arm, slow: &slow, now_us: fact.at_us };
            for met in [Met::Failures, Met::Abandoned, Met::Long(0), Met::HeadsOver(90), Met::EndsOver(90)] {
                let since = Duration::from_micros(fact.at_us / 2);
                prop_assert_eq!(tally.clients(met, since), witnesses.clients(met, since), "{:?}", met);
            }
        }
    }
}
