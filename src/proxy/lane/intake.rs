//! Taking in the body of a request before an upstream is chosen for it, so that a slow client keeps none waiting.
//!
//! Nobody is charged meanwhile: there is no attempt. A body that turns out to be larger than its pool's `buffer` says, or
//! than there is room for, goes on its way with what has come, and the rest is streamed.

use super::exchange::Exchange;
use super::upload::{Upload, slow_body, too_large};
use crate::proxy::decide::{outcome, plan};
use crate::proxy::wire::answer_head::AnswerHead;
use http::StatusCode;
use http::header::UPGRADE;
use pingora_error::Result;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// Bytes that there is room made for at a time.
const AHEAD_BYTES: usize = 64 << 10;

impl Exchange<'_> {
    /// Takes in the body, or the first `most` bytes of it.
    pub(super) async fn take_in(&mut self, most: usize) -> Result<()> {
        if std::mem::take(&mut self.request.inbound.expects) {
            self.client.send_interim(&AnswerHead::new(StatusCode::CONTINUE).into_parts());
        }
        let (mut upload, mut has_waited) = (Upload::new(None), false);
        poll_fn(|cx| {
            let taken = self.poll_take_in(&mut upload, most, cx);
            has_waited |= taken.is_pending();
            taken
        })
        .await?;
        if has_waited {
            self.catch_up();
        }
        Ok(())
    }

    /// The most bytes that are taken in of the request; 0 where it goes on at once.
    pub(super) fn intake(&self) -> usize {
        let request = &self.request;
        let most = request.pool().map_or(0, |pool| pool.buffer.request);
        if most == 0 || request.inbound.body.is_whole {
            return 0;
        }
        let headers = &request.head.headers;
        let is_larger = plan::body_length(&request.head).is_some_and(|length| length > most as u64);
        let converses = outcome::is_grpc(headers) || headers.contains_key(UPGRADE);
        if is_larger || converses { 0 } else { most }
    }

    fn poll_take_in(&mut self, upload: &mut Upload, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let length = plan::body_length(&self.request.head);
        loop {
            let body = &mut self.request.inbound.body;
            let left = length.map_or(AHEAD_BYTES as u64, |length| length.saturating_sub(body.read));
            let ahead = left.clamp(1, AHEAD_BYTES as u64) as usize;
            let is_full = body.read >= most as u64;
            if body.is_whole || is_full || !body.has_room(ahead, &self.worker.shared.memory) {
                return Poll::Ready(Ok(()));
            }
            let mut came = 0;
            let read = self.client.poll_body(cx, &mut |_, piece| {
                came += piece.len();
                body.keep(piece);
            });
            let Poll::Ready(is_whole) = read else {
                upload.wait(self.alarm.now_us());
                if let Poll::Ready(Err(error)) = self.client.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                ready!(self.poll_overdue_body(upload, cx));
                return Poll::Ready(Err(slow_body()));
            };
            body.is_whole = is_whole?;
            upload.came(came, || self.alarm.now_us());
            if body.read > self.request.plan.max_body {
                return Poll::Ready(Err(too_large()));
            }
        }
    }

    /// Ready when more of the body should have come.
    fn poll_overdue_body(&mut self, upload: &Upload, cx: &mut Context<'_>) -> Poll<()> {
        let grace = self.request.inbound.listener.settings.header_timeout;
        self.alarm.poll(upload.body_due_us(self.request.delivery.pace, grace), cx)
    }
}
