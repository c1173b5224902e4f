//! Commands: what they ask of one service, and the changes that follow.

use super::{ServiceController, Waiting};
use crate::control::command::{Actor, Command, Fault, Refusal, Reply, SELF, StartRollout};
use crate::control::journal::{IdempotencyKey, Started};
use crate::control::links::Links;
use crate::control::output::{Answer, Output};
use crate::control::saver::{AskedCommand, Extra};
use crate::control::{commands, shown};
use crate::core::service::{Caution, Change, Order, SetMove};
use std::sync::Arc;

impl ServiceController {
    /// Takes a command, now or after the change that is being written. Only an abort does not wait.
    pub(in crate::control) fn command(&mut self, waiting: Waiting, links: &Links) {
        if self.saver.is_pending() && !commands::aborts(&waiting.command, self.facts()) {
            self.queue.push_back(waiting);
        } else {
            self.obey(waiting, links);
        }
    }

    /// Grows with every change; what is shown as the revision.
    pub(in crate::control) fn revision(&self) -> u64 {
        self.state().seq + self.saver.news()
    }

    /// The refusal of what was decided on another revision.
    pub(in crate::control) fn stale(&self, if_match: Option<u64>) -> Option<Refusal> {
        let current = self.revision();
        if_match.is_some_and(|seen| seen != current).then_some(Refusal::Precondition { current })
    }

    /// Why it would refuse a command now, if it would.
    pub(in crate::control) fn objection(&self, command: &Command, links: &Links) -> Option<Refusal> {
        if let Command::Start { start, .. } = command
            && let Some(reply) = self.repeated(start, links)
        {
            return reply.err();
        }
        let down = self.pools.known_down();
        let wall = links.wall_text();
        let change = commands::change(command, SELF, &down, self.facts(), links);
        let applied = change.map(|change| self.state().apply(change, links.moment(&wall)));
        applied.map_or_else(Some, |applied| applied.err().map(commands::refusal))
    }

    /// Whether a change of it is on its way to the journal, or a command waits for that.
    pub(in crate::control) fn is_changing(&self) -> bool {
        self.saver.is_pending() || !self.queue.is_empty()
    }

    /// Does what the others of its set have led to.
    pub(in crate::control) fn move_with_set(&mut self, next: &SetMove, links: &Links) {
        let down = self.pools.known_down();
        let change = match next {
            SetMove::GoOn => Change::GoOn,
            SetMove::Undo(by) => Change::Undone { by, caution: Caution { down: &down, force: false } },
        };
        let wall = links.wall_text();
        if let Ok(applied) = self.state().apply(change, links.moment(&wall)) {
            self.decided(applied, None, links);
        }
    }

    pub(super) fn obey(&mut self, waiting: Waiting, links: &Links) {
        self.obey_again(waiting, 1, links);
    }

    /// The same; `tries` is how often it is carried out with this time.
    pub(super) fn obey_again(&mut self, waiting: Waiting, tries: u32, links: &Links) {
        let Waiting { actor, command, if_match, to } = waiting;
        let mut answer = Answer { to, rollout: None, detail: None };
        let mut key = None;
        match &command {
            Command::Start { start, .. } => {
                if let Some(reply) = self.repeated(start, links) {
                    return self.outputs.push(Output::Reply(answer.to, reply));
                }
                answer.rollout = Some(true);
                let asked = start.asked.clone();
                key = start.idempotency_key.clone().map(|key| IdempotencyKey { key, asked });
            }
            Command::Rollout { .. } => answer.rollout = Some(false),
            _ => (),
        }
        if let Some(refusal) = self.stale(if_match) {
            return self.outputs.refuse(answer, refusal);
        }
        let down = self.pools.known_down();
        match commands::change(&command, &actor.name, &down, self.facts(), links) {
            Ok(change) => self.ask(change, &actor, answer, key, links),
            Err(refusal) => return self.outputs.refuse(answer, refusal),
        }
        self.saver.keep_asked(AskedCommand { actor, command, if_match, tries });
    }

    pub(super) fn ask(
        &mut self,
        change: Change<'_>,
        actor: &Actor,
        mut answer: Answer,
        key: Option<IdempotencyKey>,
        links: &Links,
    ) {
        let wall = links.wall_text();
        let applied = match self.state().apply(change, links.moment(&wall)) {
            Ok(applied) => applied,
            Err(denied) => {
                let refusal = commands::refusal(denied);
                return self.outputs.refuse(answer, refusal);
            }
        };
        let texts: Vec<&str> = applied.notes.iter().map(|note| &*note.text).collect();
        answer.detail = (!texts.is_empty()).then(|| texts.join("; "));
        match applied.order {
            Order::Quiet => self.outputs.push(Output::Answer(answer)),
            Order::JournalFirst => {
                let extra = Extra { answer: Some(answer), key, ..Extra::default() };
                self.save(applied, actor, extra, links);
            }
            Order::EffectFirst => {
                self.take_effect(applied, actor, None, links);
                self.outputs.push(Output::Answer(answer));
            }
        }
    }

    /// The answer to a start that its key has asked for before.
    pub(super) fn repeated(&self, start: &StartRollout, links: &Links) -> Option<Result<Reply, Refusal>> {
        let Started { id, asked } = self.saver.started_by(start.idempotency_key.as_ref()?)?;
        if asked.is_some() && start.asked.is_some() && *asked != start.asked {
            let detail = format!("has started the rollout {id} with another body; take a new key");
            let fault = Fault { path: "Idempotency-Key".into(), detail };
            return Some(Err(Refusal::Invalid(vec![fault])));
        }
        let current = shown::rollout(self.facts()).filter(|view| view.id == *id).map(Arc::new);
        let view = current.or_else(|| links.ended(id))?;
        Some(Ok(Reply::Rollout { view, created: false }))
    }
}
