//! One stream of a client's connection of HTTP/2.

use super::faults::{left, unread, unwritten};
use crate::proxy::headers::hop_by_hop::{KEEP_ALIVE, PROXY_CONNECTION};
use crate::proxy::lane::stream::Stream;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::date::date;
use crate::proxy::wire::holding::HeldMemory;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderMap, Response};
use pingora_error::{Error, Result};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What is read of an answer at a time: with what waits below, no more is held for a client that takes nothing than of
/// HTTP/1.
pub(super) const PIECE_BYTES: usize = 32 << 10;
/// What waits below, in HTTP/2 and in TLS, while a client takes nothing: about.
const BELOW_BYTES: usize = 48 << 10;

/// The stream.
pub(in crate::proxy::lane) struct Http2Client {
    receive: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    pending: BytesMut,
    held: HeldMemory,
    is_whole: bool,
    /// The answer is whole, with what follows it; and all of it was handed over.
    is_finished: bool,
    trailers: Option<HeaderMap>,
    has_ended: bool,
    pub(in crate::proxy::lane) stream: Arc<Stream>,
}

impl Http2Client {
    pub(in crate::proxy::lane) fn new(
        receive: RecvStream,
        respond: SendResponse<Bytes>,
        stream: Arc<Stream>,
    ) -> Self {
        Http2Client {
            is_whole: receive.is_end_stream(),
            receive,
            respond,
            send: None,
            pending: BytesMut::new(),
            held: HeldMemory::default(),
            is_finished: false,
            trailers: None,
            has_ended: false,
            stream,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        if self.is_whole {
            return Poll::Ready(Ok(true));
        }
        match ready!(self.receive.poll_data(cx)) {
            Some(Ok(piece)) => {
                // A stream that has ended has no window.
                let _ = self.receive.flow_control().release_capacity(piece.len());
                take(cx, &piece);
                self.is_whole = self.receive.is_end_stream();
                return Poll::Ready(Ok(self.is_whole));
            }
            Some(Err(error)) => return Poll::Ready(Err(lost(error))),
            None => {}
        }
        if let Err(error) = ready!(self.receive.poll_trailers(cx)) {
            return Poll::Ready(Err(lost(error)));
        }
        self.is_whole = true;
        Poll::Ready(Ok(true))
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| left())
    }

    pub(super) fn send_interim(&mut self, answer: &Parts) {
        self.stream.interim.send_on(self.respond.stream_id().as_u32(), answer);
    }

    pub(super) fn send_head(&mut self, mut head: AnswerHead, is_all: bool, now_us: u64) -> Result<()> {
        for name in [TRANSFER_ENCODING, CONNECTION, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
            head.remove(&name);
        }
        head.set(DATE, date(now_us));
        let mut parts = head.into_parts();
        parts.version = http::Version::HTTP_2;
        let response = Response::from_parts(parts, ());
        self.send = Some(self.respond.send_response(response, is_all).map_err(lost)?);
        self.has_ended = is_all;
        Ok(())
    }

    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn put(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
    }

    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) {
        self.is_finished = true;
        self.trailers = trailers;
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.has_ended {
            let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
            if self.pending.is_empty() {
                if !self.is_finished {
                    return Poll::Ready(Ok(()));
                }
                self.has_ended = true;
                let ended = match self.trailers.take() {
                    Some(trailers) => send.send_trailers(trailers),
                    None => send.send_data(Bytes::new(), true),
                };
                return Poll::Ready(ended.map_err(lost));
            }
            send.reserve_capacity(self.pending.len());
            let capacity = send.poll_capacity(cx);
            self.held.settle(if capacity.is_pending() { self.pending.len() + BELOW_BYTES } else { 0 });
            match ready!(capacity) {
                Some(Ok(room)) => {
                    let piece = self.pending.split_to(room.min(self.pending.len())).freeze();
                    let is_last = self.is_finished && self.pending.is_empty() && self.trailers.is_none();
                    send.send_data(piece, is_last).map_err(lost)?;
                    self.has_ended = is_last;
                }
                Some(Err(error)) => return Poll::Ready(Err(lost(error))),
                None => return Poll::Ready(Err(unwritten(io::ErrorKind::BrokenPipe.into()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends an answer that has begun and does not go on.
    pub(in crate::proxy::lane) fn reset(&mut self) {
        match &mut self.send {
            Some(send) if !self.has_ended => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
            Some(_) => {}
        }
    }
}

fn lost(error: h2::Error) -> Box<Error> {
    if error.is_reset() || error.is_go_away() {
        return left();
    }
    unread(error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()))
}
