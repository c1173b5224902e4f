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
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Pause before another try on a socket whose queue is full.
const FULL_QUEUE: Duration = Duration::from_millis(10);

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

    /// Connects and says nothing.
    ///
    /// # Errors
    /// A few words about what went wrong.
    pub(super) async fn reach(&self, address: UpstreamAddress) -> Result<(), Failed> {
        let connected = connect(address).await?;
        let Some(tls) = self.tls()? else { return Ok(()) };
        match connected {
            Connected::Ip(stream) => drop(tls.shake(stream).await?),
            Connected::Unix(stream) => drop(tls.shake(stream).await?),
        }
        Ok(())
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

/// A connection to an upstream.
pub(super) enum Connected {
    Ip(TcpStream),
    Unix(UnixStream),
}

pub(super) async fn connect(address: UpstreamAddress) -> Result<Connected, Failed> {
    let connected = match address {
        UpstreamAddress::Ip(address) => TcpStream::connect(address).await.map(Connected::Ip),
        UpstreamAddress::Unix(path) => connect_unix(path.as_path()).await.map(Connected::Unix),
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
