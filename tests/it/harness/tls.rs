//! An authority that issues certificates into files, and a TLS client that shows the handshake.

use super::http::Connection;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, StreamOwned};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

/// A certificate authority with a directory of its own.
pub struct Authority {
    pub dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        Authority::called("an authority of the tests")
    }

    /// One that is told from others by its name.
    pub fn called(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        std::fs::write(dir.path().join("ca.key"), key.serialize_pem()).expect("a file");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("a file");
        Authority { dir, issuer }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The certificate of the authority itself.
    pub fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// A certificate for these names and its key, both PEM; the first name is the common one.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, names[0].clone());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a new certificate to `FILE.pem` and `FILE.key`; as the configuration names it.
    pub fn write(&self, file: &str, names: &[&str]) -> String {
        self.store(file, self.issue(names))
    }

    /// The same with a certificate whose time is over.
    pub fn write_expired(&self, file: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.store(file, (certificate.pem(), key.serialize_pem()))
    }

    fn store(&self, file: &str, (cert, key): (String, String)) -> String {
        let (cert_file, key_file) = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&cert_file, cert).expect("a file");
        std::fs::write(&key_file, key).expect("a file");
        format!("cert = \"{}\", key = \"{}\"", cert_file.display(), key_file.display())
    }

    /// A server that shows the certificate of a file.
    pub fn server_config(&self, file: &str) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let chain = CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).expect("a file");
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).expect("a file");
        let config = builder.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key);
        Arc::new(config.expect("a pair"))
    }

    /// A server that shows the certificate of a file, speaks both versions of HTTP, and lets in only who
    /// has a certificate of `clients`, if they are given.
    pub fn server_config_for(&self, file: &str, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider);
                builder.with_client_cert_verifier(verifier.build().expect("an authority"))
            }
        };
        let chain = CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).expect("a file");
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).expect("a file");
        let mut config = builder.with_single_cert(vec![chain], key).expect("a pair");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).expect("a file")).expect("a root");
        roots
    }

    /// A certificate for the key of a signing request and these names, in PEM with our own; valid since
    /// so long ago and for so long still.
    pub fn sign(&self, csr: &[u8], names: &[String], (since, still): (Duration, Duration)) -> String {
        let (_, request) = X509CertificationRequest::from_der(csr).expect("a signing request");
        let key =
            RequestedKey(request.certification_request_info.subject_pki.subject_public_key.data.to_vec());
        let mut params = CertificateParams::new(names.to_vec()).expect("parameters");
        let now =
            rcgen::date_time_ymd(1970, 1, 1) + std::time::UNIX_EPOCH.elapsed().expect("a time after 1970");
        (params.not_before, params.not_after) = (now - since, now + still);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        certificate.pem() + &self.issuer.pem()
    }

    /// The leaf that lies in a file now.
    pub fn leaf(&self, file: &str) -> Vec<u8> {
        leaf(&self.path(&format!("{file}.pem")))
    }
}

/// The public key of a signing request: a point of P-256.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn leaf(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).expect("a certificate").to_vec()
}

/// A client that trusts one authority; its sessions are kept over connections.
#[derive(Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    pub fn new(authority: &Authority) -> Self {
        TlsClient::with(authority, rustls::ALL_VERSIONS)
    }

    /// One that speaks these versions only, and knows no tickets in 1.2.
    pub fn with(authority: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let roots = authority.roots();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption =
            Resumption::in_memory_sessions(64).tls12_resumption(Tls12Resumption::SessionIdOnly);
        TlsClient(Arc::new(config))
    }

    /// One that does not say which name it wants, but expects it all the same.
    pub fn nameless(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.enable_sni = false;
        TlsClient(Arc::new(config))
    }

    /// A connection whose handshake is done and whose certificate is good for the name.
    pub fn open(&self, address: SocketAddr, name: &str) -> std::io::Result<TlsConnection> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let session = ClientConnection::new(self.0.clone(), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.flush()?;
        Ok(TlsConnection(Connection::over(stream)))
    }

    /// Whether a certificate that we trust is served for a name.
    pub fn trusts(&self, address: SocketAddr, name: &str) -> bool {
        self.open(address, name).is_ok()
    }

    /// The certificate that is served for a name now.
    #[track_caller]
    pub fn served(&self, address: SocketAddr, name: &str) -> Vec<u8> {
        self.open(address, name).expect("a handshake").leaf()
    }
}

pub struct TlsConnection(pub Connection<StreamOwned<ClientConnection, TcpStream>>);

impl TlsConnection {
    pub fn leaf(&self) -> Vec<u8> {
        let session = &self.0.reader.get_ref().conn;
        session.peer_certificates().and_then(<[_]>::first).expect("a certificate").to_vec()
    }

    pub fn is_resumed(&self) -> bool {
        self.0.reader.get_ref().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}
