//! Whether the head of an answer is sound: some heads that are parsed are read otherwise by another parser.
//!
//! An upstream is trusted more than a client, but not with the framing of what others get on the same
//! connection: a head that is not sound is a malformed answer, charged and answered 502. Control
//! characters never get here, and folded values come unfolded.

use crate::proxy::wire::answer_head::AnswerHead;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Version};

/// Largest head of an answer, in bytes.
const MOST_BYTES: usize = 64 << 10;
/// Interim answers (1xx) before the final one.
const MOST_INTERIM: u8 = 16;

/// Checks a head; `interim` is how many 1xx came before it.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub(in crate::proxy) fn check(response: &AnswerHead, interim: u8) -> std::result::Result<(), &'static str> {
    if response.size() > MOST_BYTES {
        return Err("its head is too large");
    }
    if interim > MOST_INTERIM {
        return Err("too many interim answers");
    }
    match response.status.as_u16() {
        101 if !response.get(&UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) => {
            Err("a switch to another protocol")
        }
        600.. => Err("a status that is none"),
        _ if !is_plainly_encoded(response) => Err("an encoding other than chunked"),
        _ => Ok(()),
    }
}

/// Nothing but `chunked`, once, and not in HTTP/1.0.
fn is_plainly_encoded(head: &AnswerHead) -> bool {
    if !head.has(&TRANSFER_ENCODING) {
        return true;
    }
    let mut encodings = head.values(&TRANSFER_ENCODING);
    match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(one), None) => head.version == Version::HTTP_11 && one.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Equal lengths become one; that they are equal was seen to when the head was read.
#[inline]
pub(in crate::proxy) fn merge_lengths(response: &mut AnswerHead) {
    let Some((first, is_only)) = response.first(&CONTENT_LENGTH) else { return };
    if is_only && !first.contains(&b',') {
        return;
    }
    let one = first.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    // A part of a value is one.
    if let Ok(one) = HeaderValue::from_bytes(one) {
        response.set(CONTENT_LENGTH, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, StatusCode};

    fn response(status: u16, fields: &[(&'static str, &[u8])]) -> AnswerHead {
        let mut response = AnswerHead::new(StatusCode::from_u16(status).expect("a status"));
        for (name, value) in fields {
            response.add(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a value"));
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
            merge_lengths(&mut response);
            assert_eq!(response.values(&CONTENT_LENGTH).collect::<Vec<_>>(), [b"2"]);
        }
    }
}
