//! A stream on loan: the HTTP/2 library ends a connection by dropping its stream, whether or not the client has been
//! answered and still sends. The stream then comes back to the connection, which knows how to close it
//! (the close in stages), or that it need not be closed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a stream comes back to. Locked twice in the life of a connection, by one thread.
#[derive(Debug)]
pub(in crate::proxy) struct Home<S>(Arc<Mutex<Option<S>>>);

impl<S> Home<S> {
    pub(in crate::proxy) fn new() -> Self {
        Home(Arc::default())
    }

    /// Lends a stream; it is back once the loan has been dropped.
    pub(in crate::proxy) fn lend(&self, stream: S) -> Loan<S> {
        Loan { stream: Some(stream), home: Home(self.0.clone()) }
    }

    /// The stream that is back, if it is.
    pub(in crate::proxy) fn take(&self) -> Option<S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream that somebody else uses.
#[derive(Debug)]
pub(in crate::proxy) struct Loan<S> {
    /// There until the drop.
    stream: Option<S>,
    home: Home<S>,
}

impl<S> Drop for Loan<S> {
    fn drop(&mut self) {
        *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl<S: Unpin> Loan<S> {
    fn with<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.get_mut().stream {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Loan<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Loan<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_loan_comes_back_with_what_was_not_read() {
        let (mut client, server) = duplex(64);
        let home = Home::new();
        client.write_all(b"one two").await.expect("written");
        let mut loan = home.lend(server);
        let mut one = [0; 4];
        loan.read_exact(&mut one).await.expect("read");
        assert!(home.take().is_none(), "still on loan");
        drop(loan);
        let mut rest = [0; 3];
        home.take().expect("back").read_exact(&mut rest).await.expect("read");
        assert_eq!((&one, &rest), (b"one ", b"two"));
    }
}
