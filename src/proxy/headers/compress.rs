//! Answers compressed on their way to the client.
//!
//! [`begin`] looks at the head of an answer, changes it where the body is going to be compressed, and makes
//! the [`Encoder`] that its pieces go through. A body whose length nobody knows may be a stream that is read
//! as it comes, so that every piece of it is flushed; one of known length is compressed as a whole. Windows
//! are no larger than the body, so that a small one costs little memory.

use crate::core::compression::{Algorithm, Compression};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::encoder::Encoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};

/// Decides whether an answer is compressed, and changes its head accordingly. `Vary` is set whenever the
/// decision depends on the client.
pub(in crate::proxy) fn begin(
    request: &Parts,
    response: &mut AnswerHead,
    compression: &Compression,
) -> Option<Box<Encoder>> {
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        return None;
    }
    // Where a 304 does not say its type, it stands for an answer that we cannot know.
    let unchanged = response.status == StatusCode::NOT_MODIFIED;
    let kind = text(response, &CONTENT_TYPE).unwrap_or_default();
    let unknown = unchanged && kind.is_empty();
    if !unknown && !compression.covers(kind) {
        return None;
    }
    vary(response);
    if unchanged || !may_change(response) || request.version < Version::HTTP_11 {
        return None;
    }
    let length = text(response, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length < compression.min_size.max(1)) {
        return None;
    }
    let accepted = request.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let algorithm = compression.choose(accepted)?;
    announce(response, algorithm);
    (request.method != Method::HEAD).then(|| Box::new(Encoder::new(algorithm, compression, length)))
}

/// Whether the answer is whole, plain, and not to be left as it is.
fn may_change(head: &AnswerHead) -> bool {
    let encoded =
        text(head, &CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    let directives = head.values(&CACHE_CONTROL).flat_map(|value| value.split(|b| *b == b','));
    let fixed = directives.map(<[u8]>::trim_ascii).any(|word| word.eq_ignore_ascii_case(b"no-transform"));
    let partial = head.status == StatusCode::PARTIAL_CONTENT || head.has(&CONTENT_RANGE);
    !encoded && !fixed && !partial
}

/// Says that the body is another representation than the upstream's: its length and ranges are gone, and its
/// tag stands for the same content, no longer for the same bytes.
fn announce(response: &mut AnswerHead, algorithm: Algorithm) {
    response.set(CONTENT_ENCODING, HeaderValue::from_static(algorithm.name()));
    response.remove(&CONTENT_LENGTH);
    response.remove(&ACCEPT_RANGES);
    let strong = response.get(&ETAG).filter(|tag| !tag.starts_with(b"W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag].concat()).ok()) {
        response.set(ETAG, weak);
    }
}

fn vary(response: &mut AnswerHead) {
    let mut fields =
        response.values(&VARY).flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    let known = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    if !fields.any(known) {
        drop(fields);
        response.add(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn text<'a>(head: &'a AnswerHead, name: &'a HeaderName) -> Option<&'a str> {
    head.get(name).and_then(|value| std::str::from_utf8(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::wire::encoder::BROTLI_BUFFER;
    use proptest::prelude::*;
    use std::io::Read;

    fn settings() -> Compression {
        Compression {
            algorithms: vec![Algorithm::Brotli, Algorithm::Gzip],
            types: vec!["text/html".to_owned()],
            min_size: 256,
            gzip_level: 6,
            br_level: 5,
        }
    }

    fn request(line: &str) -> Parts {
        let (method, accepted) = line.split_once(' ').expect("a method");
        let request = http::Request::builder().method(method).uri("/").header(ACCEPT_ENCODING, accepted);
        request.body(()).expect("a request").into_parts().0
    }

    fn response(status: u16, fields: &[(&'static str, &str)]) -> AnswerHead {
        let mut response = AnswerHead::new(StatusCode::from_u16(status).expect("a status"));
        for (name, value) in fields {
            response.add(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        response
    }

    const PAGE: [(&str, &str); 4] = [
        ("content-type", "text/html"),
        ("content-length", "1000"),
        ("etag", "\"x\""),
        ("accept-ranges", "bytes"),
    ];

    /// Whether an answer is compressed; what its head says.
    fn begun(asked: &str, status: u16, fields: &[(&'static str, &str)]) -> (bool, AnswerHead) {
        let mut head = response(status, fields);
        let encoder = begin(&request(asked), &mut head, &settings());
        (encoder.is_some(), head)
    }

    fn field<'a>(head: &'a AnswerHead, name: &'static str) -> Option<&'a str> {
        let value = head.get(&HeaderName::from_static(name))?;
        Some(std::str::from_utf8(value).expect("text"))
    }

    #[test]
    fn a_compressed_answer_says_so() {
        for asked in ["GET gzip", "HEAD gzip"] {
            let (compressed, head) = begun(asked, 200, &PAGE);
            assert_eq!(compressed, asked == "GET gzip");
            assert_eq!(field(&head, "content-encoding"), Some("gzip"));
            assert_eq!((field(&head, "content-length"), field(&head, "accept-ranges")), (None, None));
            assert_eq!(
                (field(&head, "etag"), field(&head, "vary")),
                (Some("W/\"x\""), Some("Accept-Encoding"))
            );
        }
        let weak = [("content-type", "text/html"), ("etag", "W/\"x\""), ("vary", "Cookie, accept-encoding")];
        let (_, head) = begun("GET br", 404, &weak);
        assert_eq!((field(&head, "etag"), head.values(&VARY).count()), (Some("W/\"x\""), 1));
    }

    #[test]
    fn what_must_not_change_does_not() {
        let without = |name: &'static str, value: &'static str| {
            let kept = PAGE.into_iter().filter(|(known, _)| *known != name);
            kept.chain([(name, value)]).collect::<Vec<_>>()
        };
        for (asked, status, fields, varies) in [
            ("GET identity", 200, PAGE.to_vec(), true),
            ("GET gzip", 206, without("content-range", "bytes 0-999/5000"), true),
            ("GET gzip", 200, without("content-encoding", "br"), true),
            ("GET gzip", 200, without("cache-control", "public, No-Transform"), true),
            ("GET gzip", 200, without("content-length", "255"), true),
            ("GET gzip", 304, without("content-type", "text/html"), true),
            ("GET gzip", 204, PAGE.to_vec(), false),
            ("GET gzip", 101, PAGE.to_vec(), false),
            ("GET gzip", 200, without("content-type", "image/png"), false),
            ("GET gzip", 200, without("content-type", "text/event-stream"), false),
        ] {
            let (compressed, head) = begun(asked, status, &fields);
            assert!(!compressed, "{fields:?}");
            assert_eq!(field(&head, "vary").is_some(), varies, "{status} {fields:?}");
            assert_eq!(field(&head, "etag"), Some("\"x\""));
            assert!(head.has(&CONTENT_LENGTH));
        }
        assert_eq!(field(&begun("GET gzip", 304, &[("etag", "\"x\"")]).1, "vary"), Some("Accept-Encoding"));
        let mut old = request("GET gzip");
        old.version = Version::HTTP_10;
        assert!(begin(&old, &mut response(200, &PAGE), &settings()).is_none());
    }

    fn decoded(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        // What has come so far is read, even where the end has not.
        let _ = match algorithm {
            Algorithm::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain),
            Algorithm::Brotli => brotli::Decompressor::new(bytes, BROTLI_BUFFER).read_to_end(&mut plain),
        };
        plain
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_piece_of_a_stream_arrives_by_itself(pieces in prop::collection::vec("[a-e ]{0,3000}", 1..8), level in 1u32..10) {
            for algorithm in [Algorithm::Gzip, Algorithm::Brotli] {
                let settings = Compression { gzip_level: level, br_level: level, ..settings() };
                let mut encoder = Encoder::new(algorithm, &settings, None);
                let (mut sent, mut plain) = (Vec::new(), Vec::new());
                for piece in &pieces {
                    sent.extend(encoder.encode(piece.as_bytes(), false).expect("memory"));
                    plain.extend_from_slice(piece.as_bytes());
                    prop_assert_eq!(&decoded(algorithm, &sent), &plain);
                }
                sent.extend(encoder.encode(b"", true).expect("memory"));
                prop_assert_eq!(&decoded(algorithm, &sent), &plain);
                prop_assert!(encoder.encode(b"more", true).expect("memory").is_empty());
            }
        }
    }
}
