//! One instance's part in the store: a lease with keys that say it is there, the race for who leads, and all that the
//! others write, in order.
//!
//! Two tasks share the client. One holds (`keeper`): it must renew the lease in time, whatever else takes long. The other
//! reads (`reader`): everything once, then changes, and everything again from time to time, since etcd 3.4 has lost
//! changes around compactions. They tell what happens as [`SessionEvent`]s.
//!
//! Who leads is one key with the lease: its `create_revision` is the fence that every write of a leader compares. What is
//! told here of leading is a hint that may be late; the fence is what decides.

mod campaign;
mod keeper;
mod reader;

use super::etcd::{Etcd, EtcdFault, KeyChange, KeyScope, Listing, Rewound, Txn, TxnOutcome};
use bytes::Bytes;
use campaign::LeaderAt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Events, and orders, that wait.
const WAITING: usize = 64;
/// The key of who leads, under the prefix.
const LEADER: &str = "leader";

/// What a session is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// What all keys of the fleet begin with, without the slash behind it.
    pub prefix: Arc<str>,
    /// The value of the leader's key while this instance leads.
    pub name: Arc<str>,
    /// How long the keys of an instance stay that is not heard of: whole seconds.
    pub lease: Duration,
    /// Between two readings of everything.
    pub reading: Duration,
}

/// A session. It ends when this is dropped; its keys then go with the lease. [`FleetStore::leave`] ends it at once.
#[derive(Debug)]
pub struct FleetSession {
    events: mpsc::Receiver<SessionEvent>,
    tenure: watch::Receiver<Tenure>,
    store: FleetStore,
    _tasks: JoinSet<()>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Changes arrive from now on.
    Connected,
    /// No changes arrive for now; none will be missing.
    Disconnected(EtcdFault),
    /// All there is under the prefix. It stands in place of all that was told before.
    Read(ReadCause, Listing),
    /// What has changed since, in order.
    Changed(Vec<KeyChange>),
    /// The store has fallen back. A [`SessionEvent::Read`] follows.
    Rewound(Rewound),
    /// This instance has another lease, or none, or leads, or does not any more.
    Tenure(Tenure),
}

/// What an instance has of the store, by its own clock: it ends here before it ends there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tenure {
    /// The lease that its keys are written with.
    pub lease: Option<i64>,
    /// The `create_revision` of the leader's key, while this instance leads.
    pub fence: Option<i64>,
}

/// Why everything was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadCause {
    Start,
    /// The changes in between could not be had.
    Compacted,
    Rewound,
    /// It was time.
    Routine,
}

/// The store, as the rest of an instance uses it.
#[derive(Clone, Debug)]
pub struct FleetStore {
    etcd: Etcd,
    prefix: Arc<str>,
    orders: mpsc::Sender<Order>,
}

/// What the keeper is to do.
#[derive(Debug)]
enum Order {
    Hold(Bytes, Bytes),
    Release(Bytes),
    Campaign(bool),
    Leave(oneshot::Sender<()>),
}

impl FleetSession {
    /// Begins a session; must be called within a runtime.
    pub fn start(etcd: Etcd, settings: SessionSettings) -> Self {
        let (events_in, events) = mpsc::channel(WAITING);
        let (orders, orders_out) = mpsc::channel(WAITING);
        let (leader_in, leader) = watch::channel(LeaderAt::default());
        let (tenure_in, tenure) = watch::channel(Tenure::default());
        let store = FleetStore { etcd, prefix: settings.prefix.clone(), orders };
        let mut tasks = JoinSet::new();
        tasks.spawn(reader::run(store.clone(), settings.reading, events_in, leader_in));
        tasks.spawn(keeper::run(store.clone(), settings, orders_out, leader, tenure_in));
        FleetSession { events, tenure, store, _tasks: tasks }
    }

    pub fn store(&self) -> &FleetStore {
        &self.store
    }

    /// What this instance has now.
    pub fn tenure(&self) -> Tenure {
        *self.tenure.borrow()
    }

    /// The next event. `None` after [`FleetStore::leave`].
    ///
    /// It may be given up while it waits; nothing is lost then. A tenure that has changed twice is told once.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        tokio::select! {
            biased;
            changed = self.tenure.changed() => {
                changed.ok().map(|()| SessionEvent::Tenure(*self.tenure.borrow_and_update()))
            }
            event = self.events.recv() => event,
        }
    }
}

impl FleetStore {
    /// A key under the prefix.
    pub fn key(&self, rest: &str) -> Bytes {
        format!("{}/{rest}", self.prefix).into()
    }

    /// All keys of the fleet.
    pub fn scope(&self) -> KeyScope {
        KeyScope::prefix(self.key(""))
    }

    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Carries a transaction out.
    ///
    /// # Errors
    /// As [`Etcd::txn`].
    pub async fn txn(&self, txn: &Txn) -> Result<TxnOutcome, EtcdFault> {
        self.etcd.txn(txn).await
    }

    /// Keeps a key written with the lease of this session, whatever lease that is. [`key`](Self::key) makes keys.
    pub async fn hold(&self, key: Bytes, value: Bytes) {
        self.order(Order::Hold(key, value)).await;
    }

    /// Deletes such a key.
    pub async fn release(&self, key: Bytes) {
        self.order(Order::Release(key)).await;
    }

    /// Leads as soon as nobody else does.
    pub async fn campaign(&self) {
        self.order(Order::Campaign(true)).await;
    }

    /// Does not lead any more, from now on.
    pub async fn resign(&self) {
        self.order(Order::Campaign(false)).await;
    }

    /// Ends the session: the lease goes, and all keys with it, the leader's included. Returns once that is so, or cannot
    /// be had in time.
    pub async fn leave(&self) {
        let (left, is_left) = oneshot::channel();
        self.order(Order::Leave(left)).await;
        let _ = is_left.await;
    }

    /// A session that has ended takes none.
    async fn order(&self, order: Order) {
        let _ = self.orders.send(order).await;
    }
}
