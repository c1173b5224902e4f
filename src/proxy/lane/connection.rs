//! One client connection: TLS, then HTTP/1 or HTTP/2 until it closes.

use super::line::Line;
use super::{http1, http2};
use crate::proxy::listen::admission::Admitted;
use crate::proxy::listen::bound::Bound;
use crate::proxy::listen::linger;
use crate::proxy::wire::blocks::{BlockLimits, HeaderBlocks};
use crate::proxy::wire::frames::{Frames, Heard};
use crate::proxy::wire::interim::Interim;
use crate::proxy::wire::loan::Home;
use crate::proxy::wire::socket::ClientSocket;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Serves a fresh connection to its end.
pub(super) async fn serve(mut socket: TcpStream, peer: SocketAddr, mut admitted: Admitted, line: Line) {
    let listener = line.listener.clone();
    let Some(peer) = admitted.client(&mut socket, peer).await else { return };
    let h2c =
        listener.settings.h2c && listener.acceptor.is_none() && has_h2_preface(&socket, &listener).await;
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, "TCP_NODELAY was refused: {error}");
    }
    if h2c {
        return Box::pin(serve_http2(ClientSocket::Plain(socket), peer, line)).await;
    }
    let Some(acceptor) = &listener.acceptor else {
        return http1::serve(ClientSocket::Plain(socket), peer, line).await;
    };
    // As long as a head, which it comes before.
    let limit = listener.settings.header_timeout;
    match timeout(limit, Box::pin(acceptor.accept(socket))).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let socket = ClientSocket::Tls(Box::new(stream));
            if is_http2 {
                Box::pin(serve_http2(socket, peer, line)).await;
            } else {
                http1::serve(socket, peer, line).await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took longer than {limit:?}"),
    }
}

/// HTTP/2: many at a time.
async fn serve_http2(socket: ClientSocket, peer: SocketAddr, line: Line) {
    let (heard, interim) = (Arc::new(Heard::default()), Arc::new(Interim::default()));
    let settings = &line.listener.settings;
    let frames = Frames::new(socket, settings.max_streams, settings.header_timeout, heard.clone());
    let blocks = HeaderBlocks::new(frames, BlockLimits::from(settings), interim.clone());
    let home = Home::new();
    http2::serve(home.lend(blocks), (heard, interim), peer, &line).await;
    if let Some(remains) = home.take().map(HeaderBlocks::into_inner).and_then(Frames::remains) {
        Box::pin(linger::close(remains, &line.listener.door, line.closing)).await;
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
