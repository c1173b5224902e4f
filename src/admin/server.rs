//! The listener of the admin API: bounded in connections, and in patience with each. HTTP, or HTTPS where
//! it has certificates; a client that must show one too and does not is out before any HTTP.
//!
//! It always accepts. [`Connections`] says who has to go when there is no room, how long a
//! connection may take for each of its parts by [`Paced`].

use super::State;
use super::answer::Answer;
use super::auth::Presented;
use super::connections::{Connections, Place, Stage};
use super::paced::{Ending, Overdue, Paced, overdue};
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::tls;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A TLS handshake must end within this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Pause after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long an answer that is on its way may take once the doors are shut.
const CLOSING: Duration = Duration::from_secs(2);
/// Largest head of a request.
const HEAD_BYTES: usize = 32 << 10;
/// A peer that has vanished is noticed within a minute: by probes, or by data that is not acknowledged.
const PROBE_AFTER: Duration = Duration::from_secs(20);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// What the system holds of an answer that is not taken.
const SEND_BYTES: usize = 128 << 10;

type Api = TowerToHyperService<Router>;

/// Whether new connections are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doors {
    Open,
    /// They wait, for this process or another that listens on the same socket.
    Held,
    /// Never again; connections that are open end with the answer that is on its way.
    Shut,
}

/// What every connection is served by.
#[derive(Clone)]
struct Server {
    api: Api,
    tls: Option<TlsAcceptor>,
    clock: Clock,
    metrics: Arc<Metrics>,
    common: Arc<super::Common>,
    doors: watch::Receiver<Doors>,
}

/// Serves until the runtime ends, or the doors are shut and every connection has ended.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    state: State,
    mut doors: watch::Receiver<Doors>,
) {
    let (clock, metrics, common) = (state.clock, state.metrics.clone(), state.common.clone());
    tokio::spawn(super::frames::keep(state.clone()));
    let api = TowerToHyperService::new(super::router(state));
    let server =
        Server { api, tls: tls.map(TlsAcceptor::from), clock, metrics, common, doors: doors.clone() };
    let connections = Arc::new(Connections::default());
    while is_open(&mut doors).await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = are_not_open(&mut doors) => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                connections.give_one_up(clock.now());
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::new(connections.enter(peer.ip(), clock.now()));
        let server = server.clone();
        tokio::spawn(async move {
            let metrics = server.metrics.clone();
            tokio::select! {
                () = server.connection(stream, peer, place.clone()) => (),
                () = place.dismissed() => metrics.admin_closed("room"),
            }
        });
    }
    drop(listener);
    // Each ends within its time.
    connections.ended().await;
}

/// Waits while the doors are held; false once they are shut.
async fn is_open(doors: &mut watch::Receiver<Doors>) -> bool {
    doors.wait_for(|doors| *doors != Doors::Held).await.is_ok_and(|doors| *doors == Doors::Open)
}

async fn are_not_open(doors: &mut watch::Receiver<Doors>) {
    are(doors, |doors| *doors != Doors::Open).await;
}

async fn are_shut(doors: &mut watch::Receiver<Doors>) {
    are(doors, |doors| *doors == Doors::Shut).await;
}

/// Waits for that. Without anybody to move them, as at the end of the process, they stay as they are.
async fn are(doors: &mut watch::Receiver<Doors>, so: fn(&Doors) -> bool) {
    if doors.wait_for(so).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Has the system notice a peer that is gone, and hold little of what is not read. Where it cannot, the
/// times for each part still hold.
fn tune(stream: &TcpStream) {
    let set = || -> rustix::io::Result<()> {
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
        sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS)?;
        sockopt::set_socket_send_buffer_size(stream, SEND_BYTES)
    };
    if let Err(error) = set() {
        tracing::debug!("a connection of the admin API has no probes: {error}");
    }
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
        tune(&stream);
        let Some(tls) = &self.tls else { return self.http(stream, (peer, false), None, place).await };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let presented =
                    certificate.map(|certificate| Presented(tls::common_name(certificate).into()));
                place.is(Stage::Silent, self.clock.now());
                self.http(stream, (peer, true), presented, place).await;
            }
            Ok(Err(error)) => {
                if self.common.refused.handshake_is_told(peer.ip(), self.clock.now()) {
                    tracing::warn!(%peer, "the admin API refused a TLS handshake: {error}");
                }
            }
            Err(_) => {
                self.metrics.admin_closed("handshake");
                tracing::debug!(%peer, "a TLS handshake with the admin API took longer than {HANDSHAKE:?}");
            }
        }
    }

    async fn http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        (peer, is_secure): (SocketAddr, bool),
        presented: Option<Presented>,
        place: Arc<Place>,
    ) {
        let Server { api, clock, metrics, mut doors, .. } = self;
        let ending = Ending::default();
        let stream = Paced::new(stream, place.clone(), clock, ending.clone());
        let watched = place.clone();
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            place.is(Stage::Door, clock.now());
            let seat = Seat { place: place.clone(), peer, clock, is_secure };
            if let Some(presented) = &presented {
                request.extensions_mut().insert(presented.clone());
            }
            request.extensions_mut().insert(seat.clone());
            let answered = api.call(request);
            async move { Ok::<_, std::convert::Infallible>(Answer::new(answered.await?, seat)) }
        });
        let mut http = http1::Builder::new();
        // The times are the stream's.
        http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        // What went wrong on a connection is the client's to know.
        tokio::select! {
            biased;
            _ = connection.as_mut() => (),
            why = overdue(&watched, clock) => metrics.admin_closed(why.label()),
            () = are_shut(&mut doors) => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(CLOSING, connection).await;
            }
        }
        if ending.is_unread() {
            metrics.admin_closed(Overdue::Unread.label());
        }
    }
}

/// The connection that a request came on; in its extensions.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    place: Arc<Place>,
    pub peer: SocketAddr,
    clock: Clock,
    is_secure: bool,
}

impl Seat {
    /// Whether it is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Lets the request in; false where there is no room.
    pub(super) fn lets_in(&self) -> bool {
        self.place.is_let_in(Stage::Working, self.clock.now()).is_ok()
    }

    pub(super) fn reads_body(&self) {
        self.moves(Stage::Working, Stage::Body);
    }

    pub(super) fn has_body(&self) {
        self.moves(Stage::Body, Stage::Working);
    }

    pub(super) fn waits(&self) {
        self.moves(Stage::Working, Stage::Waiting);
    }

    pub(super) fn streams(&self) {
        self.moves(Stage::Working, Stage::Streaming);
    }

    /// The answer is on its way.
    pub(super) fn is_answering(&self) {
        if matches!(self.place.stage().0, Stage::Working | Stage::Body | Stage::Waiting) {
            self.place.is(Stage::Answering, self.clock.now());
        }
    }

    /// The answer is through.
    pub(super) fn is_answered(&self) {
        self.place.is(Stage::Idle, self.clock.now());
    }

    fn moves(&self, from: Stage, to: Stage) {
        if self.place.stage().0 == from {
            self.place.is(to, self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn doors_that_nobody_moves_any_more_are_waited_for_without_a_turn() {
        let (sender, mut doors) = watch::channel(Doors::Open);
        drop(sender);
        let mut idle = Context::from_waker(Waker::noop());
        assert_eq!(pin!(are_not_open(&mut doors)).poll(&mut idle), Poll::Pending);
        assert_eq!(pin!(are_shut(&mut doors)).poll(&mut idle), Poll::Pending);
        assert_eq!(pin!(is_open(&mut doors)).poll(&mut idle), Poll::Ready(true));
    }
}
