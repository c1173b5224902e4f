//! One running Pointsman: everything put together, and taken apart again in order.

use super::certificates::InUse;
use super::exporting::{self, Exporting};
use super::fleet;
use super::handover::{Own, Predecessor};
use super::limits::{self, InForce};
use super::opened::Opened;
use super::reload::Reloader;
use crate::admin::{self, Doors, Process, ReloadNews, Served};
use crate::config;
use crate::control::command::{Controller, Reload, Upgrade};
use crate::control::journal::{Journal, Recovered};
use crate::control::view::{Snapshot, UNCHECKED, UpstreamView};
use crate::control::{self, Parts};
use crate::core::container::DockerStatus;
use crate::core::own_address::OwnAddresses;
use crate::core::secret::Secret;
use crate::core::settings::Config;
use crate::core::table::{Table, UpstreamState};
use crate::docker;
use crate::fleet::FleetRunning;
use crate::health;
use crate::notify;
use crate::observe::access_log::{AccessLog, Guard, SpanLog};
use crate::observe::clock::{Clock, wall};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use crate::proxy::{Bound, HopMark, PasswordDoor, Seats, Shared, Workers};
use arc_swap::ArcSwap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// How long a start waits for names and first checks of upstreams; later ones join when they can.
const KNOWN: Duration = Duration::from_secs(2);
/// Threads for the admin API and the health checks.
const ADMIN_THREADS: usize = 2;
/// Reloads and upgrades that may wait.
const REQUESTS: usize = 8;
/// Places at the desk of those who deliver notices.
const DESK: usize = notify::PLACES as usize;
/// How long idle connections are kept once another process serves: their next request is still answered
/// here, so that none is lost to a close that crosses it.
const LINGER: Duration = Duration::from_secs(2);
/// How long the state store may take to be closed.
const CLOSING: Duration = Duration::from_secs(10);
/// How long answers of the admin API may take once another process serves.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// A running instance.
#[derive(Debug)]
pub struct Instance {
    pub admin: SocketAddr,
    /// Scheme and address of every listener.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    pub controller: Controller,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub reloads: mpsc::Sender<Reload>,
    pub runtime: Runtime,
    pub journal: Journal,
    /// Upgrades that are asked for, until somebody takes them.
    asked: Option<mpsc::Receiver<Upgrade>>,
    own: Own,
    drain_delay: Duration,
    serving_admin: JoinHandle<()>,
    access_log: Option<AccessLog>,
    running: control::Running,
    workers: Workers,
    stopping: watch::Sender<bool>,
    guard: Option<Guard>,
    exporting: Option<Exporting>,
    /// Its part in a fleet.
    pub fleet: Option<FleetRunning>,
}

impl Instance {
    /// Starts everything; when it returns, requests are served. `file` is where a reload reads.
    ///
    /// # Errors
    /// When an address is taken, the state directory cannot be used, a certificate or a log cannot be
    /// opened: nothing has been served then.
    pub fn start(config: Config, file: Option<PathBuf>) -> anyhow::Result<Instance> {
        Instance::start_after(config, file, None)
    }

    /// The same, in place of a process that hands over its sockets and its state.
    pub(super) fn start_after(
        config: Config,
        file: Option<PathBuf>,
        predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Instance> {
        let config = Arc::new(config);
        let Opened { bound, admin, tls, certificates, journal, recovered, secret, access_log, guard, clock } =
            Opened::open(&config, predecessor)?;
        let (address, runtime) = (admin.local_addr()?, runtime()?);
        let (spans, exporter) = exporting::prepare(&config, clock)?;
        let (shared, limits) = shared(&config, bound, (access_log.clone(), spans), clock, &secret);
        let (addresses, desk) = (own_addresses(&shared, address), Arc::new(Semaphore::new(DESK)));
        let core = Core { config: &config, shared: &shared, journal: &journal, desk: &desk, admin: address };
        let Started { running, metrics, containers, fleet } = core.start(&runtime, recovered, &secret)?;
        metrics.show_certificates(certificates.ends())?;
        let sockets = sockets(&shared.listeners, &config, &admin)?;
        let (own, doors) = own(&runtime, &running, shared.clock, sockets, desk);
        let admin = runtime.block_on(async { tokio::net::TcpListener::from_std(admin) })?;
        // What can fail from here on is the start of a worker thread.
        certificates.keep(&runtime, running.configs.clone(), shared.challenges.clone());
        let exporting = exporter.map(|exporter| Exporting::start(&runtime, exporter));
        let workers = Workers::start(&shared, config.server.threads, config.server.grace)?;
        let ((stopping, stops), (reloads, requests)) = (watch::channel(false), mpsc::channel(REQUESTS));
        let ((upgrades, asked), drain_delay) = (mpsc::channel(REQUESTS), config.server.drain_delay);
        let (process, news) = process(&shared, &certificates, address, (file.as_deref(), containers, &fleet));
        let state = admin::State {
            controller: running.controller.clone(),
            snapshots: running.snapshots.clone(),
            configs: running.configs.clone(),
            journal: journal.clone(),
            secret,
            own: addresses.clone(),
            metrics: metrics.clone(),
            access_log: access_log.clone(),
            reloads: reloads.clone(),
            upgrades,
            clock: shared.clock,
            process,
            common: Arc::default(),
            stopping: stops,
        };
        let serving_admin = runtime.spawn(admin::serve(admin, tls, state, doors));
        let (started, controller, configs) = (config, running.controller.clone(), running.configs.clone());
        let reloader =
            Reloader { file, started, controller, configs, certificates, limits, addresses, metrics, news };
        runtime.spawn(reloader.run(requests));
        Ok(Instance {
            admin: address,
            listeners: serving(&shared),
            controller: running.controller.clone(),
            snapshots: running.snapshots.clone(),
            reloads,
            runtime,
            journal,
            asked: Some(asked),
            own,
            drain_delay,
            serving_admin,
            access_log,
            running,
            workers,
            stopping,
            guard,
            exporting,
            fleet,
        })
    }

    /// Opens the access log again, after a rotation.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// The upgrades that are asked for; there is one taker.
    pub(super) fn asked(&mut self) -> Option<mpsc::Receiver<Upgrade>> {
        self.asked.take()
    }

    /// What another process may take over.
    pub(super) fn own(&self) -> Own {
        self.own.clone()
    }

    /// Says that it is not ready any more, lets requests in flight finish, then the admin API and the
    /// controller, then writes what is left.
    pub fn stop(self) {
        self.stopping.send_replace(true);
        if let Some(fleet) = &self.fleet {
            // Another leads at once.
            self.runtime.block_on(fleet.leave());
        }
        std::thread::sleep(self.drain_delay);
        self.end(Duration::ZERO);
    }

    /// The same, once another process serves in place of this one.
    pub(super) fn leave(mut self) {
        self.stopping.send_replace(true);
        self.own.doors.send_replace(Doors::Shut);
        let serving = &mut self.serving_admin;
        let answered = async { tokio::time::timeout(LAST_ANSWERS, serving).await };
        if self.runtime.handle().block_on(answered).is_err() {
            tracing::warn!("the admin API was still answering");
        }
        self.end(LINGER);
    }

    fn end(self, linger: Duration) {
        // Nothing else listens on these in this process any more.
        drop(self.own);
        self.workers.stop(linger);
        self.running.stop();
        if let Some(exporting) = self.exporting {
            exporting.end(&self.runtime);
        }
        // The database alone is the state then; without the log, there is nothing to lose beside it.
        let closed = async { tokio::time::timeout(CLOSING, self.journal.close()).await };
        if self.runtime.block_on(closed).is_err() {
            tracing::warn!("the state store was still writing");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        drop(self.guard);
    }
}

/// What decides, and what it sees and tells others by.
struct Core<'a> {
    config: &'a Arc<Config>,
    shared: &'a Arc<Shared>,
    journal: &'a Journal,
    desk: &'a Arc<Semaphore>,
    admin: SocketAddr,
}

/// The same, started.
struct Started {
    running: control::Running,
    metrics: Arc<Metrics>,
    containers: watch::Receiver<DockerStatus>,
    fleet: Option<FleetRunning>,
}

impl Core<'_> {
    fn start(self, runtime: &Runtime, recovered: Recovered, secret: &Secret) -> anyhow::Result<Started> {
        let Core { config, shared, journal, desk, admin } = self;
        let metrics = Arc::new(Metrics::new(shared.recorder.clone(), shared.table.clone(), shared.clock)?);
        let aborted = recovered.aborted.iter().cloned();
        let (fleet, seam) =
            fleet::start(config, journal, aborted, (shared.clock, &metrics), runtime)?.unzip();
        metrics.show_clients(limits::counts(shared))?;
        shared.spans.as_ref().map(|spans| metrics.show_spans(spans.counts())).transpose()?;
        let (jobs, wanted) = mpsc::unbounded_channel();
        let running = control::start(Parts {
            config: config.clone(),
            table: shared.table.clone(),
            recorder: shared.recorder.clone(),
            wake: shared.wake.clone(),
            clock: shared.clock,
            metrics: metrics.clone(),
            journal: journal.clone(),
            recovered,
            jobs,
            admin,
            own: own_addresses(shared, admin),
            secret: secret.clone(),
            fleet: seam,
        })?;
        let (controller, configs) = (&running.controller, running.configs.clone());
        let resolver = health::Resolver::default();
        runtime.spawn(health::watch(controller.clone(), running.watched.clone(), resolver.clone()));
        runtime.spawn(health::signals::watch(controller.clone(), running.watched.clone(), resolver));
        runtime.spawn(health::work(controller.clone(), wanted));
        let ((docker, containers), gauge) = (watch::channel(DockerStatus::default()), Arc::default());
        metrics.show_docker(Arc::clone(&gauge))?;
        runtime.spawn(docker::watch(controller.clone(), configs.clone(), (docker, gauge), shared.clock));
        runtime.spawn(notify::deliver(journal.outbox(), configs, metrics.clone(), desk.clone()));
        runtime.block_on(upstreams_known(config, running.snapshots.clone(), containers.clone()));
        Ok(Started { running, metrics, containers, fleet })
    }
}

/// Where the admin API and the health checks run.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ADMIN_THREADS)
        .thread_name("admin")
        .enable_all()
        .build()
}

/// What another process may take over, and the doors of the admin API.
fn own(
    runtime: &Runtime,
    running: &control::Running,
    clock: Clock,
    sockets: Vec<(String, Arc<TcpListener>)>,
    desk: Arc<Semaphore>,
) -> (Own, watch::Receiver<Doors>) {
    let (doors, seen) = watch::channel(Doors::Open);
    let (handover, runtime) = (running.handover.clone(), runtime.handle().clone());
    (Own { sockets, handover, doors, desk, runtime, clock }, seen)
}

/// Every listening socket by its name.
fn sockets(
    listeners: &[Arc<Bound>],
    config: &Config,
    admin: &TcpListener,
) -> std::io::Result<Vec<(String, Arc<TcpListener>)>> {
    let listeners = listeners
        .iter()
        .map(|bound| Ok((Own::name_of_listener(bound.settings.address), Arc::new(bound.socket()?))));
    let admin = (Own::name_of_admin(config.admin.listen), Arc::new(admin.try_clone()?));
    listeners.chain([Ok(admin)]).collect()
}

/// The scheme and the address of each listener.
fn serving(shared: &Shared) -> Vec<(&'static str, SocketAddr)> {
    shared.listeners.iter().map(|bound| (bound.scheme(), bound.address)).collect()
}

/// What the admin API says of the process, and where it hears of reloads.
fn process(
    shared: &Arc<Shared>,
    certificates: &InUse,
    admin: SocketAddr,
    (file, docker, fleet): (Option<&Path>, watch::Receiver<DockerStatus>, &Option<FleetRunning>),
) -> (Arc<Process>, watch::Sender<ReloadNews>) {
    let (news, reloads) = watch::channel(ReloadNews::default());
    let served = |bound: &Arc<Bound>| Served {
        scheme: bound.scheme(),
        address: bound.address,
        certificates: bound.certificates.clone(),
    };
    let own = certificates.of_admin();
    let process = Process {
        started_at: wall().to_string(),
        file: file.map(|file| file.display().to_string()),
        listeners: shared.listeners.iter().map(served).collect(),
        admin: Served {
            scheme: if own.is_some() { "https" } else { "http" },
            address: admin,
            certificates: own,
        },
        clients: limits::counts(shared),
        reloads,
        docker,
        fleet: fleet.as_ref().map(|fleet| fleet.handle.clone()),
    };
    (Arc::new(process), news)
}

/// Where this process listens.
fn own_addresses(shared: &Shared, admin: SocketAddr) -> OwnAddresses {
    OwnAddresses::new(shared.listeners.iter().map(|bound| bound.address), admin, config::is_local)
}

/// Where the workers and the controller meet.
fn shared(
    config: &Config,
    listeners: Vec<Arc<Bound>>,
    (access_log, spans): (Option<AccessLog>, Option<SpanLog>),
    clock: Clock,
    secret: &Secret,
) -> (Arc<Shared>, InForce) {
    let (places, memory, demand) = limits::of(config);
    let shared = Arc::new(Shared {
        table: Arc::new(ArcSwap::from_pointee(Table::default())),
        recorder: Arc::new(Recorder::new(config.server.threads).with_listeners(listeners.len())),
        wake: Arc::new(Wake::default()),
        access_log,
        spans,
        clock,
        listeners,
        places,
        seats: Seats::new(config.server.threads),
        memory,
        hop_mark: HopMark::new(secret),
        passwords: PasswordDoor::new(secret, config.server.threads),
        challenges: Arc::default(),
        seed: rand::random(),
    });
    (shared.clone(), InForce::new(shared, demand))
}

/// Waits until every name has been looked up once, Docker has told of its containers, and what must be proven has been
/// checked once, so that the first request finds its upstreams.
async fn upstreams_known(
    config: &Config,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut docker: watch::Receiver<DockerStatus>,
) {
    let is_checked = |upstream: &UpstreamView| upstream.detail.as_ref().is_some_and(|why| why != UNCHECKED);
    let is_known =
        |upstream: &UpstreamView| upstream.state != UpstreamState::Down.label() || is_checked(upstream);
    let known = async {
        let expected = match config.docker {
            Some(_) => docker.wait_for(|status| status.is_tried).await.map_or(0, |status| status.upstreams),
            None => 0,
        };
        let all_known = |snapshot: &Arc<Snapshot>| {
            let pools = || snapshot.services.values().flat_map(|service| service.pools.values());
            let upstreams = || pools().flat_map(|pool| &pool.upstreams);
            let containers = upstreams().filter(|upstream| upstream.container.is_some()).count();
            containers >= expected && upstreams().all(is_known)
        };
        drop(snapshots.wait_for(all_known).await);
    };
    if tokio::time::timeout(KNOWN, known).await.is_err() {
        tracing::warn!("not every upstream is resolved and checked yet; starting without them");
    }
}
