//! Small writes gathered into one: the head of an answer and a small body leave in one packet.
//!
//! Pingora buffers the streams it accepts itself by the same rule; the connections here are accepted by
//! this crate. Everything leaves at the latest when pingora flushes, which it does at the end of an answer
//! and whenever a streamed piece is out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// What fits into one packet on most networks.
const PACKET: usize = 1460;

/// Bytes that wait for the rest of their packet.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Keeps what fits; passes on what does not, after what waited.
    pub(in crate::proxy) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.bytes.len() + buf.len() > PACKET {
            ready!(self.poll_empty(inner, cx))?;
        }
        if buf.len() >= PACKET {
            return Pin::new(inner).poll_write(cx, buf);
        }
        self.keep(buf);
        Poll::Ready(Ok(buf.len()))
    }

    pub(in crate::proxy) fn poll_write_vectored<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.bytes.len() + total > PACKET {
            ready!(self.poll_empty(inner, cx))?;
        }
        if total >= PACKET {
            return Pin::new(inner).poll_write_vectored(cx, bufs);
        }
        bufs.iter().for_each(|buf| self.keep(buf));
        Poll::Ready(Ok(total))
    }

    /// Keeps some more, whatever its size.
    pub(in crate::proxy) fn put(&mut self, buf: &[u8]) {
        self.keep(buf);
    }

    /// Writes all that waits.
    pub(in crate::proxy) fn poll_empty<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let written = ready!(Pin::new(&mut *inner).poll_write(cx, &self.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.bytes.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, buf: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(PACKET);
        }
        self.bytes.extend_from_slice(buf);
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
        fn nothing_is_lost_doubled_or_out_of_order(pieces in prop::collection::vec((0usize..3000, any::<bool>()), 1..20)) {
            let mut cx = Context::from_waker(Waker::noop());
            let (mut gather, mut inner) = (Gather::default(), Reluctant::default());
            let mut sent = Vec::new();
            for (index, (length, vectored)) in pieces.into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|n| (n + index) as u8).collect();
                let mut left = &piece[..];
                while !left.is_empty() {
                    let polled = if vectored {
                        let (one, two) = left.split_at(left.len() / 2);
                        gather.poll_write_vectored(&mut inner, &mut cx, &[io::IoSlice::new(one), io::IoSlice::new(two)])
                    } else {
                        gather.poll_write(&mut inner, &mut cx, left)
                    };
                    if let Poll::Ready(written) = polled {
                        left = &left[written.expect("it takes bytes")..];
                    }
                }
                sent.extend_from_slice(&piece);
            }
            while gather.poll_empty(&mut inner, &mut cx).is_pending() {}
            prop_assert_eq!(inner.written, sent);
        }
    }

    #[test]
    fn a_head_and_a_small_body_are_one_write() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut gather, mut inner) = (Gather::default(), Reluctant::default());
        assert!(gather.poll_write(&mut inner, &mut cx, b"HTTP/1.1 200 OK\r\n\r\n").is_ready());
        assert!(gather.poll_write(&mut inner, &mut cx, b"body").is_ready());
        assert!(gather.poll_empty(&mut inner, &mut cx).is_ready());
        assert_eq!((inner.calls, inner.written.len()), (1, 23));
    }
}
