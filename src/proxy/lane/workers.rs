//! Workers: one thread each, with its own event loop, counters and upstream connections.

use super::connection;
use super::line::Line;
use super::worker::{Shared, Worker};
use crate::core::own_limit::OwnLimit;
use crate::observe::shard::Shard;
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::bound::Bound;
use crate::proxy::upstream::kept;
use crate::proxy::upstream::registry::{self, AttemptRegistry};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Threads of one worker that read files; more requests for files wait.
const READERS: usize = 16;
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    let worker = Arc::new(Worker::new(index, &shared, registry));
    let sweeping = tokio::spawn(kept::sweep(shared.clock));
    // Every connection holds a sender: when all are gone, the receiver ends.
    let (alive, mut all_closed) = mpsc::channel::<()>(1);
    let (close, closing) = watch::channel(false);
    for (listener, socket) in sockets {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let (worker, shutdown, closing) = (worker.clone(), shutdown.clone(), closing.clone());
                let line = Line { listener: listener.clone(), worker, shutdown, closing };
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
    sweeping.abort();
    kept::clear();
    if timeout(grace - linger, all_closed.recv()).await.is_err() {
        tracing::warn!("worker {index} closes connections that are still busy after {grace:?}");
    }
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
