//! `[acme]`, and what `tls = "auto"` of a listener implies: the names of the certificate, and a plain listener.

use super::reader::{Item, Section};
use super::route::target::location;
use super::tls::holds;
use crate::core::route::{PathSpec, Redirect, RouteSpec, Target};
use crate::core::settings::{Acme, Listener};
use crate::core::template::Vocabulary;
use std::net::SocketAddr;
use std::path::Path;

/// Where authorities ask for challenges, and clients without TLS come first.
const PLAIN_PORT: u16 = 80;
/// Where the implied listener sends clients.
const TO_HTTPS: &str = "https://$host$request_uri";

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The `tls` of the listeners that have `tls = "auto"`.
pub(super) fn automatic<'a>(root: &Section<'a>) -> Vec<Item<'a>> {
    let tls = root.tables("listeners").into_iter().filter_map(|listener| listener.item("tls"));
    tls.filter(Item::is_string).collect()
}

/// `[acme]`; with `is_automatic` its names may be left out, and it may be left out itself.
pub(super) fn acme(section: &Section<'_>, state_dir: &Path, is_automatic: bool) -> Option<Acme> {
    let directory = section.read("directory", LETS_ENCRYPT.to_owned(), |item| item.parsed(directory));
    let contact = section.read("contact", Vec::new(), |item| each(item, contact));
    let listed = |item: &Item<'_>| {
        each(item, name).filter(|names| {
            if names.is_empty() {
                item.fault("is empty; list the names that the certificate is for");
            }
            !names.is_empty()
        })
    };
    let names = match section.item("names") {
        None if is_automatic => Some(Vec::new()),
        _ => section.need("names", "list the names that the certificate is for", listed),
    };
    let ca = section.item("ca").and_then(|item| holds(&item, "CERTIFICATE"));
    section.finish();
    Some(Acme { directory, contact, names: names?, ca, dir: state_dir.join("acme") })
}

/// Fits certificates that are ordered, listeners and routes to each other: names that are left out, a listener for the
/// challenge, and what is wrong between them.
pub(super) fn fit(
    (automatic, section): (&[Item<'_>], Option<&Section<'_>>),
    acme: Option<&mut Acme>,
    listeners: &mut Vec<Listener>,
    specs: &mut Vec<RouteSpec>,
) {
    let acme = acme.map(|acme| {
        if acme.names.is_empty() {
            acme.names = names(automatic, listeners, specs);
        }
        &*acme
    });
    imply_plain(automatic, listeners, specs);
    if let (Some(section), Some(acme)) = (section, acme) {
        fits(section, acme, listeners);
    }
}

/// The challenge comes in plain HTTP, and somebody should want the certificate.
fn fits(section: &Section<'_>, acme: &Acme, listeners: &[Listener]) {
    let certificate = acme.certificate();
    let mut tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    if !tls.any(|tls| tls.certificates.contains(&certificate)) {
        section.fault("no listener uses it; write tls = \"auto\", or { acme = true }, where it belongs");
    }
    if listeners.iter().all(|listener| listener.tls.is_some()) {
        section
            .fault("needs a listener without tls that the names reach on port 80: the challenge comes there");
    }
}

/// Adds what `tls = "auto"` of these listeners implies, unless a listener without `tls` is configured: one on port 80 of
/// each of their addresses. It sends clients to HTTPS, and none of the routes that name no listener counts there.
fn imply_plain(automatic: &[Item<'_>], listeners: &mut Vec<Listener>, specs: &mut Vec<RouteSpec>) {
    if automatic.is_empty() || listeners.iter().any(|listener| listener.tls.is_none()) {
        return;
    }
    let configured: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    let (mut plain, mut addresses) = (Vec::new(), Vec::new());
    for listener in listeners.iter().filter(|listener| is_automatic(listener, automatic)) {
        let address = SocketAddr::new(listener.address.ip(), PLAIN_PORT);
        if !configured.contains(&address) && !addresses.contains(&address) {
            addresses.push(address);
            plain.push(Listener { address, tls: None, hsts: None, ..listener.clone() });
        }
    }
    let Ok(to) = location(TO_HTTPS, &Vocabulary::of_requests()) else { return };
    listeners.extend(plain);
    for spec in specs.iter_mut().filter(|spec| spec.listeners.is_empty()) {
        spec.listeners.clone_from(&configured);
    }
    let everything = PathSpec::Prefix { prefix: "/".into(), is_final: false };
    let redirect = Target::Redirect(Redirect { to, status: 301 });
    specs.push(RouteSpec { listeners: addresses, ..RouteSpec::new(everything, redirect) });
}

/// The names of the routes that count at a listener with `tls = "auto"`, in file order.
fn names(automatic: &[Item<'_>], listeners: &[Listener], specs: &[RouteSpec]) -> Vec<String> {
    let own: Vec<SocketAddr> = listeners
        .iter()
        .filter(|listener| is_automatic(listener, automatic))
        .map(|listener| listener.address)
        .collect();
    let counts = |spec: &&RouteSpec| {
        spec.listeners.is_empty() || spec.listeners.iter().any(|address| own.contains(address))
    };
    let (mut names, mut without) = (Vec::new(), Vec::new());
    for host in specs.iter().filter(counts).flat_map(|spec| &spec.hosts) {
        let is_name = name(host).is_ok() && host.contains('.');
        let list = if is_name { &mut names } else { &mut without };
        if !list.contains(host) {
            list.push(host.clone());
        }
    }
    let Some(item) = automatic.first() else { return names };
    if names.is_empty() {
        item.fault(
            "needs the names that the certificate is for: give routes hosts = [\"site.example\"], or list them in \
             [acme] names",
        );
    } else if !without.is_empty() {
        item.warn(&format!(
            "no certificate is ordered for {}: HTTP-01 proves names, no wildcards and addresses; list the names that \
             clients ask for in [acme] names",
            without.join(", ")
        ));
    }
    names
}

/// Whether a listener is one of those with `tls = "auto"`.
fn is_automatic(listener: &Listener, automatic: &[Item<'_>]) -> bool {
    automatic.iter().any(|item| item.is_at(&format!("listeners[{}].tls", listener.entry)))
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
