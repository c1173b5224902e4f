//! TLS on a listener: certificates chosen by the name the client asks for.

use crate::core::settings::{Certificate, Tls};
use pingora_core::listeners::tls::{Acceptor, TlsSettings};
use pingora_core::protocols::ALPN;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file}: {source}")]
    Pem { file: String, source: rustls::pki_types::pem::Error },
    #[error("{file}: no certificate in it; a PEM chain, leaf first, is needed")]
    Empty { file: String },
    #[error("{cert} with {key}: {source}")]
    Pair { cert: String, key: String, source: rustls::Error },
}

/// Loads the certificates and makes the acceptor of a listener.
///
/// # Errors
/// [`TlsError`] for a file that cannot be read, holds no certificate or key, or a pair that does not match.
pub(super) fn acceptor(tls: &Tls) -> Result<Acceptor, TlsError> {
    let keys = tls.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    // With a resolver set, the two paths are not read.
    let mut settings = TlsSettings::intermediate("", "").map_err(|e| TlsError::Pair {
        cert: String::new(),
        key: String::new(),
        source: rustls::Error::General(e.to_string()),
    })?;
    settings.set_cert_resolver(Arc::new(ByName { keys }));
    settings.set_alpn(if tls.http2 { ALPN::H2H1 } else { ALPN::H1 });
    Ok(settings.build())
}

fn load(pair: &Certificate) -> Result<Arc<CertifiedKey>, TlsError> {
    let pem = |file: &Path| {
        let file = file.display().to_string();
        move |source| TlsError::Pem { file, source }
    };
    let chain = CertificateDer::pem_file_iter(&pair.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(&pair.cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { file: pair.cert.display().to_string() });
    }
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(pem(&pair.key))?;
    let provider = rustls::crypto::ring::default_provider();
    let key = CertifiedKey::from_der(chain, key, &provider).map_err(|source| TlsError::Pair {
        cert: pair.cert.display().to_string(),
        key: pair.key.display().to_string(),
        source,
    })?;
    Ok(Arc::new(key))
}

/// The first certificate that is good for the name asked for; the first of all when none is.
#[derive(Debug)]
struct ByName {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let matches = |key: &&Arc<CertifiedKey>| {
            let leaf = key.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
            leaf.zip(name.as_ref()).is_some_and(|(leaf, name)| verify_server_name(&leaf, name).is_ok())
        };
        self.keys.iter().find(matches).or(self.keys.first()).cloned()
    }
}
