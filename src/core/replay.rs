//! What a policy would have decided on traffic that was recorded.
//!
//! The same looks, verdicts and rollout machine as live, with the log's times as the clock. A look follows
//! every failure and every slow answer, as the bell makes the controller look, and ticks come in between.
//! The weights are the log's: a replay says when it would have gone back, it cannot undo what was served.
//! What becomes of a stretch of the candidate's traffic is decided once; after an abort only users are counted.
//! What the compared pool did in the time before a stretch is its baseline, as live; of the groups of requests all of
//! it, where live only a sample is counted.

pub mod attempt;
mod clients;
mod groups;
pub mod order;
pub mod stretch;
pub mod tally;
pub mod trade;

use super::group::Side;
use super::kind_counts::KindCounts;
use super::outcome::Thresholds;
use super::policy::yardstick::Yardstick;
use super::policy::{Circumstances, Counted, GroupCounts, Looks, Mode, Policy};
use super::rollout::{Effect, Idle, Input, Note, Observation, Plan, Rollout, Step};
use super::verdict::{State, Verdict};
use super::weight::BasisPoints;
use attempt::{Mark, ReplayRole};
use groups::LoggedGroups;
use order::{Fact, What};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stretch::{ReplayChange, ReplayStretch};
use tally::Tally;

/// Time between two looks, as live while a rollout runs.
const TICK: Duration = Duration::from_millis(25);
/// Longer than any log: only the policy ends the one step there is.
const ENDLESS: Duration = Duration::from_secs(u32::MAX as u64);

/// Who is judged, and how the log falls into stretches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose attempts are held against the policy.
    pub subject: ReplayRole,
    /// Whether the other pool's are compared with them.
    pub compared: bool,
    /// After so long without an attempt of the subject a new stretch begins.
    pub gap: Duration,
    /// Whether the watch begins again after an abort, to count how often it would have aborted.
    pub again: bool,
}

/// One policy, held against what comes.
#[derive(Clone, Debug)]
pub struct Replay {
    policy: Arc<Policy>,
    setting: Setting,
    thresholds: Thresholds,
    subject: Tally,
    other: Tally,
    groups: Option<LoggedGroups>,
    /// What the other pool did in the last minutes.
    yardstick: Yardstick,
    stretches: Vec<ReplayStretch>,
    trial: Option<Trial>,
    /// The last attempt of the subject that spoke against it.
    suspect: Option<Mark>,
    now: Duration,
    next_tick: Duration,
    /// Whether anything came since the last look, and when the last thing did.
    news: bool,
    last: Duration,
    aborts: u64,
}

/// The watch of a stretch that has not been decided.
#[derive(Clone, Debug)]
struct Trial {
    looks: Looks,
    rollout: Rollout,
}

impl Replay {
    pub fn new(policy: Arc<Policy>, setting: Setting) -> Self {
        let thresholds = policy.thresholds(setting.compared);
        let groups = if policy.mode == Mode::Evidence { policy.groups } else { 0 };
        Replay {
            policy,
            setting,
            thresholds,
            subject: Tally::new(thresholds),
            other: Tally::new(thresholds),
            groups: LoggedGroups::new(groups, thresholds),
            yardstick: Yardstick::default(),
            stretches: Vec::new(),
            trial: None,
            suspect: None,
            now: Duration::ZERO,
            next_tick: TICK,
            news: false,
            last: Duration::ZERO,
            aborts: 0,
        }
    }

    /// Takes in what became known next; times never fall.
    pub fn feed(&mut self, fact: &Fact) {
        let at = Duration::from_micros(fact.at_us);
        self.tick_until(at);
        self.now = at;
        let is_subjects = fact.attempt.role == self.setting.subject;
        if is_subjects {
            // The end of a long answer is no traffic.
            if fact.what != What::Ended {
                self.keep_open(at);
            }
            self.subject.take(fact);
            self.note(fact);
        } else if self.setting.compared {
            self.sample();
            self.other.take(fact);
        } else {
            return;
        }
        if let Some(groups) = &mut self.groups {
            groups.take(if is_subjects { Side::Candidate } else { Side::Stable }, fact);
        }
        (self.news, self.last) = (true, at);
        let is_bad = fact.is_bad(&self.thresholds);
        // What hangs rings no bell: the next tick finds it.
        let is_adverse = is_bad && !matches!(fact.what, What::Overdue(_));
        if is_subjects && is_bad {
            self.suspect = Some(fact.attempt.mark.clone());
        }
        if is_adverse {
            self.look();
        }
    }

    /// The log has ended: what it came to.
    pub fn finish(mut self) -> Vec<ReplayStretch> {
        self.tick_until(self.now + TICK);
        self.stretches
    }

    /// Aborts so far, over all stretches.
    pub fn aborts(&self) -> u64 {
        self.aborts
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    fn tick_until(&mut self, at: Duration) {
        while self.next_tick <= at {
            // Without news a tick changes nothing, but for the window that goes on.
            let ages = self.policy.mode == Mode::Window;
            let is_idle = !self.news && (!ages || self.next_tick > self.last + self.policy.window);
            if is_idle {
                let ticks = (at - self.next_tick).as_micros() / TICK.as_micros() + 1;
                self.next_tick += TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
                continue;
            }
            self.now = self.next_tick;
            self.next_tick += TICK;
            self.look();
        }
    }

    /// Begins a stretch where the last one is over.
    fn keep_open(&mut self, at: Duration) {
        if let Some(open) = self.stretches.last_mut().filter(|open| at <= open.ended + self.setting.gap) {
            open.ended = at;
            return;
        }
        self.stretches.push(ReplayStretch::new(at));
        self.begin();
    }

    /// Notes what the other pool has done by now.
    fn sample(&mut self) {
        let totals = self.other.totals();
        self.yardstick.push(self.now, || KindCounts::from(totals));
        let last = self.stretches.last();
        let is_judging =
            self.trial.is_some() && last.is_some_and(|open| self.now <= open.ended + self.setting.gap);
        if let Some(groups) = self.groups.as_mut().filter(|_| !is_judging) {
            groups.turn(self.now);
        }
    }

    fn begin(&mut self) {
        if self.setting.compared {
            self.sample();
        }
        let groups = self.groups.as_mut().map(LoggedGroups::begin).unwrap_or_default();
        let counts = self.setting.compared.then(|| KindCounts::from(self.other.totals()));
        let before = counts.and_then(|counts| self.yardstick.since(&counts));
        let looks = Looks::new(
            self.policy.clone(),
            counted((&self.subject, &self.other), self.setting, &groups),
            before.as_ref(),
            self.now,
        );
        let (mut rollout, calm) = (Rollout::new(plan(), Vec::new()), observation(State::Pass, 0));
        // From its preparation to its step.
        (rollout, _) = rollout.advance(&Input::Observed(&calm), self.now);
        (self.trial, self.suspect) = (Some(Trial { looks, rollout }), None);
    }

    fn note(&mut self, fact: &Fact) {
        if let Some(open) = self.stretches.last_mut() {
            open.note(fact);
        }
    }

    fn look(&mut self) {
        self.news = false;
        let (now, totals) = (self.now, self.subject.totals());
        let groups = self.groups.as_mut().filter(|_| self.trial.is_some());
        let groups = groups.map(LoggedGroups::touched).unwrap_or_default();
        let counted = counted((&self.subject, &self.other), self.setting, &groups);
        let Some(trial) = &mut self.trial else { return };
        trial.looks.observe(now, counted);
        let seen =
            Circumstances { witnesses: Some(&self.subject), stable_up: true, ..Circumstances::default() };
        let verdict = trial.looks.verdict(now, totals, seen);
        let attempts = trial.looks.evaluation.attempts();
        let observation = Observation { verdict, ..observation(State::Pass, attempts) };
        let (rollout, effects) = trial.rollout.advance(&Input::Observed(&observation), now);
        let reported = trial.looks.evaluation.evidence();
        let evidence = reported.iter().map(|of| of.ln / of.needed).fold(0.0, f64::max);
        let has_ended = rollout.has_ended();
        trial.rollout = rollout;
        let Some(open) = self.stretches.last_mut() else { return };
        open.course.weigh(now, evidence, observation.verdict.state);
        let suspect = self.suspect.as_ref();
        // Whom nobody reads to: only aborts are counted.
        for effect in effects.into_iter().filter(|_| !self.setting.again) {
            let Effect::Note(Note { event, text }) = effect else { continue };
            let reasons = observation.verdict.reasons.clone();
            open.changed(ReplayChange::new(now, event, text, reasons, suspect));
        }
        if has_ended {
            self.aborts += 1;
            self.trial = None;
            if self.setting.again {
                self.begin();
            }
        }
    }
}

fn counted<'a>(
    (subject, other): (&'a Tally, &'a Tally),
    setting: Setting,
    groups: &'a [GroupCounts],
) -> Counted<'a> {
    Counted { candidate: subject.counts(), stable: setting.compared.then(|| other.counts()), groups }
}

/// One step that nothing but the policy ends.
fn plan() -> Plan {
    let step = Step { weight: BasisPoints::FULL, mirror: None, hold: ENDLESS, gate: false };
    Plan { steps: vec![step], min_attempts: 0, idle: Idle::Advance, ..Plan::default() }
}

fn observation(state: State, attempts: u64) -> Observation {
    let verdict = Verdict { state, reasons: Vec::new() };
    Observation { verdict, attempts, candidate: Ok(()), stable_ready: true, upstreams: BTreeMap::new() }
}

#[cfg(test)]
mod tests;
