//! One upstream as it is configured or registered, or as a container that Docker knows.

use crate::core::upstream_address::UpstreamAddress;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UpstreamRecord", into = "UpstreamRecord")]
pub struct Upstream {
    /// As typed: `10.0.0.1:3000`, `app:3000` or `unix:/run/app.sock`.
    pub address: Arc<str>,
    pub host: UpstreamHost,
    pub weight: u16,
    pub backup: bool,
    /// 0 is no limit.
    pub max_conns: u32,
    /// The container that it is, by its id: another one of the same name is another upstream.
    pub container: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    Address(UpstreamAddress),
    /// Resolved at start and again regularly.
    Name {
        host: Arc<str>,
        port: u16,
    },
}

/// An upstream as it is stored and sent: one address as a text, or with what goes along.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamRecord {
    address: String,
    #[serde(default = "one")]
    weight: u16,
    #[serde(default)]
    backup: bool,
    #[serde(default)]
    max_conns: u32,
    /// Of a container: where it was reached last, and its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<Arc<str>>,
}

fn one() -> u16 {
    1
}

impl From<Upstream> for UpstreamRecord {
    fn from(upstream: Upstream) -> Self {
        let Upstream { address, host, weight, backup, max_conns, container } = upstream;
        let at = match (&container, host) {
            (Some(_), UpstreamHost::Address(UpstreamAddress::Ip(at))) => Some(at),
            _ => None,
        };
        UpstreamRecord { address: address.to_string(), weight, backup, max_conns, at, container }
    }
}

impl TryFrom<UpstreamRecord> for Upstream {
    type Error = String;

    fn try_from(record: UpstreamRecord) -> Result<Self, String> {
        let (address, host) = match record.at {
            Some(at) => (record.address.as_str().into(), UpstreamHost::Address(at.into())),
            None => Upstream::place(&record.address)?,
        };
        if !(1..=100).contains(&record.weight) {
            return Err(format!("the weight {} of {address} must be from 1 to 100", record.weight));
        }
        let UpstreamRecord { weight, backup, max_conns, container, .. } = record;
        Ok(Upstream { address, host, weight, backup, max_conns, container })
    }
}

impl Upstream {
    /// What is typed as a single address: of weight 1, and for good.
    pub fn plain(address: Arc<str>, host: UpstreamHost) -> Self {
        Upstream { address, host, weight: 1, backup: false, max_conns: 0, container: None }
    }

    /// A container, by the name and the port that it is shown by and its id.
    pub fn of_container(label: Arc<str>, at: SocketAddr, id: Arc<str>) -> Self {
        Upstream { container: Some(id), ..Upstream::plain(label, UpstreamHost::Address(at.into())) }
    }

    /// What it is known by where versions are told apart: its address, or the container itself.
    pub fn identity(&self) -> String {
        match &self.container {
            Some(id) => container_identity(&self.address, id),
            None => self.address.to_string(),
        }
    }

    /// Whether what is known of the one holds for the other: containers are the same only where they are reached as
    /// before.
    pub fn is_same_place(&self, other: &Upstream) -> bool {
        let is_moved = self.container.is_some() && self.host != other.host;
        self.address == other.address && self.container == other.container && !is_moved
    }

    /// An address with a port, a name with one, or the path of a socket.
    ///
    /// # Errors
    /// A sentence that says how to write it.
    pub fn place(text: &str) -> Result<(Arc<str>, UpstreamHost), String> {
        if UpstreamAddress::is_path(text) || text.parse::<SocketAddr>().is_ok() {
            return Ok((text.into(), UpstreamHost::Address(text.parse()?)));
        }
        let no_port = || format!("\"{text}\" has no port; write {text}:3000");
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        let port: u16 = port.parse().map_err(|_| no_port())?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.is_empty() || !host.chars().all(legal) || port == 0 {
            return Err(format!(
                "\"{text}\" is no address; write 10.0.0.1:3000, [::1]:3000, app:3000 or unix:/run/app.sock"
            ));
        }
        Ok((text.into(), UpstreamHost::Name { host: host.into(), port }))
    }
}

/// A container with its id; no address looks like it.
pub fn container_identity(label: &str, id: &str) -> String {
    format!("{label}@{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_stored_with_their_place() {
        let at = "172.18.0.4:3000".parse().expect("an address");
        let container = Upstream::of_container("web-1:3000".into(), at, "0123456789ab".into());
        assert_eq!(container.identity(), "web-1:3000@0123456789ab");
        let (address, host) = Upstream::place("app:3000").expect("a name");
        for upstream in [container, Upstream::plain(address, host)] {
            let text = serde_json::to_string(&upstream).expect("a text");
            assert_eq!(serde_json::from_str::<Upstream>(&text).expect("the same"), upstream, "{text}");
        }
    }
}
