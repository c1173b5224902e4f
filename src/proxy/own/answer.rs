//! Answers that the proxy makes itself, as values: redirects, fixed replies, errors, files. The lane sends them.

use super::reading::Reading;
use crate::core::own_limit::OwnLimit;
use crate::proxy::wire::answer_head::AnswerHead;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};

/// The methods that are passed on.
pub(in crate::proxy) const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// An answer that is to be sent.
pub(in crate::proxy) struct OwnAnswer {
    pub head: AnswerHead,
    pub body: OwnBody,
    /// Whether nothing that follows on the client's connection could be relied on.
    pub closes: bool,
    /// The limit that the client has met, if it has.
    pub limit: Option<OwnLimit>,
    /// The error that it is, for which there may be another page.
    pub error: Option<u16>,
}

/// The body of an answer.
pub(in crate::proxy) enum OwnBody {
    Whole(Bytes),
    File(Reading),
}

impl OwnAnswer {
    /// One with its length, and no other field.
    pub(in crate::proxy) fn new(status: u16, body: Bytes) -> Self {
        let length = body.len();
        let mut answer = OwnAnswer::with_body(status, OwnBody::Whole(body));
        if !matches!(status, 204 | 304) {
            answer.set(CONTENT_LENGTH, HeaderValue::from(length));
        }
        answer
    }

    pub(super) fn with_body(status: u16, body: OwnBody) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        OwnAnswer { head: AnswerHead::new(status), body, closes: false, limit: None, error: None }
    }

    pub(in crate::proxy) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.head.set(name, value);
    }
}

/// The answer to `OPTIONS *`, which asks the server itself (RFC 9110, 9.3.7): there is no upstream that it could mean.
pub(in crate::proxy) fn server_itself() -> OwnAnswer {
    let mut answer = OwnAnswer::new(200, Bytes::new());
    answer.set(ALLOW, ALLOWED);
    answer
}

/// Sends the client elsewhere.
pub(in crate::proxy) fn away(status: u16, location: HeaderValue) -> OwnAnswer {
    let mut answer = OwnAnswer::new(status, Bytes::new());
    answer.set(LOCATION, location);
    answer
}
