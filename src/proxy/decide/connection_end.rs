//! How a connection to an upstream ended under a request: what that says of the request, and of the upstream.
//!
//! Connections end all the time: after so many requests, so long idle, at every deployment. HTTP/2 says which
//! requests were not looked at (RFC 9113, 6.8 and 8.7): streams above the last one of a GOAWAY, and
//! refused streams. They go out again whatever their method. HTTP/1 does not say it: only a request whose
//! head could not be written was surely not carried out. One that was written to a kept connection, which
//! then closed, is repeated where its method allows it ([`retry::stale`](crate::proxy::decide::retry::stale)); what must not
//! be repeated is not, and is charged, since a version that closes on what it dislikes looks the same.

use h2::Reason;
use pingora_error::{Error, ErrorSource, ErrorType};

/// Times that one request is sent again for nobody's fault; an upstream that turns everything away is charged
/// after that.
pub(in crate::proxy) const MOST_TURNED_AWAY: u8 = 4;

/// A request that its upstream has not processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Unprocessed {
    /// Whether that is how connections normally end, and nobody's fault.
    pub is_orderly: bool,
    /// Whether the upstream has said so, rather than just ended the connection.
    pub is_told: bool,
}

impl Unprocessed {
    /// The same of a connection that was kept from before, or was not: to accept one and end it is no normal
    /// end.
    pub(in crate::proxy) fn over(self, is_kept: bool) -> Self {
        Unprocessed { is_orderly: self.is_orderly && (is_kept || self.is_told), ..self }
    }
}

/// The connection has ended before the request could be sent.
const CLOSED: Unprocessed = Unprocessed { is_orderly: true, is_told: false };

/// Whether the error says that the request was not processed.
pub(in crate::proxy) fn unprocessed(error: &Error) -> Option<Unprocessed> {
    if *error.esource() != ErrorSource::Upstream {
        return None;
    }
    if let Some(cause) = error.root_cause().downcast_ref::<h2::Error>() {
        return of_http2(error, cause);
    }
    // Pingora's words for it; the same error says other things of a body.
    let context = error.context.as_ref().map_or("", |context| context.as_str());
    let is_head = ["while writing request headers", "flushing request header"].contains(&context);
    (*error.etype() == ErrorType::WriteError && is_head).then_some(CLOSED)
}

fn of_http2(error: &Error, cause: &h2::Error) -> Option<Unprocessed> {
    if cause.is_go_away() && cause.is_remote() {
        // Streams up to the last one are not told of it.
        return Some(Unprocessed { is_orderly: cause.reason() == Some(Reason::NO_ERROR), is_told: true });
    }
    let is_refused = cause.is_reset() && cause.is_remote() && cause.reason() == Some(Reason::REFUSED_STREAM);
    // A head that is waited for is lost by a read error; by this one, nothing could be sent.
    let is_unsent = cause.is_io() && *error.etype() == ErrorType::H2Error;
    match (is_refused, is_unsent) {
        (true, _) => Some(Unprocessed { is_orderly: true, is_told: true }),
        (false, true) => Some(CLOSED),
        (false, false) => None,
    }
}

/// Whether an error of HTTP/2 says that the other side ended the stream or the connection, rather than that
/// what it sent is not HTTP/2.
pub(in crate::proxy) fn is_reset(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<h2::Error>();
    cause.is_some_and(|cause| cause.is_remote() || cause.is_io())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_error::BError;
    use std::io;

    fn up(
        kind: ErrorType,
        context: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> BError {
        Error::because(kind, context, cause).into_up()
    }

    #[test]
    fn only_what_was_surely_not_processed_is_said_to_be() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let head = up(ErrorType::WriteError, "while writing request headers", reset());
        assert_eq!(unprocessed(&head), Some(CLOSED));
        assert!(CLOSED.over(true).is_orderly && !CLOSED.over(false).is_orderly);
        let body = up(ErrorType::WriteError, "while writing body", reset());
        assert_eq!(unprocessed(&body), None);
        let read = up(ErrorType::ReadError, "while reading response headers", reset());
        assert_eq!(unprocessed(&read), None);
        let client =
            Error::because(ErrorType::WriteError, "while writing request headers", reset()).into_down();
        assert_eq!(unprocessed(&client), None);
        // The reason alone: neither a frame of the other side's nor the end of the connection.
        let own = up(ErrorType::H2Error, "while reading h2 header", h2::Error::from(Reason::REFUSED_STREAM));
        assert_eq!((unprocessed(&own), is_reset(&own)), (None, false));
    }
}
