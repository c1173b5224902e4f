//! A fresh connection to an upstream, in the clear or by TLS.

use crate::core::settings::UpstreamTls;
use crate::core::table::{Pool, Upstream};
use crate::core::upstream_address::UpstreamAddress;
use crate::proxy::wire::socket::UpstreamSocket;
use crate::tls::client_config;
use arc_swap::ArcSwap;
use pingora_error::{Error, ErrorType, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Pause before another try on a socket whose queue is full.
const FULL_QUEUE: Duration = Duration::from_millis(2);

/// What TLS towards upstreams is spoken with, made once of the settings of each pool. Every worker has its own,
/// so that looking one up shares nothing.
#[derive(Default)]
pub(in crate::proxy) struct TlsConfigs(ArcSwap<Vec<(Weak<UpstreamTls>, Arc<ClientConfig>)>>);

impl TlsConfigs {
    fn of(&self, tls: &Arc<UpstreamTls>) -> Result<Arc<ClientConfig>> {
        let known = self.0.load();
        // An address is not given out again as long as an entry refers to it.
        if let Some((_, config)) = known.iter().find(|(of, _)| Weak::as_ptr(of) == Arc::as_ptr(tls)) {
            return Ok(config.clone());
        }
        let config = client_config(tls, false)
            .map_err(|why| Error::explain(ErrorType::TLSHandshakeFailure, why).into_up())?;
        let mut entries: Vec<_> = known.iter().filter(|(of, _)| of.strong_count() > 0).cloned().collect();
        entries.push((Arc::downgrade(tls), config.clone()));
        self.0.store(Arc::new(entries));
        Ok(config)
    }
}

/// Connects within `limit`, the handshake included.
///
/// # Errors
/// Why there is no connection: the upstream's fault, or for want of something here.
pub(in crate::proxy) async fn connect(
    configs: &TlsConfigs,
    pool: &Pool,
    upstream: &Upstream,
    limit: Duration,
) -> Result<UpstreamSocket> {
    let connecting = async {
        let label = &upstream.label;
        match &upstream.address {
            UpstreamAddress::Ip(address) => {
                let socket = TcpStream::connect(address).await.map_err(refused)?;
                // Without it, small requests would wait for an acknowledgement.
                socket.set_nodelay(true).map_err(refused)?;
                let Some(tls) = &pool.tls else { return Ok(UpstreamSocket::Plain(socket)) };
                let stream = shake_hands(configs, tls, label, socket).await?;
                Ok(UpstreamSocket::Tls(Box::new(stream)))
            }
            UpstreamAddress::Unix(path) => {
                let socket = connect_unix(path.as_path()).await.map_err(refused)?;
                let Some(tls) = &pool.tls else { return Ok(UpstreamSocket::Unix(socket)) };
                let stream = shake_hands(configs, tls, label, socket).await?;
                Ok(UpstreamSocket::UnixTls(Box::new(stream)))
            }
        }
    };
    match timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::explain(ErrorType::ConnectTimedout, "connecting took too long").into_up()),
    }
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

async fn shake_hands<S>(
    configs: &TlsConfigs,
    tls: &Arc<UpstreamTls>,
    label: &str,
    socket: S,
) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error| Error::because(ErrorType::TLSHandshakeFailure, "TLS handshake", error).into_up();
    let connector = TlsConnector::from(configs.of(tls)?);
    let name = ServerName::try_from(tls.name_for(label).to_owned());
    let name = name.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    connector.connect(name, socket).await.map_err(failed)
}

fn refused(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, "connecting", error).into_up()
}
