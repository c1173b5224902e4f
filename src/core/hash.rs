//! Hashes that are the same in every build and on every machine, for what is durable and for what places users.
//!
//! SipHash-2-4 with a fixed key for each purpose, over bytes that are laid down here; std's `DefaultHasher` is
//! specified nowhere and may be another one after an update of Rust. The keys are no secrets: what a stranger must
//! not foresee is hashed with a seed besides.

use super::upstream_address::UpstreamAddress;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// What is hashed. A change of a key, or of the bytes, moves users and makes stored checksums void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Places an upstream in the balancer's hash.
    Upstream,
    /// Places a request there.
    Balance,
    /// Counts a request by a limit; the seed keeps strangers from choosing values that share a bucket.
    Limit { seed: u64 },
    /// Finds damage in the marks of aborts.
    Mark,
    /// Spreads checks over their interval.
    Round,
}

/// A hash in the making. Each part is set off from the next: `ab`, `c` is not `a`, `bc`.
#[derive(Clone, Debug)]
pub struct FixedHash(SipHasher24);

impl FixedHash {
    pub fn of(purpose: Purpose) -> Self {
        FixedHash(SipHasher24::new_with_key(&purpose.key()))
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.write(&(bytes.len() as u64).to_le_bytes());
        self.0.write(bytes);
        self
    }

    pub fn ip(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
    }

    fn address(self, address: SocketAddr) -> Self {
        let mut with_ip = self.ip(address.ip());
        with_ip.0.write(&u64::from(address.port()).to_le_bytes());
        with_ip
    }

    pub fn upstream(self, address: UpstreamAddress) -> Self {
        match address {
            UpstreamAddress::Ip(address) => self.address(address),
            UpstreamAddress::Unix(path) => self.bytes(path.as_bytes()),
        }
    }

    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

impl Purpose {
    fn key(self) -> [u8; 16] {
        match self {
            Purpose::Upstream => *b"pointsman/upstrm",
            Purpose::Balance => *b"pointsman/balanc",
            Purpose::Mark => *b"pointsman/marks/",
            Purpose::Round => *b"pointsman/rounds",
            Purpose::Limit { seed } => {
                let mut key = *b"......../limits/";
                for (place, byte) in key.iter_mut().zip(seed.to_le_bytes()) {
                    *place = byte;
                }
                key
            }
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another program computes them: a change of these moves users to other upstreams.
    #[test]
    fn hashes_are_the_same_for_ever() {
        let of = FixedHash::of;
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let client: IpAddr = [203, 0, 113, 9].into();
        for (hash, golden) in [
            (of(Purpose::Upstream).address(address("10.0.0.1:3000")), 0x70c1_1658_d990_db62),
            (of(Purpose::Upstream).address(address("[2001:db8::1]:80")), 0x4284_6224_a01d_a1c4),
            (
                of(Purpose::Upstream).upstream("unix:/run/app.sock".parse().expect("one")),
                0x8e0c_3953_7901_de00,
            ),
            (of(Purpose::Balance).bytes(b"/cart?id=7"), 0x4694_7ac3_cf20_f0f9),
            (of(Purpose::Balance).ip(client), 0xea29_c39b_16a0_94ba),
            (of(Purpose::Mark).bytes(b"web-1"), 0x8941_882c_c1ef_3342),
            (of(Purpose::Limit { seed: 0 }).bytes(b"web"), 0x3797_3f9f_0d48_ee9d),
            (of(Purpose::Limit { seed: 7 }).bytes(b"web"), 0xb6e9_c685_80df_2c82),
        ] {
            assert_eq!(hash.clone().finish(), golden, "{hash:?}");
        }
    }

    #[test]
    fn parts_are_set_off() {
        let of = |one: &[u8], two: &[u8]| FixedHash::of(Purpose::Round).bytes(one).bytes(two).finish();
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
    }
}
