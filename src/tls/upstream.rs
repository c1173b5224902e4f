//! The client's side, for what is asked of upstreams beside their traffic: checks, smoke tests, scrapes.
//!
//! Traffic goes by pingora's own connector, made of the same settings; so what is accepted here must be
//! what is accepted there. The system's authorities are therefore read as pingora reads them: by the same
//! function, once in the life of a process.

use crate::core::settings::{Identity, Trust, UpstreamTls};
use pingora_rustls::load_platform_certs_incl_env_into_store;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};
use std::sync::{Arc, OnceLock};

/// How an upstream with these settings is greeted.
///
/// # Errors
/// A sentence. Settings that a configuration was accepted with lead to none, but where the system's
/// authorities cannot be read any more.
pub fn client_config(tls: &UpstreamTls, http2: bool) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS12, &TLS13])
        .map_err(|error| error.to_string())?;
    let builder = trusting(builder, &tls.trust, provider)?;
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            let chain = chain.iter().map(|one| CertificateDer::from(one.to_vec())).collect();
            let key = PrivateKeyDer::try_from(key.to_vec()).map_err(str::to_owned)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
    };
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(Arc::new(config))
}

fn trusting(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    trust: &Trust,
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    Ok(match trust {
        Trust::System => builder.with_root_certificates(system()?),
        Trust::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                let authority = CertificateDer::from(authority.to_vec());
                roots.add(authority).map_err(|error| error.to_string())?;
            }
            builder.with_root_certificates(roots)
        }
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    })
}

/// The authorities of the system; the same for all, since there are many.
fn system() -> Result<Arc<RootCertStore>, String> {
    static READ: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        let loaded = load_platform_certs_incl_env_into_store(&mut roots);
        loaded.map(|()| Arc::new(roots)).map_err(|error| error.to_string())
    };
    READ.get_or_init(read).clone()
}

/// Accepts every certificate. That the other side has its key is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
