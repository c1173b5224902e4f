//! A target with bytes that no header of the library below can carry, on its way to an HTTP/1 upstream as it came.
//!
//! Such a request gets a connection of its own, which serves no other; on it, the target in the request's
//! first line is exchanged for the one that came. Over TLS and HTTP/2 that cannot be done, and the escaped form
//! goes on, which means the same.

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_error::{Error, ErrorType, Result};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sets connections apart whose first line is exchanged; the rest of the key is random.
const APART: u64 = 1 << 63;

/// A target that stands for another one.
#[derive(Clone, Debug)]
struct Exchange {
    target: Arc<[u8]>,
    /// Bytes of the one that is written.
    carried: usize,
    connect: Duration,
}

/// Has a request to this peer written with `target` in place of one of `carried` bytes.
pub(in crate::proxy) fn write(
    peer: &mut HttpPeer,
    target: &[u8],
    carried: usize,
    connect: Duration,
    draw: u64,
) {
    peer.group_key = APART | draw;
    peer.options.custom_l4 = Some(Arc::new(Exchange { target: target.into(), carried, connect }));
}

#[async_trait]
impl L4Connect for Exchange {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "no address of the internet");
        };
        let socket = match timeout(self.connect, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                let kind = match error.kind() {
                    io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                        ErrorType::ConnectNoRoute
                    }
                    _ => ErrorType::ConnectError,
                };
                return Error::e_because(kind, "connecting", error);
            }
            Err(late) => return Error::e_because(ErrorType::ConnectTimedout, "connecting", late),
        };
        let exchanged =
            Exchanging { inner: socket, exchange: Some(self.clone()), skipped: 0, out: Vec::new() };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(exchanged))))
    }
}

/// A connection whose first line is exchanged.
#[derive(Debug)]
struct Exchanging<S> {
    inner: S,
    /// What is to be done still.
    exchange: Option<Exchange>,
    /// Bytes of the carried target to come, which are dropped.
    skipped: usize,
    /// What stands for them, until it is written.
    out: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Exchanging<S> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Exchanging<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Exchanging<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_out(cx))?;
        if this.exchange.is_some() {
            // To the space behind the method, and the target with it.
            let space = buf.iter().position(|byte| *byte == b' ');
            let count = space.map_or(buf.len(), |space| space + 1);
            this.out.extend_from_slice(buf.get(..count).unwrap_or_default());
            if space.is_some()
                && let Some(exchange) = this.exchange.take()
            {
                this.out.extend_from_slice(&exchange.target);
                this.skipped = exchange.carried;
            }
            return Poll::Ready(Ok(count));
        }
        if this.skipped > 0 && !buf.is_empty() {
            let count = this.skipped.min(buf.len());
            this.skipped -= count;
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl VirtualSocket for Exchanging<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.inner.set_nodelay(true),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_target_of_the_first_line_is_exchanged_however_it_is_written() {
        for piece in [1, 3, 7, 100] {
            let (mut upstream, inner) = duplex(4096);
            let target: Arc<[u8]> = b"/<\xff>".as_slice().into();
            let exchange = Exchange { target, carried: 10, connect: Duration::ZERO };
            let mut stream = Exchanging { inner, exchange: Some(exchange), skipped: 0, out: Vec::new() };
            for piece in b"GET /%3C%FF%3E HTTP/1.1\r\nX: /%3C%FF%3E\r\n\r\nGET /%3C%FF%3E".chunks(piece) {
                stream.write_all(piece).await.expect("written");
            }
            stream.shutdown().await.expect("closed");
            drop(stream);
            let mut seen = Vec::new();
            upstream.read_to_end(&mut seen).await.expect("read");
            assert_eq!(
                seen, b"GET /<\xff> HTTP/1.1\r\nX: /%3C%FF%3E\r\n\r\nGET /%3C%FF%3E",
                "pieces of {piece}"
            );
        }
    }
}
