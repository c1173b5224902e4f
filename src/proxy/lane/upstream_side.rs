//! The upstream's side of an exchange: a connection of HTTP/1, or a stream of HTTP/2.

use super::worker::Worker;
use crate::core::table::{Pool, Upstream};
use crate::proxy::upstream::http1::Http1Connection;
use crate::proxy::upstream::http2::{self, Http2Exchange};
use crate::proxy::upstream::peer::{self, PeerNeeds};
use crate::proxy::upstream::{connect, kept};
use crate::proxy::wire::answer_head::AnswerHead;
use http::{HeaderMap, Method};
use pingora_error::Result;
use std::os::fd::RawFd;
use std::task::{Context, Poll};

/// Where a request goes.
pub(super) enum UpstreamSide {
    Http1(Box<Http1Connection>),
    Http2(Box<Http2Exchange>),
}

impl UpstreamSide {
    /// A connection to an upstream, and whether it was there before.
    pub(super) async fn open(
        worker: &Worker,
        (pool, upstream): (&Pool, &Upstream),
        needs: PeerNeeds,
        now_us: u64,
    ) -> Result<(UpstreamSide, bool)> {
        if pool.http2 {
            let peer = peer::peer(&worker.keyring, pool, upstream, needs, worker.draw())?;
            // What is rare is boxed, so that the future of every request is small.
            let (exchange, reused) = Box::pin(http2::open(&worker.connector, Box::new(peer))).await?;
            return Ok((UpstreamSide::Http2(Box::new(exchange)), reused));
        }
        if let Some(kept) = kept::take(pool, upstream, now_us).filter(|_| !needs.is_alone) {
            return Ok((UpstreamSide::Http1(kept), true));
        }
        let limit = needs.timeouts.connect;
        let socket = Box::pin(connect::connect(&worker.tls, pool, upstream, limit)).await?;
        Ok((UpstreamSide::Http1(Box::new(Http1Connection::new(socket))), false))
    }

    pub(super) fn fd(&self) -> RawFd {
        match self {
            UpstreamSide::Http1(connection) => connection.fd(),
            UpstreamSide::Http2(exchange) => exchange.fd(),
        }
    }

    /// Whether more of the request's body can be taken.
    pub(super) fn has_room(&self) -> bool {
        match self {
            UpstreamSide::Http1(connection) => connection.has_room(),
            UpstreamSide::Http2(exchange) => exchange.has_room(),
        }
    }

    pub(super) fn put_body(&mut self, cx: &mut Context<'_>, piece: &[u8]) {
        match self {
            UpstreamSide::Http1(connection) => connection.put_body(cx, piece),
            UpstreamSide::Http2(exchange) => exchange.put_body(piece),
        }
    }

    /// The request's body is whole.
    pub(super) fn finish_body(&mut self) {
        match self {
            UpstreamSide::Http1(connection) => connection.finish_body(),
            UpstreamSide::Http2(exchange) => exchange.finish_body(),
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        match self {
            UpstreamSide::Http1(connection) => connection.waiting(),
            UpstreamSide::Http2(exchange) => exchange.waiting(),
        }
    }

    /// Ready once all that was put is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self {
            UpstreamSide::Http1(connection) => connection.poll_flush(cx),
            UpstreamSide::Http2(exchange) => exchange.poll_flush(cx),
        }
    }

    /// The head of the answer, once it has come.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<AnswerHead>> {
        match self {
            UpstreamSide::Http1(connection) => connection.poll_head(cx, method),
            UpstreamSide::Http2(exchange) => exchange.poll_head(cx),
        }
    }

    /// Whether the answer has ended with its head.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            UpstreamSide::Http1(connection) => connection.is_answered(),
            UpstreamSide::Http2(exchange) => exchange.is_answered(),
        }
    }

    /// Reads what has come of the answer's body, a piece of about `most` bytes; whether that was all.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        match self {
            UpstreamSide::Http1(connection) => connection.poll_body(cx, most, take),
            UpstreamSide::Http2(exchange) => exchange.poll_body(cx, take),
        }
    }

    /// What came behind the body.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            UpstreamSide::Http1(_) => None,
            UpstreamSide::Http2(exchange) => exchange.take_trailers(),
        }
    }
}
