//! What an instance does as the controller of a service would, by itself and as operators ask it.

use super::network::Request;
use super::{Attempt, World};
use crate::core::fleet::simulation::{Fault, POOLS, SERVICE};
use crate::core::fleet::transactions::{Accompanying, AdvanceGround, HeldDocument};
use crate::core::service::{Applied, Moment, Order, ServiceState};

/// What a start is asked for with.
#[derive(Clone, Copy)]
pub(crate) struct AskedStart<'a> {
    pub key: &'a str,
    pub id: &'a str,
    /// Whether the one who asks looks first whether the key was used.
    pub looks: bool,
}

impl World {
    /// What an instance does as the controller of a service would: the leader advances, and a member that has seen enough
    /// aborts.
    pub(crate) fn decide(
        &mut self,
        node: usize,
        change: impl Fn(&ServiceState, Moment<'_>) -> Option<Applied>,
    ) -> Result<(), Fault> {
        let (now, wall) = self.moment(node);
        let moment = Moment { now, wall: &wall };
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let Some(state) = running.member.state(SERVICE).cloned() else { return Ok(()) };
        let ground = running.member.ground(SERVICE);
        let base = match (&ground, &running.working) {
            (Ok((held, _)), Some((txn, working))) if held.document.txn == *txn => working.clone(),
            (Ok((held, _)), _) => held.document.state.clone(),
            (Err(_), _) => state,
        };
        let Some(applied) = change(&base, moment) else { return Ok(()) };
        if applied.takes_traffic_away() {
            let Some(id) = base.rollout.as_ref().map(|last| last.id.clone()) else { return Ok(()) };
            self.met.aborts += 1;
            let out = running.member.abort(SERVICE, &id, "as the simulation says", moment);
            return self.carry_out(node, out);
        }
        // Without the ground nothing goes on.
        let Ok((held, ground)) = ground else {
            self.met.held += 1;
            return Ok(());
        };
        self.go_on(node, &held, &ground, applied);
        Ok(())
    }

    fn go_on(&mut self, node: usize, held: &HeldDocument, ground: &AdvanceGround, applied: Applied) {
        let keeps = self.chance(0.05) || self.keeps;
        let Some(running) = &mut self.nodes[node].process else { return };
        if applied.order == Order::Quiet && !keeps {
            running.working = Some((held.document.txn.clone(), applied.state));
            return;
        }
        if running.asked.is_some() {
            return;
        }
        let with = Accompanying { rows: rows(&applied), ..Accompanying::default() };
        let transaction = running.member.advance(SERVICE, (held, ground), applied.state, with);
        running.asked = Some(Attempt { id: transaction.id.clone() });
        self.ask(node, Request::Commit(Box::new(transaction)));
    }

    /// An operator asks an instance; with the key of a start.
    pub(crate) fn command(
        &mut self,
        node: usize,
        start: Option<AskedStart<'_>>,
        change: impl Fn(&ServiceState, Moment<'_>) -> Option<Applied>,
    ) {
        let (now, wall) = self.moment(node);
        let Some(running) = &mut self.nodes[node].process else { return };
        if running.asked.is_some() {
            return;
        }
        let Ok(held) = running.member.writable(SERVICE) else { return };
        let begun = ServiceState::new("blue", POOLS);
        let state = held.as_ref().map_or(&begun, |held| &held.document.state);
        if let Some(AskedStart { key, .. }) = start.filter(|start| start.looks)
            && running.member.view().entry(&self.keys.idempotency(SERVICE, key)).is_some()
        {
            return;
        }
        let Some(applied) = change(state, Moment { now, wall: &wall }) else { return };
        let with = Accompanying {
            rows: rows(&applied),
            begins: start.map(|start| start.id.to_owned()),
            idempotency: start.map(|start| (start.key.to_owned(), None)),
            rollout: None,
        };
        let Ok(transaction) = running.member.command(SERVICE, applied.state, with) else { return };
        running.asked = Some(Attempt { id: transaction.id.clone() });
        self.ask(node, Request::Commit(Box::new(transaction)));
    }
}

fn rows(applied: &Applied) -> Vec<serde_json::Value> {
    applied.notes.iter().map(|note| note.text.clone().into()).collect()
}
