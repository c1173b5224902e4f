//! What the leader deletes, since nobody needs it any more.

use super::{Finished, FleetTask};
use crate::core::fleet::retention::surplus;
use crate::core::fleet::store::StoreContents;
use crate::fleet::etcd::{KeyOp, KeyScope, Txn};
use std::collections::BTreeSet;

impl FleetTask {
    /// After each reading of everything.
    pub(super) fn prune(&mut self, contents: &StoreContents) {
        let Some(session) = self.session.as_ref().filter(|_| self.member.leads().is_some()) else { return };
        let last =
            |service: &str| Some(self.member.held(service)?.document.state.rollout.as_ref()?.id.clone());
        // A document that this instance has no service for is somebody's all the same.
        let is_known = |key: &String| {
            let service = key.strip_prefix(&self.member.view().keys.service(""));
            service.is_none_or(|service| self.member.held(service).is_some())
        };
        if !contents.entries.keys().all(is_known) {
            return;
        }
        let services = contents
            .entries
            .keys()
            .filter_map(|key| key.strip_prefix(&self.member.view().keys.service("")).map(str::to_owned));
        let last: BTreeSet<String> = services.filter_map(|service| last(&service)).collect();
        let gone = surplus(&self.member.view().keys, contents, &last);
        if gone.is_empty() {
            return;
        }
        let delete = |key: &String| KeyOp::delete(&KeyScope::key(key.clone().into_bytes()));
        let txn = Txn { then: gone.iter().map(delete).collect(), ..Txn::default() };
        let store = session.store().clone();
        self.calls.spawn(async move {
            // What is still there goes with the next reading.
            drop(store.txn(&txn).await);
            Finished::PutAway
        });
    }
}
