//! Workers: one thread each, with its own event loop, counters and upstream connections.

use super::accept::{Entrance, Handed, receive};
use super::line::Line;
use super::worker::{Shared, Worker};
use crate::observe::access_log;
use crate::proxy::listen::bound::Bound;
use crate::proxy::upstream::kept;
use crate::proxy::upstream::registry::{self, AttemptRegistry};
use crate::proxy::wire::holding;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Threads of one worker that read files; more requests for files wait.
const READERS: usize = 16;

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
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| unbounded_channel()).unzip();
        let threads = receivers
            .into_iter()
            .enumerate()
            .map(|(index, receiver)| {
                let (shared, watch) = (shared.clone(), watch.clone());
                let end = End { linger: lingering.clone(), grace };
                let hand_over = HandOver { senders: senders.clone(), receiver };
                let socket = |bound: &Arc<Bound>| Ok((bound.clone(), bound.socket()?));
                let sockets = shared.listeners.iter().map(socket).collect::<std::io::Result<Vec<_>>>()?;
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().max_blocking_threads(READERS).build()?;
                let name = format!("worker-{index}");
                let run = move || runtime.block_on(worker(index, shared, (sockets, hand_over), watch, end));
                std::thread::Builder::new().name(name).spawn(run)
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Workers { listeners: shared.listeners.clone(), shutdown, linger, threads })
    }

    /// Stops accepting and waits for the busy connections, up to `grace`; each closes with its
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

/// How a worker ends.
struct End {
    linger: watch::Receiver<Duration>,
    grace: Duration,
}

/// Between workers.
struct HandOver {
    senders: Vec<UnboundedSender<Handed>>,
    receiver: UnboundedReceiver<Handed>,
}

async fn worker(
    index: usize,
    shared: Arc<Shared>,
    (sockets, hand_over): (Vec<(Arc<Bound>, std::net::TcpListener)>, HandOver),
    mut shutdown: watch::Receiver<bool>,
    end: End,
) {
    holding::charge_to(&shared.memory);
    let registry = Arc::new(AttemptRegistry::default());
    tokio::spawn(registry::obey(shared.recorder.recalls.hear(), registry.clone()));
    let worker = Arc::new(Worker::new(index, &shared, registry));
    let sweeping = tokio::spawn(kept::sweep(shared.clock));
    tokio::spawn(access_log::hand_over_in_time());
    tokio::spawn(access_log::hand_over_spans_in_time());
    // Every connection holds a sender: when all are gone, the receiver ends.
    let (alive, mut all_closed) = mpsc::channel::<()>(1);
    let (close, closing) = watch::channel(false);
    let line = |(place, (listener, _)): (usize, &(Arc<Bound>, std::net::TcpListener))| Line {
        listener: listener.clone(),
        place,
        worker: worker.clone(),
        shutdown: shutdown.clone(),
        closing: closing.clone(),
    };
    let lines: Vec<Line> = sockets.iter().enumerate().map(line).collect();
    for ((listener, (_, socket)), line) in sockets.into_iter().enumerate().zip(&lines) {
        let workers = hand_over.senders.clone();
        let entrance = Entrance { worker: index, listener, line: line.clone(), workers };
        match TcpListener::from_std(socket) {
            Ok(socket) => drop(tokio::spawn(entrance.accept(socket, alive.clone()))),
            Err(error) => {
                tracing::error!("worker {index} cannot accept on {}: {error}", line.listener.address);
            }
        }
    }
    tokio::spawn(receive(hand_over.receiver, lines, alive.clone()));
    drop(hand_over.senders);
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
