//! A rolling update: batch by batch, an upstream is drained, updated, proven and watched.
//!
//! It never drains the last upstream that serves, nor more than `max_unavailable` at a time. What fails
//! stays out of service, and the rest goes on serving whatever version it has.

use super::input::{Effect, Observation, UpstreamSeen, Work, WorkResult, note};
use super::state::{Instance, Phase, Rollout, Stage};
use crate::core::duration;
use crate::core::event::Event;
use std::ops::Range;
use std::time::Duration;

impl Rollout {
    pub fn batches(&self) -> usize {
        self.instances.len().div_ceil(self.plan.rolling.max_unavailable.max(1))
    }

    fn batch(&self) -> Range<usize> {
        let size = self.plan.rolling.max_unavailable.max(1);
        let end = |step: usize| (step * size).min(self.instances.len());
        end(self.step)..end(self.step + 1)
    }

    /// Whether the batch at hand is back in service; true for everything but a rolling update.
    pub(super) fn batch_serves(&self) -> bool {
        let batch = self.instances.get(self.batch()).unwrap_or_default();
        self.phase != Phase::Shifting || batch.iter().all(|instance| instance.stage == Stage::Serving)
    }

    pub(super) fn rolling_work(&self) -> Vec<Work> {
        let wanted = |instance: &Instance| match instance.stage {
            Stage::Updating if self.plan.rolling.hook => Some(Work::Update(instance.upstream.clone())),
            Stage::Testing => Some(Work::Smoke(Some(instance.upstream.clone()))),
            _ => None,
        };
        self.instances.iter().filter_map(wanted).collect()
    }

    pub(super) fn enter_batch(&mut self, batch: usize, effects: &mut Vec<Effect>) {
        self.enter(Phase::Shifting);
        self.step = batch;
        let names: Vec<_> = self.instances[self.batch()].iter().map(|i| i.upstream.as_str()).collect();
        let text = format!("batch {} of {}: {}", batch + 1, self.batches(), names.join(", "));
        effects.push(note(Event::Step, text));
    }

    /// Moves the upstreams of the batch on.
    pub(super) fn roll(&mut self, seen: &Observation, since: Duration, effects: &mut Vec<Effect>) {
        for index in self.batch() {
            if self.has_ended() {
                return;
            }
            self.instances[index].waited += since;
            let name = self.instances[index].upstream.clone();
            match seen.upstreams.get(&name) {
                Some(upstream) => self.roll_one(index, upstream, seen, effects),
                None => self.instance_failed(index, "is no longer an upstream of the pool", effects),
            }
        }
    }

    fn roll_one(&mut self, index: usize, now: &UpstreamSeen, seen: &Observation, effects: &mut Vec<Effect>) {
        let rolling = self.plan.rolling.clone();
        let (prepare, tests) = (self.plan.prepare, self.plan.smoke);
        let instance = &mut self.instances[index];
        let waited = instance.waited;
        let is_proven = instance.stage == Stage::Proving && instance.is_proven(now);
        match instance.stage {
            Stage::Waiting => self.take_out(index, seen, effects),
            Stage::Draining if now.draining && (now.in_flight == 0 || waited >= rolling.drain) => {
                let cut = (now.in_flight > 0).then(|| format!(", {} still in flight", now.in_flight));
                let text = format!("{} is out{}", instance.upstream, cut.unwrap_or_default());
                instance.enter(Stage::Updating);
                effects.push(note(Event::Updating, text));
            }
            Stage::Updating if waited >= rolling.update => {
                let limit = duration::show(rolling.update);
                let told = if rolling.hook { "the hook" } else { "the deploy job" };
                let why = format!("was not updated within {limit}: no word from {told}");
                self.instance_failed(index, &why, effects);
            }
            Stage::Proving if is_proven && tests => {
                instance.enter(Stage::Testing);
                effects.push(note(Event::Testing, format!("smoke tests against {}", instance.upstream)));
            }
            Stage::Proving if is_proven => self.serve(index, effects),
            Stage::Proving | Stage::Testing if waited >= prepare => {
                let last = now.failing.as_deref().unwrap_or("no check has passed since");
                let why =
                    format!("was not ready within {} after its update: {last}", duration::show(prepare));
                self.instance_failed(index, &why, effects);
            }
            _ => {}
        }
    }

    /// Drains the next upstream, if enough others serve.
    fn take_out(&mut self, index: usize, seen: &Observation, effects: &mut Vec<Effect>) {
        let serves = |instance: &Instance| {
            let now = seen.upstreams.get(&instance.upstream);
            !instance.is_out() && now.is_some_and(|now| now.up && !now.draining)
        };
        let others = || self.instances.iter().enumerate().filter(|(other, _)| *other != index);
        let name = self.instances[index].upstream.clone();
        let serving = others().filter(|(_, other)| serves(other)).count();
        let out = others().count() - serving;
        let matters = serves(&self.instances[index]);
        if matters && (serving == 0 || out >= self.plan.rolling.max_unavailable) {
            let text = format!("{name} waits: {out} other upstreams are out of service, {serving} serve");
            return self.wait_for("upstreams", text, self.plan.rolling.max_unavailable as f64, out as f64);
        }
        self.instances[index].enter(Stage::Draining);
        effects.push(Effect::Drain(name.clone()));
        effects.push(note(Event::Drain, format!("{name} is drained for its update")));
    }

    fn serve(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let instance = &mut self.instances[index];
        instance.enter(Stage::Serving);
        effects.push(Effect::Ready(instance.upstream.clone()));
        effects.push(note(Event::Ready, format!("{} is updated and serves again", instance.upstream)));
    }

    /// The deploy job's word for an upstream that it has updated.
    pub(super) fn updated(&mut self, upstream: &str, who: &str, effects: &mut Vec<Effect>) {
        let waits = |i: &&mut Instance| i.upstream == upstream && i.stage == Stage::Updating;
        if let Some(instance) = self.instances.iter_mut().find(waits) {
            instance.enter(Stage::Proving);
            effects.push(note(Event::Updated, format!("{upstream} was updated, says {who}")));
        }
    }

    pub(super) fn instance_done(
        &mut self,
        upstream: &str,
        work: &Work,
        result: &WorkResult,
        effects: &mut Vec<Effect>,
    ) {
        let Some(index) = self.instances.iter().position(|i| i.upstream == upstream) else { return };
        match (work, result) {
            (Work::Update(_), WorkResult::Passed) => self.updated(upstream, "the hook", effects),
            (Work::Update(_), WorkResult::Refused(why)) => {
                self.instance_failed(index, &format!("was not updated: {}", why.join("; ")), effects);
            }
            (Work::Update(_), WorkResult::Unanswered(why)) => {
                self.reason = Some(format!("asking for the update of {upstream} again: {why}"));
            }
            (_, WorkResult::Passed) => self.serve(index, effects),
            (_, WorkResult::Refused(why)) => {
                self.instance_failed(index, &format!("failed smoke tests: {}", why.join("; ")), effects);
            }
            (_, WorkResult::Unanswered(why)) => self.instance_failed(index, why, effects),
        }
    }

    fn instance_failed(&mut self, index: usize, why: &str, effects: &mut Vec<Effect>) {
        let instance = &mut self.instances[index];
        if instance.is_out() {
            instance.enter(Stage::Failed);
        }
        let text = format!("{} {why}", instance.upstream);
        self.fail("upstreams", &text, effects);
    }

    /// The policy has failed the batch at hand: it goes out, if others can serve.
    pub(super) fn withdraw_batch(&mut self, effects: &mut Vec<Effect>) {
        let batch = self.batch();
        if self.phase != Phase::Shifting || batch.len() == self.instances.len() {
            return;
        }
        for instance in &mut self.instances[batch] {
            if instance.stage == Stage::Serving {
                instance.enter(Stage::Failed);
                effects.push(Effect::Drain(instance.upstream.clone()));
            }
        }
    }

    /// Takes back into service what was drained but not touched yet.
    pub(super) fn stop_rolling(&mut self, effects: &mut Vec<Effect>) {
        for instance in &mut self.instances {
            match instance.stage {
                Stage::Draining => {
                    instance.enter(Stage::Waiting);
                    effects.push(Effect::Ready(instance.upstream.clone()));
                }
                Stage::Updating | Stage::Proving | Stage::Testing => instance.enter(Stage::Failed),
                Stage::Waiting | Stage::Serving | Stage::Failed => {}
            }
        }
    }

    /// For the reason of a rolling update that stopped.
    pub(super) fn where_it_stands(&self) -> String {
        let of = |stage: Stage| {
            let names = self.instances.iter().filter(|i| i.stage == stage).map(|i| i.upstream.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let parts = [
            ("updated and serving", Stage::Serving),
            ("out of service", Stage::Failed),
            ("not updated, serving", Stage::Waiting),
        ];
        let told = parts.map(|(what, stage)| (what, of(stage))).into_iter().filter(|(_, of)| !of.is_empty());
        told.map(|(what, of)| format!("{what}: {of}")).collect::<Vec<_>>().join("; ")
    }
}
