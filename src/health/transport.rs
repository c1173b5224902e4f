//! How an upstream is spoken to: HTTP/1.1 or HTTP/2, in the clear or by TLS, as its pool says.

use super::exchange::{Failed, innermost};
use crate::core::own_limit::OwnLimit;
use crate::core::settings::UpstreamTls;
use crate::core::upstream_address::UpstreamAddress;
use crate::tls::client_config;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Pause before another try on a socket whose queue is full.
const FULL_QUEUE: Duration = Duration::from_millis(10);
/// How long an upstream may take to end a connection that was opened for nothing else.
const FAREWELL: Duration = Duration::from_secs(1);

/// The transport to one upstream, ready to be used again and again.
#[derive(Clone)]
pub(super) struct Transport {
    pub http2: bool,
    /// `None` is in the clear.
    tls: Option<Result<Tls, String>>,
}

/// TLS with the settings of a pool, to a server of this name.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    http2: bool,
}

impl Transport {
    /// To the upstream with this address, as typed.
    pub(super) fn to(address: &str, http2: bool, tls: Option<&UpstreamTls>) -> Self {
        Transport { http2, tls: tls.map(|tls| Tls::to(address, http2, tls)) }
    }

    /// `None` is in the clear.
    ///
    /// # Errors
    /// Why there can be no TLS.
    pub(super) fn tls(&self) -> Result<Option<&Tls>, String> {
        self.tls.as_ref().map(Result::as_ref).transpose().map_err(|why| format!("TLS: {why}"))
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// A connection, in the clear or by TLS.
    ///
    /// # Errors
    /// A few words about what went wrong.
    pub(super) async fn open(&self, address: UpstreamAddress) -> Result<Opened, Failed> {
        let connected = connect(address).await?;
        Ok(Opened(match self.tls()? {
            None => connected,
            Some(tls) => Box::new(tls.shake(connected).await?),
        }))
    }
}

/// A connection that is ready for a request.
pub(super) struct Opened(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Opened {
    /// Closes it without a request as a client does that has changed its mind. What the other side has sent is read,
    /// and its end waited for a moment: a reset is an error to many servers, and stands in their logs.
    pub(super) fn close(mut self) {
        tokio::spawn(timeout(FAREWELL, async move {
            if self.shutdown().await.is_ok() {
                let _ = tokio::io::copy(&mut self, &mut tokio::io::sink()).await;
            }
        }));
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Tls {
    fn to(address: &str, http2: bool, tls: &UpstreamTls) -> Result<Self, String> {
        let name = tls.name_for(address).to_owned();
        let name = ServerName::try_from(name).map_err(|error| format!("{address}: {error}"))?;
        Ok(Tls { connector: TlsConnector::from(client_config(tls, http2)?), name, http2 })
    }

    /// # Errors
    /// Why the other side is not accepted, or does not accept us.
    pub(super) async fn shake<S>(&self, stream: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = self.connector.connect(self.name.clone(), stream).await;
        let stream = shaken.map_err(|error| format!("TLS: {}", innermost(&error)))?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.http2 && agreed != Some(b"h2") {
            return Err("TLS: HTTP/2 was not agreed on (ALPN)".to_owned());
        }
        Ok(stream)
    }
}

async fn connect(address: UpstreamAddress) -> Result<Box<dyn Stream>, Failed> {
    let boxed = |stream| -> Box<dyn Stream> { Box::new(stream) };
    let connected = match address {
        UpstreamAddress::Ip(address) => TcpStream::connect(address).await.map(boxed),
        UpstreamAddress::Unix(path) => {
            connect_unix(path.as_path()).await.map(|stream| -> Box<dyn Stream> { Box::new(stream) })
        }
    };
    connected.map_err(|error| match OwnLimit::of_error(&error) {
        Some(limit) if limit != OwnLimit::Ports || address.ip().is_some_and(has_source) => {
            Failed::Ours(limit)
        }
        _ => Failed::Theirs(format!("connect: {error}")),
    })
}

/// A connection to a socket in the file system. Where its queue is full, the system says so at once, unlike that of a
/// port: it is tried again for as long as the caller waits.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_QUEUE).await,
            connected => return connected,
        }
    }
}

/// Whether this machine has an address to reach another from: without one it is no port that is missing.
fn has_source(to: SocketAddr) -> bool {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A datagram socket's connection sends nothing.
    UdpSocket::bind(any).and_then(|socket| socket.connect(to)).is_ok()
}
