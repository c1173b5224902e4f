//! Transactions about the members themselves: who is there, and who leads.

use super::Transactions;
use crate::core::fleet::documents::{
    AliveDocument, FORMAT, FleetIdentity, FleetRoster, LeaderDocument, text,
};
use crate::core::fleet::store::{Guarded, KeyCompare, StoreRevision, StoreTransaction, TransactionKind};

impl Transactions {
    /// Leads, if nobody does.
    pub fn lead(&mut self) -> StoreTransaction {
        let leader =
            LeaderDocument { format: FORMAT, member: self.member.clone(), process: self.process.clone() };
        self.begin(TransactionKind::Lead)
            .when(Guarded::Leaderless, KeyCompare::Absent(self.keys.leader()))
            .put_leased(self.keys.leader(), text(&leader))
    }

    /// Leads no longer: another can at once.
    pub fn resign(&mut self, fence: StoreRevision) -> StoreTransaction {
        self.begin(TransactionKind::Resign)
            .when(Guarded::Fence, KeyCompare::Same(self.keys.leader(), fence))
            .delete(self.keys.leader())
    }

    /// Joins, or comes back. Another process that has the name now has changed the list of members.
    pub fn join(
        &mut self,
        roster: (&FleetRoster, Option<StoreRevision>),
        alive: &AliveDocument,
        identity: Option<&FleetIdentity>,
    ) -> StoreTransaction {
        let (roster, modified) = roster;
        let (members, name) = (self.keys.members(), self.keys.alive(&self.member));
        let unchanged = match modified {
            Some(modified) => KeyCompare::Unchanged(members.clone(), modified),
            None => KeyCompare::Absent(members.clone()),
        };
        let mut change = self
            .begin(TransactionKind::Join)
            .when(Guarded::Members, unchanged)
            .put(members, text(roster))
            .put_leased(name, text(alive));
        if let Some(identity) = identity {
            change = change.put(self.keys.identity(), text(identity));
        }
        change
    }

    /// A member says of itself what has changed: this process alone, under its name, and nothing older after it.
    pub fn report(&mut self, alive: &AliveDocument, modified: StoreRevision) -> StoreTransaction {
        let name = self.keys.alive(&self.member);
        self.begin(TransactionKind::Report)
            .when(Guarded::Name, KeyCompare::Unchanged(name.clone(), modified))
            .put_leased(name, text(alive))
    }

    /// A member goes for good. `roster` is what is left.
    pub fn leave(&mut self, roster: &FleetRoster, modified: StoreRevision) -> StoreTransaction {
        let members = self.keys.members();
        self.begin(TransactionKind::Leave)
            .when(Guarded::Members, KeyCompare::Unchanged(members.clone(), modified))
            .put(members, text(roster))
            .delete(self.keys.alive(&self.member))
    }

    /// A member that has not been heard of for long is forgotten, unless it is there again. `roster` is what is left.
    pub fn forget(
        &mut self,
        member: &str,
        roster: &FleetRoster,
        modified: StoreRevision,
    ) -> StoreTransaction {
        let members = self.keys.members();
        self.begin(TransactionKind::Forget)
            .when(Guarded::Members, KeyCompare::Unchanged(members.clone(), modified))
            .when(Guarded::Alive, KeyCompare::Absent(self.keys.alive(member)))
            .put(members, text(roster))
    }
}
