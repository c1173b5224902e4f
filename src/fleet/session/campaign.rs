//! The race for who leads, as values: when to run, and when a leader has lost.
//!
//! What is read of the leader's key may be older than what a transaction has said since. So both have revisions, and what
//! is older than the fence says nothing about it.

use crate::fleet::etcd::{KeyCondition, KeyOp, KeyRange, KeyScope, KeyValue, Relation, Txn, TxnOutcome};
use bytes::Bytes;
use std::sync::Arc;

/// The leader's key, as it was at a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaderAt {
    /// 0 before anything was read.
    pub revision: i64,
    pub pair: Option<KeyValue>,
}

/// One instance's part in the race.
#[derive(Debug)]
pub(super) struct Campaign {
    key: Bytes,
    name: Arc<str>,
    is_on: bool,
    /// Since when this instance leads: the key's `create_revision`.
    fence: Option<i64>,
    /// A fence that was given up and may still stand in the store.
    resigned: Option<i64>,
    leader: LeaderAt,
    /// Whether another was found to lead who is not read of yet.
    is_beaten: bool,
}

impl Campaign {
    pub(super) fn new(key: Bytes, name: Arc<str>) -> Self {
        let leader = LeaderAt::default();
        Campaign { key, name, is_on: false, fence: None, resigned: None, leader, is_beaten: false }
    }

    pub(super) fn fence(&self) -> Option<i64> {
        self.fence
    }

    pub(super) fn set(&mut self, is_on: bool) {
        self.is_on = is_on;
        if !is_on && let Some(fence) = self.fence.take() {
            self.resigned = Some(fence);
        }
    }

    /// The lease has gone, and the leader's key with it, if it was ours.
    pub(super) fn lost_lease(&mut self) {
        (self.fence, self.resigned) = (None, None);
    }

    /// The leader's key was read.
    pub(super) fn read(&mut self, leader: LeaderAt) {
        self.is_beaten = false;
        let stands = |fence: i64| {
            leader.revision < fence || leader.pair.as_ref().is_some_and(|pair| pair.create_revision == fence)
        };
        self.fence = self.fence.filter(|fence| stands(*fence));
        self.leader = leader;
    }

    /// What is to be asked of the store now.
    pub(super) fn next(&self, lease: i64) -> Option<Txn> {
        let scope = KeyScope::key(self.key.clone());
        if let Some(fence) = self.resigned {
            let conditions = vec![KeyCondition::create_revision(&scope, Relation::Equal, fence)];
            return Some(Txn { conditions, then: vec![KeyOp::delete(&scope)], otherwise: Vec::new() });
        }
        let is_free = self.leader.revision > 0 && self.leader.pair.is_none() && !self.is_beaten;
        (self.is_on && self.fence.is_none() && is_free).then(|| Txn {
            conditions: vec![KeyCondition::absent(&scope)],
            then: vec![KeyOp::put(self.key.clone(), self.name.as_bytes().to_vec(), lease)],
            otherwise: vec![KeyOp::read(&KeyRange::from(scope.clone()))],
        })
    }

    /// What has come of it.
    pub(super) fn asked(&mut self, lease: i64, outcome: &TxnOutcome) {
        if self.resigned.take().is_some() {
            return;
        }
        if outcome.has_succeeded {
            self.fence = Some(outcome.revision);
            return;
        }
        // One whose outcome was not known may have succeeded.
        let found = outcome.listings.first().and_then(|listing| listing.pairs.first());
        self.fence = found.filter(|pair| pair.lease == lease).map(|pair| pair.create_revision);
        self.is_beaten = self.fence.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::etcd::Listing;

    fn key_of(create_revision: i64, lease: i64) -> KeyValue {
        KeyValue {
            key: "p/leader".into(),
            create_revision,
            mod_revision: create_revision,
            lease,
            ..KeyValue::default()
        }
    }

    fn at(revision: i64, pair: Option<KeyValue>) -> LeaderAt {
        LeaderAt { revision, pair }
    }

    fn outcome(has_succeeded: bool, revision: i64, pair: Option<KeyValue>) -> TxnOutcome {
        let listing = Listing { pairs: pair.into_iter().collect(), ..Listing::default() };
        TxnOutcome { has_succeeded, revision, listings: vec![listing] }
    }

    fn running() -> Campaign {
        let mut campaign = Campaign::new("p/leader".into(), "edge-1".into());
        campaign.set(true);
        campaign
    }

    #[test]
    fn it_runs_only_where_nobody_leads() {
        let mut campaign = running();
        assert_eq!(campaign.next(7), None, "nothing was read yet");
        campaign.read(at(10, Some(key_of(5, 3))));
        assert_eq!(campaign.next(7), None);
        campaign.read(at(11, None));
        assert!(campaign.next(7).is_some());
        campaign.asked(7, &outcome(false, 12, Some(key_of(12, 3))));
        assert_eq!(campaign.next(7), None, "beaten; the reading is late");
        campaign.read(at(12, Some(key_of(12, 3))));
        campaign.read(at(13, None));
        campaign.asked(7, &outcome(true, 14, None));
        assert_eq!((campaign.fence(), campaign.next(7)), (Some(14), None));
        campaign.set(false);
        assert_eq!(campaign.fence(), None);
        assert!(campaign.next(7).is_some_and(|txn| txn.otherwise.is_empty()), "it resigns");
        campaign.asked(7, &outcome(true, 15, None));
        assert_eq!(campaign.next(7), None);
    }

    #[test]
    fn what_is_older_than_the_fence_says_nothing() {
        let mut campaign = running();
        campaign.read(at(11, None));
        campaign.asked(7, &outcome(true, 20, None));
        for late in [at(12, Some(key_of(12, 3))), at(19, None)] {
            campaign.read(late);
            assert_eq!(campaign.fence(), Some(20));
        }
        campaign.read(at(20, Some(key_of(20, 7))));
        assert_eq!(campaign.fence(), Some(20));
        campaign.read(at(21, None));
        assert_eq!(campaign.fence(), None);
        assert!(campaign.next(7).is_some(), "it runs again");
    }

    #[test]
    fn an_attempt_of_unknown_outcome_is_recognized() {
        let mut campaign = running();
        campaign.read(at(11, None));
        campaign.asked(7, &outcome(false, 13, Some(key_of(12, 7))));
        assert_eq!(campaign.fence(), Some(12));
        campaign.lost_lease();
        assert_eq!(campaign.fence(), None);
    }
}
