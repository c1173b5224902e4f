//! `tls` of a pool: how its upstreams are spoken to over TLS.
//!
//! The files are read here, whole, so that a fault in one is reported with its place in the
//! configuration, and so that a reload takes what is in them then.

use super::reader::{Item, Section};
use crate::core::settings::{Identity, Trust, Upstream, UpstreamTls};
use bytes::Bytes;
use pingora_rustls::load_native_certs;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// `true`, `false`, or a table of what differs from `true`.
pub(super) fn of_pool(item: &Item<'_>, upstreams: &[Upstream]) -> Option<Arc<UpstreamTls>> {
    let tls = match item.is_bool() {
        true => item.bool()?.then(UpstreamTls::default)?,
        false => table(&item.section()?),
    };
    if tls.trust == Trust::System && !system_knows_some() {
        item.fault(
            "the system knows no authority; install its root certificates (ca-certificates), or name one: { ca = \"ca.pem\" }",
        );
    }
    let unfit = |upstream: &&Upstream| !is_name(tls.name_for(&upstream.address));
    if let Some(upstream) = upstreams.iter().find(unfit) {
        item.fault(&format!("needs a name, since no certificate can be for {}", upstream.address));
    }
    Some(Arc::new(tls))
}

/// Whether there is any authority to trust where none is named.
pub(super) fn system_knows_some() -> bool {
    load_native_certs().is_ok_and(|roots| !roots.is_empty())
}

/// Whether a certificate can be for it.
pub(super) fn is_name(host: &str) -> bool {
    ServerName::try_from(host).is_ok()
}

fn table(section: &Section<'_>) -> UpstreamTls {
    let verify = section.read("verify", true, Item::bool);
    let ca = section.item("ca");
    let trust = match &ca {
        Some(item) if verify => Trust::Authorities(authorities(item).unwrap_or_default()),
        None if verify => Trust::System,
        _ => Trust::Anybody,
    };
    if let Some(item) = ca.filter(|_| !verify) {
        item.fault("has no effect with verify = false; take one of the two out");
    }
    let name = section.item("name").and_then(|item| item.parsed(server_name));
    let client = section.item("client").and_then(|item| identity(&item.section()?));
    section.finish();
    UpstreamTls { trust, name, client }
}

fn server_name(text: &str) -> Result<Arc<str>, String> {
    match is_name(text) {
        true => Ok(text.into()),
        false => Err(format!("\"{text}\" is no name that a certificate can be for; write \"app.internal\"")),
    }
}

pub(super) fn authorities(item: &Item<'_>) -> Option<Vec<Bytes>> {
    let found = certificates(item)?;
    item.leads_to(&der(&found).concat());
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        if let Err(error) = roots.add(certificate.clone()) {
            return of_file(item, &format!("this is no authority's certificate: {error}"));
        }
    }
    Some(der(&found))
}

fn identity(section: &Section<'_>) -> Option<Identity> {
    let cert = section.need("cert", "a PEM file with the chain, leaf first", |item| Some(item.clone()));
    let key = section.need("key", "a PEM file with the private key", |item| Some(item.clone()));
    section.finish();
    identity_of(&cert?, &key?)
}

/// A certificate of our own, of the file with its chain and that with its key.
pub(super) fn identity_of(cert: &Item<'_>, key_item: &Item<'_>) -> Option<Identity> {
    let (chain, key) = (certificates(cert), key(key_item));
    let (chain, key) = (chain?, key?);
    let secret = Bytes::copy_from_slice(key.secret_der());
    let identity = Identity { chain: der(&chain), key: secret };
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(_) => Some(identity),
        Err(error) => of_file(key_item, &format!("{error}; the key must be the certificate's own")),
    }
}

/// All certificates of a PEM file, at least one.
fn certificates(item: &Item<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let text = contents(item)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => of_file(item, &"holds no certificate"),
        Ok(found) => match found.iter().find_map(|one| X509Certificate::from_der(one).err()) {
            None => Some(found),
            Some(error) => of_file(item, &format!("a certificate in it cannot be read: {error}")),
        },
        Err(error) => of_file(item, &error),
    }
}

fn key(item: &Item<'_>) -> Option<PrivateKeyDer<'static>> {
    let key = match PrivateKeyDer::from_pem_slice(&contents(item)?) {
        Ok(key) => key,
        Err(error) => return of_file(item, &format!("holds no private key: {error}")),
    };
    // It is handed on by its bytes, which must say of which kind it is.
    match PrivateKeyDer::try_from(key.secret_der()) {
        Ok(_) => Some(key),
        Err(error) => of_file(item, &error),
    }
}

fn contents(item: &Item<'_>) -> Option<Vec<u8>> {
    std::fs::read(item.file()?).map_or_else(|error| of_file(item, &error), Some)
}

fn of_file<T>(item: &Item<'_>, detail: &dyn Display) -> Option<T> {
    item.fault(&format!("{}: {detail}", item.file()?.display()));
    None
}

fn der(certificates: &[CertificateDer<'_>]) -> Vec<Bytes> {
    certificates.iter().map(|one| Bytes::copy_from_slice(one)).collect()
}
