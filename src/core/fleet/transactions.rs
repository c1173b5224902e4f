//! The transactions of a fleet. What each compares is what keeps it safe; the simulation takes each compare away in
//! turn and must find something broken. Nothing is compared that another compare covers:
//!
//! - An advance needs the permit and asks for no tombstone: a tombstone takes the permit away in one transaction, and a
//!   permit is written along with the document alone, which an advance compares.
//! - Who joins compares the list of members and not whether the name is free: a name is taken by joining alone, which
//!   changes the list.

mod membership;

use super::documents::{
    FORMAT, IdempotencyDocument, LogDocument, ServiceDocument, SiteDocument, Stand, Tombstone, text,
};
use super::keys::StoreKeys;
use super::store::{Guarded, KeyCompare, StoreRevision, StoreTransaction, TransactionKind};
use crate::core::service::ServiceState;
use std::collections::BTreeMap;

/// A service's document as a member has read it.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldDocument {
    pub document: ServiceDocument,
    pub modified: StoreRevision,
}

/// What goes along with a change of a service.
#[derive(Clone, Debug, Default)]
pub struct Accompanying {
    /// Rows of history, as the journal stores them.
    pub rows: Vec<serde_json::Value>,
    /// The id and the record of a rollout that was started or changed.
    pub rollout: Option<(String, String)>,
    /// The id of a rollout that begins: it gets its permit.
    pub begins: Option<String>,
    /// The key that its start was asked for by, with a digest of what was asked.
    pub idempotency: Option<(String, Option<String>)>,
}

/// What the leader's right to go on rests on. It is made in one place, [`super::ground::ground`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvanceGround {
    /// When the key of the leader was created.
    pub fence: StoreRevision,
    /// When the list of members was changed last.
    pub members: StoreRevision,
    /// Every member that must be there, with the revision of its creation.
    pub alive: Vec<(String, StoreRevision)>,
}

/// Makes transactions of one member. The ids are `MEMBER/PROCESS/NUMBER`.
#[derive(Clone, Debug)]
pub struct Transactions {
    keys: StoreKeys,
    member: String,
    process: String,
    number: u64,
}

impl Transactions {
    pub fn new(keys: StoreKeys, member: &str, process: &str) -> Self {
        Transactions { keys, member: member.to_owned(), process: process.to_owned(), number: 0 }
    }

    pub fn keys(&self) -> &StoreKeys {
        &self.keys
    }

    /// What an operator or a job asks: nobody may have changed the service meanwhile. `held` is `None` of a service that
    /// the store does not know yet.
    pub fn command(
        &mut self,
        service: &str,
        held: Option<&HeldDocument>,
        next: ServiceState,
        with: Accompanying,
    ) -> StoreTransaction {
        let change = self.change(TransactionKind::Command, service, held, next);
        self.accompanied(change, service, with)
    }

    /// What gives a candidate traffic, or keeps how far it has come: the leader alone, with all members there, and
    /// only as long as nobody has aborted.
    pub fn advance(
        &mut self,
        service: &str,
        held: &HeldDocument,
        next: ServiceState,
        ground: &AdvanceGround,
        with: Accompanying,
    ) -> StoreTransaction {
        let rollout = held.document.state.rollout.as_ref().map(|last| last.id.clone());
        let change = self.change(TransactionKind::Advance, service, Some(held), next);
        let mut change = self
            .accompanied(change, service, with)
            .when(Guarded::Fence, KeyCompare::Same(self.keys.leader(), ground.fence))
            .when(Guarded::Members, KeyCompare::Unchanged(self.keys.members(), ground.members));
        if let Some(rollout) = rollout {
            change = change.when(Guarded::Permit, KeyCompare::Present(self.keys.permit(&rollout)));
        }
        for (member, created) in &ground.alive {
            change = change.when(Guarded::Alive, KeyCompare::Same(self.keys.alive(member), *created));
        }
        change
    }

    /// What belongs to no one service, with rows for the histories of several.
    pub fn site(
        &mut self,
        held: Option<StoreRevision>,
        stand: Stand,
        state: serde_json::Value,
        rows: BTreeMap<String, Vec<serde_json::Value>>,
    ) -> StoreTransaction {
        let (change, key) = (self.begin(TransactionKind::Command), self.keys.site());
        let Stand { epoch, seq } = stand;
        let document = SiteDocument { format: FORMAT, epoch, seq, txn: change.id.clone(), state };
        let compare = match held {
            Some(revision) => KeyCompare::Unchanged(key.clone(), revision),
            None => KeyCompare::Absent(key.clone()),
        };
        let mut change = change.when(Guarded::Document, compare).put(key, text(&document));
        for (service, rows) in rows {
            change = self.accompanied(change, &service, Accompanying { rows, ..Accompanying::default() });
        }
        change
    }

    /// An abort that is in effect already becomes known to all. The first one's words stay.
    pub fn tombstone(&mut self, rollout: &str, tombstone: &Tombstone) -> StoreTransaction {
        self.begin(TransactionKind::Tombstone)
            .when(Guarded::Tombstone, KeyCompare::Absent(self.keys.abort(rollout)))
            .put(self.keys.abort(rollout), text(tombstone))
            .delete(self.keys.permit(rollout))
    }

    /// The same in a store that has no room for a tombstone.
    pub fn withdraw(&mut self, rollout: &str) -> StoreTransaction {
        self.begin(TransactionKind::Withdraw).delete(self.keys.permit(rollout))
    }

    /// The document shows an abort.
    pub fn abort(
        &mut self,
        service: &str,
        held: &HeldDocument,
        next: ServiceState,
        rollout: &str,
        with: Accompanying,
    ) -> StoreTransaction {
        let mut change = self.begin(TransactionKind::Abort);
        let document =
            ServiceDocument { undone: Some(rollout.to_owned()), ..self.document(&change, Some(held), next) };
        change =
            change.when(Guarded::Document, KeyCompare::Unchanged(self.keys.service(service), held.modified));
        self.accompanied(change.put(self.keys.service(service), text(&document)), service, with)
    }

    /// Puts back what a store has lost. `held` is what it has instead.
    pub fn put_back(
        &mut self,
        service: &str,
        held: Option<&HeldDocument>,
        had: &ServiceDocument,
        epoch: u64,
    ) -> StoreTransaction {
        let change = self.begin(TransactionKind::PutBack);
        let put_back = Some(had.content());
        let document = ServiceDocument { epoch, txn: change.id.clone(), put_back, ..had.clone() };
        let key = self.keys.service(service);
        let running = had.state.running().map(|running| self.keys.permit(&running.id));
        let mut change = change.when(Guarded::Document, unchanged(&key, held)).put(key, text(&document));
        if let Some(permit) = running {
            change = change.put(permit, String::new());
        }
        change
    }

    fn begin(&mut self, kind: TransactionKind) -> StoreTransaction {
        self.number += 1;
        let id = format!("{}/{}/{}", self.member, self.process, self.number);
        StoreTransaction::new(kind, &id)
    }

    fn change(
        &mut self,
        kind: TransactionKind,
        service: &str,
        held: Option<&HeldDocument>,
        next: ServiceState,
    ) -> StoreTransaction {
        let (change, key) = (self.begin(kind), self.keys.service(service));
        let document = self.document(&change, held, next);
        change.when(Guarded::Document, unchanged(&key, held)).put(key, text(&document))
    }

    /// The next document of a service, in the same epoch.
    fn document(
        &self,
        change: &StoreTransaction,
        held: Option<&HeldDocument>,
        state: ServiceState,
    ) -> ServiceDocument {
        let former = held.map(|held| &held.document);
        let rollout = state.rollout.as_ref().map(|last| &last.id);
        ServiceDocument {
            format: FORMAT,
            epoch: former.map_or(1, |former| former.epoch),
            txn: change.id.clone(),
            undone: former.and_then(|former| former.undone.clone()).filter(|undone| Some(undone) == rollout),
            put_back: former.and_then(|former| former.put_back),
            state,
        }
    }

    fn accompanied(
        &self,
        mut change: StoreTransaction,
        service: &str,
        with: Accompanying,
    ) -> StoreTransaction {
        let Accompanying { rows, rollout, begins, idempotency } = with;
        if !rows.is_empty() {
            let log = LogDocument { format: FORMAT, member: self.member.clone(), rows };
            let key = self.keys.log(service, &change.id.replace('/', "-"));
            change = change.put(key, text(&log));
        }
        if let Some((id, record)) = rollout {
            change = change.put(self.keys.rollout(&id), record);
        }
        if let Some(id) = &begins {
            change = change.put(self.keys.permit(id), String::new());
        }
        if let (Some((key, asked)), Some(rollout)) = (idempotency, begins) {
            let key = self.keys.idempotency(service, &key);
            let started = IdempotencyDocument { format: FORMAT, rollout, asked };
            let absent = KeyCompare::Absent(key.clone());
            change = change.when(Guarded::Idempotency, absent).put(key, text(&started));
        }
        change
    }
}

/// Nobody has written the document since it was read.
fn unchanged(key: &str, held: Option<&HeldDocument>) -> KeyCompare {
    match held {
        Some(held) => KeyCompare::Unchanged(key.to_owned(), held.modified),
        None => KeyCompare::Absent(key.to_owned()),
    }
}
