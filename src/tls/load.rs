//! One certificate, from its files: chain, key and OCSP response, and the names it is good for.

use crate::core::settings::Certificate;
use crate::core::text;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file}: {source}")]
    Pem { file: String, source: rustls::pki_types::pem::Error },
    #[error("{file}: no certificate in it; a PEM chain, leaf first, is needed")]
    Empty { file: String },
    #[error("{file}: the first certificate cannot be read: {detail}")]
    Leaf { file: String, detail: String },
    #[error("{cert} with {key}: {source}; the key must be the certificate's own")]
    Pair { cert: String, key: String, source: rustls::Error },
    #[error("{file}: {detail}; write the response there in DER, or leave out ocsp")]
    Ocsp { file: String, detail: String },
    #[error("{file}: no authority for client certificates: {detail}")]
    ClientCa { file: String, detail: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// A certificate in memory.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub key: Arc<CertifiedKey>,
    pub facts: Facts,
}

/// What a certificate says of itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// DNS names, in lower case; a wildcard has its `*.`.
    pub names: Vec<String>,
    pub from: ASN1Time,
    pub until: ASN1Time,
    /// Whether no authority has issued it.
    pub is_self_signed: bool,
}

impl Facts {
    /// What the leaf of a chain in PEM says.
    ///
    /// # Errors
    /// [`TlsError`] for what is no chain.
    pub(super) fn of_pem(text: &[u8]) -> Result<Self, TlsError> {
        let path = Path::new("the certificate that is shared");
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        facts(path, &chain.map_err(|source| pem(path, source))?)
    }
}

/// Reads a certificate's files.
///
/// # Errors
/// [`TlsError`] for a file that cannot be read or does not hold what it should, and for a key that is
/// another certificate's.
pub(super) fn load(files: &Certificate) -> Result<Loaded, TlsError> {
    let chain = chain(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| pem(&files.key, source))?;
    let provider = rustls::crypto::ring::default_provider();
    let pair = |source| TlsError::Pair { cert: shown(&files.cert), key: shown(&files.key), source };
    let facts = facts(&files.cert, &chain)?;
    let mut key = CertifiedKey::from_der(chain, key, &provider).map_err(pair)?;
    key.ocsp = files.ocsp.as_deref().map(ocsp).transpose()?;
    Ok(Loaded { key: Arc::new(key), facts })
}

/// All certificates of a PEM file, at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| pem(path, source))?;
    if chain.is_empty() { Err(TlsError::Empty { file: shown(path) }) } else { Ok(chain) }
}

/// What a chain's leaf says.
fn facts(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Facts, TlsError> {
    let unreadable = |detail: String| TlsError::Leaf { file: shown(path), detail };
    let leaf = chain.first().ok_or_else(|| TlsError::Empty { file: shown(path) })?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
    let names = leaf.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    });
    let validity = leaf.validity();
    Ok(Facts {
        names: names.collect(),
        from: validity.not_before,
        until: validity.not_after,
        is_self_signed: leaf.issuer() == leaf.subject(),
    })
}

/// Whom a client's certificate was made for, as the history shows it.
pub fn common_name(certificate: &CertificateDer<'_>) -> String {
    let parsed = X509Certificate::from_der(certificate).ok();
    let subject = parsed.as_ref().map(|(_, certificate)| certificate.subject());
    let name = subject.and_then(|subject| subject.iter_common_name().next()?.as_str().ok());
    text::plain(name.unwrap_or("certificate")).into_owned()
}

/// An OCSP response, which must be a successful one: clients take a stapled refusal for a failure.
fn ocsp(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fault = |detail: String| TlsError::Ocsp { file: shown(path), detail };
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    match is_successful(&bytes) {
        Some(true) => Ok(bytes),
        Some(false) => Err(fault("the responder refused to answer".into())),
        None => Err(fault("this is no whole OCSP response".into())),
    }
}

/// `OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED, … }` (RFC 6960, 4.2.1), of the length it says.
fn is_successful(bytes: &[u8]) -> Option<bool> {
    let (&0x30, rest) = bytes.split_first()? else { return None };
    let (&first, rest) = rest.split_first()?;
    let digits = usize::from(first & 0x7f);
    let (length, content) = match first {
        0..0x80 => (usize::from(first), rest),
        _ if digits <= 4 => {
            let (length, content) = rest.split_at_checked(digits)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), content)
        }
        _ => return None,
    };
    match content {
        [0x0a, 1, status, ..] if content.len() == length => Some(*status == 0),
        _ => None,
    }
}

/// What tells a file from the one that was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 3]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Links are followed: certbot's names are links that move on to the next file.
    pub(super) fn of(files: &Certificate) -> Self {
        Stamp([
            FileStamp::of(&files.cert),
            FileStamp::of(&files.key),
            files.ocsp.as_deref().and_then(FileStamp::of),
        ])
    }
}

impl FileStamp {
    /// `None` where there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        let modified = (data.mtime(), data.mtime_nsec());
        Some(FileStamp { device: data.dev(), inode: data.ino(), size: data.size(), modified })
    }
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn pem(path: &Path, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem { file: shown(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_successful_response_is_stapled() {
        assert_eq!(is_successful(&[0x30, 3, 0x0a, 1, 0]), Some(true));
        assert_eq!(is_successful(&[0x30, 0x81, 3, 0x0a, 1, 0]), Some(true));
        assert_eq!(is_successful(&[0x30, 3, 0x0a, 1, 6]), Some(false), "unauthorized");
        for broken in [&b""[..], b"-----BEGIN", &[0x30], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 4, 0x0a, 1, 0]]
        {
            assert_eq!(is_successful(broken), None, "{broken:?}");
        }
    }
}
