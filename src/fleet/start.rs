//! The start of an instance's part in a fleet.

use super::etcd::{Etcd, EtcdTimes};
use super::session::SessionSettings;
use super::task::FleetTask;
use crate::control::fleet::{FleetHandle, FleetOrder, FleetSeam};
use crate::control::journal::{FleetKept, Journal, JournalError};
use crate::core::fleet::Incarnation;
use crate::core::fleet::documents::{ServiceDocument, Tombstone};
use crate::core::fleet::ground::Missing;
use crate::core::fleet::keys::StoreKeys;
use crate::core::fleet::member::{FleetMember, MemberIdentity, READ_AGAIN};
use crate::core::settings::EtcdSettings;
use crate::observe::clock::{Clock, wall};
use crate::observe::metrics::FleetTimes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Requests to forget members that may wait.
const FORGETS: usize = 8;
/// How long a start waits for what the fleet has in effect.
const JOINING: Duration = Duration::from_secs(3);
/// How long the end of a process waits until its lease is given up.
const LEAVING: Duration = Duration::from_millis(500);

/// What an instance's part in a fleet begins with.
#[derive(Debug)]
pub struct FleetStart {
    pub name: Arc<str>,
    pub etcd: EtcdSettings,
    /// What all keys of the fleet begin with.
    pub prefix: Arc<str>,
    /// How long the keys of an instance stay that is not heard of: whole seconds.
    pub lease: Duration,
    /// After so long a member that is gone is forgotten.
    pub forget: Duration,
    pub missing: Missing,
    /// Digests of the configuration and of the shared secret.
    pub config: String,
    pub secret: String,
    pub services: Vec<Arc<str>>,
    /// Rollouts that the file of marks has as aborted. Its write is done before an abort is answered, and what else is kept
    /// of the fleet only soon after.
    pub aborted: Vec<String>,
    pub journal: Journal,
    pub clock: Clock,
    pub times: FleetTimes,
}

/// Why an instance cannot take part in a fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetFault {
    #[error("fleet.etcd: {0}")]
    Client(String),
    #[error("fleet: {0}")]
    Kept(#[from] JournalError),
}

/// The part of an instance in a fleet.
#[derive(Clone, Debug)]
pub struct FleetRunning {
    pub handle: FleetHandle,
    /// A sentence, once this process must not serve: another one has its name.
    pub refused: watch::Receiver<Option<String>>,
    orders: mpsc::UnboundedSender<FleetOrder>,
}

impl FleetRunning {
    /// Gives the lease up, so that another leads at once and nobody waits for this member's end.
    pub async fn leave(&self) {
        let (to, left) = oneshot::channel();
        if self.orders.send(FleetOrder::StepDown(to)).is_ok() && timeout(LEAVING, left).await.is_err() {
            tracing::warn!("the fleet's store did not answer: the lease of this instance ends by itself");
        }
    }
}

impl FleetStart {
    /// Begins, and waits until it is known what the fleet has in effect, for a little while. Nothing of it waits for etcd
    /// afterwards.
    ///
    /// # Errors
    /// [`FleetFault`].
    pub async fn begin(self, runtime: &Handle) -> Result<(FleetRunning, FleetSeam), FleetFault> {
        let etcd = Etcd::new(self.etcd.clone(), EtcdTimes::default()).map_err(FleetFault::Client)?;
        let kept = self.journal.fleet().kept().await?;
        let keys = StoreKeys::under(&self.prefix);
        let member = FleetMember::new(self.identity(kept.incarnation), keys, self.kept(kept));
        let (orders, ordered) = mpsc::unbounded_channel();
        let (news, heard) = mpsc::unbounded_channel();
        let (forgets, forgotten) = mpsc::channel(FORGETS);
        let (view, shown) = watch::channel(Arc::default());
        let (refused, is_refused) = watch::channel(None);
        let settings = SessionSettings {
            prefix: self.prefix.trim_end_matches('/').into(),
            name: self.name.clone(),
            lease: self.lease,
            reading: READ_AGAIN,
        };
        let task = FleetTask::new(
            member,
            (etcd, settings),
            (self.journal, self.clock, self.times),
            (news, view, refused),
        );
        runtime.spawn(task.run(ordered, forgotten));
        let handle = FleetHandle { view: shown, forgets };
        let mut view = handle.view.clone();
        if timeout(JOINING, view.wait_for(|view| view.connected)).await.is_err() {
            tracing::warn!(
                "the fleet's store cannot be reached: this instance starts with what it knows, and candidates get \
                 nothing until the fleet is heard"
            );
        }
        let running = FleetRunning { handle, refused: is_refused, orders: orders.clone() };
        Ok((running, FleetSeam { orders, news: heard }))
    }

    fn identity(&self, incarnation: u64) -> MemberIdentity {
        MemberIdentity {
            name: self.name.to_string(),
            process: format!("{:016x}", rand::random::<u64>()),
            incarnation: Incarnation(incarnation),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config.clone(),
            secret: self.secret.clone(),
            missing: self.missing,
            forget: self.forget,
            takes_over: None,
        }
    }

    /// What was kept of the services that there are. What cannot be read is as good as nothing.
    fn kept(
        &self,
        kept: FleetKept,
    ) -> BTreeMap<String, (Option<ServiceDocument>, BTreeMap<String, Tombstone>)> {
        let of = |service: &Arc<str>| {
            let of = kept.services.get(&**service);
            let document: Option<ServiceDocument> =
                of.and_then(|(document, _)| serde_json::from_str(document).ok()).flatten();
            let mut marks: BTreeMap<String, Tombstone> =
                of.and_then(|(_, marks)| serde_json::from_str(marks).ok()).unwrap_or_default();
            let last = document.as_ref().and_then(|document| document.state.rollout.as_ref());
            if let Some(last) = last.filter(|last| self.aborted.contains(&last.id)) {
                marks.entry(last.id.clone()).or_insert_with(|| self.tombstone(service));
            }
            (service.to_string(), (document, marks))
        };
        self.services.iter().map(of).collect()
    }

    /// Of an abort whose reason went with the last process.
    fn tombstone(&self, service: &str) -> Tombstone {
        let why = "it was aborted before this process started".to_owned();
        Tombstone {
            service: service.to_owned(),
            by: self.name.to_string(),
            why,
            at: format!("{:.3}", wall()),
        }
    }
}
