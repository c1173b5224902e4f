//! The streams of both sides: in the clear or by TLS, over the network or a socket in the file system.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// A client's connection.
#[derive(Debug)]
pub(in crate::proxy) enum ClientSocket {
    Plain(TcpStream),
    Tls(Box<server::TlsStream<TcpStream>>),
}

/// A connection to an upstream.
#[derive(Debug)]
pub(in crate::proxy) enum UpstreamSocket {
    Plain(TcpStream),
    Tls(Box<client::TlsStream<TcpStream>>),
    Unix(UnixStream),
    UnixTls(Box<client::TlsStream<UnixStream>>),
}

impl ClientSocket {
    /// Whether nothing that was written waits in the stream itself.
    pub(in crate::proxy) fn is_flushed(&self) -> bool {
        match self {
            ClientSocket::Plain(_) => true,
            ClientSocket::Tls(stream) => !stream.get_ref().1.wants_write(),
        }
    }
}

impl UpstreamSocket {
    pub(in crate::proxy) fn fd(&self) -> RawFd {
        match self {
            UpstreamSocket::Plain(socket) => socket.as_raw_fd(),
            UpstreamSocket::Tls(stream) => stream.get_ref().0.as_raw_fd(),
            UpstreamSocket::Unix(socket) => socket.as_raw_fd(),
            UpstreamSocket::UnixTls(stream) => stream.get_ref().0.as_raw_fd(),
        }
    }
}

/// Passes every call to the stream within.
macro_rules! streams {
    ($socket:ident: $($kind:ident),+) => {
        impl AsyncRead for $socket {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match &mut *self {
                    $($socket::$kind(stream) => Pin::new(stream).poll_read(cx, buf),)+
                }
            }
        }

        impl AsyncWrite for $socket {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                match &mut *self {
                    $($socket::$kind(stream) => Pin::new(stream).poll_write(cx, buf),)+
                }
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match &mut *self {
                    $($socket::$kind(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut *self {
                    $($socket::$kind(stream) => Pin::new(stream).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut *self {
                    $($socket::$kind(stream) => Pin::new(stream).poll_shutdown(cx),)+
                }
            }
        }
    };
}

streams!(ClientSocket: Plain, Tls);
streams!(UpstreamSocket: Plain, Tls, Unix, UnixTls);
