//! A connection has to keep pace: a time for its first byte, one for a whole head, one between two requests,
//! and one for taking an answer.

use super::connections::{Place, Stage};
use crate::observe::clock::Clock;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// From the beginning of a connection to its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(3);
/// From the first byte of a head to its last.
const HEAD: Duration = Duration::from_secs(5);
/// Between two requests.
const IDLE: Duration = Duration::from_secs(15);
/// How long an answer may wait to be taken in all, beyond the time that the least rate gives it.
const UNREAD: Duration = Duration::from_secs(10);
/// Bytes a second at which an answer must be taken at least.
const RATE: f64 = 4096.0;

/// Why a connection was closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    FirstByte,
    Head,
    Idle,
    Unread,
}

impl Overdue {
    pub(super) fn label(self) -> &'static str {
        match self {
            Overdue::FirstByte => "first_byte",
            Overdue::Head => "head",
            Overdue::Idle => "idle",
            Overdue::Unread => "unread",
        }
    }
}

/// How the writing ended, for its owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending(Arc<AtomicBool>);

impl Ending {
    pub(super) fn is_unread(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Resolves once a connection has taken too long for what it is at; what that was.
pub(super) async fn overdue(place: &Place, clock: Clock) -> Overdue {
    loop {
        let (stage, since) = place.stage();
        let due = match stage {
            Stage::Silent => Some((since + FIRST_BYTE, Overdue::FirstByte)),
            Stage::Head => Some((since + HEAD, Overdue::Head)),
            Stage::Idle => Some((since + IDLE, Overdue::Idle)),
            _ => None,
        };
        let Some((at, why)) = due else {
            place.changed().await;
            continue;
        };
        let now = clock.now();
        if now >= at {
            // This process may have been held up, and not the client: what has come by now counts.
            tokio::task::yield_now().await;
            if place.stage() == (stage, since) {
                return why;
            }
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(at - now) => (),
            () = place.changed() => (),
        }
    }
}

/// The stream of one connection: it says when a head begins, and fails when answers are not taken.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    place: Arc<Place>,
    clock: Clock,
    ending: Ending,
    writing: Alarm,
    blocked_since: Option<Duration>,
    /// How long it may still be blocked.
    credit: Duration,
}

/// A timer that is set again only when its time changes.
#[derive(Debug, Default)]
struct Alarm {
    at: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once it is so late.
    fn poll(&mut self, at: Duration, now: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if now >= at {
            return Poll::Ready(());
        }
        if self.at != Some(at) {
            (self.at, self.sleep) = (Some(at), Some(Box::pin(tokio::time::sleep(at - now))));
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn stop(&mut self) {
        (self.at, self.sleep) = (None, None);
    }
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, place: Arc<Place>, clock: Clock, ending: Ending) -> Self {
        Paced { stream, place, clock, ending, writing: Alarm::default(), blocked_since: None, credit: UNREAD }
    }

    fn has_read(&mut self) {
        if matches!(self.place.stage().0, Stage::Silent | Stage::Idle) {
            self.place.is(Stage::Head, self.clock.now());
        }
    }

    fn is_unread(&self) -> Error {
        self.ending.0.store(true, Ordering::Relaxed);
        ErrorKind::TimedOut.into()
    }

    /// The result of a write, with the time it was blocked on the account.
    fn paced(&mut self, written: Poll<Result<usize>>, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let now = self.clock.now();
        match written {
            Poll::Ready(written) => {
                if let Some(since) = self.blocked_since.take() {
                    self.writing.stop();
                    let bytes = *written.as_ref().unwrap_or(&0);
                    let earned = Duration::from_secs_f64(bytes as f64 / RATE);
                    self.credit =
                        (self.credit + earned).saturating_sub(now.saturating_sub(since)).min(UNREAD);
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let since = *self.blocked_since.get_or_insert(now);
                ready!(self.writing.poll(since + self.credit, now, cx));
                Poll::Ready(Err(self.is_unread()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.has_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.paced(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.paced(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0);
        self.paced(flushed, cx).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx).map_ok(|()| 0);
        self.paced(shut, cx).map_ok(drop)
    }
}
