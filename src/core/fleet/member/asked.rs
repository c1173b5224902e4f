//! What the instance asks of its member: to abort, to change a service, to go on, to leave.

use super::{FleetMember, FleetOutput};
use crate::core::fleet::documents::Tombstone;
use crate::core::fleet::ground::{Alike, ground};
use crate::core::fleet::lineage::{Lineage, lineage};
use crate::core::fleet::store::StoreTransaction;
use crate::core::fleet::transactions::{Accompanying, AdvanceGround, HeldDocument};
use crate::core::service::{Moment, ServiceState};

/// Why nothing goes on by itself after a store was put back: members that are not there yet may know of an abort, and the
/// store has forgotten who they are.
const PUT_BACK: &str = "the store had lost changes, and this rollout was put back into it: pause and resume it to go on \
                        with it, or abort it";

impl FleetMember {
    /// This instance aborts a rollout, by its own evidence or since it was asked to. It is in effect with the next
    /// publication, whether or not the store is there.
    pub fn abort(&mut self, service: &str, rollout: &str, why: &str, moment: Moment<'_>) -> Vec<FleetOutput> {
        let (by, at) = (self.me.name.clone(), moment.wall.to_owned());
        let tombstone = Tombstone { service: service.to_owned(), by, why: why.to_owned(), at };
        let of = self.services.entry(service.to_owned()).or_default();
        of.marks.entry(rollout.to_owned()).or_insert(tombstone);
        let mut out = self.settle(moment);
        out.push(FleetOutput::Keep(service.to_owned()));
        out
    }

    /// The transaction by which it leaves for good; `None` while the store is not heard.
    pub fn leave(&mut self) -> Option<StoreTransaction> {
        self.heard?;
        let (mut roster, modified) = self.view.roster().ok()?;
        roster.members.remove(&self.me.name);
        Some(self.transactions.leave(&roster, modified?))
    }

    /// The transaction by which it leads no longer, if it does.
    pub fn resign(&mut self) -> Option<StoreTransaction> {
        let fence = self.leads()?;
        Some(self.transactions.resign(fence))
    }

    /// The transaction of a change that somebody asks for, made of the state that the store has.
    ///
    /// # Errors
    /// A sentence, while the store cannot be written by this instance.
    pub fn command(
        &mut self,
        service: &str,
        next: ServiceState,
        with: Accompanying,
    ) -> Result<StoreTransaction, String> {
        let held = self.writable(service)?;
        Ok(self.transactions.command(service, held.as_ref(), next, with))
    }

    /// What a command of a service is applied to.
    ///
    /// # Errors
    /// A sentence, while the store cannot be written by this instance.
    pub fn writable(&self, service: &str) -> Result<Option<HeldDocument>, String> {
        if self.heard.is_none() || !self.has_joined {
            return Err("the fleet's store cannot be reached; what is in effect stays".to_owned());
        }
        let held = self.view.service(service).map_err(|fault| fault.to_string())?.cloned();
        let kept = self.services.get(service).and_then(|of| of.kept.as_ref());
        match lineage(kept, held.as_ref().map(|held| &held.document)) {
            Lineage::PutBack(_) => Err("the fleet's store has lost changes, which are put back".to_owned()),
            _ if self.undone(service).is_some() => Err("an abort is being written; try again".to_owned()),
            _ => Ok(held),
        }
    }

    /// What the leader may go on with.
    ///
    /// # Errors
    /// A sentence for each reason to stand still; none of them where this process does not lead.
    pub fn ground(&self, service: &str) -> Result<(HeldDocument, AdvanceGround), Vec<String>> {
        let Some(fence) = self.leads() else { return Err(Vec::new()) };
        let held = self.writable(service).map_err(|why| vec![why])?;
        let Some(held) = held else { return Err(Vec::new()) };
        if held.document.is_untouched() && held.document.state.running().is_some() {
            return Err(vec![PUT_BACK.to_owned()]);
        }
        let answers = self.roll_call();
        let alike = Alike { config: &self.me.config, secret: &self.me.secret, answers: &answers };
        let gone = self.gone.iter().map(|(name, (_, since))| (name.clone(), since.clone())).collect();
        let stand = held.document.stand();
        let ground = ground(&self.view, (service, stand), fence, &alike, (self.me.missing, &gone))?;
        Ok((held, ground))
    }

    /// The transaction of an advance, on the ground that [`FleetMember::ground`] gave.
    pub fn advance(
        &mut self,
        service: &str,
        (held, ground): (&HeldDocument, &AdvanceGround),
        next: ServiceState,
        with: Accompanying,
    ) -> StoreTransaction {
        self.transactions.advance(service, held, next, ground, with)
    }
}
