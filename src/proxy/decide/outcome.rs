//! What an answer, or the lack of one, means: the outcome charged to the pool, and the status the
//! client gets for an error.

use crate::core::failure_statuses::{FailureStatuses, grpc_status};
use crate::core::outcome::{Outcome, Reason};
use crate::core::own_limit::OwnLimit;
use crate::proxy::decide::connection_end;
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_http::RequestHeader;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The outcome of an attempt whose answer's head has arrived.
pub(in crate::proxy) fn outcome_of_status(status: u16, failures: &FailureStatuses) -> Outcome {
    if failures.has(status) { Outcome::Failure(Reason::Status) } else { Outcome::Success }
}

/// The outcome of an answer to a gRPC call, by its head or by its trailers: its status of HTTP is 200 whatever
/// happened.
pub(in crate::proxy) fn outcome_of_grpc(status: Option<&[u8]>, failures: &FailureStatuses) -> Outcome {
    match status {
        Some(status) if failures.has_grpc(status) => Outcome::Failure(Reason::Grpc),
        _ => Outcome::Success,
    }
}

/// Whether a call of gRPC got another status than OK.
pub(in crate::proxy) fn is_declined(status: &[u8]) -> bool {
    grpc_status(status) != 0
}

/// The outcome of an attempt that broke. Only what the upstream did counts against it.
pub(in crate::proxy) fn outcome_of_error(error: &Error) -> Outcome {
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, _) => {}
        (ErrorSource::Downstream, ErrorType::ConnectionClosed) => return Outcome::Abandoned,
        _ => return Outcome::Ignored,
    }
    Outcome::Failure(match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Reason::Timeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Reason::Reset,
        _ if connection_end::is_reset(error) => Reason::Reset,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            Reason::Malformed
        }
        // The HTTP/2 connector's own names for malformed answers.
        ErrorType::Custom(_) => Reason::Malformed,
        other if is_connect(other) => Reason::Connect,
        _ => Reason::Reset,
    })
}

/// What this process is short of, by the error of a connection to an address.
pub(in crate::proxy) fn shortage(error: &Error, to: Option<SocketAddr>) -> Option<OwnLimit> {
    let limit = OwnLimit::of_error(error.root_cause())?;
    let unreachable = limit == OwnLimit::Ports && !to.is_some_and(has_source);
    (!unreachable).then_some(limit)
}

/// The status for an error that ends a request; `None` when the client is gone.
pub(in crate::proxy) fn status_of_error(error: &Error) -> Option<u16> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(code), _) => Some(*code),
        (
            ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout,
            ErrorSource::Upstream,
        ) => Some(504),
        (_, ErrorSource::Upstream) => Some(502),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Some(408),
        (ErrorType::ReadError, ErrorSource::Downstream) => match cause(error) {
            Some(io::ErrorKind::InvalidData) => Some(400),
            Some(io::ErrorKind::TimedOut) => Some(408),
            _ => None,
        },
        (
            ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ConnectionClosed,
            ErrorSource::Downstream,
        ) => None,
        (_, ErrorSource::Downstream) => Some(400),
        (_, ErrorSource::Internal | ErrorSource::Unset) => Some(500),
    }
}

/// Whether a message is one of gRPC.
pub(in crate::proxy) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// The same of an answer.
pub(in crate::proxy) fn is_grpc_answer(head: &AnswerHead) -> bool {
    let kind = head.get(&CONTENT_TYPE).unwrap_or_default();
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// Whether an answer may have a body, so that the client can hear more of it while it still sends its own.
pub(in crate::proxy) fn goes_on(response: &AnswerHead, request: &RequestHeader) -> bool {
    let is_empty = response.get(&CONTENT_LENGTH) == Some(b"0");
    request.method != Method::HEAD && !matches!(response.status.as_u16(), 204 | 304) && !is_empty
}

/// Takes off what frames a body where there is none (RFC 9110, 6.4.1 and 8.6); whether there is none. An answer to
/// HEAD keeps the length that its GET would have.
pub(in crate::proxy) fn unframe(method: &Method, response: &mut AnswerHead) -> bool {
    let has_none = matches!(response.status.as_u16(), 101 | 204 | 304);
    if has_none {
        response.remove(&TRANSFER_ENCODING);
        response.remove(&CONTENT_LENGTH);
    }
    // What follows 101 is another protocol.
    has_none && response.status != StatusCode::SWITCHING_PROTOCOLS || *method == Method::HEAD
}

/// What the system said.
pub(in crate::proxy) fn cause(error: &Error) -> Option<io::ErrorKind> {
    error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Whether this machine has an address to reach another from. Without one, "no address available" says nothing about
/// ports: such an upstream cannot be reached from here, however few connections there are.
fn has_source(to: SocketAddr) -> bool {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A datagram socket's connection sends nothing.
    UdpSocket::bind(any).and_then(|socket| socket.connect(to)).is_ok()
}

fn is_connect(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError
            | ErrorType::BindError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::HandshakeError
            | ErrorType::InvalidCert
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_upstream_is_charged() {
        let up = |kind| *Error::new_up(kind);
        let down = |kind| *Error::new_down(kind);
        assert_eq!(outcome_of_error(&up(ErrorType::ReadTimedout)), Outcome::Failure(Reason::Timeout));
        assert_eq!(outcome_of_error(&up(ErrorType::ConnectRefused)), Outcome::Failure(Reason::Connect));
        assert_eq!(outcome_of_error(&up(ErrorType::ConnectionClosed)), Outcome::Failure(Reason::Reset));
        assert_eq!(outcome_of_error(&up(ErrorType::InvalidHTTPHeader)), Outcome::Failure(Reason::Malformed));
        assert_eq!(outcome_of_error(&down(ErrorType::ConnectionClosed)), Outcome::Abandoned);
        assert_eq!(outcome_of_error(&down(ErrorType::ReadTimedout)), Outcome::Ignored);
    }

    #[test]
    fn what_we_are_short_of_is_known_by_the_systems_word() {
        let because = |kind, code| {
            let inner = Error::because(kind, "connecting", io::Error::from_raw_os_error(code));
            *Error::because(ErrorType::InternalError, "to an upstream", inner)
        };
        let here = Some("127.0.0.1:1".parse().expect("an address"));
        let descriptors = shortage(&because(ErrorType::SocketError, 24), here);
        assert_eq!(descriptors, Some(OwnLimit::Descriptors));
        assert_eq!(shortage(&because(ErrorType::BindError, 99), here), Some(OwnLimit::Ports));
        // No address of this machine leads there, so it is no port that is missing.
        assert_eq!(shortage(&because(ErrorType::BindError, 99), None), None);
        assert_eq!(shortage(&because(ErrorType::ConnectRefused, 111), here), None);
        assert_eq!(shortage(&Error::new_up(ErrorType::ConnectTimedout), here), None);
    }

    #[test]
    fn statuses_name_who_failed() {
        assert_eq!(status_of_error(&Error::new_up(ErrorType::ReadTimedout)), Some(504));
        assert_eq!(status_of_error(&Error::new_up(ErrorType::ConnectRefused)), Some(502));
        assert_eq!(status_of_error(&Error::new_down(ErrorType::ReadTimedout)), Some(408));
        assert_eq!(status_of_error(&Error::new_down(ErrorType::ConnectionClosed)), None);
        assert_eq!(status_of_error(&Error::new_in(ErrorType::HTTPStatus(413))), Some(413));
    }
}
