//! TLS towards the upstreams of a pool.
//!
//! The settings hold what their files held when the configuration was read, so that a file that has
//! changed makes other settings: a reload brings them into effect like any other change.

use crate::core::upstream_address::UpstreamAddress;
use bytes::Bytes;
use std::sync::Arc;

/// How the upstreams of a pool are spoken to over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    pub trust: Trust,
    /// Sent (SNI), and looked for in the certificate; the host of the upstream's address when absent.
    pub name: Option<Arc<str>>,
    /// Shown to upstreams that ask who connects.
    pub client: Option<Identity>,
}

/// Whose certificates are accepted from upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those of the authorities that the system knows.
    #[default]
    System,
    /// Those of these authorities (certificates in DER), at least one.
    Authorities(Vec<Bytes>),
    /// Anybody's: the connection is encrypted, and a machine in between can read it.
    Anybody,
}

/// A certificate of our own and its private key, all in DER.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Leaf first, at least one.
    pub chain: Vec<Bytes>,
    pub key: Bytes,
}

impl UpstreamTls {
    /// The name for the upstream with this address, as typed: `app:3000`, `[::1]:3000`,
    /// `unix:/run/app.sock`.
    pub fn name_for<'a>(&'a self, address: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or_else(|| UpstreamAddress::host_of(address))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_addresss_host_unless_given() {
        let plain = UpstreamTls::default();
        for (address, name) in [("app:3000", "app"), ("10.0.0.1:443", "10.0.0.1"), ("[::1]:443", "::1")] {
            assert_eq!(plain.name_for(address), name);
        }
        let named = UpstreamTls { name: Some("app.internal".into()), ..plain };
        assert_eq!(named.name_for("10.0.0.1:443"), "app.internal");
    }
}
