//! The generic webhook: the notice as JSON, signed where a secret is configured.

use super::text;
use crate::control::journal::outbox::Letter;
use crate::core::notice::Notice;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, RequestBuilder};
use serde::Serialize;
use sha2::Sha256;

#[derive(Serialize)]
struct Body<'a> {
    /// The same at every try, so that a receiver can tell one it has had already.
    id: &'a str,
    /// For people.
    text: String,
    #[serde(flatten)]
    notice: &'a Notice,
}

pub(super) fn request(
    client: &Client,
    url: &str,
    secret: Option<&str>,
    letter: &Letter,
    notice: &Notice,
) -> RequestBuilder {
    let id = id(letter);
    // Texts and numbers: there is nothing JSON cannot hold.
    let body = serde_json::to_vec(&Body { id: &id, text: text::plain(notice), notice }).unwrap_or_default();
    let request = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-Pointsman-Event", notice.kind.label())
        .header("X-Pointsman-Delivery", id);
    let request = match secret {
        Some(secret) => request.header("X-Pointsman-Signature", signature(secret, &body)),
        None => request,
    };
    request.body(body)
}

/// Numbers begin again with a new state store; times do not.
fn id(letter: &Letter) -> String {
    format!("{}-{}", letter.at.as_millisecond(), letter.id)
}

/// HMAC-SHA-256 of the body (RFC 2104), in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    // A key may have any length; without one there is no signature that would hold.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
