//! One running Pointsman: everything put together, and taken apart again in order.

use super::certificates::{AdminTls, InUse};
use super::reload::Reloader;
use crate::admin;
use crate::control::command::{Controller, Job, Reload};
use crate::control::journal::{Journal, Recovered};
use crate::control::view::{Snapshot, UpstreamView};
use crate::control::{self, Parts};
use crate::core::settings::{self, Config};
use crate::core::table::{Table, UpstreamState};
use crate::health;
use crate::notify;
use crate::observe::access_log::{AccessLog, Guard};
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use crate::proxy::{Bound, Shared, Workers};
use crate::tls::acme;
use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};

/// How long a start waits for names and first checks of upstreams; later ones join when they can.
const KNOWN: Duration = Duration::from_secs(2);
/// Threads for the admin API and the health checks.
const ADMIN_THREADS: usize = 2;
/// Reloads that may wait.
const RELOADS: usize = 8;

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
    access_log: Option<AccessLog>,
    running: control::Running,
    workers: Workers,
    stopping: watch::Sender<bool>,
    guard: Option<Guard>,
}

impl Instance {
    /// Starts everything; when it returns, requests are served. `file` is where a reload reads.
    ///
    /// # Errors
    /// When an address is taken, the state directory cannot be used, a certificate or a log cannot be
    /// opened: nothing has been served then.
    pub fn start(config: Config, file: Option<PathBuf>) -> anyhow::Result<Instance> {
        let config = Arc::new(config);
        let Opened { bound, admin, tls, certificates, journal, recovered, access_log, guard } =
            Opened::open(&config)?;
        let address = admin.local_addr()?;
        let runtime = runtime()?;
        let shared = Arc::new(shared(&config, bound, access_log.clone()));
        let metrics = Arc::new(Metrics::new(shared.recorder.clone(), shared.clock)?);
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
            admin: address,
        })?;
        let (controller, snapshots) = (running.controller.clone(), running.snapshots.clone());
        watch_upstreams(&runtime, &running, wanted);
        runtime.spawn(notify::deliver(journal.clone(), running.configs.clone(), metrics.clone()));
        runtime.block_on(upstreams_known(snapshots.clone()));
        certificates.watch(&runtime);
        certificates.renew(&runtime, running.configs.clone(), shared.challenges.clone());
        let workers = Workers::start(&shared, config.server.threads, config.server.grace)?;

        let (stopping, stops) = watch::channel(false);
        let reloads = reloads(&runtime, file, config, &running, certificates);
        let state = admin::State {
            controller: controller.clone(),
            snapshots: snapshots.clone(),
            configs: running.configs.clone(),
            journal: journal.clone(),
            metrics,
            access_log: access_log.clone(),
            reloads: reloads.clone(),
            streams: Arc::new(Semaphore::new(admin::STREAMS)),
            stopping: stops,
        };
        let admin = runtime.block_on(async { tokio::net::TcpListener::from_std(admin) })?;
        runtime.spawn(admin::serve(admin, tls, state));
        let listeners = shared.listeners.iter().map(|bound| (bound.scheme(), bound.address)).collect();
        Ok(Instance {
            admin: address,
            listeners,
            controller,
            snapshots,
            reloads,
            runtime,
            journal,
            access_log,
            running,
            workers,
            stopping,
            guard,
        })
    }

    /// Opens the access log anew, after a rotation.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Lets requests in flight finish, then the admin API and the controller, then writes what is left.
    pub fn stop(self) {
        self.stopping.send_replace(true);
        self.workers.stop();
        self.running.stop();
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        drop(self.guard);
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

/// Health checks, signals, and what the controller wants done.
fn watch_upstreams(runtime: &Runtime, running: &control::Running, wanted: mpsc::UnboundedReceiver<Job>) {
    let controller = &running.controller;
    runtime.spawn(health::watch(controller.clone(), running.watched.clone()));
    runtime.spawn(health::signals::watch(controller.clone(), running.watched.clone()));
    runtime.spawn(health::work(controller.clone(), wanted));
}

/// Where reloads are asked for; they are served from now on.
fn reloads(
    runtime: &Runtime,
    file: Option<PathBuf>,
    started: Arc<Config>,
    running: &control::Running,
    certificates: InUse,
) -> mpsc::Sender<Reload> {
    let (reloads, requests) = mpsc::channel(RELOADS);
    let (controller, configs) = (running.controller.clone(), running.configs.clone());
    runtime.spawn(Reloader { file, started, controller, configs, certificates }.run(requests));
    reloads
}

/// Where the workers and the controller meet.
fn shared(config: &Config, listeners: Vec<Arc<Bound>>, access_log: Option<AccessLog>) -> Shared {
    Shared {
        table: Arc::new(ArcSwap::from_pointee(Table::default())),
        recorder: Arc::new(Recorder::new(config.server.threads)),
        wake: Arc::new(Wake::default()),
        access_log,
        clock: Clock::start(),
        listeners,
        challenges: Arc::default(),
        seed: rand::random(),
    }
}

/// All that can fail for the place it runs in, before anything is started.
struct Opened {
    bound: Vec<Arc<Bound>>,
    admin: TcpListener,
    /// The admin API's.
    tls: Option<Arc<ServerConfig>>,
    certificates: InUse,
    journal: Journal,
    recovered: Recovered,
    access_log: Option<AccessLog>,
    guard: Option<Guard>,
}

impl Opened {
    fn open(config: &Config) -> anyhow::Result<Opened> {
        config.acme.as_ref().map(acme::prepare).transpose().context("acme")?;
        let bound = config.listeners.iter().cloned().map(Bound::bind).collect::<Result<Vec<_>, _>>()?;
        let address = config.admin.listen;
        let admin = TcpListener::bind(address).with_context(|| {
            format!("the admin API cannot listen on {address}; change admin.listen or stop what does")
        })?;
        admin.set_nonblocking(true)?;
        let tls = config.admin.tls.as_ref().map(AdminTls::load).transpose().context("admin.tls")?;
        let certificates = InUse::new(&bound, tls.as_ref());
        let tls = tls.map(|tls| tls.config);
        let (journal, recovered) = Journal::open(&config.server.state_dir)?;
        let (access_log, guard) = config.access_log.as_ref().map(open_log).transpose()?.unzip();
        Ok(Opened { bound, admin, tls, certificates, journal, recovered, access_log, guard })
    }
}

fn open_log(settings: &settings::AccessLog) -> anyhow::Result<(AccessLog, Guard)> {
    let path = settings.path.clone().unwrap_or_else(|| "-".into());
    AccessLog::open(settings).with_context(|| format!("the access log {} cannot be opened", path.display()))
}

/// Waits until every name has been looked up once, and what must be proven has been checked once, so that
/// the first request finds its upstreams.
async fn upstreams_known(mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let is_known =
        |upstream: &UpstreamView| upstream.state != UpstreamState::Down.label() || upstream.detail.is_some();
    let all_known = |snapshot: &Arc<Snapshot>| {
        let pools = snapshot.services.values().flat_map(|service| service.pools.values());
        pools.flat_map(|pool| &pool.upstreams).all(is_known)
    };
    if tokio::time::timeout(KNOWN, snapshots.wait_for(all_known)).await.is_err() {
        tracing::warn!("not every upstream is resolved and checked yet; starting without them");
    }
}
