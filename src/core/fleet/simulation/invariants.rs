//! What must hold of every change of the store, by any member.

use super::model::ModelStore;
use super::{Fault, SERVICE};
use crate::core::fleet::documents::{AliveDocument, FleetRoster, LeaderDocument, ServiceDocument, read};
use crate::core::fleet::keys::StoreKeys;
use crate::core::fleet::store::{Guarded, StoreTransaction, TransactionKind};
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of all changes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Rollouts with a tombstone in the store, or without their permit.
    pub aborted: BTreeSet<String>,
    /// Rollouts by the key that their start was asked for by.
    started: BTreeMap<String, BTreeSet<String>>,
    /// All compares that were made.
    pub compares: BTreeSet<(TransactionKind, Guarded)>,
    /// Processes that run.
    pub live: BTreeSet<String>,
    pub changes: u64,
    pub advances: u64,
    pub promotions: u64,
    pub put_back: u64,
    pub withdrawn: u64,
    pub tombstones: u64,
}

/// Who commits: the name of the member, and its process.
pub(super) struct Committer<'a> {
    pub name: &'a str,
    pub process: &'a str,
}

fn parsed<T: serde::de::DeserializeOwned>(store: &ModelStore, key: &str) -> Option<T> {
    store.value(key).map(|value| read(key, &value.value).expect("a document"))
}

fn document(transaction: &StoreTransaction, keys: &StoreKeys) -> Option<ServiceDocument> {
    let key = keys.service(SERVICE);
    let put = transaction.puts.iter().find(|put| put.key == key)?;
    Some(read(&key, &put.value).expect("a document"))
}

impl Ledger {
    /// A restored store knows only some of the keys.
    pub(super) fn forget_lost(&mut self, store: &ModelStore) {
        self.started.retain(|key, _| store.value(key).is_some());
    }

    /// Of a transaction that is about to take effect.
    pub(super) fn check(
        &mut self,
        store: &ModelStore,
        transaction: &StoreTransaction,
        by: &Committer<'_>,
        keys: &StoreKeys,
    ) -> Result<(), Fault> {
        let compares = transaction.compares.iter().map(|(guarded, _)| (transaction.kind, *guarded));
        self.compares.extend(compares);
        if let Some(after) = document(transaction, keys) {
            let before: Option<ServiceDocument> = parsed(store, &keys.service(SERVICE));
            self.check_document(transaction, before.as_ref(), &after, keys)?;
            if transaction.kind == TransactionKind::Advance {
                let before = before.ok_or(Fault("an advance of nothing"))?;
                self.check_advance(store, transaction, (&before, &after), by, keys)?;
            }
        }
        match transaction.kind {
            TransactionKind::Tombstone | TransactionKind::Withdraw => {
                self.check_tombstone(store, transaction, keys)?;
            }
            TransactionKind::Lead if store.value(&keys.leader()).is_some() => {
                return Err(Fault("somebody led already"));
            }
            TransactionKind::Resign => {
                let leader: Option<LeaderDocument> = parsed(store, &keys.leader());
                if !leader.is_some_and(|leader| is_by(&leader, by)) {
                    return Err(Fault("another one's lead was given up"));
                }
            }
            TransactionKind::Report => {
                let holder: Option<AliveDocument> = parsed(store, &keys.alive(by.name));
                if holder.is_none_or(|holder| holder.process != by.process) {
                    return Err(Fault("a process spoke under the name of another"));
                }
            }
            TransactionKind::Join => {
                let holder: Option<AliveDocument> = parsed(store, &keys.alive(by.name));
                let is_another = |process: &str| process != by.process && self.live.contains(process);
                if holder.is_some_and(|holder| is_another(&holder.process)) && self.live.contains(by.process)
                {
                    return Err(Fault("two processes have one name"));
                }
            }
            _ => {}
        }
        self.check_roster(store, transaction, by, keys)
    }

    fn check_document(
        &mut self,
        transaction: &StoreTransaction,
        before: Option<&ServiceDocument>,
        after: &ServiceDocument,
        keys: &StoreKeys,
    ) -> Result<(), Fault> {
        let log =
            transaction.puts.iter().filter(|put| put.key == keys.log(SERVICE, &after.txn.replace('/', "-")));
        let rows = log.count();
        if let Some(before) = before {
            if after.stand() < before.stand() {
                return Err(Fault("a change was lost"));
            }
            if transaction.kind == TransactionKind::PutBack {
                let is_better = before.stand() < after.content()
                    || before.is_untouched() && before.content() < after.content();
                if !is_better {
                    return Err(Fault("what was put back is older than what was there"));
                }
            } else if after.state.seq == before.state.seq && rows > 0 {
                return Err(Fault("two changes of one number"));
            }
        }
        self.changes += u64::from(rows > 0);
        self.put_back += u64::from(transaction.kind == TransactionKind::PutBack);
        let moved = before.is_some_and(|before| {
            (&before.state.weights, &before.state.stable) != (&after.state.weights, &after.state.stable)
        });
        if moved && rows != 1 && transaction.kind != TransactionKind::PutBack {
            return Err(Fault("weights moved without a row of history"));
        }
        let began =
            |put: &&crate::core::fleet::store::StorePut| put.key.starts_with(&keys.idempotency(SERVICE, ""));
        if let (Some(put), Some(rollout)) = (transaction.puts.iter().find(began), &after.state.rollout) {
            let of = self.started.entry(put.key.clone()).or_default();
            of.insert(rollout.id.clone());
            if of.len() > 1 {
                return Err(Fault("one key has started two rollouts"));
            }
        }
        Ok(())
    }

    fn check_advance(
        &mut self,
        store: &ModelStore,
        transaction: &StoreTransaction,
        (before, after): (&ServiceDocument, &ServiceDocument),
        by: &Committer<'_>,
        keys: &StoreKeys,
    ) -> Result<(), Fault> {
        let leader: Option<LeaderDocument> = parsed(store, &keys.leader());
        if !leader.is_some_and(|leader| is_by(&leader, by)) {
            return Err(Fault("advanced by one who does not lead"));
        }
        if after.state.rollout.as_ref().is_some_and(|last| self.aborted.contains(&last.id)) {
            return Err(Fault("an aborted rollout was advanced"));
        }
        let roster: FleetRoster = parsed(store, &keys.members()).unwrap_or_default();
        for name in roster.members.keys() {
            let alive: Option<AliveDocument> = parsed(store, &keys.alive(name));
            let Some(alive) = alive else { return Err(Fault("advanced while a member was missing")) };
            let key = keys.alive(name);
            if !transaction.compares.iter().any(|(_, compare)| compare.key() == key) {
                return Err(Fault("advanced without a look at a member that has joined"));
            }
            if alive.applied.get(SERVICE).is_none_or(|stand| *stand < before.stand()) {
                return Err(Fault("advanced before all members showed the weights"));
            }
        }
        self.advances += 1;
        self.promotions += u64::from(before.state.stable != after.state.stable);
        Ok(())
    }

    fn check_tombstone(
        &mut self,
        store: &ModelStore,
        transaction: &StoreTransaction,
        keys: &StoreKeys,
    ) -> Result<(), Fault> {
        let is_withdrawn = transaction.kind == TransactionKind::Withdraw;
        self.withdrawn += u64::from(is_withdrawn);
        self.tombstones += u64::from(!is_withdrawn);
        if transaction.puts.iter().any(|put| store.value(&put.key).is_some()) {
            return Err(Fault("the words of the first abort were lost"));
        }
        let prefix = keys.permit("");
        self.aborted.extend(
            transaction.deletes.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned),
        );
        Ok(())
    }

    /// Each changes its own entry of the list of members, or takes away one who is not there.
    fn check_roster(
        &self,
        store: &ModelStore,
        transaction: &StoreTransaction,
        by: &Committer<'_>,
        keys: &StoreKeys,
    ) -> Result<(), Fault> {
        let key = keys.members();
        let Some(put) = transaction.puts.iter().find(|put| put.key == key) else { return Ok(()) };
        let after: FleetRoster = read(&key, &put.value).expect("a document");
        let before: FleetRoster = parsed(store, &key).unwrap_or_default();
        let names: BTreeSet<&String> = before.members.keys().chain(after.members.keys()).collect();
        for name in names {
            let is_same = before.members.get(name) == after.members.get(name);
            let is_gone = transaction.kind == TransactionKind::Forget && !after.members.contains_key(name);
            if is_gone && store.value(&keys.alive(name)).is_some() {
                return Err(Fault("a member that is there was forgotten"));
            }
            if !is_same && name != by.name && !is_gone {
                return Err(Fault("the list of members lost a change"));
            }
        }
        Ok(())
    }
}

fn is_by(leader: &LeaderDocument, by: &Committer<'_>) -> bool {
    leader.member == by.name && leader.process == by.process
}
