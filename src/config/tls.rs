//! `tls` of a listener and of the admin API.

use super::reader::{Item, Section};
use crate::core::settings::{Acme, Certificate, Tls, TlsVersion};
use std::path::PathBuf;
use std::time::Duration;

/// The certificate of `[acme]`, for the hosts of the routes.
pub(super) const AUTOMATIC: &str = "auto";

/// Of a listener, a table or `"auto"`: `acme` is what `[acme]` says, `Some(None)` where it is faulty.
pub(super) fn of_listener(item: &Item<'_>, acme: Option<Option<&Acme>>) -> Option<Tls> {
    if item.is_string() {
        item.choice(&[(AUTOMATIC, ())])?;
        let certificates = acme.flatten().map(Acme::certificate).into_iter().collect();
        return Some(Tls { certificates, ..Tls::by_default() });
    }
    let section = &item.section()?;
    let automatic = section.item("acme").filter(|item| item.bool() == Some(true));
    let http2 = section.read("http2", true, Item::bool);
    let mut tls = tls(section, http2, automatic.is_some())?;
    match (automatic, acme) {
        (Some(item), None) => item.fault("needs a section [acme] with names = [\"example.org\"]"),
        (Some(_), Some(Some(acme))) => tls.certificates.push(acme.certificate()),
        _ => {}
    }
    Some(tls)
}

/// Of the admin API, which speaks HTTP/1.1.
pub(super) fn of_admin(section: &Section<'_>) -> Option<Tls> {
    tls(section, false, false)
}

fn tls(section: &Section<'_>, http2: bool, automatic: bool) -> Option<Tls> {
    let certificates = section.tables("certificates");
    if certificates.is_empty() && !automatic {
        section.fault("needs certificates = [{ cert = \"site.pem\", key = \"site.key\" }]");
    }
    let versions = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
    let day = Duration::from_secs(86_400);
    let client_ca = section.item("client_ca");
    let default = Tls::by_default();
    let tls = Tls {
        certificates: certificates.iter().filter_map(certificate).collect(),
        http2,
        min_version: section.read("min_version", default.min_version, |item| item.choice(&versions)),
        session_tickets: section.read("session_tickets", default.session_tickets, Item::bool),
        reload: section.read("reload", default.reload, |item| item.duration(Duration::ZERO..=day)),
        client_ca: client_ca.as_ref().and_then(|item| holds(item, "CERTIFICATE")),
    };
    section.finish();
    // An authority that cannot be read must not leave the door open.
    (client_ca.is_none() || tls.client_ca.is_some()).then_some(tls)
}

fn certificate(section: &Section<'_>) -> Option<Certificate> {
    let chain = "a PEM file with the chain, leaf first";
    let cert = section.need("cert", chain, |item| holds(item, "CERTIFICATE"));
    let key = section.need("key", "a PEM file with the private key", |item| holds(item, "PRIVATE KEY"));
    let ocsp = section.item("ocsp").and_then(|item| item.file());
    section.finish();
    Some(Certificate { cert: cert?, key: key?, ocsp })
}

/// A PEM file that can be read and holds what it should.
pub(super) fn holds(item: &Item<'_>, what: &str) -> Option<PathBuf> {
    let path = item.file()?;
    match std::fs::read_to_string(&path) {
        Ok(text) if text.contains(&format!("{what}-----")) => return Some(path),
        Ok(_) => item.fault(&format!("{} holds no {}", path.display(), what.to_lowercase())),
        Err(error) => item.fault(&format!("{}: {error}", path.display())),
    }
    None
}
