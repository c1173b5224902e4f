//! Bytes on their way out: small ones gather and leave together, large ones pass without a copy.

use super::holding::HeldMemory;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// Pieces up to this are copied behind what waits; it costs less than another call of the system.
const GATHERED_BYTES: usize = 16 << 10;

/// Buffers that a worker has at hand for what begins to wait.
const SPARE: usize = 16;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
/// What waits in a stream of TLS that is not flushed, at most.
const ENCRYPTED_BYTES: usize = 64 << 10;

/// What waits to be written.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    held: HeldMemory,
}

impl Outbox {
    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.written >= self.bytes.len()
    }

    /// Where something is written that leaves with the next flush.
    pub(in crate::proxy) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0
            && let Some(spare) = SPARES.with_borrow_mut(Vec::pop)
        {
            self.bytes = spare;
        }
        &mut self.bytes
    }

    pub(in crate::proxy) fn put(&mut self, piece: &[u8]) {
        self.buffer().extend_from_slice(piece);
    }

    /// Takes a piece; a large one is written at once as far as the other side takes it.
    ///
    /// # Errors
    /// When the other side cannot be written to.
    pub(in crate::proxy) fn pass<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> io::Result<()> {
        let mut rest = piece;
        while rest.len() > GATHERED_BYTES {
            let waiting = self.bytes.get(self.written..).unwrap_or_default();
            let waits = waiting.len();
            let slices = [IoSlice::new(waiting), IoSlice::new(rest)];
            let slices = slices.get(usize::from(waits == 0)..).unwrap_or_default();
            match Pin::new(&mut *stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) if count < waits => self.written += count,
                Poll::Ready(Ok(count)) => {
                    self.clear();
                    rest = rest.get(count - waits..).unwrap_or_default();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if !rest.is_empty() {
            self.put(rest);
        }
        Ok(())
    }

    /// Ready once nothing waits any more.
    pub(in crate::proxy) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(waiting) = self.bytes.get(self.written..).filter(|waiting| !waiting.is_empty()) {
            let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, waiting) else {
                self.held.settle(self.bytes.capacity());
                return Poll::Pending;
            };
            let count = written?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.clear();
        let flushed = Pin::new(stream).poll_flush(cx);
        if flushed.is_pending() {
            self.held.settle(ENCRYPTED_BYTES);
        }
        flushed
    }

    /// How many bytes wait.
    pub(in crate::proxy) fn waiting(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
        self.held.settle(0);
        if self.bytes.capacity() > GATHERED_BYTES * 2 {
            self.bytes = Vec::new();
        }
    }

    /// Gives its memory back, once nothing waits.
    pub(in crate::proxy) fn release(&mut self) {
        if !self.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(self).bytes;
        if bytes.capacity() > 0 && bytes.capacity() <= GATHERED_BYTES * 2 {
            bytes.clear();
            SPARES.with_borrow_mut(|spares| {
                if spares.len() < SPARE {
                    spares.push(bytes);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::Waker;

    /// Takes a few bytes at a time, and is not ready now and then.
    #[derive(Default)]
    struct Reluctant {
        written: Vec<u8>,
        calls: usize,
    }

    impl AsyncWrite for Reluctant {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Poll::Pending;
            }
            let taken = buf.len().min(700);
            self.written.extend_from_slice(&buf[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_out_of_order(pieces in prop::collection::vec((0usize..40_000, any::<bool>()), 1..12)) {
            let mut cx = Context::from_waker(Waker::noop());
            let (mut outbox, mut inner) = (Outbox::default(), Reluctant::default());
            let mut sent = Vec::new();
            for (index, (length, flushes)) in pieces.into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|n| (n + index) as u8).collect();
                outbox.pass(&mut inner, &mut cx, &piece).expect("it takes bytes");
                while flushes && outbox.poll_flush(&mut inner, &mut cx).is_pending() {}
                sent.extend_from_slice(&piece);
            }
            prop_assert_eq!(inner.written.len() + outbox.waiting(), sent.len());
            while outbox.poll_flush(&mut inner, &mut cx).is_pending() {}
            prop_assert_eq!(inner.written, sent);
        }
    }

    #[test]
    fn a_head_and_a_small_body_are_one_write() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut outbox, mut inner) = (Outbox::default(), Reluctant::default());
        outbox.put(b"HTTP/1.1 200 OK\r\n\r\n");
        outbox.pass(&mut inner, &mut cx, b"body").expect("it takes bytes");
        assert!(outbox.poll_flush(&mut inner, &mut cx).is_ready());
        assert_eq!((inner.calls, inner.written.len()), (1, 23));
    }
}
