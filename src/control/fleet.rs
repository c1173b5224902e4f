//! Where the controller and the task of the fleet meet.
//!
//! The controller stays the one writer of the table. In a fleet, what it wants to become durable goes to that task
//! instead of the journal alone ([`FleetOrder`]), and what others have decided comes from there ([`FleetNews`]): the
//! document of a service, whether this process leads, why it holds. Its own abort takes effect first; it is an order, too.
//! Without a fleet none of this is there.

mod begun;
mod gathered;
mod part;

use super::command::Refusal;
use super::journal::{SITE, Started};
use crate::core::fleet::evidence::{MemberCounts, MemberPast, MemberReport};
use crate::core::fleet::status::FleetView;
use crate::core::policy::Policy;
use crate::core::rollout::Observation;
use crate::core::service::ServiceState;
pub(super) use begun::TallyBase;
pub(super) use gathered::FleetObservation;
pub(super) use part::FleetPart;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A request to forget a member for good: its name, by whom, and where the answer goes.
pub type Forget = (String, String, oneshot::Sender<Result<(), Refusal>>);

/// The fleet, for those who show it; cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    pub view: watch::Receiver<Arc<FleetView>>,
    pub(crate) forgets: mpsc::Sender<Forget>,
}

/// The controller's ends of the seam.
#[derive(Debug)]
pub struct FleetSeam {
    pub orders: mpsc::UnboundedSender<FleetOrder>,
    /// What has come by the start is in the first table.
    pub news: mpsc::UnboundedReceiver<FleetNews>,
}

/// What the controller has the fleet's task do.
#[derive(Debug)]
pub enum FleetOrder {
    Write(Box<FleetWrite>),
    /// A rollout is aborted in the own table: all others are to hear of it. `rows` is what the history says of it.
    Abort {
        service: Arc<str>,
        rollout: String,
        why: String,
        rows: Vec<Value>,
    },
    Site(Box<SiteWrite>),
    /// A look has brought something against the candidate of a service.
    Rang(Arc<str>),
    /// What [`FleetNews::Count`] asks for; nothing while no candidate is watched.
    Counted {
        service: Arc<str>,
        counted: Option<Box<(FleetTally, MemberReport)>>,
    },
    /// There are these services now, with this digest of the configuration.
    Configured {
        services: Vec<Arc<str>>,
        config: String,
    },
    /// Another process of this member takes over: the lease is given up; answered once it is.
    StepDown(oneshot::Sender<()>),
    /// It has not, and this process goes on.
    StepUp,
}

/// A change of a service on its way to the store.
#[derive(Debug)]
pub struct FleetWrite {
    pub service: Arc<str>,
    pub serial: u64,
    pub purpose: WritePurpose,
    /// The transaction that wrote the document which the change was made of. `None` of a service without a document.
    pub base: Option<Arc<str>>,
    pub state: ServiceState,
    /// Rows of history, see [`HistoryRow::shared`](super::journal::HistoryRow::shared).
    pub rows: Vec<Value>,
    /// The id and the record of the rollout as it is then.
    pub rollout: Option<(String, String)>,
    /// The id of a rollout that begins with it, and the key that it was asked for by.
    pub begins: Option<String>,
    pub idempotency: Option<(String, Option<String>)>,
}

/// A change of what belongs to no one service.
#[derive(Debug)]
pub struct SiteWrite {
    pub serial: u64,
    /// The transaction that wrote the document which it was made of.
    pub base: Option<Arc<str>>,
    pub state: Value,
    /// Rows of history, each with its service.
    pub rows: Vec<(String, Value)>,
}

/// What a change is for: it decides what must be so for it to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePurpose {
    /// Somebody asks for it, or it keeps what is so already: nobody else may have changed the service meanwhile.
    Command,
    /// The leader goes on by itself: all members must be there, too, and nobody may have aborted.
    Advance,
}

/// What this member has counted of a rollout's candidate.
#[derive(Clone, Debug)]
pub struct FleetTally {
    pub rollout: String,
    /// Which versions it is about; see [`EvidencePush`](crate::core::fleet::evidence::EvidencePush).
    pub era: u64,
    /// What the rollout is held against.
    pub policy: Policy,
    pub counts: MemberCounts,
    pub past: MemberPast,
}

/// What the controller hears of the fleet.
#[derive(Debug)]
pub enum FleetNews {
    /// What is in effect of a service, fleet-wide.
    State(Box<FleetState>),
    /// The store knows no such service: it is to be written as it is.
    Unknown(Arc<str>),
    /// A rollout of a service was started by this key.
    Key {
        service: Arc<str>,
        key: String,
        started: Started,
    },
    /// Whether this process leads, and why the rollout of a service stands still.
    Standing {
        service: Arc<str>,
        leads: bool,
        holds: Vec<String>,
    },
    /// The counts of a service's candidate are wanted, as they are now.
    Count(Arc<str>),
    /// What all members see of a rollout's candidate together, for the leader.
    Observed {
        service: Arc<str>,
        rollout: String,
        observation: Box<Observation>,
    },
    /// What is under maintenance, as text, by this transaction; and what became of a change of it.
    Site {
        state: String,
        txn: Arc<str>,
    },
    SiteWritten {
        serial: u64,
        outcome: WriteOutcome,
    },
    /// What became of a [`FleetWrite`]. What led to it was told before.
    Written {
        service: Arc<str>,
        serial: u64,
        outcome: WriteOutcome,
    },
}

/// A service as it is in effect.
#[derive(Debug)]
pub struct FleetState {
    pub service: Arc<str>,
    pub state: ServiceState,
    /// The transaction that wrote the document.
    pub txn: Arc<str>,
    /// The rollout that is undone in it, and not in the document yet; and whether the store was heard.
    pub undone: Option<String>,
    pub is_heard: bool,
    /// Whether nothing is left to be written of own aborts.
    pub is_settled: bool,
    /// When the task heard of it, on the process clock.
    pub heard_at: Duration,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// By this transaction.
    Done(Arc<str>),
    /// Somebody else was first.
    Overtaken,
    /// A sentence: why not, and what is so.
    Refused(String),
}

impl FleetNews {
    /// The service that it is about.
    pub(super) fn service(&self) -> &str {
        match self {
            FleetNews::State(state) => &state.service,
            FleetNews::Unknown(service)
            | FleetNews::Count(service)
            | FleetNews::Observed { service, .. }
            | FleetNews::Key { service, .. }
            | FleetNews::Standing { service, .. }
            | FleetNews::Written { service, .. } => service,
            FleetNews::Site { .. } | FleetNews::SiteWritten { .. } => SITE,
        }
    }
}

impl FleetHandle {
    /// Forgets a member that is gone: nothing waits for it any more.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound` of a name that is none of the fleet, `Conflict` of a member that is there, `Unavailable`
    /// while the store cannot be reached.
    pub async fn forget(&self, name: &str, actor: &str) -> Result<(), Refusal> {
        let stopped = || Refusal::Unavailable("the task of the fleet has stopped".into());
        let (to, answer) = oneshot::channel();
        let asked = (name.to_owned(), actor.to_owned(), to);
        self.forgets.send(asked).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}
