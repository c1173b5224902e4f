//! Telling clients apart, without keeping who they are.

use super::hash::mix;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::IpAddr;

/// A client, hashed: by its address, for IPv6 by the /64 that one household or machine has to itself.
/// Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(u64);

/// Lanes that requests under way are counted in by their clients. The last is that of the nameless.
pub const LANES: usize = 16;

impl ClientKey {
    /// All those for whom a trusted proxy speaks that names nobody.
    pub const NAMELESS: ClientKey = ClientKey(1);

    #[inline]
    pub fn of(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            // The highest bit keeps them apart from IPv4.
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 | 1 << 63,
        };
        ClientKey(mix(bits) | 1)
    }

    /// The lane of its requests. Clients of two lanes are two clients; those of one lane may be several.
    #[inline]
    pub fn lane(self) -> usize {
        const NAMED: u64 = LANES as u64 - 1;
        if self == Self::NAMELESS { LANES - 1 } else { ((self.0 >> 32) % NAMED) as usize }
    }

    /// As it is stored; 0 stands for nobody.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(ClientKey(bits))
    }

    /// As others may read it, who are not to know who it is; all that have the same `salt` name it alike. Never 0.
    pub fn salted(self, salt: &[u8; 16]) -> u64 {
        if self == Self::NAMELESS {
            return self.0;
        }
        let mut hasher = SipHasher24::new_with_key(salt);
        hasher.write_u64(self.0);
        // A bit that neither nobody nor the nameless have.
        hasher.finish() | 0b10
    }
}

/// What clients met on an arm that speaks against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    Failures,
    /// They left before they were answered.
    Abandoned,
    /// A time to the head, or to the last byte, past the limit of that place.
    Slow(usize),
    Long(usize),
    /// The same past a bucket of latencies ([`super::latency`]).
    HeadsOver(usize),
    EndsOver(usize),
}

/// How many clients met something, as far as they are distinguished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCount {
    pub named: usize,
    /// Whether it also came to clients behind a trusted proxy that names nobody.
    pub nameless: bool,
}

impl ClientCount {
    /// As many as anybody may ask for.
    pub const MANY: ClientCount = ClientCount { named: usize::MAX, nameless: false };

    /// Of distinct keys.
    pub fn of(keys: &[ClientKey]) -> Self {
        let nameless = keys.contains(&ClientKey::NAMELESS);
        ClientCount { named: keys.len() - usize::from(nameless), nameless }
    }

    /// Of the lanes that requests are under way in, a bit for each.
    pub fn of_lanes(lanes: u16) -> Self {
        let nameless = lanes >> (LANES - 1) != 0;
        ClientCount { named: lanes.count_ones() as usize - usize::from(nameless), nameless }
    }

    /// Of the same clients, counted in two ways that both count too few at most.
    pub fn or(self, other: ClientCount) -> Self {
        ClientCount { named: self.named.max(other.named), nameless: self.nameless || other.nameless }
    }

    /// Those without a name count as one.
    pub fn get(self) -> usize {
        self.named.saturating_add(usize::from(self.nameless))
    }

    /// Whether nobody has a name, so that no number of clients can be asked for.
    pub fn is_untold(self) -> bool {
        self.nameless && self.named == 0
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

    #[test]
    fn lanes_never_make_one_client_two() {
        let keys = |last: std::ops::Range<u8>| last.map(|n| ClientKey::of([10, 0, 0, n].into()));
        for key in keys(0..255) {
            assert!(key.lane() < LANES - 1, "the last is that of the nameless");
        }
        let lanes = keys(0..64).fold(0u16, |lanes, key| lanes | 1 << key.lane());
        assert!(ClientCount::of_lanes(lanes).named >= 12, "they are spread: {lanes:b}");
        let nameless = ClientCount::of_lanes(1 << ClientKey::NAMELESS.lane());
        assert_eq!((nameless.get(), nameless.is_untold()), (1, true));
        let both = nameless.or(ClientCount::of(&[ClientKey::of([10, 0, 0, 1].into())]));
        assert_eq!((both.get(), both.is_untold()), (2, false));
    }
}
