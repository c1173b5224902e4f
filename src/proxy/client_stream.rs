//! The stream of one HTTP/1 connection: the whole head of a request must arrive in time, and small
//! writes leave together ([`Gather`]).
//!
//! Pingora's read timeout starts anew with every byte, so that a client dripping one byte now and then
//! holds its connection for ever. This wrapper gives the head as a whole a deadline: from the accept
//! for a connection's first request, from the first byte for the ones after. While a body or an answer
//! is under way it does nothing but pass on.

use super::gather::Gather;
use async_trait::async_trait;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Where a connection is; shared between its stream and the loop that serves it.
#[derive(Debug)]
pub(super) struct HeadState(AtomicU8);

/// A head is under way, or the first is awaited: the deadline runs.
const HEAD: u8 = 0;
/// A body or an answer is under way.
const FLOWING: u8 = 1;
/// Kept alive, no byte of the next head has come.
const IDLE: u8 = 2;

impl HeadState {
    pub(super) fn new() -> Self {
        HeadState(AtomicU8::new(HEAD))
    }

    /// The head is complete: the deadline is off.
    pub(super) fn arrived(&self) {
        self.0.store(FLOWING, Ordering::Relaxed);
    }

    /// The next head may come.
    pub(super) fn await_next(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    fn begun(&self) {
        self.0.store(HEAD, Ordering::Relaxed);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }
}

/// The stream of one HTTP/1 connection.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    inner: S,
    out: Gather,
    state: Arc<HeadState>,
    limit: Duration,
    /// Runs from the first read that had to wait for more of a head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> ClientStream<S> {
    pub(super) fn new(inner: S, limit: Duration, state: Arc<HeadState>) -> Self {
        ClientStream { inner, out: Gather::default(), state, limit, timer: None }
    }

    /// Ready with an error once the deadline of the head under way has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "the request head took too long"))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.state.is(HEAD) {
            this.timer = None;
            let before = buf.filled().len();
            let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
            if buf.filled().len() > before && this.state.is(IDLE) {
                this.state.begun();
            }
            return polled;
        }
        if this.timer.as_ref().is_some_and(|timer| timer.deadline() <= Instant::now())
            && let Poll::Ready(error) = this.poll_deadline(cx)
        {
            return Poll::Ready(Err(error));
        }
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Pending => this.poll_deadline(cx).map(Err),
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.out.poll_write(&mut this.inner, cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.out.poll_empty(&mut this.inner, cx))?;
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
        this.out.poll_write_vectored(&mut this.inner, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl<S: Shutdown + Send> Shutdown for ClientStream<S> {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl<S: UniqueID> UniqueID for ClientStream<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl<S: Ssl> Ssl for ClientStream<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl<S: GetTimingDigest> GetTimingDigest for ClientStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl<S: GetProxyDigest> GetProxyDigest for ClientStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl<S: GetSocketDigest> GetSocketDigest for ClientStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl<S> Peek for ClientStream<S> {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_dripped_head_is_cut_and_a_body_is_not() {
        let (mut client, server) = duplex(1024);
        let state = Arc::new(HeadState::new());
        let mut stream = ClientStream::new(server, Duration::from_secs(10), state.clone());
        client.write_all(b"GET").await.expect("written");
        let mut buf = [0; 64];
        assert_eq!(stream.read(&mut buf).await.expect("the first bytes"), 3);
        state.arrived();
        let late = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            client.write_all(b"body").await.expect("written");
            client
        });
        assert_eq!(stream.read(&mut buf).await.expect("a slow body is fine"), 4);
        let mut client = late.await.expect("joined");
        state.await_next();
        let drip = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        });
        let begun = Instant::now();
        let error = loop {
            if let Err(error) = stream.read(&mut buf).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() <= Duration::from_secs(14), "{:?}", begun.elapsed());
        drop(stream);
        drip.await.expect("the client saw the connection close");
    }
}
