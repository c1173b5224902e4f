//! TLS, of listeners and of the admin API.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// At least one; the first is the default for unknown names.
    pub certificates: Vec<Certificate>,
    pub http2: bool,
    pub min_version: TlsVersion,
    /// Sessions resumed from tickets that the clients keep, in place of the server's own store.
    pub session_tickets: bool,
    /// How often the certificates' files are looked at; zero is never, but for a reload.
    pub reload: Duration,
    /// Authorities (PEM): only clients with a certificate of one of them get in.
    pub client_ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM: the chain, leaf first.
    pub cert: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
    /// DER: the OCSP response that is stapled.
    pub ocsp: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    V12,
    V13,
}
