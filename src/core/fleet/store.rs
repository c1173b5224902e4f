//! What is asked of the store: transactions that compare before they write, as data.
//!
//! The store gives each change of any key a revision, greater than all before. Who carries a transaction out is not
//! this module's business: etcd does, and in the simulation a model of it.

use std::collections::BTreeMap;

/// The number of one change of the store.
pub type StoreRevision = u64;

/// A key's value, with the revisions of its creation and of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    pub value: String,
    pub created: StoreRevision,
    pub modified: StoreRevision,
}

/// Everything under the prefix, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreContents {
    pub revision: StoreRevision,
    pub entries: BTreeMap<String, StoredValue>,
}

/// A key that has changed; no value of one that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEvent {
    pub key: String,
    pub value: Option<StoredValue>,
}

/// What must be so for a transaction to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyCompare {
    Absent(String),
    Present(String),
    /// Not changed since that revision.
    Unchanged(String, StoreRevision),
    /// Still the same that was created with that revision.
    Same(String, StoreRevision),
}

impl KeyCompare {
    pub fn key(&self) -> &str {
        match self {
            KeyCompare::Absent(key)
            | KeyCompare::Present(key)
            | KeyCompare::Unchanged(key, _)
            | KeyCompare::Same(key, _) => key,
        }
    }

    /// Whether it holds of a key's value.
    pub fn holds(&self, value: Option<&StoredValue>) -> bool {
        match self {
            KeyCompare::Absent(_) => value.is_none(),
            KeyCompare::Present(_) => value.is_some(),
            KeyCompare::Unchanged(_, revision) => value.is_some_and(|value| value.modified == *revision),
            KeyCompare::Same(_, revision) => value.is_some_and(|value| value.created == *revision),
        }
    }
}

/// What a compare keeps safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarded {
    /// Nobody else has changed the document meanwhile.
    Document,
    /// No rollout has been started under the same idempotency key.
    Idempotency,
    /// The leader leads still.
    Fence,
    /// Nobody has written a tombstone of the rollout yet.
    Tombstone,
    /// Nobody has aborted the rollout.
    Permit,
    /// No member has joined, left or been forgotten.
    Members,
    /// Every member is there still.
    Alive,
    /// Nobody leads.
    Leaderless,
    /// The name is this process's still, and what it says replaces what it said last.
    Name,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// An operator's, or a job's.
    Command,
    /// The leader gives a candidate more, or promotes it, or keeps how far it has come.
    Advance,
    Tombstone,
    /// The document shows what a tombstone says.
    Abort,
    /// In a store without room.
    Withdraw,
    Lead,
    Resign,
    Join,
    Report,
    Leave,
    Forget,
    /// A store that lost changes gets them again.
    PutBack,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePut {
    pub key: String,
    pub value: String,
    /// Whether it goes with the lease of the member that puts it.
    pub is_leased: bool,
}

/// All of it takes effect, at once, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTransaction {
    pub kind: TransactionKind,
    /// Unique: what is found under it in a document has taken effect.
    pub id: String,
    pub compares: Vec<(Guarded, KeyCompare)>,
    pub puts: Vec<StorePut>,
    pub deletes: Vec<String>,
}

impl StoreTransaction {
    pub(super) fn new(kind: TransactionKind, id: &str) -> Self {
        let (compares, puts, deletes) = Default::default();
        StoreTransaction { kind, id: id.to_owned(), compares, puts, deletes }
    }

    pub(super) fn when(mut self, guarded: Guarded, compare: KeyCompare) -> Self {
        self.compares.push((guarded, compare));
        self
    }

    pub(super) fn put(mut self, key: String, value: String) -> Self {
        self.puts.push(StorePut { key, value, is_leased: false });
        self
    }

    pub(super) fn put_leased(mut self, key: String, value: String) -> Self {
        self.puts.push(StorePut { key, value, is_leased: true });
        self
    }

    pub(super) fn delete(mut self, key: String) -> Self {
        self.deletes.push(key);
        self
    }

    /// Whether all compares hold of what a store has.
    pub fn holds<'a>(&self, value: impl Fn(&str) -> Option<&'a StoredValue>) -> bool {
        self.compares.iter().all(|(_, compare)| compare.holds(value(compare.key())))
    }
}
