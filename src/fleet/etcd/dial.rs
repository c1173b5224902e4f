//! A connection to a member, in the clear or by TLS, that speaks HTTP/2.

use super::endpoints::Endpoint;
use crate::core::settings::{EtcdSettings, Trust};
use crate::tls::client_config;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For a member that does not understand a handshake.
const IN_CLEAR: &str = "if this member is without TLS, write http://";

/// How members are connected to.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: EtcdSettings,
    /// `None` where no member has TLS.
    tls: Option<Arc<ClientConfig>>,
}

/// What bytes go over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

impl Dialer {
    /// # Errors
    /// A sentence: no TLS can be had with these settings.
    pub(super) fn new(settings: EtcdSettings) -> Result<Self, String> {
        let is_tls = settings.endpoints.iter().any(|endpoint| endpoint.is_tls);
        let tls = is_tls.then(|| client_config(&settings.tls, true)).transpose()?;
        Ok(Dialer { settings, tls })
    }

    pub(super) fn settings(&self) -> &EtcdSettings {
        &self.settings
    }

    /// # Errors
    /// What went wrong, and what helps.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn Transport>, String> {
        let target = &endpoint.target;
        let stream = TcpStream::connect((target.host(), target.port())).await;
        let stream = stream.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
        let Some(config) = self.tls.as_ref().filter(|_| target.is_tls) else { return Ok(Box::new(stream)) };
        let name = self.settings.tls.name_for(&target.authority).to_owned();
        let parsed = ServerName::try_from(name.clone()).map_err(|error| format!("TLS: {name:?}: {error}"))?;
        let shaken = TlsConnector::from(config.clone()).connect(parsed, stream).await;
        let stream = shaken.map_err(|error| self.explained(&name, &error))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(Box::new(stream)),
            _ => Err("TLS: HTTP/2 was not agreed on (ALPN); is this etcd?".to_owned()),
        }
    }

    /// A handshake's failure, with the names that are to be looked at.
    fn explained(&self, name: &str, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let file = match (&self.settings.authority, &self.settings.tls.trust) {
            (Some(file), _) => format!("the authority in {file}"),
            (None, Trust::Anybody) => "any authority".to_owned(),
            (None, _) => "an authority of the system".to_owned(),
        };
        match inner {
            Some(rustls::Error::InvalidCertificate(_)) => {
                format!("TLS: {error}; its certificate must be of {file} and good for {name:?}")
            }
            Some(rustls::Error::InvalidMessage(_)) => format!("TLS: {error}; {IN_CLEAR}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => format!("TLS: {error}; {IN_CLEAR}"),
            Some(rustls::Error::AlertReceived(_)) => {
                format!("TLS: {error}; {}", self.about_our_certificate())
            }
            _ => format!("TLS: {error}"),
        }
    }

    /// What a member that ends a connection with an alert may have against it.
    pub(super) fn about_our_certificate(&self) -> &'static str {
        match self.settings.tls.client {
            None => "etcd may ask for a client certificate: set cert and key",
            Some(_) => "the client certificate must be of the authority that etcd has as --trusted-ca-file",
        }
    }
}
