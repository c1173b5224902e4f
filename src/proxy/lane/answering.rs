//! Sending an answer that the proxy makes itself, and what follows every answer.

use super::client::Client;
use super::exchange::Exchange;
use crate::core::route::NO_ANSWER;
use crate::proxy::decide::outcome;
use crate::proxy::exchange::Request;
use crate::proxy::headers::replaced::{self, InPlace};
use crate::proxy::headers::{compress, rewrite};
use crate::proxy::own::answer::{OwnAnswer, OwnBody};
use crate::proxy::wire::alarm::after_us;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::holding;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Version};
use pingora_error::{Error, ErrorType, OrErr, Result};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// How long a client of HTTP/2 may be silent after the answer to what it has not sent whole, and how long it may go
/// on sending.
const STREAM_SILENCE: Duration = Duration::from_secs(1);
const STREAM_REST: Duration = Duration::from_secs(30);

impl Exchange<'_> {
    /// Sends an answer whole; an error where there is none to be sent.
    pub(super) async fn answer(&mut self, answer: OwnAnswer) -> Result<()> {
        let OwnAnswer { mut head, body, closes, limit, error } = answer;
        if let Some(limit) = limit {
            self.worker.meter.shard.own_limit(limit);
        }
        if head.status.as_u16() == NO_ANSWER {
            return Err(self.unanswered());
        }
        self.request.delivery.keeps &= !closes && self.may_go_on();
        let whose = if error.is_some() { InPlace::Error } else { InPlace::Own };
        replaced::dress(&self.request, &mut head, whose);
        rewrite::answer(&self.request, &mut head);
        let has_none = matches!(head.status.as_u16(), 204 | 304);
        let is_empty = match &body {
            OwnBody::Whole(bytes) => bytes.is_empty(),
            OwnBody::File(reading) => reading.is_empty(),
        };
        let is_all = has_none || is_empty || self.request.head.method == Method::HEAD;
        self.begin_encoding(&mut head);
        self.send_head(head, is_all, self.alarm.now_us())?;
        if !is_all {
            self.send_body(body).await?;
        }
        self.flush().await
    }

    /// The request is over, and its client hears nothing of it.
    fn unanswered(&mut self) -> Box<Error> {
        let delivery = &mut self.request.delivery;
        (delivery.status, delivery.keeps) = (NO_ANSWER, false);
        self.worker.meter.sent(&self.request, NO_ANSWER);
        Error::explain(ErrorType::HTTPStatus(NO_ANSWER), "its route gives no answer").into_down()
    }

    async fn send_body(&mut self, body: OwnBody) -> Result<()> {
        match body {
            OwnBody::Whole(bytes) => self.send_piece(&bytes, true).await?,
            OwnBody::File(mut reading) => {
                while let Some(piece) = reading.next().await? {
                    self.send_piece(&piece, reading.is_empty()).await?;
                    self.flush().await?;
                }
            }
        }
        self.client.finish(None);
        Ok(())
    }

    async fn send_piece(&mut self, piece: &Bytes, is_last: bool) -> Result<()> {
        let encoded = match &mut self.request.delivery.encoder {
            Some(encoder) => {
                encoder.encode(piece, is_last).or_err(ErrorType::InternalError, "compressing")?
            }
            None => piece.clone(),
        };
        self.request.delivery.sent += encoded.len() as u64;
        let client = &mut *self.client;
        poll_fn(|cx| {
            client.put(cx, &encoded);
            Poll::Ready(())
        })
        .await;
        Ok(())
    }

    /// Decides whether the answer's body is compressed.
    pub(super) fn begin_encoding(&mut self, head: &mut AnswerHead) {
        // An encoder takes more memory than it spares.
        if let Some(compression) = self.request.compression().filter(|_| !holding::is_full()) {
            self.request.delivery.encoder = compress::begin(&self.request.head, head, compression);
        }
    }

    /// Sends the head of the answer, framed as the client's protocol has it; `is_all` where no body follows.
    pub(super) fn send_head(&mut self, mut head: AnswerHead, is_all: bool, now_us: u64) -> Result<()> {
        let request = &mut self.request;
        if !self.client.is_http2() {
            frame(request, &mut head, is_all);
        }
        request.delivery.status = head.status.as_u16();
        self.worker.meter.sent(request, request.delivery.status);
        self.client.send_head(head, (request.delivery.keeps, is_all), now_us)
    }

    /// Ready once all of the answer that has been put is written, within the client's time.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let limit = self.request.inbound.listener.settings.write_timeout;
        let (client, alarm) = (&mut *self.client, &mut *self.alarm);
        let (mut since_us, mut waiting) = (None, client.waiting());
        poll_fn(|cx| {
            if let Poll::Ready(flushed) = client.poll_flush(cx) {
                return Poll::Ready(flushed);
            }
            if since_us.is_none() || client.waiting() != waiting {
                (since_us, waiting) = (Some(alarm.now_us()), client.waiting());
            }
            alarm.poll(after_us(since_us.unwrap_or_default(), limit), cx).map(|()| Err(stalled()))
        })
        .await
    }

    /// Whether another request can follow on the connection: not behind a body that would first have to be
    /// read to an end that may be far. Its client hears the answer while the connection lingers. What is left of
    /// a small one is read after the answer.
    fn may_go_on(&self) -> bool {
        self.client.is_http2() || self.client.is_whole() || self.request.has_small_body()
    }

    /// Reads what is left of a request that has been answered; whether it came to an end. A stream of HTTP/2 that
    /// is ended while its client sends takes the answer away from clients that read both together: curl and Node
    /// among them.
    pub(super) async fn linger(&mut self) -> bool {
        if self.client.is_whole() || (!self.client.is_http2() && !self.request.delivery.keeps) {
            return true;
        }
        if let Client::Http2(client) = &self.client {
            client.stream.give_turn();
        }
        let in_all_us = after_us(self.alarm.now_us(), STREAM_REST);
        let is_http2 = self.client.is_http2();
        let silence = if is_http2 { STREAM_SILENCE } else { self.request.delivery.pace.0.min(STREAM_REST) };
        let (client, alarm) = (&mut *self.client, &mut *self.alarm);
        let mut since_us = alarm.now_us();
        poll_fn(|cx| {
            loop {
                match client.poll_body(cx, &mut |_, _| ()) {
                    Poll::Ready(Ok(true)) => return Poll::Ready(true),
                    Poll::Ready(Ok(false)) => since_us = alarm.now_us(),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => break,
                }
                if alarm.now_us() > in_all_us {
                    return Poll::Ready(false);
                }
            }
            alarm.poll(after_us(since_us, silence).min(in_all_us), cx).map(|()| false)
        })
        .await
    }

    /// The client cannot be answered any more.
    pub(super) fn give_up(&mut self) {
        if let Client::Http2(client) = &mut self.client {
            client.reset();
        }
    }
}

/// How the body is framed in HTTP/1: by its length, in chunks, or by the end of the connection.
fn frame(request: &mut Request, head: &mut AnswerHead, is_all: bool) {
    let status = head.status.as_u16();
    head.version = Version::HTTP_11;
    if status == 101 {
        request.delivery.keeps = false;
        return;
    }
    let is_bare = is_all || request.delivery.is_bodiless;
    let has_length = head.has(&CONTENT_LENGTH);
    let is_old = request.head.version == Version::HTTP_10;
    if is_bare && request.head.method != Method::HEAD || has_length || is_old {
        head.remove(&TRANSFER_ENCODING);
    }
    if is_all && !has_length && outcome::goes_on(head, &request.head) {
        // A stream of HTTP/2 may end with its head, which says so to nobody behind HTTP/1.
        head.set(CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if is_old && !has_length && !is_bare {
        request.delivery.keeps = false;
    } else if !is_bare && !has_length {
        head.set(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The client takes nothing.
pub(super) fn stalled() -> Box<Error> {
    Error::explain(ErrorType::WriteTimedout, "the client takes nothing").into_down()
}
