//! Telling clients apart, without keeping who they are.

use super::balance::mix;
use std::net::IpAddr;

/// A client, hashed: by its address, for IPv6 by the /64 that one household or machine has to itself.
/// Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(u64);

impl ClientKey {
    #[inline]
    pub fn of(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            // The highest bit keeps them apart from IPv4.
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 | 1 << 63,
        };
        ClientKey(mix(bits) | 1)
    }

    /// As it is stored; 0 stands for nobody.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(ClientKey(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network() {
        let key = |text: &str| ClientKey::of(text.parse().expect("an address"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    }
}
