//! Whether the head of an answer is sound: pingora takes some that another parser reads otherwise.
//!
//! An upstream is trusted more than a client, but not with the framing of what others get on the same
//! connection: a head that is not sound is a malformed answer, charged and answered 502. Control
//! characters never get here, and folded values come unfolded.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Version};
use pingora_error::Result;
use pingora_http::ResponseHeader;

/// Largest head of an answer, in bytes.
const MOST_BYTES: usize = 64 << 10;
/// Interim answers (1xx) before the final one.
const MOST_INTERIM: u8 = 16;

/// Checks a head; `interim` is how many 1xx came before it.
///
/// # Errors
/// What is wrong with it.
pub(in crate::proxy) fn check(
    response: &ResponseHeader,
    interim: u8,
) -> std::result::Result<(), &'static str> {
    let headers = &response.headers;
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > MOST_BYTES {
        return Err("its head is too large");
    }
    if interim > MOST_INTERIM {
        return Err("too many interim answers");
    }
    match response.status.as_u16() {
        101 if !headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) =>
        {
            Err("a switch to another protocol")
        }
        600.. => Err("a status that is none"),
        _ if !is_plainly_encoded(headers, response.version) => Err("an encoding other than chunked"),
        _ => Ok(()),
    }
}

/// Nothing but `chunked`, once, and not in HTTP/1.0.
fn is_plainly_encoded(headers: &HeaderMap, version: Version) -> bool {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(one), None) => version == Version::HTTP_11 && one.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Equal lengths become one; that they are equal, pingora has seen to.
///
/// # Errors
/// None in practice: the value is a part of one that was a value.
pub(in crate::proxy) fn merge_lengths(response: &mut ResponseHeader) -> Result<()> {
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let (Some(first), second) = (lengths.next(), lengths.next()) else { return Ok(()) };
    if second.is_none() && !first.as_bytes().contains(&b',') {
        return Ok(());
    }
    let one = first.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii().to_vec();
    response.insert_header(CONTENT_LENGTH, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, fields: &[(&'static str, &[u8])]) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).expect("a head");
        response.set_version(Version::HTTP_11);
        for (name, value) in fields {
            response.append_header(*name, *value).expect("a field");
        }
        response
    }

    #[test]
    fn what_may_be_read_otherwise_is_not_sound() {
        let sound = |fields: &[(&'static str, &[u8])]| check(&response(200, fields), 0).is_ok();
        assert!(sound(&[("transfer-encoding", b"Chunked")]));
        assert!(!sound(&[("transfer-encoding", b"gzip, chunked")]));
        assert!(!sound(&[("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")]));
        assert!(!sound(&[("x", &[b'y'; 70_000])]));
        assert!(check(&response(103, &[]), MOST_INTERIM + 1).is_err());
        assert!(check(&response(101, &[("upgrade", b"h2c")]), 0).is_err());
    }

    #[test]
    fn equal_lengths_become_one() {
        for fields in [&[("content-length", &b"2"[..]); 2][..], &[("content-length", b"2, 2")]] {
            let mut response = response(200, fields);
            merge_lengths(&mut response).expect("merged");
            let lengths: Vec<_> = response.headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(lengths, ["2"]);
        }
    }
}
