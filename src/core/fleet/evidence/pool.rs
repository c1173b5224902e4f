//! The sum of what all members count, held against the policy.

use super::counts::{MemberCounts, MemberPast};
use super::pusher::PushStamp;
use super::rounds::{EvidenceRounds, RoundStep};
use crate::core::fleet::Incarnation;
use crate::core::outcome::Totals;
use crate::core::policy::{Circumstances, Looks, Policy};
use crate::core::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What one member has pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidencePush {
    pub incarnation: Incarnation,
    /// Which versions the counts are about: the number of the service's state with which their arms began.
    pub era: u64,
    pub stamp: PushStamp,
    pub counts: MemberCounts,
    pub past: MemberPast,
}

/// The evidence of a whole fleet against one candidate.
#[derive(Debug)]
pub struct PooledEvidence {
    policy: Arc<Policy>,
    era: u64,
    rounds: EvidenceRounds,
    members: BTreeMap<String, MemberTally>,
    /// From when all live members had pushed for the first time.
    pooled: Option<Pooled>,
}

#[derive(Debug)]
struct Pooled {
    looks: Looks,
    /// What stable did before, at all members together.
    past: MemberPast,
    /// The sum as it was judged last.
    sum: MemberCounts,
}

/// The counts of one member. They stay in the sum when it goes.
#[derive(Debug, Default)]
struct MemberTally {
    incarnation: Incarnation,
    /// Of its former processes.
    former: MemberCounts,
    newest: MemberCounts,
    past: MemberPast,
    /// What of it is judged in the round at hand.
    cut: MemberCounts,
}

impl PooledEvidence {
    /// From no evidence. `policy` is the one of the rollout, `round` the last one that the store knows of.
    pub fn new(policy: &Policy, era: u64, round: u64) -> Self {
        PooledEvidence {
            policy: Arc::new(policy.in_fleet()),
            era,
            rounds: EvidenceRounds::after(round),
            members: BTreeMap::new(),
            pooled: None,
        }
    }

    /// Takes in what a member has pushed. A push about other versions, or of a process that another has followed, is left
    /// out.
    pub fn push(&mut self, member: &str, push: EvidencePush) {
        if push.era != self.era {
            return;
        }
        let of = self.members.entry(member.to_owned()).or_default();
        if push.incarnation < of.incarnation {
            return;
        }
        if push.incarnation > of.incarnation {
            let ended = std::mem::take(&mut of.newest).at_rest();
            of.former = of.former.plus(&ended);
            of.incarnation = push.incarnation;
        }
        (of.newest, of.past) = (push.counts, push.past);
        let is_answer = self.rounds.heard(member, push.stamp.round, push.stamp.rung);
        if is_answer {
            of.freeze();
        }
    }

    /// What the leader does next; after [`RoundStep::Judge`] the verdict is that of the round.
    pub fn step(&mut self, live: &BTreeSet<String>, now: Duration) -> Option<RoundStep> {
        let step = self.rounds.step(live, now)?;
        if let RoundStep::Judge { silent } = &step {
            self.judge(live, silent, now);
        }
        Some(step)
    }

    /// When there is something to do, if nothing is pushed until then.
    pub fn due_at(&self) -> Duration {
        self.rounds.due_at()
    }

    /// Whether all members that lived then have pushed, so that there is a verdict.
    pub fn is_gathered(&self) -> bool {
        self.pooled.is_some()
    }

    /// What the policy says of the last round; a pass without reasons before there is any.
    pub fn verdict(&self, now: Duration, seen: Circumstances<'_>) -> Verdict {
        let verdict = |pooled: &Pooled| pooled.looks.verdict(now, &pooled.sum.candidate.totals, seen);
        self.pooled.as_ref().map(verdict).unwrap_or_default()
    }

    /// Attempts on the candidate, of all members.
    pub fn attempts(&self) -> u64 {
        self.pooled.as_ref().map_or(0, |pooled| pooled.sum.candidate.totals.attempts)
    }

    /// The evaluation, for those who show how far the candidate is from an abort.
    pub fn looks(&self) -> Option<&Looks> {
        self.pooled.as_ref().map(|pooled| &pooled.looks)
    }

    fn judge(&mut self, live: &BTreeSet<String>, silent: &[String], now: Duration) {
        for member in silent {
            // Whatever is known of it came before the round.
            self.members.get_mut(member).into_iter().for_each(MemberTally::freeze);
        }
        if self.pooled.is_none() && live.iter().all(|member| self.members.contains_key(member)) {
            self.pooled = Some(self.begin(now));
        }
        let Some(pooled) = &mut self.pooled else { return };
        let mut sum = MemberCounts::default();
        for of in self.members.values() {
            sum = sum.plus(&of.cut);
        }
        if let Some(stable) = &mut sum.stable {
            stable.totals = stable.totals.plus(&known(&pooled.past));
        }
        let groups = sum.groups_with(&pooled.past);
        pooled.looks.observe(now, sum.counted(&groups));
        pooled.sum = sum;
    }

    /// Begins with counters at zero, and with what stable did before.
    fn begin(&self, now: Duration) -> Pooled {
        let pasts = self.members.values().map(|of| &of.past);
        let past = pasts.fold(MemberPast::default(), |sum, past| sum.plus(past));
        let mut sum = MemberCounts::default();
        if self.members.values().any(|of| of.newest.stable.is_some()) {
            sum.stable.get_or_insert_default().totals = known(&past);
        }
        let named = self.members.values().flat_map(|of| &of.newest.groups);
        for (key, group) in named {
            sum.groups.entry(*key).or_default().name.clone_from(&group.name);
        }
        let groups = sum.groups_with(&past);
        let looks = Looks::new(self.policy.clone(), sum.counted(&groups), past.before.as_ref(), now);
        Pooled { looks: looks.in_rounds(), past, sum }
    }
}

impl MemberTally {
    fn freeze(&mut self) {
        self.cut = self.former.plus(&self.newest);
    }
}

/// Stable's counters as they stood before: of those, only latencies serve as a yardstick.
fn known(past: &MemberPast) -> Totals {
    Totals { latency: past.latency, ..Totals::default() }
}
