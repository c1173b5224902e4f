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

impl Tls {
    /// What holds where nothing is said, but for the certificates.
    pub fn by_default() -> Tls {
        Tls {
            certificates: Vec::new(),
            http2: true,
            min_version: TlsVersion::V12,
            session_tickets: false,
            reload: Duration::from_secs(10),
            client_ca: None,
        }
    }
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

/// A certificate that is ordered and renewed by itself: ACME (RFC 8555), proved by HTTP-01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The URL that the authority's other ones are found by.
    pub directory: String,
    /// `mailto:` URLs.
    pub contact: Vec<String>,
    /// DNS names without wildcards, in lower case, at least one.
    pub names: Vec<String>,
    /// The authority (PEM) behind the directory's own certificate, where the system does not know it.
    pub ca: Option<PathBuf>,
    /// Where account and certificate are kept.
    pub dir: PathBuf,
}

impl Acme {
    /// Where listeners find it. Chain and key are in one file, so that they change together.
    pub fn certificate(&self) -> Certificate {
        let file = self.dir.join("certificate.pem");
        Certificate { cert: file.clone(), key: file, ocsp: None }
    }
}
