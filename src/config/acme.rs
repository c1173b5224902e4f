//! `[acme]`.

use super::reader::{Item, Section};
use super::tls::holds;
use crate::core::settings::{Acme, Listener};
use std::path::Path;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

pub(super) fn acme(section: &Section<'_>, state_dir: &Path) -> Option<Acme> {
    let directory = section.read("directory", LETS_ENCRYPT.to_owned(), |item| item.parsed(directory));
    let contact = section.read("contact", Vec::new(), |item| each(item, contact));
    let names = section.need("names", "list the names that the certificate is for", |item| {
        each(item, name).filter(|names| {
            if names.is_empty() {
                item.fault("is empty; list the names that the certificate is for");
            }
            !names.is_empty()
        })
    });
    let ca = section.item("ca").and_then(|item| holds(&item, "CERTIFICATE"));
    section.finish();
    Some(Acme { directory, contact, names: names?, ca, dir: state_dir.join("acme") })
}

/// The challenge comes in plain HTTP, and somebody should want the certificate.
pub(super) fn fits(section: &Section<'_>, acme: &Acme, listeners: &[Listener]) {
    let certificate = acme.certificate();
    let mut tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    if !tls.any(|tls| tls.certificates.contains(&certificate)) {
        section.fault("no listener uses it; write tls = { acme = true } where it belongs");
    }
    if listeners.iter().all(|listener| listener.tls.is_some()) {
        section
            .fault("needs a listener without tls that the names reach on port 80: the challenge comes there");
    }
}

fn each(item: &Item<'_>, read: fn(&str) -> Result<String, String>) -> Option<Vec<String>> {
    Some(item.array()?.iter().filter_map(|item| item.parsed(read)).collect())
}

fn directory(text: &str) -> Result<String, String> {
    let is_https = reqwest::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    if is_https {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no https URL; write \"{LETS_ENCRYPT}\""))
    }
}

fn contact(text: &str) -> Result<String, String> {
    let is_mail = text.strip_prefix("mailto:").is_some_and(|address| address.contains('@'));
    if is_mail {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no contact; write \"mailto:ops@example.org\""))
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.starts_with("*.") {
        return Err(format!(
            "\"{text}\": HTTP-01 cannot prove a wildcard; list the names, or give its files in certificates"
        ));
    }
    let is_label = |label: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(legal)
    };
    let is_name =
        text.len() <= 253 && text.split('.').all(is_label) && text.parse::<std::net::IpAddr>().is_err();
    if is_name {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("\"{text}\" is no DNS name; write example.org"))
    }
}
