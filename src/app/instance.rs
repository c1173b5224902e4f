//! One running Pointsman: everything put together, and taken apart again in order.

use super::reload::Reloader;
use crate::admin;
use crate::control::command::{Controller, Reload};
use crate::control::journal::Journal;
use crate::control::view::Snapshot;
use crate::control::{self, Parts};
use crate::core::settings::{Config, UpstreamHost};
use crate::core::table::Table;
use crate::health;
use crate::observe::access_log::{AccessLog, Guard};
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use crate::proxy::{Bound, Shared, Workers};
use anyhow::Context;
use arc_swap::ArcSwap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// How long a start waits for the names of upstreams; later ones join when they resolve.
const NAMES: Duration = Duration::from_secs(2);
/// Threads for the admin API and the health checks.
const ADMIN_THREADS: usize = 2;

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
        let bound: Vec<_> = config.listeners.iter().cloned().map(Bound::bind).collect::<Result<_, _>>()?;
        let admin = bind_admin(config.admin.listen)?;
        let (journal, recovered) = Journal::open(&config.server.state_dir)?;
        let (access_log, guard) = open_log(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(ADMIN_THREADS)
            .thread_name("admin")
            .enable_all()
            .build()?;

        let clock = Clock::start();
        let recorder = Arc::new(Recorder::new(config.server.threads));
        let wake = Arc::new(Wake::default());
        let table = Arc::new(ArcSwap::from_pointee(Table::default()));
        let metrics = Arc::new(Metrics::new(recorder.clone(), clock)?);
        let running = control::start(Parts {
            config: config.clone(),
            table: table.clone(),
            recorder: recorder.clone(),
            wake: wake.clone(),
            clock,
            metrics: metrics.clone(),
            journal: journal.clone(),
            recovered,
        })?;
        let controller = running.controller.clone();
        runtime.spawn(health::watch(controller.clone(), running.configs.clone()));
        runtime.block_on(names_resolved(&config, running.snapshots.clone()));

        let listeners = bound.iter().map(|bound| (bound.scheme(), bound.address)).collect();
        let seed = rand::random();
        let shared =
            Shared { table, recorder, wake, access_log: access_log.clone(), clock, listeners: bound, seed };
        let workers = Workers::start(&Arc::new(shared), config.server.threads, config.server.grace)?;

        let (stopping, stops) = watch::channel(false);
        let (reloads, requests) = mpsc::channel(8);
        let configs = running.configs.clone();
        let reloader =
            Reloader { file, started: config, controller: controller.clone(), configs: configs.clone() };
        runtime.spawn(reloader.run(requests));
        let snapshots = running.snapshots.clone();
        let state = admin::State {
            controller: controller.clone(),
            snapshots: snapshots.clone(),
            configs,
            journal,
            metrics,
            access_log: access_log.clone(),
            reloads: reloads.clone(),
            stopping: stops,
        };
        let address = admin.local_addr()?;
        let admin = runtime.block_on(async { tokio::net::TcpListener::from_std(admin) })?;
        runtime.spawn(admin::serve(admin, state));
        Ok(Instance {
            admin: address,
            listeners,
            controller,
            snapshots,
            reloads,
            runtime,
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

fn bind_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let cannot =
        || format!("the admin API cannot listen on {address}; change admin.listen or stop what does");
    let listener = TcpListener::bind(address).with_context(cannot)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn open_log(config: &Config) -> anyhow::Result<(Option<AccessLog>, Option<Guard>)> {
    let Some(settings) = &config.access_log else { return Ok((None, None)) };
    let path = settings.path.clone().unwrap_or_else(|| "-".into());
    let opened = AccessLog::open(settings);
    let (log, guard) =
        opened.with_context(|| format!("the access log {} cannot be opened", path.display()))?;
    Ok((Some(log), Some(guard)))
}

/// Waits until every name has been looked up once, so that the first request finds its upstreams.
async fn names_resolved(config: &Config, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let is_name = |service: &str, pool: &str, address: &str| {
        let pool = config.services.get(service).and_then(|service| service.pools.get(pool));
        let upstreams = pool.iter().flat_map(|pool| &pool.upstreams);
        upstreams
            .filter(|upstream| &*upstream.address == address)
            .any(|upstream| matches!(upstream.host, UpstreamHost::Name { .. }))
    };
    let all_known = |snapshot: &Arc<Snapshot>| {
        snapshot.services.values().all(|service| {
            let pools = service.pools.iter();
            let mut upstreams = pools.flat_map(|(name, pool)| pool.upstreams.iter().map(move |u| (name, u)));
            upstreams.all(|(pool, upstream)| {
                let known = upstream.resolved.is_some() || upstream.detail.is_some();
                known || !is_name(&service.name, pool, &upstream.address)
            })
        })
    };
    if tokio::time::timeout(NAMES, snapshots.wait_for(all_known)).await.is_err() {
        tracing::warn!("some names of upstreams are not resolved yet; starting without them");
    }
}
