//! Which peers are trusted to speak for others.

use ipnet::IpNet;
use std::net::IpAddr;

/// Whether an address is among the trusted ones.
pub(in crate::proxy) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}
