//! A rollout at work: what its machine and the watch after it decide becomes weights, roles and notes.

use super::change::{Applied, Denied, Moment, Order};
use super::{QuarantineCause, Running, ServiceState};
use crate::core::event::Event;
use crate::core::rollout::{Action, Effect, Guard, Input, Note, Observation, Phase, Work, WorkResult};
use crate::core::weight::BasisPoints;

impl ServiceState {
    pub(super) fn start(&self, running: Running, who: &str, moment: Moment<'_>) -> Result<Applied, Denied> {
        self.known("to", &running.to)?;
        self.free_of_rollout("start another")?;
        let rolling = running.rollout.is_rolling();
        if running.to == self.stable && !rolling {
            let detail = format!("{} is stable already; name the pool with the new version", running.to);
            return Err(Denied::Invalid(vec![("to".into(), detail)]));
        }
        if rolling && running.set.is_some() {
            let detail = "services go on together by their steps, and a rolling update has none; name canary or \
                          blue-green";
            return Err(Denied::Invalid(vec![("strategy".into(), detail.into())]));
        }
        if rolling && running.rollout.instances.len() < 2 {
            let detail = format!(
                "a rolling update takes upstreams out one by one, and {} has no second one to serve meanwhile",
                running.to
            );
            return Err(Denied::Invalid(vec![("to".into(), detail)]));
        }
        if rolling && running.rollout.plan.dry_run {
            let detail =
                "a rolling update cannot be tried dry: what it watches is what it has updated".into();
            return Err(Denied::Invalid(vec![("dry_run".into(), detail)]));
        }
        let faults = running.rollout.plan.time_faults();
        if !faults.is_empty() {
            let at = |(key, detail): (&str, String)| (key.to_owned(), detail);
            return Err(Denied::Invalid(faults.into_iter().map(at).collect()));
        }
        let faults = running.rollout.plan.faults();
        if !faults.is_empty() {
            let steps = &running.rollout.plan.steps;
            let field = |index: usize| match steps.get(index).and_then(|step| step.mirror) {
                Some(_) => "mirror",
                None => "weight",
            };
            let at = |(index, detail): (usize, String)| (format!("steps[{index}].{}", field(index)), detail);
            return Err(Denied::Invalid(faults.into_iter().map(at).collect()));
        }
        let third = self.weights.iter().find(|(pool, weight)| {
            **weight > BasisPoints::ZERO && **pool != running.to && **pool != self.stable
        });
        if let Some((pool, weight)) = third.filter(|_| !rolling && !running.rollout.plan.dry_run) {
            let detail = format!(
                "pool {pool} has {weight}, and a rollout splits between two pools; set its weight to 0"
            );
            return Err(Denied::Conflict { detail, rollout: None });
        }
        let version = running.version.as_deref().map_or(String::new(), |v| format!(", version {v}"));
        let strategy = running.rollout.plan.strategy.label();
        let what = if rolling { "of" } else { "to" };
        let from = if rolling { String::new() } else { format!("from {} ", running.from) };
        let dry = if running.rollout.plan.dry_run { ", a dry run: nothing moves" } else { "" };
        let by_hand = running.given_by_hand().map(|text| format!("; {text}")).unwrap_or_default();
        let text = format!("{strategy} {from}{what} {}{version}, started by {who}{dry}{by_hand}", running.to);
        let mut next = self.clone();
        next.guard = next.guard.filter(|_| running.rollout.plan.dry_run);
        next.rollout = Some(running);
        next.begin_attempt(moment.wall);
        Ok(next.journaled(Event::Started, text))
    }

    pub(super) fn ask(
        &self,
        id: &str,
        action: Action,
        who: &str,
        moment: Moment<'_>,
    ) -> Result<Applied, Denied> {
        let running = self.rollout.as_ref().filter(|running| running.id == id);
        let Some(running) = running else {
            return Err(Denied::NotFound(format!(
                "there is no rollout {id}, or a newer one has followed it"
            )));
        };
        let phase = running.rollout.phase;
        let repeated =
            matches!((phase, action), (Phase::Promoted, Action::Promote) | (Phase::Aborted, Action::Abort));
        if running.rollout.has_ended() && !repeated {
            let detail = format!("the rollout {id} has ended: {}", running.rollout.label());
            return Err(Denied::Conflict { detail, rollout: None });
        }
        if let Some(detail) = running.rollout.promotion_denied().filter(|_| action == Action::Promote) {
            return Err(Denied::Conflict { detail: detail.into(), rollout: Some(id.to_owned()) });
        }
        Ok(self.drive(&Input::Asked(action, who), moment))
    }

    /// What became of work; ignored where nobody wants it any more.
    pub(super) fn done(&self, id: &str, work: &Work, result: &WorkResult, moment: Moment<'_>) -> Applied {
        if self.running().is_some_and(|running| running.id == id) {
            return self.drive(&Input::Done(work, result), moment);
        }
        let mut next = self.clone();
        let mut effects = Vec::new();
        if let Some(guard) = next.guard.as_mut().filter(|guard| guard.rollout == id) {
            guard.done(result, &mut effects);
        }
        next.carry_out(effects, false, moment)
    }

    /// Runs the rollout machine and carries its effects over to weights and roles.
    pub(super) fn drive(&self, input: &Input<'_>, moment: Moment<'_>) -> Applied {
        let mut next = self.clone();
        let Some(running) = &mut next.rollout else {
            return Applied { state: next, notes: Vec::new(), order: Order::Quiet };
        };
        running.rollout.grow_older(moment.now, moment.wall);
        let (rollout, effects) = running.rollout.advance(input, moment.now);
        let ends = rollout.has_ended() && !running.rollout.has_ended();
        running.rollout = rollout;
        if !effects.is_empty() {
            running.updated_at = moment.wall.to_owned();
            running.ended_at = running.rollout.has_ended().then(|| moment.wall.to_owned());
        }
        if ends && running.rollout.phase == Phase::Promoted {
            let guard =
                Guard::new(&running.id, &running.to, running.policy.as_deref(), &running.rollout.plan);
            // A dry run changes nothing, and so ends no watch either.
            next.guard = if running.rollout.plan.dry_run { next.guard } else { guard };
        }
        let dry_run = running.rollout.plan.dry_run;
        let taken = running.returned_by_hand();
        let mut applied = next.carry_out(effects, dry_run, moment);
        if ends {
            applied.state.conclude_attempt(moment.wall);
        }
        if let Some(taken) = taken {
            let aborted = applied.notes.iter_mut().filter(|note| note.event == Event::Aborted);
            aborted.for_each(|note| note.text = format!("{}; {taken}", note.text));
        }
        applied
    }

    /// The watch after a promotion.
    pub(super) fn guarded(&self, seen: &Observation, moment: Moment<'_>) -> Applied {
        let mut next = self.clone();
        let mut effects = Vec::new();
        // Where another version lies in it by now, there is nothing to go back to.
        let seen = Observation { stable_ready: seen.stable_ready && self.previous.is_some(), ..seen.clone() };
        if let Some(guard) = &mut next.guard
            && guard.observe(&seen, moment.now, &mut effects)
        {
            next.guard = None;
        }
        next.carry_out(effects, false, moment)
    }

    fn carry_out(mut self, effects: Vec<Effect>, dry_run: bool, moment: Moment<'_>) -> Applied {
        if effects.is_empty() {
            return Applied { state: self, notes: Vec::new(), order: Order::Quiet };
        }
        self.seq += 1;
        let (from, to) = self.rollout.as_ref().map(Running::pools).unwrap_or_default();
        let mut notes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Note(note) if dry_run => notes.push(note.of_dry_run()),
                Effect::Note(note) => notes.push(note),
                _ if dry_run => {}
                Effect::Weight(weight) => self.split(&from, &to, weight),
                Effect::Promote => {
                    self.give_all(&to);
                    self.stable.clone_from(&to);
                    (self.previous, self.void) = (Some(from.clone()), None);
                }
                Effect::Return(why) => {
                    if let Some(previous) = self.previous.clone() {
                        let text = format!("back to {} by itself: {why}", self.version_on(&previous));
                        self.go_back(&previous, QuarantineCause::Returned, &why, moment.wall);
                        notes.push(Note { event: Event::Returned, text });
                    }
                }
                Effect::Revert => self.give_all(&from),
                Effect::Drain(upstream) => drop(self.draining.insert((to.clone(), upstream))),
                Effect::Ready(upstream) => drop(self.draining.remove(&(to.clone(), upstream))),
            }
        }
        let order = order(&notes);
        Applied { state: self, notes, order }
    }

    fn split(&mut self, from: &str, to: &str, weight: BasisPoints) {
        for (pool, slot) in &mut self.weights {
            *slot = match pool.as_str() {
                pool if pool == to => weight,
                pool if pool == from => weight.rest(),
                _ => BasisPoints::ZERO,
            };
        }
    }

    /// All traffic to one pool.
    pub fn give_all(&mut self, to: &str) {
        for (pool, weight) in &mut self.weights {
            *weight = if pool == to { BasisPoints::FULL } else { BasisPoints::ZERO };
        }
    }
}

impl Running {
    /// What becomes of the weight that the candidate had by hand, where it had any.
    pub fn given_by_hand(&self) -> Option<String> {
        let (to, from) = (&self.to, &self.from);
        let becomes = match self.rollout.moves_traffic() {
            true => {
                format!("the rollout sets it from its first step on, and an abort puts it on {from}, too")
            }
            false => "it stays as it is, after an abort, too".to_owned(),
        };
        let had = format!("{to} has {}, set by hand: {becomes}", self.by_hand);
        (!self.by_hand.is_zero()).then_some(had)
    }

    /// The same after an abort that puts it on stable.
    fn returned_by_hand(&self) -> Option<String> {
        let is_returned = self.rollout.moves_traffic() && !self.by_hand.is_zero();
        is_returned.then(|| {
            format!("all traffic is on {}, the {} that {} had by hand, too", self.from, self.by_hand, self.to)
        })
    }

    fn pools(&self) -> (String, String) {
        (self.from.clone(), self.to.clone())
    }
}

/// What takes a bad version out, or only tells something, waits for no disk; all else is durable first.
fn order(notes: &[Note]) -> Order {
    let urgent = Note::any_takes_traffic_away(notes);
    let may_wait = notes.iter().all(|note| note.event.may_be_written_after());
    if urgent || may_wait { Order::EffectFirst } else { Order::JournalFirst }
}
