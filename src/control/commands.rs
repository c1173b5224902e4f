//! Commands to one service: what they ask of its state, and what becomes of them.

use super::command::{
    Command, Fault, Refusal, Reply, RolloutAction, StartRollout, UpstreamAction, merged_plan,
};
use super::links::Links;
use super::live::{Live, LivePool};
use super::saving::{Answer, Extra, Waiting};
use super::shown;
use super::upstreams::Slot;
use crate::core::own_address::OwnAddresses;
use crate::core::rollout::Action;
use crate::core::service::{Change, Denied, Order};
use crate::core::settings::{self, UpstreamHost};
use crate::core::weight::BasisPoints;
use std::sync::Arc;

impl Live {
    /// Takes a command, now or after the change that is being written. Only an abort does not wait.
    pub(super) fn command(&mut self, waiting: Waiting, links: &Links) {
        let aborts = match &waiting.command {
            Command::Rollout { id, action: RolloutAction::Abort, .. } => {
                self.state.running().is_some_and(|running| running.id == *id)
            }
            _ => false,
        };
        if self.saving.is_pending() && !aborts {
            self.saving.queue.push_back(waiting);
        } else {
            self.obey(waiting, links);
        }
    }

    /// The next command that waited, once nothing is being written any more.
    pub(super) fn next_command(&mut self, links: &Links) {
        while !self.saving.is_pending()
            && let Some(waiting) = self.saving.queue.pop_front()
        {
            self.obey(waiting, links);
        }
    }

    fn obey(&mut self, waiting: Waiting, links: &Links) {
        let Waiting { actor, command, to } = waiting;
        let who = actor.as_str();
        let answer = Answer { to, rollout: None };
        match command {
            Command::Weights { weights, if_match, .. } => {
                let change = Change::Weights { weights: &weights, if_match, who };
                self.ask(change, who, answer, None, links);
            }
            Command::Flip { to, .. } => self.ask(Change::Flip { to: &to, who }, who, answer, None, links),
            Command::Rollback { .. } => self.ask(Change::Rollback { who }, who, answer, None, links),
            Command::Start { start, .. } => self.start(*start, who, answer, links),
            Command::Rollout { id, action, .. } => {
                let answer = Answer { rollout: Some(false), ..answer };
                self.ask(Change::Asked { id: &id, action: asked(action), who }, who, answer, None, links);
            }
            Command::Upstream { pool, upstream, action, .. } => {
                self.drain(&pool, &upstream, action, who, answer, links);
            }
            Command::Upstreams { pool, set, .. } => self.register(&pool, set, who, answer, links),
            // Not about one service; the controller does it.
            Command::Reload { .. } | Command::Maintenance { .. } => {}
        }
    }

    fn ask(&mut self, change: Change<'_>, who: &str, answer: Answer, key: Option<String>, links: &Links) {
        let wall = links.wall_text();
        let applied = match self.state.apply(change, links.moment(&wall)) {
            Ok(applied) => applied,
            Err(denied) => return self.todo.refusals.push((answer, refusal(denied))),
        };
        match applied.order {
            Order::Quiet => self.todo.answers.push(answer),
            Order::JournalFirst => {
                let extra = Extra { answer: Some(answer), key, job: None };
                self.save(applied.state, &applied.notes, who, extra, links);
            }
            Order::EffectFirst => {
                self.take_effect(applied, who, links);
                self.todo.answers.push(answer);
            }
        }
    }

    fn start(&mut self, start: StartRollout, who: &str, answer: Answer, links: &Links) {
        let seen = start.idempotency_key.as_ref().and_then(|key| self.keys.get(key));
        if let Some(id) = seen {
            let current = shown::rollout(self).filter(|view| view.id == *id).map(Arc::new);
            if let Some(view) = current.or_else(|| links.ended(id)) {
                // Whoever asked may have gone.
                let _ = answer.to.send(Ok(Reply::Rollout { view, created: false }));
                return;
            }
        }
        if let Some(policy) = start.policy.as_ref().filter(|name| !links.config.policies.contains_key(*name))
        {
            let known: Vec<_> = links.config.policies.keys().map(String::as_str).collect();
            let detail = format!("there is no policy {policy}; there are: {}", known.join(", "));
            let fault = Fault { path: "policy".into(), detail };
            return self.todo.refusals.push((answer, Refusal::Invalid(vec![fault])));
        }
        let pool = self.settings.pools.get(start.to.as_str());
        let upstreams = pool.iter().flat_map(|pool| &pool.upstreams).map(|u| u.address.to_string());
        let change = Change::Start {
            id: self.new_id(),
            to: &start.to,
            version: start.version.clone(),
            policy: start.policy.clone(),
            plan: merged_plan(&self.settings.rollout, &start),
            upstreams: upstreams.collect(),
            who,
        };
        let answer = Answer { rollout: Some(true), ..answer };
        self.ask(change, who, answer, start.idempotency_key, links);
    }

    /// Unlike any other: the revision it makes has never been before.
    fn new_id(&self) -> String {
        let at = crate::observe::clock::wall().strftime("%Y%m%dT%H%M%S");
        format!("{}-{at}-{}", self.settings.name, self.state.revision + 1)
    }

    fn drain(
        &mut self,
        pool: &str,
        upstream: &str,
        action: UpstreamAction,
        who: &str,
        answer: Answer,
        links: &Links,
    ) {
        let drains = action == UpstreamAction::Drain;
        match self.drainable(pool, upstream, drains) {
            Err(refusal) => self.todo.refusals.push((answer, refusal)),
            Ok(()) => self.ask(Change::Drain { pool, upstream, drains, who }, who, answer, None, links),
        }
    }

    /// Whether it exists, and others can take over.
    fn drainable(&self, pool: &str, upstream: &str, drains: bool) -> Result<(), Refusal> {
        let slots = &self.pool(pool)?.upstreams.slots;
        let slot = slots.iter().find(|slot| &*slot.settings.address == upstream);
        let slot =
            slot.ok_or_else(|| Refusal::NotFound(format!("pool {pool} has no upstream {upstream}")))?;
        let others = slots.iter().any(|s| !std::ptr::eq(s, slot) && !s.draining && s.is_up());
        let weight = self.state.weights.get(pool).copied().unwrap_or_default();
        if drains && !slot.draining && !others && weight > BasisPoints::ZERO {
            let detail = format!(
                "{upstream} is the last ready upstream of {pool}, which has {weight} of the traffic; \
                 move the traffic away first"
            );
            return Err(Refusal::Conflict { detail, rollout: None });
        }
        Ok(())
    }

    fn register(
        &mut self,
        pool: &str,
        set: Option<Vec<settings::Upstream>>,
        who: &str,
        answer: Answer,
        links: &Links,
    ) {
        match self.registrable(pool, set.as_deref(), &links.own) {
            Err(refusal) => self.todo.refusals.push((answer, refusal)),
            Ok(()) => self.ask(Change::Upstreams { pool, set, who }, who, answer, None, links),
        }
    }

    /// Whether a set names each upstream once, and leaves a pool with traffic somebody who serves: new
    /// ones must be proven first.
    fn registrable(
        &self,
        pool: &str,
        set: Option<&[settings::Upstream]>,
        own: &OwnAddresses,
    ) -> Result<(), Refusal> {
        let slots = &self.pool(pool)?.upstreams.slots;
        let configured = self.configured.pools.get(pool).map_or(&[][..], |pool| &pool.upstreams);
        let set = set.unwrap_or(configured);
        let mut faults = Vec::new();
        for (index, upstream) in set.iter().enumerate() {
            if set[..index].iter().any(|other| other.address == upstream.address) {
                let detail = format!("{} stands twice; give it a weight instead", upstream.address);
                faults.push(Fault { path: format!("upstreams[{index}]"), detail });
            }
            if let UpstreamHost::Address(address) = upstream.host
                && let Some(own) = own.at(address)
            {
                let detail = format!("{address} is {own} of this proxy itself, so a request would never end");
                faults.push(Fault { path: format!("upstreams[{index}]"), detail });
            }
        }
        if set.is_empty() {
            faults.push(Fault { path: "upstreams".into(), detail: "name at least one upstream".into() });
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let stays = |slot: &&Slot| set.iter().any(|u| u.address == slot.settings.address);
        let serves = slots.iter().filter(stays).any(|slot| !slot.draining && slot.is_up());
        let weight = self.state.weights.get(pool).copied().unwrap_or_default();
        if weight > BasisPoints::ZERO && !serves {
            let detail = format!(
                "{pool} has {weight} of the traffic, and new upstreams get none before their first passed check; \
                 keep one that is ready in the set, or move the traffic away first"
            );
            return Err(Refusal::Conflict { detail, rollout: None });
        }
        Ok(())
    }

    fn pool(&self, pool: &str) -> Result<&LivePool, Refusal> {
        self.pools.get(pool).ok_or_else(|| Refusal::NotFound(format!("there is no pool {pool}")))
    }
}

fn asked(action: RolloutAction) -> Action {
    match action {
        RolloutAction::Pause => Action::Pause,
        RolloutAction::Resume => Action::Resume,
        RolloutAction::Promote => Action::Promote,
        RolloutAction::Abort => Action::Abort,
    }
}

fn refusal(denied: Denied) -> Refusal {
    match denied {
        Denied::NotFound(detail) => Refusal::NotFound(detail),
        Denied::Conflict { detail, rollout } => Refusal::Conflict { detail, rollout },
        Denied::Precondition { current } => Refusal::Precondition { current },
        Denied::Invalid(faults) => {
            Refusal::Invalid(faults.into_iter().map(|(path, detail)| Fault { path, detail }).collect())
        }
    }
}
