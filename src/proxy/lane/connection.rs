//! One client connection: TLS, then HTTP/1 or HTTP/2 until it closes.

use crate::proxy::lane::gate::Gate;
use crate::proxy::lane::http2;
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::bound::Bound;
use crate::proxy::measure::log_entry::Logger;
use crate::proxy::wire::blocks::{BlockLimits, HeaderBlocks};
use crate::proxy::wire::client_stream::{ClientStream, Signals};
use crate::proxy::wire::frames::{Frames, Heard};
use crate::proxy::wire::interim::Interim;
use crate::proxy::wire::linger::Remains;
use crate::proxy::wire::loan::Home;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::l4::stream::Stream as Tcp;
use pingora_core::protocols::{ALPN, GetSocketDigest, IO, SocketDigest, Ssl};
use pingora_proxy::HttpProxy;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// What a request has to know of its connection.
pub(in crate::proxy) struct Connection {
    pub listener: Arc<Bound>,
    pub signals: Arc<Signals>,
}

/// What the connections of a listener are served with, on one worker.
#[derive(Clone)]
pub(in crate::proxy) struct Line {
    pub listener: Arc<Bound>,
    pub proxy: Arc<HttpProxy<Gate>>,
    /// Says that each answer is the last of its connection.
    pub shutdown: watch::Receiver<bool>,
    /// Says, later, that connections without a request end.
    pub closing: watch::Receiver<bool>,
    /// The access log, where there is one.
    pub log: Option<Logger>,
}

/// Serves a fresh connection to its end.
pub(in crate::proxy) async fn serve(
    mut socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    line: Line,
) {
    let listener = &line.listener;
    let Some(peer) = admitted.client(&mut socket, peer).await else { return };
    let h2c = listener.settings.h2c && listener.acceptor.is_none() && has_h2_preface(&socket, listener).await;
    let stream = prepare(socket, peer);
    if h2c {
        return http2(stream, line).await;
    }
    let Some(acceptor) = &listener.acceptor else {
        return http1(stream, line).await;
    };
    // As long as a head, which it comes before.
    let limit = listener.settings.header_timeout;
    match timeout(limit, acceptor.tls_handshake(stream)).await {
        Ok(Ok(stream)) if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) => {
            http2(stream, line).await;
        }
        Ok(Ok(stream)) => http1(stream, line).await,
        Ok(Err(error)) => tracing::debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took longer than {limit:?}"),
    }
}

fn prepare(socket: TcpStream, peer: SocketAddr) -> Tcp {
    let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
    // A fresh cell cannot be taken yet.
    let _ = digest.peer_addr.set(Some(PeerAddr::Inet(peer)));
    let mut stream = Tcp::from(socket);
    stream.set_socket_digest(digest);
    if let Err(error) = stream.set_nodelay() {
        tracing::debug!(%peer, "TCP_NODELAY was refused: {error}");
    }
    stream
}

/// HTTP/2: many at a time.
async fn http2<S: IO + 'static>(stream: S, line: Line)
where
    HeaderBlocks<Frames<S>>: IO,
{
    let Line { listener, proxy, shutdown, closing, log } = line;
    let (heard, interim, settings) =
        (Arc::new(Heard::default()), Arc::new(Interim::default()), &listener.settings);
    let frames = Frames::new(stream, settings.max_streams, settings.header_timeout, heard.clone());
    let blocks = HeaderBlocks::new(frames, BlockLimits::from(settings), interim.clone());
    let home = Home::new();
    let stream = Box::new(home.lend(blocks));
    http2::serve(stream, (heard, interim), listener.clone(), proxy, shutdown, log).await;
    close(home.take().map(HeaderBlocks::into_inner).and_then(Frames::remains), &listener, closing).await;
}

/// HTTP/1: one request after the other.
async fn http1<S: IO + 'static>(stream: S, line: Line)
where
    ClientStream<S>: IO,
{
    let Line { listener, proxy, shutdown, mut closing, .. } = line;
    let settings = &listener.settings;
    let signals = Arc::new(Signals::default());
    let mut stream = ClientStream::new(stream, settings.into(), signals.clone());
    let begins = tokio::select! {
        begins = stream.first_head() => begins,
        _ = closing.wait_for(|closing| *closing) => false,
    };
    if !begins {
        return;
    }
    let connection = Arc::new(Connection { listener: listener.clone(), signals });
    let home = Home::new();
    let mut session = ServerSession::new_http1(Box::new(home.lend(stream)));
    // For ever, as far as pingora goes: the stream keeps the time, and holds back pipelined requests.
    session.set_keepalive((!*shutdown.borrow()).then_some(0));
    session.set_keepalive_reuses_remaining(Some(settings.requests_per_connection.saturating_sub(1)));
    loop {
        session.set_write_timeout(Some(settings.write_timeout));
        session.set_connection_user_context(Some(Box::new(connection.clone())));
        match proxy.process_new_http(session, &shutdown).await {
            Some(reused) => {
                // Of a failure that pingora kept the connection after by itself.
                connection.signals.take_kept();
                let (stream, settings) = reused.consume();
                session = ServerSession::new_http1(stream);
                if let Some(settings) = settings {
                    settings.apply_to_session(&mut session);
                }
            }
            None => {
                let Some(mut stream) = home.take() else { return };
                let Some(left) = kept(&mut stream, &connection, settings.write_timeout).await else {
                    return close(stream.remains(), &listener, closing).await;
                };
                session = ServerSession::new_http1(Box::new(home.lend(stream)));
                session.set_keepalive((!*shutdown.borrow()).then_some(0));
                session.set_keepalive_reuses_remaining(Some(left.saturating_sub(1)));
            }
        }
        connection.signals.await_next();
    }
}

/// How many requests may follow on one that has failed: pingora ends the connection with it, though its
/// client has been answered, and nothing of the request is left.
async fn kept<S>(stream: &mut ClientStream<S>, connection: &Connection, limit: Duration) -> Option<u32>
where
    ClientStream<S>: IO,
{
    let left = connection.signals.take_kept().filter(|_| stream.is_between())?;
    matches!(timeout(limit, stream.flush()).await, Ok(Ok(()))).then_some(left)
}

async fn close<S: IO>(remains: Option<Remains<S>>, listener: &Bound, closing: watch::Receiver<bool>) {
    if let Some(remains) = remains {
        // Most connections never come here: they need not be larger for it.
        Box::pin(remains.close(&listener.door, closing)).await;
    }
}

/// Whether the client speaks HTTP/2 at once: no method of HTTP/1 begins with `PRI`.
async fn has_h2_preface(socket: &TcpStream, listener: &Bound) -> bool {
    let mut start = [0; 3];
    match timeout(listener.settings.header_timeout, socket.peek(&mut start)).await {
        Ok(Ok(n)) => n == start.len() && &start == b"PRI",
        _ => false,
    }
}
