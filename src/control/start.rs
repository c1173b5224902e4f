//! The start of the controller: what it works with, and the thread of its own that it runs on, so that a busy worker
//! never delays a decision.

use super::answer::answer;
use super::command::{Controller, Job};
use super::controller::{Inbox, Task};
use super::effects::Effects;
use super::fleet::FleetSeam;
use super::handover::Handover;
use super::journal::{Journal, Recovered};
use super::links::Links;
use super::maintenance::Maintenance;
use super::publisher::Publisher;
use super::recovery;
use super::snapshots::Snapshots;
use super::view::Snapshot;
use crate::core::own_address::OwnAddresses;
use crate::core::secret::Secret;
use crate::core::settings::Config;
use crate::core::table::Table;
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs that may wait.
const INPUTS: usize = 256;

/// What the controller works with.
#[derive(Debug)]
pub struct Parts {
    pub config: Arc<Config>,
    /// The controller is its one writer.
    pub table: Arc<ArcSwap<Table>>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub journal: Journal,
    pub recovered: Recovered,
    /// Where work outside of this process goes.
    pub jobs: mpsc::UnboundedSender<Job>,
    /// Where the admin API listens, for routes that lead to it.
    pub admin: SocketAddr,
    /// Where this process listens.
    pub own: OwnAddresses,
    /// Assigns users, and signs what testers send.
    pub secret: Secret,
    /// Where this process is one of a fleet.
    pub fleet: Option<FleetSeam>,
}

/// The running controller.
#[derive(Debug)]
pub struct Running {
    pub controller: Controller,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The configuration in effect.
    pub configs: watch::Receiver<Arc<Config>>,
    /// The same with the upstreams that are registered and the policies that rollouts run under: what is
    /// to be checked and scraped.
    pub watched: watch::Receiver<Arc<Config>>,
    pub handover: Handover,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Writes what is still to be written, as far as it can be, and ends. Blocks.
    pub fn stop(self) {
        answer(self.stop, ());
        if self.thread.join().is_err() {
            tracing::error!("the controller panicked");
        }
    }
}

/// Recovers the state, publishes the first table and starts the task.
///
/// # Errors
/// When the system refuses a thread, or more pools are configured than can be measured.
pub fn start(parts: Parts) -> std::io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (inputs, inbox) = mpsc::channel(INPUTS);
    let (snapshots, shown) = watch::channel(Arc::default());
    let (configs, configured) = watch::channel(parts.config.clone());
    let (watched, under_watch) = watch::channel(parts.config.clone());
    let (written, writes) = mpsc::unbounded_channel();
    let (handover, orders) = Handover::channel();
    let (stop, stopped) = oneshot::channel();
    let links = Links {
        config: parts.config,
        recorder: parts.recorder,
        own: parts.own,
        clock: parts.clock,
        wake: parts.wake,
        excused_until: Duration::ZERO,
        is_fleet: parts.fleet.is_some(),
        client_salt: parts.secret.short_key("clients", ""),
        ended: Arc::new(recovery::ended(&parts.recovered)),
    };
    let (fleet, news) = parts.fleet.map(|seam| (seam.orders, seam.news)).unzip();
    let effects =
        Effects { journal: parts.journal, jobs: parts.jobs, metrics: parts.metrics, written, fleet };
    let mut inbox = Inbox {
        inputs: inbox,
        writes,
        orders,
        news: news.unwrap_or_else(|| mpsc::unbounded_channel().1),
        stopped,
    };
    let (services, lost) = recovery::services(&parts.recovered, &links).map_err(std::io::Error::other)?;
    let degraded = [parts.recovered.damage.clone(), lost].concat();
    degraded.iter().for_each(|why| tracing::error!("started degraded: {why}"));
    effects.metrics.started_degraded(degraded.len());
    let mut task = Task::new(
        services,
        Maintenance::recovered(&parts.recovered, &links),
        Publisher::new(parts.table, parts.secret, parts.admin),
        Snapshots::new(snapshots, degraded),
        (configs, watched),
        links,
        effects,
    );
    {
        let _entered = runtime.enter();
        // What the fleet has is in the first table.
        task.hear_all(&mut inbox.news);
        task.carry_out();
    }
    let run = move || runtime.block_on(task.run(inbox));
    let thread = std::thread::Builder::new().name("controller".into()).spawn(run)?;
    let controller = Controller { inputs };
    let (configs, watched) = (configured, under_watch);
    Ok(Running { controller, snapshots: shown, configs, watched, handover, stop, thread })
}
