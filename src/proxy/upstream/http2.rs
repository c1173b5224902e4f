//! One request on a connection of HTTP/2 to an upstream, on pingora's connector.

use crate::proxy::wire::answer_head::AnswerHead;
use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::HeaderMap;
use http::response::Parts;
use pingora_core::connectors::http::Connector;
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes of a request that wait before its client is asked for more.
const FULL_BYTES: usize = 64 << 10;

/// A stream.
pub(in crate::proxy) struct Http2Exchange {
    session: Http2Session,
    connector: Arc<Connector>,
    peer: Box<HttpPeer>,
    body: Option<SendStream<Bytes>>,
    pending: BytesMut,
    is_finished: bool,
    is_sent: bool,
    is_read: bool,
    trailers: Option<HeaderMap>,
}

/// A stream on a connection to this peer, and whether the connection was there before.
///
/// # Errors
/// Why there is none.
pub(in crate::proxy) async fn open(
    connector: &Arc<Connector>,
    peer: Box<HttpPeer>,
) -> Result<(Http2Exchange, bool)> {
    let (session, reused) = connector.get_http_session(&*peer).await.map_err(|error| error.into_up())?;
    let HttpSession::H2(session) = session else {
        return Err(Error::explain(ErrorType::InvalidH2, "the upstream does not speak HTTP/2").into_up());
    };
    let exchange = Http2Exchange {
        session,
        connector: connector.clone(),
        peer,
        body: None,
        pending: BytesMut::new(),
        is_finished: false,
        is_sent: false,
        is_read: false,
        trailers: None,
    };
    Ok((exchange, reused))
}

impl Http2Exchange {
    pub(in crate::proxy) fn fd(&self) -> RawFd {
        self.session.fd()
    }

    /// Sends the head of a request; `is_all` where no body follows.
    ///
    /// # Errors
    /// When the connection cannot take it.
    pub(in crate::proxy) fn begin(&mut self, head: RequestHeader, is_all: bool) -> Result<()> {
        self.session.write_request_header(Box::new(head), is_all).map_err(|error| error.into_up())?;
        self.body = self.session.take_request_body_writer();
        self.is_sent = is_all;
        Ok(())
    }

    pub(in crate::proxy) fn has_room(&self) -> bool {
        self.pending.len() < FULL_BYTES
    }

    pub(in crate::proxy) fn put_body(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
    }

    pub(in crate::proxy) fn finish_body(&mut self) {
        self.is_finished = true;
    }

    pub(in crate::proxy) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Ready once all that was put is handed over.
    pub(in crate::proxy) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.is_sent {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            if self.pending.is_empty() {
                if !self.is_finished {
                    return Poll::Ready(Ok(()));
                }
                self.is_sent = true;
                // A stream that has ended says why where its answer is read.
                let _ = body.send_data(Bytes::new(), true);
                break;
            }
            body.reserve_capacity(self.pending.len());
            match ready!(body.poll_capacity(cx)) {
                Some(Ok(room)) => {
                    let piece = self.pending.split_to(room.min(self.pending.len())).freeze();
                    self.is_sent = self.is_finished && self.pending.is_empty();
                    let _ = body.send_data(piece, self.is_sent);
                }
                // The same.
                Some(Err(_)) | None => {
                    self.pending.clear();
                    self.is_sent = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(in crate::proxy) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnswerHead>> {
        if let Err(error) = ready!(self.session.poll_read_response_header(cx)) {
            return Poll::Ready(Err(lost_head(error)));
        }
        let head = self.session.response_header().map(|head| AnswerHead::from(Parts::from(head.clone())));
        Poll::Ready(head.ok_or_else(|| Error::explain(ErrorType::H2Error, "no head").into_up()))
    }

    /// Whether the answer has ended with its head.
    pub(in crate::proxy) fn is_answered(&self) -> bool {
        self.session.response_finished()
    }

    /// Reads what has come of the answer's body; whether that was all.
    pub(in crate::proxy) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        match ready!(self.session.poll_read_response_body(cx)) {
            Some(Ok(piece)) => {
                take(cx, &piece);
                return Poll::Ready(Ok(false));
            }
            Some(Err(error)) => {
                return Poll::Ready(Err(
                    Error::because(ErrorType::ReadError, "reading the answer", error).into_up()
                ));
            }
            None => {}
        }
        self.trailers =
            ready!(pin!(self.session.read_trailers()).poll(cx)).map_err(|error| error.into_up())?;
        self.is_read = true;
        Poll::Ready(Ok(true))
    }

    /// What came behind the body.
    pub(in crate::proxy) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Gives the stream up, or the connection back for another one.
    pub(in crate::proxy) async fn end(mut self) {
        if !self.is_read {
            if let Some(body) = &mut self.body {
                body.send_reset(Reason::CANCEL);
            }
            self.session.shutdown();
        } else if !self.is_sent
            && let Some(body) = &mut self.body
        {
            body.send_reset(Reason::CANCEL);
        }
        let idle = self.peer.options.idle_timeout;
        self.connector.release_http_session(HttpSession::H2(self.session), &*self.peer, idle).await;
    }
}

/// By the names that [`connection_end`](crate::proxy::decide::connection_end) knows.
fn lost_head(error: h2::Error) -> Box<Error> {
    let kind =
        match error.is_go_away() && error.is_library() && error.reason() == Some(Reason::PROTOCOL_ERROR) {
            true => ErrorType::InvalidH2,
            false if error.is_io() => ErrorType::ReadError,
            false => ErrorType::H2Error,
        };
    Error::because(kind, "while reading h2 header", error).into_up()
}
