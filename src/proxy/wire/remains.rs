//! What is left of a connection that has served its last request.

use super::outbox::Outbox;
use super::socket::ClientSocket;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are dropped at a time.
const SCRATCH: usize = 16 << 10;

/// What is left of a connection that has served its last request.
#[derive(Debug)]
pub(in crate::proxy) struct ClosingConnection<S> {
    pub stream: S,
    /// The end of the answer.
    pub out: Outbox,
    /// Whether the client may have more to send; else it is asked once whether it has.
    pub is_sending: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClosingConnection<S> {
    /// Sends what is left of the answer, then the end of the stream.
    pub(in crate::proxy) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.out.poll_flush(&mut self.stream, cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    pub(in crate::proxy) fn drop_what_comes(&mut self, cx: &mut Context<'_>) -> Dropped {
        let mut scratch = [MaybeUninit::uninit(); SCRATCH];
        let mut dropped = Dropped { any: false, is_all: false };
        loop {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut scratch) {
                Poll::Pending => return dropped,
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => dropped.any = true,
                Poll::Ready(_) => return Dropped { is_all: true, ..dropped },
            }
        }
    }
}

impl ClosingConnection<ClientSocket> {
    /// Whether there is nothing to wait for: all is written, and its client has sent nothing more. What closes such a
    /// stream in the clear says its end, too; by TLS, that is a word of its own.
    pub(in crate::proxy) fn is_nothing(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_sending || !self.out.is_empty() || !matches!(self.stream, ClientSocket::Plain(_)) {
            return false;
        }
        self.is_sending = self.drop_what_comes(cx).any;
        !self.is_sending
    }
}

/// What came of a look for more bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Dropped {
    pub any: bool,
    /// The client has closed.
    pub is_all: bool,
}
