//! When the leader asks all members for their counts, and when it judges.
//!
//! One round at a time. An event that a member pushes in the middle of a round, having answered already, begins the
//! next one; so a candidate that fails all requests of a busy site costs as many rounds as the store takes, and not
//! one a request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long answers are waited for.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Without any event, so often is asked.
pub const QUIET: Duration = Duration::from_secs(1);

/// The calendar of one rollout's rounds, at the leader.
#[derive(Clone, Debug)]
pub struct EvidenceRounds {
    /// The last round that was asked for; rounds of a former leader had smaller numbers.
    round: u64,
    open: Option<OpenRound>,
    asked_at: Option<Duration>,
    members: BTreeMap<String, MemberRounds>,
}

#[derive(Clone, Debug)]
struct OpenRound {
    asked_at: Duration,
    answered: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct MemberRounds {
    /// Events that it has pushed, those of its answer to the round at hand, and those that have been judged.
    rung: u64,
    answered: u64,
    judged: u64,
}

/// What the leader does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundStep {
    /// It writes `look` with this number.
    Ask(u64),
    /// It judges; the members that did not answer in time.
    Judge { silent: Vec<String> },
}

impl EvidenceRounds {
    /// `round` is the last number that was asked for, as the store has it.
    pub fn after(round: u64) -> Self {
        EvidenceRounds { round, open: None, asked_at: None, members: BTreeMap::new() }
    }

    /// A member has pushed its counts: as the answer to the round that it has seen last, with so many events so far in
    /// its process. Whether it is the first answer to the round at hand, which is the one that is judged.
    pub fn heard(&mut self, member: &str, round: u64, rung: u64) -> bool {
        let (open, current) = (&mut self.open, self.round);
        let of = self.members.entry(member.to_owned()).or_default();
        // Another process of the same name counts from zero.
        of.judged = if rung < of.rung { 0 } else { of.judged };
        of.rung = rung;
        let is_answer = match open {
            Some(open) if round >= current => open.answered.insert(member.to_owned()),
            _ => false,
        };
        of.answered = if is_answer { rung } else { of.answered };
        is_answer
    }

    /// Whether a member has answered the round at hand: what it pushes after that belongs to the next one.
    pub fn has_answered(&self, member: &str) -> bool {
        self.open.as_ref().is_some_and(|open| open.answered.contains(member))
    }

    /// What is to be done now, with these members `live`.
    pub fn step(&mut self, live: &BTreeSet<String>, now: Duration) -> Option<RoundStep> {
        if let Some(open) = &self.open {
            let missing = live.iter().filter(|member| !open.answered.contains(*member));
            let silent: Vec<String> = missing.cloned().collect();
            if !silent.is_empty() && now < open.asked_at + PATIENCE {
                return None;
            }
            let answered = std::mem::take(&mut self.open).map(|open| open.answered).unwrap_or_default();
            for (member, of) in &mut self.members {
                // Of a silent one, the last that it said is what is judged.
                of.judged = if answered.contains(member) { of.answered } else { of.rung };
            }
            return Some(RoundStep::Judge { silent });
        }
        let is_due = self.asked_at.is_none_or(|asked_at| now >= asked_at + QUIET);
        let has_rung = || self.members.values().any(|of| of.rung > of.judged);
        if !is_due && !has_rung() {
            return None;
        }
        self.round += 1;
        self.asked_at = Some(now);
        self.open = Some(OpenRound { asked_at: now, answered: BTreeSet::new() });
        Some(RoundStep::Ask(self.round))
    }

    /// When there is something to do, if nothing is heard until then.
    pub fn due_at(&self) -> Duration {
        match (&self.open, self.asked_at) {
            (Some(open), _) => open.asked_at + PATIENCE,
            (None, Some(asked_at)) => asked_at + QUIET,
            (None, None) => Duration::ZERO,
        }
    }
}
