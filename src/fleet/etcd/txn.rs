//! Transactions: all conditions are looked at, and one of two lists of operations is carried out, as one change.

use super::client::{Answered, Etcd, Method};
use super::fault::EtcdFault;
use super::keys::{KeyRange, KeyScope, Listing};
use super::messages::{
    Compare, CompareTarget, DeleteRangeRequest, PutRequest, Request, RequestOp, Response, TxnRequest,
    TxnResponse,
};
use bytes::Bytes;

const TXN: Method = Method { path: "/etcdserverpb.KV/Txn", writes: true, is_of_all: true };

/// How two values must stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Equal,
    Greater,
    Less,
    NotEqual,
}

/// What must hold of a key, or of every key of a prefix. A key that is not there has 0 for all its numbers; a prefix
/// without keys is such a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyCondition(Compare);

impl KeyCondition {
    pub fn mod_revision(scope: &KeyScope, relation: Relation, revision: i64) -> Self {
        KeyCondition::of(scope, relation, 2, CompareTarget::ModRevision(revision))
    }

    pub fn create_revision(scope: &KeyScope, relation: Relation, revision: i64) -> Self {
        KeyCondition::of(scope, relation, 1, CompareTarget::CreateRevision(revision))
    }

    pub fn version(scope: &KeyScope, relation: Relation, version: i64) -> Self {
        KeyCondition::of(scope, relation, 0, CompareTarget::Version(version))
    }

    /// Bytes are compared; a key that is not there fulfils nothing.
    pub fn value(scope: &KeyScope, relation: Relation, value: impl Into<Bytes>) -> Self {
        KeyCondition::of(scope, relation, 3, CompareTarget::Value(value.into()))
    }

    /// There is no such key.
    pub fn absent(scope: &KeyScope) -> Self {
        KeyCondition::create_revision(scope, Relation::Equal, 0)
    }

    fn of(scope: &KeyScope, relation: Relation, target: i32, operand: CompareTarget) -> Self {
        let (key, range_end) = scope.bounds();
        KeyCondition(Compare { result: relation as i32, target, key, operand: Some(operand), range_end })
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyOp(Request);

impl KeyOp {
    /// `lease` 0 is none.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>, lease: i64) -> Self {
        KeyOp(Request::Put(PutRequest { key: key.into(), value: value.into(), lease }))
    }

    pub fn delete(scope: &KeyScope) -> Self {
        let (key, range_end) = scope.bounds();
        KeyOp(Request::Delete(DeleteRangeRequest { key, range_end }))
    }

    pub fn read(range: &KeyRange) -> Self {
        KeyOp(Request::Range(range.request()))
    }
}

/// A transaction to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Txn {
    /// All must hold.
    pub conditions: Vec<KeyCondition>,
    /// Carried out where they do. No key may be written twice.
    pub then: Vec<KeyOp>,
    /// Carried out where one does not.
    pub otherwise: Vec<KeyOp>,
}

/// What a transaction has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOutcome {
    /// Whether all conditions held.
    pub has_succeeded: bool,
    /// The store's, after it; the `mod_revision` of what it wrote.
    pub revision: i64,
    /// What the reads among its operations have read, in their order.
    pub listings: Vec<Listing>,
}

impl Etcd {
    /// Carries a transaction out.
    ///
    /// # Errors
    /// [`EtcdFault`]; after [`EtcdFault::UnknownOutcome`] it may have taken effect: put an id of its own into what it
    /// writes, and read that back.
    pub async fn txn(&self, txn: &Txn) -> Result<TxnOutcome, EtcdFault> {
        let ops = |ops: &[KeyOp]| ops.iter().map(|op| RequestOp { request: Some(op.0.clone()) }).collect();
        let question = TxnRequest {
            compare: txn.conditions.iter().map(|condition| condition.0.clone()).collect(),
            success: ops(&txn.then),
            failure: ops(&txn.otherwise),
        };
        let answer: TxnResponse = self.call(TXN, &question).await?;
        let revision = answer.revision();
        let listings = answer.responses.into_iter().filter_map(|response| match response.response? {
            Response::Range(read) => Some(Listing { revision, ..Listing::from(read) }),
            Response::Put(_) | Response::Delete(_) => None,
        });
        Ok(TxnOutcome { has_succeeded: answer.succeeded, revision, listings: listings.collect() })
    }
}
