//! The inputs of the controller task: commands from the admin API, and events from the health checks.

use super::view::{MaintenanceView, RolloutView, ServiceView};
use crate::core::container::Containers;
use crate::core::own_limit::OwnLimit;
use crate::core::rollout::{Plan, Step, Strategy};
use crate::core::service::SetPart;
use crate::core::settings::{self, Config};
use crate::core::text;
use crate::core::upstream_address::UpstreamAddress;
use crate::core::weight::BasisPoints;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// How the controller signs its own decisions.
pub(super) const SELF: &str = "pointsman";
/// How it signs what it does as containers come and go.
pub(super) const DOCKER: &str = "docker";

/// Everything the controller task can be told.
#[derive(Debug)]
pub enum Input {
    /// Somebody asks for a change and waits for the answer.
    Command {
        actor: Actor,
        command: Command,
        /// The revision that the service, or the set, is to have still.
        if_match: Option<u64>,
        reply: oneshot::Sender<Result<Reply, Refusal>>,
    },
    /// The result of one active check of one upstream.
    Health {
        service: Arc<str>,
        pool: Arc<str>,
        upstream: Arc<str>,
        address: UpstreamAddress,
        /// When it began: what it found is of no account to a version that came later.
        began: Instant,
        result: Result<(), String>,
    },
    /// What an upstream's name resolves to now (sorted), or why it does not.
    Resolved {
        service: Arc<str>,
        pool: Arc<str>,
        upstream: Arc<str>,
        result: Result<Vec<SocketAddr>, String>,
        /// To be asked when a connection fails.
        again: Arc<LookUp>,
    },
    /// The containers that there are now, of all services.
    Containers { all: Arc<Containers> },
    /// A check, test or scrape could not be made, for want of something in this process.
    OwnLimit { limit: OwnLimit },
    /// What became of a [`Job`].
    JobDone { service: Arc<str>, ticket: u64, result: JobResult },
    /// The signals scraped from one upstream in one round: each with its value, or why it has none.
    Signals {
        service: Arc<str>,
        pool: Arc<str>,
        upstream: Arc<str>,
        address: UpstreamAddress,
        /// When they were asked for.
        began: Instant,
        values: Vec<(Arc<str>, Result<f64, String>)>,
    },
}

/// Who asks for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The token's name, or how a part of ours signs.
    pub name: String,
    /// Where they asked from, where it was over the network.
    pub address: Option<String>,
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Actor { name: name.to_owned(), address: None }
    }
}

/// Has a name looked up at once, since a connection to what it stands for has failed.
#[derive(Debug, Default)]
pub struct LookUp {
    wake: Notify,
    is_down: AtomicBool,
}

impl LookUp {
    /// Asks for it. `is_down` says that checks have found down all addresses that the name stands for now.
    pub fn ask(&self, is_down: bool) {
        self.is_down.fetch_or(is_down, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Waits until it is asked for; whether all addresses were down.
    pub async fn asked(&self) -> bool {
        self.wake.notified().await;
        self.is_down.swap(false, Ordering::Relaxed)
    }
}

/// Work outside of this process that a rollout waits for. It may take long, may be asked for again
/// after a restart, and its result comes back as [`Input::JobDone`] with the same ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub service: Arc<str>,
    pub ticket: u64,
    pub task: Task,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Every test against every one of the upstreams (label and address).
    Smoke { tests: Vec<settings::SmokeTest>, upstreams: Vec<(Arc<str>, UpstreamAddress)> },
    /// A POST of JSON that may refuse. `key` is sent as `Idempotency-Key`.
    Hook { hook: settings::Hook, key: String, body: serde_json::Value },
}

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// Every test passed; the hook answered 2xx.
    Passed,
    /// A test failed (each failure a sentence with upstream, request and what was wrong); the hook
    /// answered 4xx (its status and the beginning of its body).
    Refused(Vec<String>),
    /// The hook could not be asked or did not know: no connection, no answer in time, 5xx, 408, 425, 429.
    Unanswered(String),
}

#[derive(Debug)]
pub enum Command {
    /// Weights by pool; pools left out get 0. They must sum to 100 %.
    Weights {
        service: String,
        weights: BTreeMap<String, BasisPoints>,
        /// Whether pools that are down, or hold an aborted version, may get traffic; so for the next two.
        force: bool,
    },
    Flip {
        service: String,
        to: String,
        force: bool,
    },
    /// Aborts the running rollout, or goes back after a promotion.
    Rollback {
        service: String,
        force: bool,
    },
    Start {
        service: String,
        start: Box<StartRollout>,
    },
    Rollout {
        service: String,
        id: String,
        action: RolloutAction,
    },
    Upstream {
        service: String,
        pool: String,
        upstream: String,
        action: UpstreamAction,
    },
    /// Another set of upstreams for a pool; `None` goes back to the configuration's.
    Upstreams {
        service: String,
        pool: String,
        set: Option<Vec<settings::Upstream>>,
    },
    /// Several services together; it is answered with [`Reply::Parts`].
    Set {
        set: String,
        order: SetOrder,
    },
    /// `None` as service is the whole site.
    Maintenance {
        service: Option<String>,
        switch: MaintenanceSwitch,
    },
    /// A whole new configuration, already resolved.
    Reload {
        config: Arc<Config>,
    },
}

/// A rollout as asked for; what is left out comes from the service's configuration.
#[derive(Clone, Debug, Default)]
pub struct StartRollout {
    pub to: String,
    pub strategy: Option<Strategy>,
    pub version: Option<String>,
    pub steps: Option<Vec<Step>>,
    /// Whether somebody must approve before the candidate gets traffic.
    pub gate: Option<bool>,
    /// By when it has ended, and how long it waits for an approval.
    pub deadline: Option<Duration>,
    pub gate_timeout: Option<Duration>,
    /// Says what it would do, and moves nothing.
    pub dry_run: bool,
    /// The name of another policy than the service's.
    pub policy: Option<String>,
    /// The same key returns the same rollout, over restarts too.
    pub idempotency_key: Option<String>,
    /// A digest of what is asked for: the same key for something else is refused.
    pub asked: Option<String>,
    /// Where several services begin together.
    pub set: Option<SetPart>,
}

/// What is asked of a set of services.
#[derive(Clone, Debug)]
pub enum SetOrder {
    Start(Box<StartRollout>),
    /// Of the rollout with this id.
    Act {
        id: String,
        action: RolloutAction,
    },
    Rollback {
        force: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutAction {
    Pause,
    Resume,
    Promote,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAction {
    Drain,
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceSwitch {
    /// Anew, where it is on already; without a length it lasts until it is switched off.
    On {
        length: Option<Duration>,
    },
    Off,
}

#[derive(Debug)]
pub enum Reply {
    Service(Arc<ServiceView>),
    /// `created` is false where the idempotency key had been seen.
    Rollout {
        view: Arc<RolloutView>,
        created: bool,
    },
    Maintenance(MaintenanceView),
    /// The answers of the services of a set, each with its name.
    Parts(Vec<(String, oneshot::Receiver<Result<Reply, Refusal>>)>),
    /// With the paths at which the file and what is live differ.
    Reloaded {
        differs: Vec<String>,
    },
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ReloadReport {
    /// Paths of the configuration that are in effect now.
    pub changed: Vec<String>,
    /// Paths that changed in the file but take effect at the next start.
    pub needs_restart: Vec<String>,
    /// Paths of pools whose upstreams were registered over the API and are others than the file's; they
    /// stay until they are reset.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differs: Vec<String>,
}

/// Why a command was not carried out; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such service, pool, upstream or rollout (404).
    #[error("{0}")]
    NotFound(String),
    /// Not in this state (409); `rollout` names the one that is in the way.
    #[error("{detail}")]
    Conflict { detail: String, rollout: Option<String> },
    /// The revision is another one (412).
    #[error("the revision is {current}, not the one given")]
    Precondition { current: u64 },
    /// It can never be right (422): each fault with its path.
    #[error("{}", .0.iter().map(|f| format!("{}: {}", f.path, f.detail)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
    /// It cannot be carried out now (503), for example because the state store does not write.
    #[error("{0}")]
    Unavailable(String),
}

impl Command {
    /// The one service that it is about, if it is about one.
    pub(crate) fn service(&self) -> Option<&str> {
        match self {
            Command::Weights { service, .. }
            | Command::Flip { service, .. }
            | Command::Rollback { service, .. }
            | Command::Start { service, .. }
            | Command::Rollout { service, .. }
            | Command::Upstream { service, .. }
            | Command::Upstreams { service, .. } => Some(service),
            Command::Set { .. } | Command::Reload { .. } | Command::Maintenance { .. } => None,
        }
    }
}

impl Refusal {
    /// The same, of one service among several.
    #[must_use]
    pub(super) fn of(self, service: &str) -> Self {
        let named = |detail: String| format!("{service}: {detail}");
        match self {
            Refusal::NotFound(detail) => Refusal::NotFound(named(detail)),
            Refusal::Conflict { detail, rollout } => Refusal::Conflict { detail: named(detail), rollout },
            Refusal::Invalid(faults) => {
                let of = |fault: Fault| Fault { detail: named(fault.detail), ..fault };
                Refusal::Invalid(faults.into_iter().map(of).collect())
            }
            Refusal::Unavailable(detail) => Refusal::Unavailable(named(detail)),
            refusal @ Refusal::Precondition { .. } => refusal,
        }
    }
}

/// One fault of a request, by the path of the field it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Fault {
    pub path: String,
    pub detail: String,
}

/// A request to read the configuration again, by whom, and where the answer goes. The composition root
/// serves these, since it alone knows files.
pub type Reload = (String, oneshot::Sender<Result<ReloadReport, Refusal>>);

/// What an upgrade did: the process that answers has been replaced by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct UpgradeReport {
    pub old_pid: u32,
    pub new_pid: u32,
    /// Of the new process.
    pub version: String,
    pub took_ms: u64,
}

/// A request to replace this process by a new one, by whom, and where the answer goes.
pub type Upgrade = (String, oneshot::Sender<Result<UpgradeReport, Refusal>>);

/// The way to the controller task; cheap to clone.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(super) inputs: mpsc::Sender<Input>,
}

impl Input {
    /// The same with the texts of others made plain: they are shown on terminals, in chats and in logs.
    pub(super) fn plain(mut self) -> Self {
        let plain = |why: &mut String| *why = text::plain(why).into_owned();
        match &mut self {
            Input::Health { result: Err(why), .. } | Input::Resolved { result: Err(why), .. } => plain(why),
            Input::JobDone { result: JobResult::Refused(whys), .. } => whys.iter_mut().for_each(plain),
            Input::JobDone { result: JobResult::Unanswered(why), .. } => plain(why),
            Input::Signals { values, .. } => {
                values.iter_mut().filter_map(|(_, value)| value.as_mut().err()).for_each(plain);
            }
            _ => (),
        }
        self
    }
}

impl Controller {
    /// One whose inputs a test reads.
    #[cfg(test)]
    pub(crate) fn told() -> (Self, mpsc::Receiver<Input>) {
        let (inputs, told) = mpsc::channel(16);
        (Controller { inputs }, told)
    }

    /// Has a command carried out and waits for the answer. For the states to read, see
    /// [`super::view::Snapshot`].
    ///
    /// # Errors
    /// [`Refusal`]; `Unavailable` also when the controller has stopped.
    pub async fn ask(&self, actor: impl Into<Actor>, command: Command) -> Result<Reply, Refusal> {
        self.ask_if(actor, command, None).await
    }

    /// The same, but nothing is done where what the command is about has another revision than this one.
    ///
    /// # Errors
    /// [`Refusal::Precondition`], too.
    pub async fn ask_if(
        &self,
        actor: impl Into<Actor>,
        command: Command,
        if_match: Option<u64>,
    ) -> Result<Reply, Refusal> {
        let stopped = || Refusal::Unavailable("the controller has stopped".into());
        let (reply, answer) = oneshot::channel();
        let input = Input::Command { actor: actor.into(), command, if_match, reply };
        self.inputs.send(input).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Has an order to a set of services carried out, and waits until each of them has answered; the answers in the
    /// order of the set.
    ///
    /// # Errors
    /// [`Refusal`], of the whole or of the first service that refused it.
    pub async fn ask_set(
        &self,
        actor: impl Into<Actor>,
        set: String,
        order: SetOrder,
        if_match: Option<u64>,
    ) -> Result<Vec<Reply>, Refusal> {
        let stopped = || Refusal::Unavailable("the controller has stopped".into());
        let asked = self.ask_if(actor, Command::Set { set, order }, if_match).await?;
        let Reply::Parts(parts) = asked else {
            return Err(stopped());
        };
        let mut replies = Vec::new();
        let mut refused = None;
        for (service, answer) in parts {
            match answer.await.map_err(|_| stopped())? {
                Ok(reply) => replies.push(reply),
                Err(refusal) => refused = refused.or(Some(refusal.of(&service))),
            }
        }
        refused.map_or(Ok(replies), Err)
    }

    /// Tells the controller of an event; false once it has stopped.
    pub async fn tell(&self, input: Input) -> bool {
        self.inputs.send(input).await.is_ok()
    }
}

/// A plan as the command asked for it, over the service's defaults.
pub fn merged_plan(defaults: &Plan, start: &StartRollout) -> Plan {
    let mut plan = defaults.clone();
    if let Some(strategy) = start.strategy {
        plan.strategy = strategy;
    }
    if let Some(steps) = &start.steps {
        plan.steps.clone_from(steps);
    } else if plan.strategy == Strategy::BlueGreen {
        // What comes before anybody is served stays.
        plan.steps.retain(|step| step.mirror.is_some());
        plan.steps.push(Step::weight(BasisPoints::FULL, std::time::Duration::ZERO));
    }
    if plan.is_rolling() {
        plan.steps.clear();
    }
    plan.gate = start.gate.unwrap_or(plan.gate);
    plan.deadline = start.deadline.or(plan.deadline);
    plan.gate_timeout = start.gate_timeout.or(plan.gate_timeout);
    plan.dry_run = start.dry_run;
    plan
}
