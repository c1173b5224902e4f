//! The client's side of an exchange: a connection of HTTP/1, or a stream of HTTP/2.

mod faults;
mod http1;
mod http2;

pub(super) use http1::{HeadRead, Http1Client};
pub(super) use http2::Http2Client;

use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::scratch::SCRATCH_BYTES;
use http::HeaderMap;
use http::response::Parts;
use pingora_error::{Error, Result};
use std::task::{Context, Poll};

/// Where a request comes from, and its answer goes.
pub(super) enum Client {
    Http1(Box<Http1Client>),
    Http2(Box<Http2Client>),
}

impl Client {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Client::Http2(_))
    }

    /// Whether all of the request's body has come already.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Client::Http1(client) => client.is_whole(),
            Client::Http2(client) => client.is_whole(),
        }
    }

    /// Reads what has come of the request's body; whether that was all.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        match self {
            Client::Http1(client) => client.poll_body(cx, take),
            Client::Http2(client) => client.poll_body(cx, take),
        }
    }

    /// Ready when the client has left while nothing is to be read from it.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        match self {
            Client::Http1(client) => client.poll_gone(cx),
            Client::Http2(client) => client.poll_gone(cx),
        }
    }

    /// Says something before the answer.
    pub(super) fn send_interim(&mut self, answer: &Parts) {
        match self {
            Client::Http1(client) => client.send_interim(answer),
            Client::Http2(client) => client.send_interim(answer),
        }
    }

    /// Sends the head of the answer; `is_all` where no body follows.
    pub(super) fn send_head(
        &mut self,
        head: AnswerHead,
        (keeps, is_all): (bool, bool),
        now_us: u64,
    ) -> Result<()> {
        match self {
            Client::Http1(client) => {
                client.send_head(&head, keeps, now_us);
                Ok(())
            }
            Client::Http2(client) => client.send_head(head, is_all, now_us),
        }
    }

    /// Whether another piece can be taken.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Client::Http1(client) => client.has_room(),
            Client::Http2(client) => client.waiting() == 0,
        }
    }

    /// So much of an answer's body is read at a time.
    pub(super) fn piece_bytes(&self) -> usize {
        match self {
            Client::Http1(_) => SCRATCH_BYTES,
            Client::Http2(_) => http2::PIECE_BYTES,
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Client::Http1(client) => client.waiting(),
            Client::Http2(client) => client.waiting(),
        }
    }

    /// Sends a piece of the answer's body.
    pub(super) fn put(&mut self, cx: &mut Context<'_>, piece: &[u8]) {
        match self {
            Client::Http1(client) => client.put(cx, piece),
            Client::Http2(client) => client.put(piece),
        }
    }

    /// The answer is whole, with what follows it.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Client::Http1(client) => client.finish(),
            Client::Http2(client) => client.finish(trailers),
        }
    }

    /// Ready once all that was put is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self {
            Client::Http1(client) => client.poll_flush(cx),
            Client::Http2(client) => client.poll_flush(cx),
        }
    }
}
