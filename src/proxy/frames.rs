//! The stream of one HTTP/2 connection: what its client must not send, and the library below takes all
//! the same, is turned into something that it refuses by itself.
//!
//! That is two rules of RFC 9113: a connection begins with SETTINGS (3.4), and trailers have no
//! pseudo-header fields (8.1). Only the headers of frames are followed ([`Follow`]) and, in trailers, the
//! names of fields ([`Fields`](fields::Fields)). A byte is changed where it stands; none is added, taken
//! away or held back, so that it does not matter how they are cut, and nothing is copied. The refusal is
//! the library's own, which knows the state of all streams.
//!
//! Not seen is a pseudo-header field that trailers take from the table of an earlier request: it would take
//! that table to know it. The library drops such a field.

mod fields;
mod follow;

use super::inner::of_inner;
use follow::Follow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream of one HTTP/2 connection, from its preface on.
#[derive(Debug)]
pub(super) struct Frames<S> {
    inner: S,
    follow: Follow,
}

impl<S> Frames<S> {
    pub(super) fn new(inner: S) -> Self {
        Frames { inner, follow: Follow::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.follow.pass(buf.filled_mut().get_mut(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

of_inner!(Frames);

#[cfg(test)]
mod tests;
