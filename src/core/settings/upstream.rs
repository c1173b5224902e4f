//! One upstream as it is configured or registered.

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
}

fn one() -> u16 {
    1
}

impl From<Upstream> for UpstreamRecord {
    fn from(upstream: Upstream) -> Self {
        let Upstream { address, weight, backup, max_conns, .. } = upstream;
        UpstreamRecord { address: address.to_string(), weight, backup, max_conns }
    }
}

impl TryFrom<UpstreamRecord> for Upstream {
    type Error = String;

    fn try_from(record: UpstreamRecord) -> Result<Self, String> {
        let (address, host) = Upstream::place(&record.address)?;
        if !(1..=100).contains(&record.weight) {
            return Err(format!("the weight {} of {address} must be from 1 to 100", record.weight));
        }
        let UpstreamRecord { weight, backup, max_conns, .. } = record;
        Ok(Upstream { address, host, weight, backup, max_conns })
    }
}

impl Upstream {
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
