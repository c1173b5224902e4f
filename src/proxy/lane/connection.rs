//! One client connection: TLS, then HTTP/1 or HTTP/2 until it closes.

use super::line::Line;
use super::{http1, http2};
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::bound::Bound;
use crate::proxy::listen::linger;
use crate::proxy::listen::room::HTTP2_BYTES;
use crate::proxy::listen::seats::Seat;
use crate::proxy::wire::blocks::{BlockLimits, HeaderBlocks};
use crate::proxy::wire::frames::{Frames, Heard};
use crate::proxy::wire::interim::Interim;
use crate::proxy::wire::loan::Home;
use crate::proxy::wire::socket::ClientSocket;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Bytes that wait in TLS below HTTP/2.
const ENCRYPTED_BYTES: usize = 32 << 10;

/// Serves a fresh connection to its end.
///
/// Most connections are idle most of the time: what greets and what ends them lives in boxes of its own, so that the
/// task that stays is small.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    (mut admitted, seat): (Admitted, Seat),
    line: Line,
) {
    let settings = &line.listener.settings;
    if line.listener.acceptor.is_none() && !settings.h2c && !settings.proxy_protocol {
        // Its first head is the first that is waited for.
        return http1::serve(ClientSocket::Plain(socket), peer, &seat, line).await;
    }
    let greeted = Box::pin(greet(socket, peer, (&mut admitted, &seat), line.listener.clone())).await;
    match greeted {
        Some(Greeted { socket, peer, is_http2: true }) => {
            Box::pin(serve_http2(socket, peer, seat, line)).await;
        }
        Some(Greeted { socket, peer, is_http2: false }) => http1::serve(socket, peer, &seat, line).await,
        None => {}
    }
}

/// A connection whose first head may come.
struct Greeted {
    socket: ClientSocket,
    peer: SocketAddr,
    is_http2: bool,
}

/// What comes before the first head: a PROXY header, the handshake, the preface of HTTP/2; each as long as a head.
async fn greet(
    mut socket: TcpStream,
    peer: SocketAddr,
    (admitted, seat): (&mut Admitted, &Seat),
    listener: Arc<Bound>,
) -> Option<Greeted> {
    let limit = listener.settings.header_timeout;
    if !speaks(&socket, seat, limit).await {
        return None;
    }
    let peer = admitted.client(&mut socket, peer).await?;
    let Some(acceptor) = &listener.acceptor else {
        let is_http2 = listener.settings.h2c && has_h2_preface(&socket, limit).await;
        return Some(Greeted { socket: ClientSocket::Plain(socket), peer, is_http2 });
    };
    // Who leaves without a byte, as checks of the port do, has not failed.
    if !says_anything(&socket, limit).await {
        return None;
    }
    match timeout(limit, acceptor.accept(socket)).await {
        Ok(Ok(mut stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            if is_http2 {
                // HTTP/2 has a buffer of its own.
                stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED_BYTES));
            }
            return Some(Greeted { socket: ClientSocket::Tls(Box::new(stream)), peer, is_http2 });
        }
        Ok(Err(error)) => tracing::debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took longer than {limit:?}"),
    }
    listener.door.handshake_failed();
    None
}

/// Whether the client begins a handshake in time.
async fn says_anything(socket: &TcpStream, limit: Duration) -> bool {
    matches!(timeout(limit, socket.peek(&mut [0])).await, Ok(Ok(1)))
}

/// Whether the client says anything, in time and before its place is needed.
async fn speaks(socket: &TcpStream, seat: &Seat, limit: Duration) -> bool {
    tokio::select! {
        biased;
        readable = socket.readable() => readable.is_ok() && !seat.work(),
        () = poll_fn(|cx| seat.poll_pressed(cx)) => false,
        () = sleep(limit) => false,
    }
}

/// HTTP/2: many at a time.
async fn serve_http2(socket: ClientSocket, peer: SocketAddr, mut seat: Seat, line: Line) {
    seat.grow(HTTP2_BYTES);
    let (heard, interim) = (Arc::new(Heard::default()), Arc::new(Interim::default()));
    let settings = &line.listener.settings;
    let frames = Frames::new(socket, settings.max_streams, settings.header_timeout, heard.clone());
    // In a box, since it is handed on, and comes back.
    let blocks = Box::new(HeaderBlocks::new(frames, BlockLimits::from(settings), interim.clone()));
    let home = Home::new();
    http2::serve(home.lend(blocks), (heard, interim), (peer, &seat), &line).await;
    if let Some(mut remains) = home.take().and_then(|blocks| blocks.into_inner().remains()) {
        // One that ends for want of room is idle: nothing is on its way.
        remains.is_sending &= !seat.is_pressed();
        Box::pin(linger::close(remains, &line.listener.door, line.closing)).await;
    }
}

/// Whether the client speaks HTTP/2 at once: no method of HTTP/1 begins with `PRI`.
async fn has_h2_preface(socket: &TcpStream, limit: Duration) -> bool {
    let mut start = [0; 3];
    match timeout(limit, socket.peek(&mut start)).await {
        Ok(Ok(n)) => n == start.len() && &start == b"PRI",
        _ => false,
    }
}
