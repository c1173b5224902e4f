//! `[fleet]`: how this instance acts as one with others.

use super::reader::{Item, Section};
use super::upstream_tls;
use crate::core::duration;
use crate::core::fleet::ground::Missing;
use crate::core::fleet::member::FORGET;
use crate::core::secret::Secret;
use crate::core::settings::{EtcdEndpoint, EtcdSettings, EtcdUser, FleetSettings, Trust, UpstreamTls};
use crate::core::text;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const PREFIX: &str = "pointsman";
const LEASE: Duration = Duration::from_secs(5);
const MISSING: [(&str, Missing); 2] = [("hold", Missing::Hold), ("go_on", Missing::GoOn)];
/// Characters of a name, at most.
const LONGEST_NAME: usize = 63;
/// Characters of a prefix, at most.
const LONGEST_PREFIX: usize = 128;
/// Characters of a secret, at least.
const SHORTEST_SECRET: usize = 32;
const HOW_TO_MAKE: &str = "`openssl rand -hex 32` makes one";

/// The fleet, if the file names one.
pub(super) fn read(root: &Section<'_>) -> Option<FleetSettings> {
    let section = root.item("fleet")?.section()?;
    let name = section.need("name", "what this instance is called in the fleet", |item| item.parsed(name));
    let etcd = section.need("etcd", "where the store of the fleet is", |item| etcd(&item.section()?));
    let secret = section.need("secret", "the same at all members", |item| secret(&item.section()?));
    let lease = section.read("lease", LEASE, lease);
    let forget = section.read("forget", FORGET, |item| forget(item, lease));
    let missing = section.read("missing", Missing::default(), |item| item.choice(&MISSING));
    section.finish();
    let (etcd, prefix) = etcd?;
    Some(FleetSettings { name: name?, etcd, prefix, secret: secret?, lease, forget, missing })
}

/// It is part of keys and of addresses of the admin API.
fn name(text: &str) -> Result<Arc<str>, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && text.len() <= LONGEST_NAME && text.chars().all(legal) {
        return Ok(text.into());
    }
    Err(format!(
        "a name has 1 to {LONGEST_NAME} characters out of a-z, A-Z, 0-9, -, _ and ., and begins with a letter or a digit"
    ))
}

fn lease(item: &Item<'_>) -> Option<Duration> {
    let lease = item.duration(Duration::from_secs(2)..=Duration::from_secs(60))?;
    if lease.subsec_nanos() > 0 {
        item.wrong("must be whole seconds: etcd counts leases in them");
    }
    Some(lease)
}

fn forget(item: &Item<'_>, lease: Duration) -> Option<Duration> {
    let forget = item.duration(Duration::from_secs(2)..=Duration::from_secs(30 * 86_400))?;
    if forget < lease {
        let lease = duration::show(lease);
        item.fault(&format!(
            "is shorter than the lease ({lease}): a member counts as missing only after that"
        ));
    }
    Some(forget)
}

fn secret(section: &Section<'_>) -> Option<Secret> {
    let from_file = |item: &Item<'_>| {
        let path = item.file()?;
        let read = std::fs::read_to_string(&path);
        let text = read.map_err(|e| item.fault(&format!("{}: {e}", path.display()))).ok()?;
        item.leads_to(text.trim().as_bytes());
        Some(text)
    };
    let long_enough = |item: &Item<'_>, text: String| {
        let text = text.trim();
        if text.chars().count() < SHORTEST_SECRET {
            item.fault(&format!(
                "this secret has fewer than {SHORTEST_SECRET} characters and can be guessed; {HOW_TO_MAKE}"
            ));
            return None;
        }
        Some(Secret::of_text(text))
    };
    let given = [
        section.item("env").map(|item| item.variable().and_then(|text| long_enough(&item, text))),
        section.item("file").map(|item| from_file(&item).and_then(|text| long_enough(&item, text))),
    ];
    section.finish();
    let mut given = given.into_iter().flatten();
    let secret = given.next();
    if secret.is_none() || given.next().is_some() {
        section.fault(&format!("needs one of env and file; {HOW_TO_MAKE}"));
    }
    secret?
}

/// The store, and the prefix of the fleet's keys in it.
fn etcd(section: &Section<'_>) -> Option<(EtcdSettings, Arc<str>)> {
    let endpoints = section.need("endpoints", "all members of etcd", endpoints);
    let prefix = section.read("prefix", PREFIX.into(), |item| item.parsed(prefix));
    let (tls, authority) = tls(section, endpoints.as_deref());
    let user = user(section, endpoints.as_deref());
    section.finish();
    Some((EtcdSettings { endpoints: endpoints?, tls: tls?, authority, user: user? }, prefix))
}

fn endpoints(item: &Item<'_>) -> Option<Vec<EtcdEndpoint>> {
    let items = item.array()?;
    if items.is_empty() {
        item.wrong("is empty; list all members of etcd");
    }
    let read = |item: &Item<'_>| item.parsed(str::parse::<EtcdEndpoint>);
    let read: Vec<_> = items.iter().map(read).collect();
    for (index, (item, endpoint)) in items.iter().zip(&read).enumerate() {
        let Some(endpoint) = endpoint else { continue };
        if read.iter().take(index).flatten().any(|other| other == endpoint) {
            item.fault(&format!("{endpoint} is listed already"));
        }
        if endpoint.is_tls && !upstream_tls::is_name(endpoint.host()) {
            item.fault(&format!("no certificate can be for {}", endpoint.host()));
        }
    }
    let is_clear = |endpoint: &Option<EtcdEndpoint>| endpoint.as_ref().is_some_and(is_seen);
    if let Some((item, _)) = items.iter().zip(&read).find(|(_, endpoint)| is_clear(endpoint)) {
        item.warn(
            "goes over the network in the clear: who is in between reads and changes weights; let etcd speak TLS, \
             and write https://",
        );
    }
    read.into_iter().collect()
}

/// Whether others can read what is said to it.
fn is_seen(endpoint: &EtcdEndpoint) -> bool {
    let host = endpoint.host();
    let is_near = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    !endpoint.is_tls && !is_near
}

fn prefix(text: &str) -> Result<Arc<str>, String> {
    let bare = text.trim_end_matches('/');
    let legal = |c: char| c.is_ascii_graphic();
    match !bare.is_empty() && bare.len() <= LONGEST_PREFIX && bare.chars().all(legal) {
        true => Ok(bare.into()),
        false => Err(format!(
            "a prefix has 1 to {LONGEST_PREFIX} characters of ASCII without space, beside a slash at its end"
        )),
    }
}

/// How members with `https://` are greeted, and what the file of their authority is called.
fn tls(section: &Section<'_>, endpoints: Option<&[EtcdEndpoint]>) -> (Option<UpstreamTls>, Option<Arc<str>>) {
    let (ca, cert, key) = (section.item("ca"), section.item("cert"), section.item("key"));
    let is_secure = endpoints.map(|all| all.iter().any(|endpoint| endpoint.is_tls));
    for item in [&ca, &cert, &key].into_iter().flatten().filter(|_| is_secure == Some(false)) {
        item.fault("has no effect on http://; write https:// in endpoints, or take it out");
    }
    if ca.is_none() && is_secure == Some(true) && !upstream_tls::system_knows_some() {
        section.fault("the system knows no authority; name the one of etcd: ca = \"etcd-ca.pem\"");
    }
    let trust = match &ca {
        Some(item) => upstream_tls::authorities(item).map(Trust::Authorities),
        None => Some(Trust::System),
    };
    let client = match (&cert, &key) {
        (None, None) => Some(None),
        (Some(cert), Some(key)) => upstream_tls::identity_of(cert, key).map(Some),
        (Some(cert), None) => lone(cert, "key = \"etcd-client.key\""),
        (None, Some(key)) => lone(key, "cert = \"etcd-client.pem\""),
    };
    let tls = trust.zip(client).map(|(trust, client)| UpstreamTls { trust, name: None, client });
    (tls, ca.as_ref().and_then(Item::quiet).map(Into::into))
}

/// A key that means nothing without another.
fn lone<T>(item: &Item<'_>, other: &str) -> Option<T> {
    item.fault(&format!("needs the other one, too; add {other}"));
    None
}

/// Who asks, if with a password.
fn user(section: &Section<'_>, endpoints: Option<&[EtcdEndpoint]>) -> Option<Option<EtcdUser>> {
    let (user, password) = (section.item("user"), section.item("password"));
    let (name, password) = match (&user, &password) {
        (None, None) => return Some(None),
        (Some(name), Some(password)) => (name.parsed(filled)?, password.parsed(filled)?),
        (Some(name), None) => return lone(name, "password = \"${ETCD_PASSWORD}\""),
        (None, Some(password)) => return lone(password, "user = \"pointsman\""),
    };
    let seen = endpoints.unwrap_or_default().iter().find(|endpoint| is_seen(endpoint));
    if let (Some(endpoint), Some(item)) = (seen, &user) {
        item.fault(&format!(
            "its password would go to {endpoint} in the clear; write https:// there, or take user and password out"
        ));
    }
    Some(Some(EtcdUser { name, password }))
}

fn filled(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { text::check(text).map(|()| text.into()) }
}

#[cfg(test)]
mod tests;
