//! A model of the store: keys with revisions, leases that end, transactions, backups that are restored.

use super::{Fault, Without};
use crate::core::fleet::member::CommitOutcome;
use crate::core::fleet::store::{
    Guarded, StoreContents, StoreEvent, StoreRevision, StoreTransaction, StoredValue,
};
use std::collections::{BTreeMap, BTreeSet};

/// How long a lease lasts without a word of its process (ms).
const LEASE_MS: u64 = 5_000;

#[derive(Clone, Debug, Default)]
pub(super) struct ModelStore {
    pub revision: StoreRevision,
    pub entries: BTreeMap<String, (StoredValue, Option<u64>)>,
    pub leases: BTreeMap<u64, u64>,
    pub ended: BTreeSet<u64>,
    pub is_full: bool,
    pub without: Without,
    pub backup: Option<Box<ModelStore>>,
}

/// What a request to the store led to.
pub(super) struct Committed {
    pub outcome: CommitOutcome,
    /// Whether the lease that it came with has ended.
    pub has_lease: bool,
    pub events: Vec<StoreEvent>,
}

impl ModelStore {
    pub(super) fn contents(&self) -> StoreContents {
        let entries = self.entries.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        StoreContents { revision: self.revision, entries }
    }

    pub(super) fn value(&self, key: &str) -> Option<&StoredValue> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// A process says that it is there. Whether its lease has not ended; a lease that nobody knows begins.
    pub(super) fn keep_alive(&mut self, lease: u64, now: u64) -> bool {
        if self.ended.contains(&lease) {
            return false;
        }
        self.leases.insert(lease, now + LEASE_MS);
        true
    }

    /// Ends the leases whose time is over.
    pub(super) fn pass(&mut self, now: u64) -> Vec<StoreEvent> {
        let over = self.leases.iter().filter(|(_, until)| **until <= now).map(|(lease, _)| *lease);
        let over: BTreeSet<u64> = over.collect();
        for lease in &over {
            self.leases.remove(lease);
            self.ended.insert(*lease);
        }
        self.delete_keys_of(&over)
    }

    /// The keys of the lease that holds this key are deleted, though it was renewed in time: a server has revoked it that
    /// led no longer. The lease ends with them, or is there as before.
    pub(super) fn revoke(&mut self, key: &str, ends: bool) -> Vec<StoreEvent> {
        let Some((_, Some(lease))) = self.entries.get(key) else { return Vec::new() };
        let lease = *lease;
        if ends {
            self.leases.remove(&lease);
            self.ended.insert(lease);
        }
        self.delete_keys_of(&BTreeSet::from([lease]))
    }

    fn delete_keys_of(&mut self, leases: &BTreeSet<u64>) -> Vec<StoreEvent> {
        if leases.is_empty() {
            return Vec::new();
        }
        let of = |(key, (_, lease)): (&String, &(StoredValue, Option<u64>))| {
            lease.is_some_and(|lease| leases.contains(&lease)).then(|| key.clone())
        };
        let keys: Vec<String> = self.entries.iter().filter_map(of).collect();
        if !keys.is_empty() {
            self.revision += 1;
        }
        keys.into_iter().filter_map(|key| self.delete(key)).collect()
    }

    /// Carries a transaction out, unless a compare forbids it. `check` sees the store before.
    pub(super) fn commit(
        &mut self,
        transaction: &StoreTransaction,
        lease: u64,
        now: u64,
        check: impl FnOnce(&ModelStore) -> Result<(), Fault>,
    ) -> Result<Committed, Fault> {
        let refused = |outcome, has_lease| Ok(Committed { outcome, has_lease, events: Vec::new() });
        let needs_lease = transaction.puts.iter().any(|put| put.is_leased);
        if needs_lease && !self.keep_alive(lease, now) {
            return refused(CommitOutcome::Overtaken, false);
        }
        let is_away = |guarded: &Guarded| self.without.contains(&(transaction.kind, *guarded));
        let fails = transaction
            .compares
            .iter()
            .any(|(guarded, compare)| !is_away(guarded) && !compare.holds(self.value(compare.key())));
        if fails {
            return refused(CommitOutcome::Overtaken, true);
        }
        if self.is_full && !transaction.puts.is_empty() {
            return refused(CommitOutcome::NoSpace, true);
        }
        check(self)?;
        self.revision += 1;
        let mut events = Vec::new();
        for put in &transaction.puts {
            let created = self.value(&put.key).map_or(self.revision, |value| value.created);
            let value = StoredValue { value: put.value.clone(), created, modified: self.revision };
            self.entries.insert(put.key.clone(), (value.clone(), put.is_leased.then_some(lease)));
            events.push(StoreEvent { key: put.key.clone(), value: Some(value) });
        }
        events.extend(transaction.deletes.iter().filter_map(|key| self.delete(key.clone())));
        Ok(Committed { outcome: CommitOutcome::Done(self.revision), has_lease: true, events })
    }

    pub(super) fn back_up(&mut self) {
        self.backup = Some(Box::new(ModelStore { backup: None, ..self.clone() }));
    }

    /// Goes back to the last backup, or to nothing; its revision falls, or is raised beyond all that anybody has seen.
    /// Leases that were held then are held for as long again.
    pub(super) fn restore(&mut self, wiped: bool, raised: bool, now: u64) {
        let last = self.revision;
        let without = self.without;
        let backup = self.backup.take().filter(|_| !wiped);
        *self = backup.map_or_else(ModelStore::default, |backup| *backup);
        self.without = without;
        self.revision = if raised { last + 1_000 } else { self.revision };
        self.leases.values_mut().for_each(|until| *until = now + LEASE_MS);
    }

    fn delete(&mut self, key: String) -> Option<StoreEvent> {
        self.entries.remove(&key)?;
        Some(StoreEvent { key, value: None })
    }
}
