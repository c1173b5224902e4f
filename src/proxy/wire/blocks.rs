//! The stream of one HTTP/2 connection, once more: blocks of header fields are read here, and passed on in words
//! that the library below takes.
//!
//! That library ends the whole connection for a method, a name or a value that is none, and for a target that
//! is no UTF-8; a stream for what nginx takes in a target; and says nothing of either. Here each block is read
//! with the connection's table ([`hpack`](crate::proxy::wire::hpack)), judged by the same rules as a head of HTTP/1
//! ([`settle`]), and written again without a table; what is refused becomes a request that is refused
//! ([`asked`](crate::proxy::wire::asked)), so that it is answered and logged like any other. Other frames pass as they are.
//!
//! In the other direction interim answers are put between frames: the library below sends none.

mod incoming;
mod outgoing;
mod settle;

use crate::core::settings::Listener;
use crate::proxy::wire::interim::Interim;
use incoming::Incoming;
use outgoing::OutgoingBlocks;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Room that is kept for what has come while nothing does.
const KEPT: usize = 1024;

/// What a request's fields may be, together.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct BlockLimits {
    size: usize,
    fields: usize,
}

impl From<&Listener> for BlockLimits {
    fn from(settings: &Listener) -> Self {
        BlockLimits { size: settings.max_header_size, fields: settings.max_headers }
    }
}

/// The stream of one HTTP/2 connection, from its preface on.
#[derive(Debug)]
pub(in crate::proxy) struct HeaderBlocks<S> {
    inner: S,
    incoming: Incoming,
    /// What has come and is to be read; the first `given` bytes of it were.
    out: Vec<u8>,
    given: usize,
    outgoing: OutgoingBlocks,
    /// Interim answers on their way, and how much of them is written.
    said: Vec<u8>,
    written: usize,
    interim: Arc<Interim>,
}

impl<S> HeaderBlocks<S> {
    pub(in crate::proxy) fn new(inner: S, limits: BlockLimits, interim: Arc<Interim>) -> Self {
        HeaderBlocks {
            inner,
            incoming: Incoming::new(limits),
            out: Vec::new(),
            given: 0,
            outgoing: OutgoingBlocks::default(),
            said: Vec::new(),
            written: 0,
            interim,
        }
    }

    /// The stream beneath.
    pub(in crate::proxy) fn into_inner(self) -> S {
        self.inner
    }

    /// Passes on what has come, as much as has room; whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = self.out.get(self.given..).unwrap_or_default();
        let piece = rest.get(..buf.remaining()).unwrap_or(rest);
        if piece.is_empty() {
            return false;
        }
        buf.put_slice(piece);
        self.given += piece.len();
        if self.given == self.out.len() {
            if self.out.capacity() > KEPT {
                self.out = Vec::new();
            }
            self.out.clear();
            self.given = 0;
        }
        true
    }
}

impl<S: AsyncWrite + Unpin> HeaderBlocks<S> {
    /// Ready once all interim answers are written; they begin between two frames only.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            let Some(said) = self.interim.take() else { return Poll::Ready(Ok(())) };
            (self.said, self.written) = (said, 0);
        }
        while let Some(rest) = self.said.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.said = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn is_saying(&self) -> bool {
        !self.said.is_empty() || self.interim.is_waiting()
    }

    /// Sends what waits without a reason to write: somebody waits for it.
    fn poll_interim(&mut self, cx: &mut Context<'_>) {
        self.interim.register(cx.waker());
        if self.is_saying() && self.outgoing.is_between() && self.poll_said(cx).is_ready() {
            // A broken connection is found by the next read.
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for HeaderBlocks<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.poll_interim(cx);
        loop {
            if buf.remaining() == 0 || this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let came = buf.filled().get(before..).unwrap_or_default();
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = this.incoming.pass(came);
            this.incoming.turn(came.get(passed..).unwrap_or_default(), &mut this.out);
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeaderBlocks<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut piece = buf;
        if this.is_saying() {
            if this.outgoing.is_between() {
                ready!(this.poll_said(cx))?;
            } else {
                // To the end of the frame, and no further.
                piece = buf.get(..this.outgoing.left()).unwrap_or(buf);
            }
        }
        let count = ready!(Pin::new(&mut this.inner).poll_write(cx, piece))?;
        this.outgoing.pass(piece.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_saying() && this.outgoing.is_between() {
            ready!(this.poll_said(cx))?;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_saying() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let this = &mut *self;
        let count = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        let mut left = count;
        for buf in bufs {
            let piece = buf.get(..left).unwrap_or(buf);
            this.outgoing.pass(piece);
            left -= piece.len();
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// What is read for these bytes of a client, which come in pieces of this size.
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::proxy) fn turned(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut incoming = Incoming::new(BlockLimits { size: 4096, fields: 20 });
    let mut out = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let passed = incoming.pass(piece);
        out.extend_from_slice(piece.get(..passed).unwrap_or_default());
        incoming.turn(piece.get(passed..).unwrap_or_default(), &mut out);
    }
    out
}

#[cfg(test)]
mod tests;
