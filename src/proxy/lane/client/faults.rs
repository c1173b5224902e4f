//! What is wrong on the client's side.

use pingora_error::{Error, ErrorType};
use std::io;

pub(super) fn left() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "the client has left").into_down()
}

pub(super) fn unwritten(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "writing to the client", error).into_down()
}

pub(super) fn unread(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "reading the body", error).into_down()
}

pub(super) fn malformed() -> Box<Error> {
    unread(io::Error::new(io::ErrorKind::InvalidData, "the body is malformed"))
}
