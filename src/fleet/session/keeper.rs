//! Holds a lease, the keys that go with it, and the leader's key when it can be had.
//!
//! A lease that was not renewed for as long as it lasts has ended, by the clock here; etcd's runs from later on. So this
//! instance knows first that it does not lead any more.

use super::campaign::{Campaign, LeaderAt};
use super::{FleetStore, LEADER, Order, SessionSettings, Tenure};
use crate::core::pause::Pauses;
use crate::fleet::etcd::{EtcdFault, KeyScope, LeaseGrant, RefusalReason};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Between tries that fail: to take a lease, to renew it, to write a key. The longest is short: without a lease an instance
/// has not joined, and whatever it has to say waits.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(50), longest: Duration::from_millis(300) };

/// Carries out orders until the last one, to leave.
pub(super) async fn run(
    store: FleetStore,
    settings: SessionSettings,
    orders: mpsc::Receiver<Order>,
    leader: watch::Receiver<LeaderAt>,
    tenure: watch::Sender<Tenure>,
) {
    let campaign = Campaign::new(store.key(LEADER), settings.name);
    let (held, unwritten, released) = <(BTreeMap<_, _>, BTreeSet<_>, BTreeSet<_>)>::default();
    let ttl = settings.lease;
    let mut keeper =
        Keeper { store, ttl, orders, leader, tenure, held, unwritten, released, campaign, failures: 0 };
    let left = loop {
        if let Some(left) = keeper.one_lease().await {
            break left;
        }
        keeper.campaign.lost_lease();
        keeper.tenure.send_replace(Tenure::default());
    };
    keeper.tenure.send_replace(Tenure::default());
    let _ = left.send(());
}

struct Keeper {
    store: FleetStore,
    ttl: Duration,
    orders: mpsc::Receiver<Order>,
    leader: watch::Receiver<LeaderAt>,
    tenure: watch::Sender<Tenure>,
    /// Keys and their values.
    held: BTreeMap<Bytes, Bytes>,
    /// Those of them that are not written with the lease there is.
    unwritten: BTreeSet<Bytes>,
    /// Keys that are to go.
    released: BTreeSet<Bytes>,
    campaign: Campaign,
    /// Of calls, in a row.
    failures: u32,
}

/// A lease, and until when it surely holds.
struct Held {
    lease: LeaseGrant,
    until: Instant,
    /// When it is renewed next.
    renew: Instant,
}

/// What is done next.
enum Work {
    Renew,
    Order(Order),
    /// The leader's key has changed.
    Leader,
    /// There are keys to be written, or a leader's key to be had.
    Write,
    Ended,
}

impl Keeper {
    /// Takes a lease and keeps it until it is lost, or the session is left; who waits for that.
    async fn one_lease(&mut self) -> Option<oneshot::Sender<()>> {
        let mut held = match self.grant().await {
            Ok(held) => held,
            Err(left) => return Some(left),
        };
        let lease = held.lease.id;
        self.tenure.send_replace(Tenure { lease: Some(lease), fence: None });
        self.unwritten.extend(self.held.keys().cloned());
        let mut falls = self.store.etcd().falls();
        let mut write = Instant::now();
        loop {
            let work = tokio::select! {
                biased;
                () = sleep_until(held.until) => Work::Ended,
                () = sleep_until(held.renew) => Work::Renew,
                // Of another store's leases nothing is known.
                Ok(()) = falls.changed() => Work::Ended,
                order = self.orders.recv() => Work::Order(order?),
                Ok(()) = self.leader.changed() => Work::Leader,
                () = sleep_until(write), if self.has_to_write(lease) => Work::Write,
            };
            match work {
                Work::Ended => return None,
                Work::Renew => {
                    if !self.renew(&mut held).await {
                        return None;
                    }
                }
                Work::Order(Order::Leave(left)) => {
                    self.leave(lease).await;
                    return Some(left);
                }
                Work::Order(order) => self.take(order),
                Work::Leader => self.campaign.read(self.leader.borrow_and_update().clone()),
                Work::Write => {
                    let written = timeout_at(held.until, self.write(lease)).await;
                    match written.unwrap_or(Ok(())) {
                        Ok(()) => self.failures = 0,
                        Err(fault) if fault.refusal() == Some(&RefusalReason::LeaseNotFound) => return None,
                        Err(fault) => write = Instant::now() + self.pause(&fault),
                    }
                }
            }
            let tenure = Tenure { lease: Some(lease), fence: self.campaign.fence() };
            self.tenure.send_if_modified(|told| std::mem::replace(told, tenure) != tenure);
        }
    }

    /// # Errors
    /// The session is left.
    async fn grant(&mut self) -> Result<Held, oneshot::Sender<()>> {
        loop {
            let sent = Instant::now();
            let pause = match self.store.etcd().grant_lease(self.ttl).await {
                Ok(lease) => {
                    self.failures = 0;
                    return Ok(Held { lease, until: sent + lease.ttl, renew: sent + lease.ttl / 3 });
                }
                Err(fault) => self.pause(&fault),
            };
            let paused = sleep(pause);
            tokio::pin!(paused);
            loop {
                let order = tokio::select! {
                    () = &mut paused => break,
                    order = self.orders.recv() => order,
                };
                match order {
                    Some(Order::Leave(left)) => return Err(left),
                    Some(order) => self.take(order),
                    None => std::future::pending().await,
                }
            }
        }
    }

    /// Whether the lease is still there, or nobody knows.
    async fn renew(&mut self, held: &mut Held) -> bool {
        let sent = Instant::now();
        match timeout_at(held.until, self.store.etcd().keep_lease(held.lease.id)).await {
            Ok(Ok(ttl)) => {
                self.failures = 0;
                (held.until, held.renew) = (sent + ttl, sent + ttl / 3);
                true
            }
            Ok(Err(fault)) if fault.refusal() == Some(&RefusalReason::LeaseNotFound) => false,
            Ok(Err(fault)) => {
                held.renew = Instant::now() + self.pause(&fault);
                true
            }
            Err(_) => false,
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Hold(key, value) => {
                self.released.remove(&key);
                self.unwritten.insert(key.clone());
                self.held.insert(key, value);
            }
            Order::Release(key) => {
                self.unwritten.remove(&key);
                if self.held.remove(&key).is_some() {
                    self.released.insert(key);
                }
            }
            Order::Campaign(is_on) => self.campaign.set(is_on),
            // It is taken where orders are.
            Order::Leave(_) => {}
        }
    }

    fn has_to_write(&self, lease: i64) -> bool {
        !self.unwritten.is_empty() || !self.released.is_empty() || self.campaign.next(lease).is_some()
    }

    /// Writes what is to be written, up to the first fault.
    async fn write(&mut self, lease: i64) -> Result<(), EtcdFault> {
        if let Some(txn) = self.campaign.next(lease) {
            let outcome = self.store.txn(&txn).await?;
            self.campaign.asked(lease, &outcome);
        }
        while let Some(key) = self.unwritten.first().cloned() {
            let value = self.held.get(&key).cloned().unwrap_or_default();
            self.store.etcd().put(key.clone(), value, lease).await?;
            self.unwritten.remove(&key);
        }
        while let Some(key) = self.released.first().cloned() {
            self.store.etcd().delete(&KeyScope::key(key.clone())).await?;
            self.released.remove(&key);
        }
        Ok(())
    }

    /// The lease takes all keys along. Once more where that is not known.
    async fn leave(&self, lease: i64) {
        for _ in 0..2 {
            match self.store.etcd().revoke_lease(lease).await {
                Err(fault) if fault.refusal().is_none() => {}
                _ => return,
            }
        }
    }

    /// Until the next try. The first failure in a row is logged.
    fn pause(&mut self, fault: &EtcdFault) -> Duration {
        if self.failures == 0 {
            tracing::warn!("the fleet's store does not take what this instance holds: {fault}");
        }
        self.failures = self.failures.saturating_add(1);
        PAUSES.spread(self.failures, rand::random())
    }
}
