//! What is agreed with clients: versions, suites, sessions, and who gets in.
//!
//! The suites are rustls's: forward secret (ECDHE) and authenticated (AES-GCM, ChaCha20-Poly1305) only.

use super::load::{TlsError, chain, shown};
use super::store::Certificates;
use crate::core::settings::{Tls, TlsVersion};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};
use std::path::Path;
use std::sync::Arc;

/// Sessions a listener remembers, for all workers; about 4 MB when full.
const SESSIONS: usize = 16_384;

/// How a listener greets its clients.
///
/// # Errors
/// [`TlsError`] when the authorities for client certificates cannot be used.
pub fn server_config(tls: &Tls, certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::V12 => &[&TLS12, &TLS13],
        TlsVersion::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(TlsError::Setup)?;
    let builder = match &tls.client_ca {
        Some(path) => builder.with_client_cert_verifier(clients_of(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols =
        if tls.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    if tls.session_tickets {
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
    }
    Ok(Arc::new(config))
}

/// Lets in clients that have a certificate of one of the authorities in the file.
fn clients_of(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let fault = |detail: String| TlsError::ClientCa { file: shown(path), detail };
    let mut roots = RootCertStore::empty();
    for authority in chain(path)? {
        roots.add(authority).map_err(|error| fault(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| fault(error.to_string()))
}
