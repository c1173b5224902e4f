//! What members of a fleet share and nobody else may read: sealed under a key that is derived from the fleet's secret.
//!
//! Each text is sealed with a key of its own (AES-256-GCM; HKDF-SHA-256 over the fleet's secret, with a random salt that
//! is stored along), so that no key is used twice. The name of its place in the store is bound to it: a text that somebody
//! moves to another place, or to another fleet of the same secret, cannot be opened there. What stands in a place may
//! still be put back to what stood there before.

use crate::core::fleet::documents::{self, DocumentFault, FORMAT};
use crate::core::secret::{Key, Secret};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use serde::{Deserialize, Serialize};

const SALT_BYTES: usize = 32;
/// The key of a text is for nothing else.
const PURPOSE: &[u8] = b"pointsman fleet sealed";

/// Seals and opens; what has it has the secret's part in it.
pub(super) struct Sealing(Key);

/// A sealed text, as it is stored.
#[derive(Serialize, Deserialize)]
struct SealedDocument {
    format: u32,
    /// Salt and sealed text, in base64.
    sealed: String,
}

/// Why a text cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealFault {
    #[error("{0}")]
    Document(#[from] DocumentFault),
    #[error("{0} was sealed with another secret, or is damaged")]
    Shut(String),
}

impl SealFault {
    /// Whether a later version has sealed it: it must not be written over.
    pub(super) fn is_newer(&self) -> bool {
        matches!(self, SealFault::Document(DocumentFault::Newer { .. }))
    }
}

impl Sealing {
    pub(super) fn new(secret: &Secret) -> Self {
        Sealing(secret.key("fleet sealing", ""))
    }

    /// A text for this place in the store; `None` where the system has no random bits or no such cipher.
    pub(super) fn seal(&self, place: &str, text: &str) -> Option<String> {
        let salt: [u8; SALT_BYTES] = rand::random();
        let mut bytes = text.as_bytes().to_vec();
        self.key(&salt)?.seal_in_place_append_tag(once(), Aad::from(place), &mut bytes).ok()?;
        let sealed = BASE64.encode([salt.as_slice(), &bytes].concat());
        Some(documents::text(&SealedDocument { format: FORMAT, sealed }))
    }

    /// What was sealed for this place.
    ///
    /// # Errors
    /// [`SealFault`].
    pub(super) fn open(&self, place: &str, stored: &str) -> Result<String, SealFault> {
        let document: SealedDocument = documents::read(place, stored)?;
        self.opened(place, &document.sealed).ok_or_else(|| SealFault::Shut(place.to_owned()))
    }

    fn opened(&self, place: &str, sealed: &str) -> Option<String> {
        let bytes = BASE64.decode(sealed).ok()?;
        let (salt, text) = bytes.split_first_chunk::<SALT_BYTES>()?;
        let mut text = text.to_vec();
        let opened = self.key(salt)?.open_in_place(once(), Aad::from(place), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }

    fn key(&self, salt: &[u8; SALT_BYTES]) -> Option<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let key: UnboundKey = derived.expand(&[PURPOSE], &AES_256_GCM).ok()?.into();
        Some(LessSafeKey::new(key))
    }
}

/// Each key seals one text.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "pointsman/acme/certificate";
    const TEXT: &str = "-----BEGIN PRIVATE KEY-----";

    #[test]
    fn who_has_the_secret_opens_what_was_sealed_for_the_place() {
        let sealing = Sealing::new(&Secret::new([7; 32]));
        let stored = sealing.seal(PLACE, TEXT).expect("sealed");
        assert_eq!(sealing.open(PLACE, &stored).as_deref(), Ok(TEXT));
        assert_ne!(sealing.seal(PLACE, TEXT).as_ref(), Some(&stored), "another salt each time");
        assert!(!stored.contains("PRIVATE"), "{stored}");
        let shut = |sealing: &Sealing, place: &str| {
            sealing.open(place, &stored) == Err(SealFault::Shut(place.to_owned()))
        };
        assert!(shut(&Sealing::new(&Secret::new([8; 32])), PLACE), "another secret");
        assert!(shut(&sealing, "pointsman/acme/account"), "another place");
        assert!(shut(&sealing, "other/acme/certificate"), "another fleet");
    }

    #[test]
    fn what_was_changed_is_not_opened() {
        let sealing = Sealing::new(&Secret::new([7; 32]));
        let stored = sealing.seal(PLACE, TEXT).expect("sealed");
        let document: SealedDocument = documents::read(PLACE, &stored).expect("a document");
        let bytes = BASE64.decode(&document.sealed).expect("base64");
        let open = |bytes: &[u8]| {
            let document = SealedDocument { format: FORMAT, sealed: BASE64.encode(bytes) };
            sealing.open(PLACE, &documents::text(&document))
        };
        assert_eq!(open(&bytes).as_deref(), Ok(TEXT));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(open(&other).is_err(), "the bit of byte {at}");
            assert!(open(&bytes[..at]).is_err(), "cut at {at}");
        }
        for text in ["", "{}", "null", "{\"format\":1}", "{\"format\":1,\"sealed\":\"=\"}", "\u{fffd}"] {
            assert!(sealing.open(PLACE, text).is_err_and(|fault| !fault.is_newer()), "{text}");
        }
        assert!(sealing.open(PLACE, "{\"format\":2,\"sealed\":\"\"}").is_err_and(|fault| fault.is_newer()));
    }
}
