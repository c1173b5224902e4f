//! What the core of a fleet asks of its store and hears of it, as etcd has it.

use super::etcd::{KeyChange, KeyCondition, KeyOp, KeyScope, KeyValue, Listing, Relation, Txn};
use crate::core::fleet::store::{
    KeyCompare, StoreContents, StoreEvent, StoreRevision, StoreTransaction, StoredValue,
};

/// A transaction; what is leased goes with this lease.
pub(super) fn txn(of: &StoreTransaction, lease: i64) -> Txn {
    let conditions = of.compares.iter().map(|(_, compare)| condition(compare)).collect();
    let puts = of.puts.iter().map(|put| {
        let lease = if put.is_leased { lease } else { 0 };
        KeyOp::put(put.key.clone().into_bytes(), put.value.clone().into_bytes(), lease)
    });
    let deletes = of.deletes.iter().map(|key| KeyOp::delete(&scope(key)));
    Txn { conditions, then: puts.chain(deletes).collect(), otherwise: Vec::new() }
}

pub(super) fn needs_lease(of: &StoreTransaction) -> bool {
    of.puts.iter().any(|put| put.is_leased)
}

pub(super) fn contents(listing: &Listing) -> StoreContents {
    let entries = listing.pairs.iter().map(|pair| (text(&pair.key), value(pair))).collect();
    StoreContents { revision: number(listing.revision), entries }
}

/// The changes of each revision, in order.
pub(super) fn events(changes: &[KeyChange]) -> Vec<(StoreRevision, Vec<StoreEvent>)> {
    let mut all: Vec<(StoreRevision, Vec<StoreEvent>)> = Vec::new();
    for change in changes {
        let revision = number(change.revision());
        let value = (!change.is_delete).then(|| value(&change.now));
        let event = StoreEvent { key: text(&change.now.key), value };
        match all.last_mut().filter(|(last, _)| *last == revision) {
            Some((_, events)) => events.push(event),
            None => all.push((revision, vec![event])),
        }
    }
    all
}

fn condition(compare: &KeyCompare) -> KeyCondition {
    match compare {
        KeyCompare::Absent(key) => KeyCondition::absent(&scope(key)),
        KeyCompare::Present(key) => KeyCondition::create_revision(&scope(key), Relation::NotEqual, 0),
        KeyCompare::Unchanged(key, revision) => {
            KeyCondition::mod_revision(&scope(key), Relation::Equal, signed(*revision))
        }
        KeyCompare::Same(key, revision) => {
            KeyCondition::create_revision(&scope(key), Relation::Equal, signed(*revision))
        }
    }
}

fn scope(key: &str) -> KeyScope {
    KeyScope::key(key.as_bytes().to_vec())
}

fn value(pair: &KeyValue) -> StoredValue {
    StoredValue {
        value: text(&pair.value),
        created: number(pair.create_revision),
        modified: number(pair.mod_revision),
    }
}

/// What is no text is none of ours; its document is found damaged.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(revision: i64) -> StoreRevision {
    u64::try_from(revision).unwrap_or_default()
}

fn signed(revision: StoreRevision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
