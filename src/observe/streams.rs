//! How the orders to leave ([`Orders`]) reach the long streams of a pool: each listens to its pool's.

use crate::core::leave::Orders;
use crate::core::outcome::ArmId;
use crate::core::table::{self, Pool, Service, Table};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The orders of all pools. The controller gives them; locked by it and where a long stream begins,
/// never for other requests.
#[derive(Debug, Default)]
pub struct Streams(Mutex<HashMap<ArmId, watch::Sender<Orders>>>);

impl Streams {
    /// What a stream of a pool listens to.
    pub fn orders(&self, arm: ArmId) -> watch::Receiver<Orders> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(arm).or_insert_with(|| watch::Sender::new(Orders::default())).subscribe()
    }

    /// Gives the orders that follow from a new table.
    pub fn follow(&self, before: &Table, now: &Table, now_us: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (old, new) in table::changes(before, now) {
            let services = [old, new].into_iter().flatten();
            let arms: BTreeSet<ArmId> =
                services.flat_map(|service| &service.pools).map(|pool| pool.arm).collect();
            for arm in arms {
                let orders = all.entry(arm).or_insert_with(|| watch::Sender::new(Orders::default()));
                orders.send_if_modified(|orders| {
                    let next = orders.next(pool(old, arm), pool(new, arm), now_us, now.revision);
                    let changed = *orders != next;
                    *orders = next;
                    changed
                });
            }
        }
    }
}

fn pool(service: Option<&Service>, arm: ArmId) -> Option<&Pool> {
    service?.pools.iter().find(|pool| pool.arm == arm)
}
