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
//! Two things end the connection: control frames beyond the [`Allowance`], and a block of fields that does
//! not come to its end in time. The library has no bound for either.
//!
//! Not seen is a pseudo-header field that trailers take from the table of an earlier request: it would take
//! that table to know it. The library drops such a field.

mod allowance;
mod announce;
mod fields;
mod follow;

use crate::observe::access_log::Cut;
use crate::proxy::wire::outbox::Outbox;
use crate::proxy::wire::remains::ClosingConnection;
use allowance::{Allowance, OutgoingFrames, SERVED};
use announce::Announce;
use follow::Follow;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// Longer than the server's first frame.
const FIRST: usize = 128;

/// The stream of one HTTP/2 connection, from its preface on.
#[derive(Debug)]
pub(in crate::proxy) struct Frames<S> {
    inner: S,
    follow: Follow,
    announce: Announce,
    heard: Arc<Heard>,
    /// The client sends nothing more, or cannot be reached.
    has_ended: bool,
    outgoing: OutgoingFrames,
    allowance: Allowance,
    /// When time has last added to it.
    waited: Instant,
    /// How long a block of fields may take; the one under way, and when it is late.
    limit: Duration,
    block: Option<(u32, Pin<Box<Sleep>>)>,
}

/// What is known of a client of HTTP/2 by its frames.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Heard {
    acknowledged: AtomicBool,
    /// Why the connection has to end, and the bell for it.
    ended: OnceLock<Cut>,
    bell: Notify,
    /// What streams have added to the allowance.
    earned: AtomicU32,
}

impl Heard {
    /// Whether it has acknowledged what was announced.
    pub(in crate::proxy) fn is_so(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Why the connection has to end, if it has.
    pub(in crate::proxy) fn ended(&self) -> Option<Cut> {
        self.ended.get().copied()
    }

    /// Ends when the connection has to.
    pub(in crate::proxy) async fn has_ended(&self) -> Cut {
        loop {
            if let Some(cut) = self.ended() {
                return cut;
            }
            self.bell.notified().await;
        }
    }

    /// A stream was served for some time.
    pub(in crate::proxy) fn served(&self) {
        self.earned.fetch_add(SERVED, Ordering::Relaxed);
    }

    fn end(&self, cut: Cut) {
        self.ended.get_or_init(|| cut);
        self.bell.notify_one();
    }
}

impl<S> Frames<S> {
    /// With so many streams at a time to be announced, and so long for a block of fields.
    pub(in crate::proxy) fn new(inner: S, streams: u32, limit: Duration, heard: Arc<Heard>) -> Self {
        Frames {
            inner,
            follow: Follow::default(),
            announce: Announce::new(streams),
            heard,
            has_ended: false,
            outgoing: OutgoingFrames::default(),
            allowance: Allowance::default(),
            waited: Instant::now(),
            limit,
            block: None,
        }
    }

    /// Settles what the frames have cost so far.
    fn settle(&mut self) {
        let (came, spent) = self.follow.take_costs();
        let earned = came.saturating_add(self.heard.earned.swap(0, Ordering::Relaxed));
        if self.allowance.settle(earned, spent) {
            return;
        }
        let now = Instant::now();
        if !self.allowance.wait(now - self.waited) {
            self.heard.end(Cut::Flood);
        }
        self.waited = now;
    }

    /// Looks at the time that the block of fields under way takes.
    fn time_block(&mut self, cx: &mut Context<'_>) {
        let Some(which) = self.follow.block() else {
            self.block = None;
            return;
        };
        if !matches!(self.block, Some((before, _)) if before == which) {
            self.block = Some((which, Box::pin(sleep(self.limit))));
        }
        if let Some((_, late)) = &mut self.block
            && late.as_mut().poll(cx).is_ready()
        {
            self.heard.end(Cut::SlowHead);
        }
    }

    /// What is to be closed; nothing where the client is gone.
    pub(in crate::proxy) fn remains(self) -> Option<ClosingConnection<S>> {
        let remains = ClosingConnection { stream: self.inner, out: Outbox::default(), is_sending: true };
        (!self.has_ended).then_some(remains)
    }
}

impl<S: AsyncWrite + Unpin> Frames<S> {
    /// Answers add to the allowance.
    fn sent(&mut self, bytes: &[u8]) {
        let earned = self.outgoing.pass(bytes);
        self.allowance.settle(earned, 0);
    }

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
        self.sent(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.heard.ended().is_some() {
            // Nothing more is looked at; the connection is being ended.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) else {
            this.time_block(cx);
            return Poll::Pending;
        };
        this.has_ended |= buf.filled().len() == before;
        read?;
        this.follow.pass(buf.filled_mut().get_mut(before..).unwrap_or_default());
        if this.follow.has_acknowledged() {
            this.heard.acknowledged.store(true, Ordering::Relaxed);
        }
        this.settle();
        this.time_block(cx);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.announce.is_over() {
            return self.poll_write_first(cx, buf);
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.sent(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
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
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let count = buf.len().min(left);
            self.sent(buf.get(..count).unwrap_or_default());
            left -= count;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
