//! The site's secret, and the keys that are made of it: one for each purpose, so that what one of them
//! signs or hashes says nothing about another.
//!
//! It is read at the start and never changes while the process lives. Instances that have the same one
//! assign the same users alike, and believe each other's cookies and links.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// A key for one purpose.
pub type Key = [u8; 32];

impl Secret {
    pub const fn new(bits: [u8; 32]) -> Self {
        Secret(bits)
    }

    /// Of 64 hexadecimal digits, as the file of the state directory has them.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let mut bits = [0; 32];
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bits.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Secret(bits))
    }

    /// Of a text that people have made: 64 hexadecimal digits are the bits themselves, all else stands for its SHA-256.
    pub fn of_text(text: &str) -> Self {
        Self::of_digits(text).unwrap_or_else(|| Secret(Sha256::digest(text.as_bytes()).into()))
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
    fn digits_are_the_bits_and_other_texts_stand_for_their_digest() {
        let digits = "0B".repeat(32);
        assert_eq!(Secret::of_text(&digits), Secret::new([0x0b; 32]));
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert_eq!(Secret::of_digits(text), None, "{text}");
        }
        // As `printf %s abc | sha256sum` says.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Some(Secret::of_text("abc")), Secret::of_digits(digest));
    }

    #[test]
    fn it_is_hmac() {
        // As `openssl dgst -sha256 -mac HMAC -macopt hexkey:…` says, with a key of 32 bytes of 0x0b.
        let digest = hmac(&[0x0b; 32], &[b"Hi ", b"There"]);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    }
}
