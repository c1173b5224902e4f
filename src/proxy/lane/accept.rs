//! Accepting: connections of all listeners are shared out evenly among the workers.
//!
//! Every worker accepts on every listener, and hands a connection on to the worker that has the fewest. The sockets
//! themselves are one for all workers: one for each (`SO_REUSEPORT`) is uneven by chance, and loses what waits in it
//! when there are fewer workers after an upgrade.

use super::connection;
use super::line::Line;
use crate::core::own_limit::OwnLimit;
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::room::{Occupied, PLAIN_BYTES, TLS_BYTES};
use crate::proxy::listen::seats::Seat;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::sleep;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often who waits for room looks for connections that have been idle for long enough by now.
const LOOK: Duration = Duration::from_millis(100);

/// A connection that was let in, on its way to its worker.
#[derive(Debug)]
pub(super) struct Handed {
    /// Outside any event loop.
    stream: std::net::TcpStream,
    peer: SocketAddr,
    admitted: Admitted,
    seat: Seat,
    /// By its place among the listeners.
    listener: usize,
}

/// The accepting side of one listener on one worker.
pub(super) struct Entrance {
    pub worker: usize,
    pub listener: usize,
    pub line: Line,
    /// To all workers, this one included.
    pub workers: Vec<UnboundedSender<Handed>>,
}

/// Serves the connections of a worker, until nobody accepts any more.
pub(super) async fn receive(
    mut handed: UnboundedReceiver<Handed>,
    lines: Vec<Line>,
    alive: mpsc::Sender<()>,
) {
    while let Some(Handed { stream, peer, admitted, seat, listener }) = handed.recv().await {
        let Some(line) = lines.get(listener) else { continue };
        match TcpStream::from_std(stream) {
            Ok(stream) => begin(stream, peer, (admitted, seat), line, &alive),
            Err(error) => tracing::warn!("a connection cannot be served: {error}"),
        }
    }
}

fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    (admitted, seat): (Admitted, Seat),
    line: &Line,
    alive: &mpsc::Sender<()>,
) {
    let (line, alive) = (line.clone(), alive.clone());
    // In a box, since a task is moved several times before it runs, and once more at its end.
    tokio::spawn(Box::pin(async move {
        connection::serve(stream, peer, (admitted, seat), line).await;
        drop(alive);
    }));
}

impl Entrance {
    /// Accepts until the shutdown.
    pub(super) async fn accept(self, socket: TcpListener, alive: mpsc::Sender<()>) {
        let mut shutdown = self.line.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.failed(&error);
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admitted = match Admitted::new(&self.line.listener, peer.ip()) {
                Ok(admitted) => admitted,
                Err(limit) => {
                    self.line.worker.meter.shard.own_limit(limit);
                    continue;
                }
            };
            // At the shutdown, too: it has been accepted, and others leave.
            let place = self.place().await;
            self.seat(stream, peer, admitted, place, &alive);
        }
    }

    /// A place for a connection. While there is none, this one waits here and the others in the backlog.
    async fn place(&self) -> Occupied {
        let shared = &self.line.worker.shared;
        let (room, mut is_first) = (&shared.places.room, true);
        let bytes = if self.line.listener.acceptor.is_some() { TLS_BYTES } else { PLAIN_BYTES };
        loop {
            let change = room.change();
            // What bodies hold beyond their limit is not there for connections.
            let others = shared.seats.by_requests().saturating_add(shared.memory.excess() as u64);
            match room.enter(bytes, others) {
                Ok(place) => return place,
                Err(limit) if is_first => self.line.worker.meter.shard.own_limit(limit),
                Err(_) => {}
            }
            if !is_first || !self.line.listener.door.take_place() {
                shared.seats.press(room.clients(), shared.clock.now_us());
            }
            is_first = false;
            tokio::select! {
                () = change => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Gives a connection to the worker with the fewest.
    fn seat(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        admitted: Admitted,
        place: Occupied,
        alive: &mpsc::Sender<()>,
    ) {
        let shared = &self.line.worker.shared;
        let worker = shared.seats.least(self.worker);
        let seat = shared.seats.sit(worker, place, shared.clock.now_us());
        if worker == self.worker {
            return begin(stream, peer, (admitted, seat), &self.line, alive);
        }
        match (stream.into_std(), self.workers.get(worker)) {
            (Ok(stream), Some(other)) => {
                // It takes all that comes, until nobody accepts any more.
                let _ = other.send(Handed { stream, peer, admitted, seat, listener: self.listener });
            }
            (Err(error), _) => self.failed(&error),
            (Ok(_), None) => {}
        }
    }

    fn failed(&self, error: &io::Error) {
        let (shared, listener) = (&self.line.worker.shared, &self.line.listener);
        // A connection that lingers, or is idle, has a file descriptor to give.
        if !listener.door.take_place() {
            shared.seats.press(shared.places.room.clients(), shared.clock.now_us());
        }
        match OwnLimit::of_error(error) {
            // The controller tells of it, now and then.
            Some(limit) => self.line.worker.meter.shard.own_limit(limit),
            None => tracing::warn!("accept on {}: {error}", listener.address),
        }
    }
}
