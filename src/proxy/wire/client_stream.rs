//! The stream of one HTTP/1 connection: pingora reads one message from it at a time, and only such that
//! has one reading.
//!
//! The bytes of a head are withheld until it is whole and has been looked at ([`head`](crate::proxy::wire::head)); a
//! head that is refused is replaced by a bare one, so that the refusal is answered and logged like any
//! other reply. Of a body, exactly its own bytes are passed on ([`chunks`](crate::proxy::wire::chunks)): what comes
//! after it waits here for the next turn, so that pingora never sees two messages at once.
//!
//! Deadlines are kept here too, since pingora's begin anew with every byte: the whole head of a request,
//! the idle time between two, the least rate of a body, and, while nothing is to be read, the whole head
//! of the answer. Small writes leave together ([`Gather`]).

mod framer;
mod reading;
mod signals;

pub(in crate::proxy) use signals::Signals;

use crate::core::settings::Listener;
use crate::proxy::wire::asked;
use crate::proxy::wire::gather::Gather;
use crate::proxy::wire::head::{Head, HeadLimits};
use crate::proxy::wire::inner::of_inner;
use crate::proxy::wire::linger::Remains;
use framer::Framer;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than any connection lives.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The stream of one HTTP/1 connection.
#[derive(Debug)]
pub(in crate::proxy) struct ClientStream<S> {
    inner: S,
    out: Gather,
    signals: Arc<Signals>,
    limits: Limits,
    framer: Framer,
    /// Bytes that have come and were not passed on yet; the first `ready` of them may be.
    kept: Vec<u8>,
    ready: usize,
    /// What the connection waits for, if it does, and since when.
    waiting: Option<(Wait, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Of the body under way: bytes so far, and the time spent waiting for them.
    body: u64,
    waited: Duration,
    /// Since when the client takes nothing of what is sent to it.
    untaken: Option<Instant>,
    /// The head under way was refused: nothing more is read.
    refused: bool,
    /// The protocol was switched: bytes pass as they are.
    open: bool,
    /// The client sends nothing more.
    has_ended: bool,
    /// The client cannot be written to.
    is_broken: bool,
}

/// What a connection can wait for; each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The first byte of another head.
    Idle,
    /// The rest of a head, or the first one of a connection.
    Head,
    Body,
    /// The head of an answer; which one.
    Answer(u64),
}

/// What a client may take its time for, and how much it may send.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Limits {
    head: HeadLimits,
    header: Duration,
    keepalive: Duration,
    /// Bytes a second; 0: any.
    body_rate: u64,
}

impl From<&Listener> for Limits {
    fn from(settings: &Listener) -> Self {
        Limits {
            head: HeadLimits { size: settings.max_header_size, fields: settings.max_headers },
            header: settings.header_timeout,
            keepalive: settings.keepalive,
            body_rate: settings.body_rate,
        }
    }
}

impl<S> ClientStream<S> {
    pub(in crate::proxy) fn new(inner: S, limits: Limits, signals: Arc<Signals>) -> Self {
        ClientStream {
            inner,
            out: Gather::default(),
            signals,
            limits,
            framer: Framer::Head(Head::default()),
            kept: Vec::new(),
            ready: 0,
            // Not idle: a client that connects is expected to speak.
            waiting: Some((Wait::Head, Instant::now())),
            timer: None,
            body: 0,
            waited: Duration::ZERO,
            untaken: None,
            refused: false,
            open: false,
            has_ended: false,
            is_broken: false,
        }
    }

    /// Whether the request has been passed on to its end, so that another one may come.
    pub(in crate::proxy) fn is_between(&self) -> bool {
        let is_spoilt = self.refused || self.open || self.has_ended || self.is_broken;
        matches!(self.framer, Framer::Done) && self.ready == 0 && !is_spoilt
    }

    /// What is to be closed; nothing where the client is gone.
    pub(in crate::proxy) fn remains(self) -> Option<Remains<S>> {
        let is_amid = match self.framer {
            Framer::Head(_) | Framer::Done => !self.kept.is_empty(),
            Framer::Length(_) | Framer::Chunked(_) => true,
        };
        let is_sending = (is_amid || self.refused || self.open) && !self.has_ended;
        (!self.is_broken).then_some(Remains { stream: self.inner, out: self.out, is_sending })
    }

    /// Passes on what may be passed on.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.ready.min(buf.remaining());
        if count == 0 {
            return false;
        }
        buf.put_slice(self.kept.get(..count).unwrap_or_default());
        self.kept.drain(..count);
        self.ready -= count;
        true
    }

    /// Puts a bare head, which says what came, in the place of the one that is refused.
    fn refuse(&mut self, status: u16) {
        self.signals.refuse(status);
        self.signals.note_settled(true);
        self.refused = true;
        self.kept = asked::stand_in(status, &self.kept);
        self.ready = self.kept.len();
    }

    /// Keeps the time while the client takes nothing.
    fn note_taking(&mut self, takes: bool) {
        match (takes, self.untaken) {
            (true, Some(since)) => {
                self.untaken = None;
                self.signals.took_after(since.elapsed());
            }
            (false, None) => self.untaken = Some(Instant::now()),
            _ => {}
        }
    }

    /// The last exchange is over.
    fn turn(&mut self) {
        self.framer = Framer::Head(Head::default());
        self.waiting = None;
        (self.body, self.waited) = (0, Duration::ZERO);
    }

    /// When the wait that began at `since` has lasted too long.
    fn deadline(&self, wait: Wait, since: Instant) -> Instant {
        let limit = match wait {
            Wait::Idle => self.limits.keepalive,
            Wait::Head => self.limits.header,
            Wait::Body => match self.body.saturating_mul(1000).checked_div(self.body_rate()) {
                Some(earned) => {
                    (self.limits.header + Duration::from_millis(earned)).saturating_sub(self.waited)
                }
                None => NEVER,
            },
            Wait::Answer(_) => self.signals.answer().1.unwrap_or_default(),
        };
        since.checked_add(limit).unwrap_or(since)
    }

    /// Bytes a second that the body has to bring; 0: any.
    fn body_rate(&self) -> u64 {
        self.signals.rate().unwrap_or(self.limits.body_rate)
    }

    fn is_overdue(&self, wait: Wait) -> bool {
        let same = self.waiting.filter(|(before, _)| *before == wait && wait == Wait::Head);
        same.is_some_and(|(_, since)| self.deadline(wait, since) <= Instant::now())
    }

    /// Ready once the wait has lasted too long.
    fn poll_wait(&mut self, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
        let since = match self.waiting {
            Some((before, since)) if before == wait => since,
            _ => {
                let now = Instant::now();
                self.waiting = Some((wait, now));
                now
            }
        };
        let deadline = self.deadline(wait, since);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl<S: AsyncWrite + Unpin> ClientStream<S> {
    /// Puts what is said before an answer in front of it.
    fn take_interim(&mut self) {
        if let Some(said) = self.signals.interim.take() {
            self.out.put(&said);
        }
    }

    /// Sends it at once: its reader waits. Where it has to wait for room, the next write takes it along.
    fn poll_interim(&mut self, cx: &mut Context<'_>) {
        if !self.signals.interim.is_waiting() {
            return;
        }
        self.take_interim();
        if self.out.poll_empty(&mut self.inner, cx).is_ready() {
            // A broken connection is found by the next read.
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.poll_interim(cx);
        if buf.remaining() == 0 || this.give(buf) {
            return Poll::Ready(Ok(()));
        }
        if this.refused {
            // The refusal is on its way; it ends the connection.
            return Poll::Pending;
        }
        if this.open || this.signals.is_open() {
            this.open = true;
            if this.signals.has_left(cx) {
                return Poll::Ready(Ok(()));
            }
            this.ready = this.kept.len();
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            return this.poll_inner(cx, buf).map_ok(drop);
        }
        if this.signals.take_next() {
            this.turn();
        }
        match this.framer {
            Framer::Head(_) => this.poll_head(cx, buf),
            Framer::Length(_) | Framer::Chunked(_) => this.poll_body(cx, buf),
            Framer::Done => this.poll_done(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.take_interim();
        let written = this.out.poll_write(&mut this.inner, cx, buf);
        this.note_taking(written.is_ready());
        this.is_broken |= matches!(written, Poll::Ready(Err(_)));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let empty = this.out.poll_empty(&mut this.inner, cx);
        this.note_taking(empty.is_ready());
        ready!(empty)?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.out.poll_empty(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.take_interim();
        let written = this.out.poll_write_vectored(&mut this.inner, cx, bufs);
        this.note_taking(written.is_ready());
        this.is_broken |= matches!(written, Poll::Ready(Err(_)));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

of_inner!(ClientStream);

#[cfg(test)]
mod tests;
