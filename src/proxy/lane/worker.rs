//! Workers: one thread each, with its own event loop, counters and upstream connections.

use crate::core::own_limit::OwnLimit;
use crate::core::table::Table;
use crate::observe::access_log::AccessLog;
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use crate::observe::shard::Shard;
use crate::observe::wake::Wake;
use crate::proxy::headers::hops::HopMark;
use crate::proxy::lane::connection::{self, Line};
use crate::proxy::lane::gate::Gate;
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::bound::Bound;
use crate::proxy::listen::places::Places;
use crate::proxy::measure::log_entry::Logger;
use crate::proxy::measure::mirror;
use crate::proxy::upstream::keyring::Keyring;
use crate::proxy::upstream::registry::{self, AttemptRegistry};
use crate::proxy::upstream::uses::Uses;
use crate::tls::Challenges;
use arc_swap::ArcSwap;
use pingora_core::apps::HttpServerApp;
use pingora_core::apps::HttpServerOptions;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Threads of one worker that read files; more requests for files wait.
const READERS: usize = 16;
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all workers share.
pub struct Shared {
    /// Written by the controller alone.
    pub table: Arc<ArcSwap<Table>>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub access_log: Option<AccessLog>,
    pub clock: Clock,
    pub listeners: Vec<Arc<Bound>>,
    /// How many descriptors clients and upstreams may take.
    pub places: Places,
    /// What requests to upstreams are marked with.
    pub hop_mark: HopMark,
    /// What authorities ask for while a certificate is ordered.
    pub challenges: Arc<Challenges>,
    /// Seed of the workers' random numbers.
    pub seed: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The running data plane.
#[derive(Debug)]
pub struct Workers {
    listeners: Vec<Arc<Bound>>,
    shutdown: watch::Sender<bool>,
    /// How long idle connections are kept after that.
    linger: watch::Sender<Duration>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `threads` workers, all of them accepting on every listener. `grace` is how long a worker
    /// waits at its end for requests in flight.
    ///
    /// # Errors
    /// When the system refuses a thread, an event loop or a handle of a socket.
    pub fn start(shared: &Arc<Shared>, threads: usize, grace: Duration) -> std::io::Result<Self> {
        let (shutdown, watch) = watch::channel(false);
        let (linger, lingering) = watch::channel(Duration::ZERO);
        let threads = (0..threads)
            .map(|index| {
                let (shared, watch) = (shared.clone(), watch.clone());
                let end = End { linger: lingering.clone(), grace };
                let socket = |bound: &Arc<Bound>| Ok((bound.clone(), bound.socket()?));
                let sockets = shared.listeners.iter().map(socket).collect::<std::io::Result<Vec<_>>>()?;
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().max_blocking_threads(READERS).build()?;
                let name = format!("worker-{index}");
                let run = move || runtime.block_on(worker(index, shared, sockets, watch, end));
                std::thread::Builder::new().name(name).spawn(run)
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Workers { listeners: shared.listeners.clone(), shutdown, linger, threads })
    }

    /// Stops accepting and waits for the busy connections, up to `grace`; each is told to close with its
    /// next answer. Idle ones may send one more request within `linger`, which loses no request to a
    /// close that crosses it; then they are closed. Blocks.
    pub fn stop(self, linger: Duration) {
        self.linger.send_replace(linger);
        self.shutdown.send_replace(true);
        for listener in &self.listeners {
            listener.close();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// How a worker comes to its end.
struct End {
    linger: watch::Receiver<Duration>,
    grace: Duration,
}

async fn worker(
    index: usize,
    shared: Arc<Shared>,
    sockets: Vec<(Arc<Bound>, std::net::TcpListener)>,
    mut shutdown: watch::Receiver<bool>,
    end: End,
) {
    let registry = Arc::new(AttemptRegistry::default());
    tokio::spawn(registry::obey(shared.recorder.recalls.hear(), registry.clone()));
    let proxy = Arc::new(proxy(index, &shared, registry));
    // Every connection holds a sender: when all are gone, the receiver ends.
    let (alive, mut all_closed) = mpsc::channel::<()>(1);
    let (close, closing) = watch::channel(false);
    for (listener, socket) in sockets {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let (proxy, shutdown, closing) = (proxy.clone(), shutdown.clone(), closing.clone());
                let log = shared.access_log.as_ref().map(|log| Logger::new(log, shared.clock));
                let line = Line { listener: listener.clone(), proxy, shutdown, closing, log };
                let (shared, shard) = (shared.clone(), shared.recorder.shard(index));
                tokio::spawn(accept(socket, line, alive.clone(), shared, shard));
            }
            Err(error) => tracing::error!("worker {index} cannot accept on {}: {error}", listener.address),
        }
    }
    drop(alive);
    // An error means that the sender is gone, which is a shutdown too.
    let _ = shutdown.wait_for(|stop| *stop).await;
    let (grace, linger) = (end.grace, *end.linger.borrow());
    let linger = linger.min(grace);
    if timeout(linger, all_closed.recv()).await.is_ok() {
        return;
    }
    close.send_replace(true);
    proxy.http_cleanup().await;
    if timeout(grace - linger, all_closed.recv()).await.is_err() {
        tracing::warn!("worker {index} closes connections that are still busy after {grace:?}");
    }
}

fn proxy(index: usize, shared: &Arc<Shared>, registry: Arc<AttemptRegistry>) -> HttpProxy<Gate> {
    let conf = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: shared.places.shares().kept,
        ..ServerConf::default()
    };
    let gate = Gate {
        shared: shared.clone(),
        shard: shared.recorder.shard(index),
        uses: Uses::default(),
        registry,
        keyring: Keyring::default(),
        sender: mirror::sender(shared.places.shares().kept_by_mirror),
        log: shared.access_log.clone().map(Arc::new),
        random: AtomicU64::new(shared.seed.wrapping_add((index as u64) << 32)),
    };
    let mut proxy = http_proxy(&Arc::new(conf), gate);
    let mut options = HttpServerOptions::default();
    // Refused here rather than by pingora, whose answer would name it.
    options.allow_connect_method_proxying = true;
    proxy.server_options = Some(options);
    proxy
}

async fn accept(
    socket: TcpListener,
    line: Line,
    alive: mpsc::Sender<()>,
    shared: Arc<Shared>,
    shard: Arc<Shard>,
) {
    let mut shutdown = line.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let admitted = match Admitted::new(&line.listener, peer.ip()) {
                    Ok(admitted) => admitted,
                    Err(limit) => {
                        shard.own_limit(limit);
                        continue;
                    }
                };
                // While all places are taken, this one waits here and the others in the backlog.
                let free = shared.places.client();
                let place = match free {
                    Some(place) => place,
                    None => {
                        shard.own_limit(OwnLimit::Connections);
                        line.listener.door.take_place();
                        tokio::select! {
                            Some(place) = shared.places.next_client() => place,
                            _ = shutdown.wait_for(|stop| *stop) => return,
                        }
                    }
                };
                let (line, alive) = (line.clone(), alive.clone());
                tokio::spawn(async move {
                    connection::serve(stream, peer, admitted, line).await;
                    drop((place, alive));
                });
            }
            Err(error) => {
                // A connection that lingers has a file descriptor to give.
                line.listener.door.take_place();
                match OwnLimit::of_error(&error) {
                    // The controller tells of it, now and then.
                    Some(limit) => shard.own_limit(limit),
                    None => tracing::warn!("accept on {}: {error}", line.listener.address),
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
