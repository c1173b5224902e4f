//! The stream of one HTTP/2 connection: what its client must not send, and the library below takes all
//! the same, is turned into something that it refuses by itself.
//!
//! That is two rules of RFC 9113: a connection begins with SETTINGS (3.4), and trailers have no
//! pseudo-header fields (8.1). Only the headers of frames are followed ([`Follow`]) and, in trailers, the
//! names of fields ([`Fields`](fields::Fields)). A byte is changed where it stands; none is added, taken
//! away or held back, so that it does not matter how they are cut, and nothing is copied. The refusal is
//! the library's own, which knows the state of all streams.
//!
//! Of what the server says, only its first frame is touched: [`Announce`].
//!
//! Not seen is a pseudo-header field that trailers take from the table of an earlier request: it would take
//! that table to know it. The library drops such a field.

mod announce;
mod fields;
mod follow;

use super::gather::Gather;
use super::inner::of_inner;
use super::linger::Remains;
use announce::Announce;
use follow::Follow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longer than the server's first frame.
const FIRST: usize = 128;

/// The stream of one HTTP/2 connection, from its preface on.
#[derive(Debug)]
pub(super) struct Frames<S> {
    inner: S,
    follow: Follow,
    announce: Announce,
    heard: Arc<Heard>,
    /// The client sends nothing more, or cannot be reached.
    has_ended: bool,
}

/// Whether the client has acknowledged what was announced.
#[derive(Debug, Default)]
pub(super) struct Heard(AtomicBool);

impl Heard {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Frames<S> {
    /// With so many streams at a time to be announced.
    pub(super) fn new(inner: S, streams: u32, heard: Arc<Heard>) -> Self {
        Frames { inner, follow: Follow::default(), announce: Announce::new(streams), heard, has_ended: false }
    }

    /// What is to be closed; nothing where the client is gone.
    pub(super) fn remains(self) -> Option<Remains<S>> {
        let remains = Remains { stream: self.inner, out: Gather::default(), is_sending: true };
        (!self.has_ended).then_some(remains)
    }
}

impl<S: AsyncWrite + Unpin> Frames<S> {
    fn poll_write_first(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let buf = buf.get(..FIRST).unwrap_or(buf);
        let mut copy = [0; FIRST];
        copy.iter_mut().zip(buf).for_each(|(to, from)| *to = *from);
        let copy = copy.get_mut(..buf.len()).unwrap_or_default();
        let mut after = self.announce;
        after.pass(copy);
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, copy))?;
        if written < buf.len() {
            after = self.announce;
            buf.iter().take(written).for_each(|byte| after.pass(&mut [*byte]));
        }
        self.announce = after;
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        self.has_ended |= buf.filled().len() == before;
        read?;
        self.follow.pass(buf.filled_mut().get_mut(before..).unwrap_or_default());
        if self.follow.has_acknowledged() {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.announce.is_over() {
            return self.poll_write_first(cx, buf);
        }
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
        if !self.announce.is_over() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write_first(cx, first.map_or(&[], |buf| buf));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

of_inner!(Frames);

#[cfg(test)]
mod tests;
