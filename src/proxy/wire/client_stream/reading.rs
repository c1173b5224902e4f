//! Reading from the client: what may be passed on now, by what the connection is in the middle of.

use super::framer::Look;
use super::{ClientStream, Wait};
use crate::proxy::wire::target;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a first head that are read at a time.
const HEAD: usize = 4096;

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// New bytes, at the end of `buf`: how many; 0 at the end of the stream.
    pub(super) fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        let count = buf.filled().len() - before;
        self.has_ended |= count == 0;
        self.is_broken |= read.is_err();
        Poll::Ready(read.map(|()| count))
    }

    /// Waits for the first head before anything is set up to serve it: a connection that only waits, or
    /// drips, costs no more than this stream. Whether there is one; it is read next.
    pub(in crate::proxy) async fn first_head(&mut self) -> bool {
        std::future::poll_fn(|cx| self.poll_first_head(cx)).await.unwrap_or(false)
    }

    fn poll_first_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut head = [0; HEAD];
        let mut head = ReadBuf::new(&mut head);
        ready!(self.poll_head(cx, &mut head))?;
        self.ready += head.filled().len();
        self.kept.splice(..0, head.filled().iter().copied());
        Poll::Ready(Ok(self.ready > 0))
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        loop {
            // Bytes that came with the message before.
            if !self.kept.is_empty() && self.look_at_kept() {
                self.give(buf);
                return Poll::Ready(Ok(()));
            }
            let begun = !self.kept.is_empty() || matches!(self.waiting, Some((Wait::Head, _)));
            let wait = if begun { Wait::Head } else { Wait::Idle };
            // A dripping client may always have a byte ready: the deadline is asked first.
            let polled = if self.is_overdue(wait) { Poll::Pending } else { self.poll_inner(cx, buf) };
            let count = match polled {
                Poll::Ready(count) => count?,
                Poll::Pending => {
                    ready!(self.poll_wait(wait, cx));
                    if self.kept.is_empty() {
                        // Nothing was sent: the connection just ends.
                        return Poll::Ready(Ok(()));
                    }
                    self.refuse(408);
                    self.give(buf);
                    return Poll::Ready(Ok(()));
                }
            };
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            if self.kept.is_empty() && self.look_at_fresh(start, buf) {
                return Poll::Ready(Ok(()));
            }
            self.kept.extend_from_slice(buf.filled().get(start..).unwrap_or_default());
            buf.set_filled(start);
        }
    }

    /// Whether a head that lies in `buf` from `start` can stay there.
    fn look_at_fresh(&mut self, start: usize, buf: &mut ReadBuf<'_>) -> bool {
        let bytes = buf.filled().get(start..).unwrap_or_default();
        match self.framer.head(bytes, self.limits.head) {
            Look::More => false,
            Look::Of(count) => {
                self.kept.extend_from_slice(bytes.get(count..).unwrap_or_default());
                buf.set_filled(start + count);
                self.signals.note_settled(false);
                self.body_begins();
                true
            }
            other => {
                self.kept.extend_from_slice(bytes);
                buf.set_filled(start);
                self.settle(other);
                self.give(buf);
                true
            }
        }
    }

    fn look_at_kept(&mut self) -> bool {
        match self.framer.head(&self.kept, self.limits.head) {
            Look::More => return false,
            look => self.settle(look),
        }
        true
    }

    /// A head is whole, or refused: all of it lies among the kept bytes.
    fn settle(&mut self, look: Look) {
        match look {
            Look::More => return,
            Look::Of(count) => {
                self.ready = count;
                self.signals.note_settled(false);
            }
            Look::Odd { head, count } => match target::settled(self.kept.get(..head).unwrap_or_default()) {
                Ok(other_words) => {
                    self.ready = count.saturating_sub(head).saturating_add(other_words.len());
                    self.kept.splice(..head, other_words);
                    self.signals.note_settled(true);
                }
                Err(status) => return self.refuse(status),
            },
            Look::Refused(status) => return self.refuse(status),
        }
        self.body_begins();
    }

    fn body_begins(&mut self) {
        self.waiting = None;
    }

    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        let count = match self.poll_inner(cx, buf) {
            Poll::Ready(count) => count?,
            Poll::Pending if self.body_rate() == 0 => {
                // Where a rate is asked for later, it begins then.
                self.waiting = None;
                (self.body, self.waited) = (0, Duration::ZERO);
                return Poll::Pending;
            }
            Poll::Pending => {
                ready!(self.poll_wait(Wait::Body, cx));
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the body is too slow")));
            }
        };
        if let Some((_, since)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        self.body += count as u64;
        let bytes = buf.filled().get(start..).unwrap_or_default();
        match self.framer.body(bytes) {
            Look::Of(own) => {
                self.kept.extend_from_slice(bytes.get(own..).unwrap_or_default());
                buf.set_filled(start + own);
                Poll::Ready(Ok(()))
            }
            Look::More | Look::Odd { .. } | Look::Refused(_) => {
                buf.set_filled(start);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the chunked body is malformed")))
            }
        }
    }

    /// Nothing is to be read but the end of the stream; what else comes waits for its turn.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        if self.signals.has_left(cx) {
            return Poll::Ready(Ok(()));
        }
        if self.kept.is_empty()
            && let Poll::Ready(count) = self.poll_inner(cx, buf)
        {
            if count? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.kept.extend_from_slice(buf.filled().get(start..).unwrap_or_default());
            buf.set_filled(start);
        }
        let (which, Some(_)) = self.signals.answer() else {
            self.waiting = None;
            return Poll::Pending;
        };
        ready!(self.poll_wait(Wait::Answer(which), cx));
        self.signals.gave_up();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer's head is late")))
    }
}
