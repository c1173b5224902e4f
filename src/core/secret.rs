//! The site's secret, and the keys that are made of it: one for each purpose, so that what one of them
//! signs or hashes says nothing about another.
//!
//! It is read at the start and never changes while the process lives. Instances that have the same one
//! assign the same users alike, and believe each other's cookies and links.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 256 random bits.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// A key for one purpose.
pub type Key = [u8; 32];

impl Secret {
    pub const fn new(bits: [u8; 32]) -> Self {
        Secret(bits)
    }

    /// The key for a purpose, and for one service where the name of one is given.
    pub fn key(&self, purpose: &str, service: &str) -> Key {
        // No name of a service has a line feed.
        hmac(&self.0, &[purpose.as_bytes(), b"\n", service.as_bytes()])
    }

    /// The same in the size that SipHash takes.
    pub fn short_key(&self, purpose: &str, service: &str) -> [u8; 16] {
        let key = self.key(purpose, service);
        std::array::from_fn(|at| key[at])
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// HMAC-SHA-256 (RFC 2104) over the parts, one after the other.
pub fn hmac(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    // As HMAC itself fills up a key to a block.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_purpose_and_service() {
        let secret = Secret::new([7; 32]);
        let keys = [secret.key("draw", "web"), secret.key("draw", "api"), secret.key("tester", "web")];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(secret.key("draw", "web"), keys[0]);
        assert_ne!(Secret::new([8; 32]).key("draw", "web"), keys[0]);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn it_is_hmac() {
        // As `openssl dgst -sha256 -mac HMAC -macopt hexkey:…` says, with a key of 32 bytes of 0x0b.
        let digest = hmac(&[0x0b; 32], &[b"Hi ", b"There"]);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    }
}
