//! Taking an answer from its upstream before the client takes it, so that a slow client keeps no upstream waiting.
//!
//! What the client takes at once passes as it comes: only what it does not take is held, up to the pool's `buffer`. Once
//! the answer is whole, its attempt is over, and the connection serves other requests. Streams that go on as long as both
//! sides like are never held: an event that comes late is worth less than none.

use super::answering::stalled;
use super::exchange::Exchange;
use super::lasting::is_lasting;
use super::relay::{Answering, deliver};
use super::upstream_side::UpstreamSide;
use crate::proxy::wire::alarm::{NEVER_US, after_us};
use crate::proxy::wire::answer_head::AnswerHead;
use http::HeaderName;
use pingora_error::Result;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Pieces that are handed to the client together.
const TOGETHER: usize = 4;

impl Exchange<'_> {
    /// The most bytes that are held of an answer; 0 for one that is streamed.
    pub(super) fn hold(&self, head: &AnswerHead) -> usize {
        let most = self.request.pool().map_or(0, |pool| pool.buffer.response);
        if most == 0 {
            return 0;
        }
        let is_refused = head.get(&ACCEL_BUFFERING).is_some_and(|told| told.eq_ignore_ascii_case(b"no"));
        if is_refused || is_lasting(head) { 0 } else { most }
    }

    /// Gives the client what is held, and takes what has come from the upstream; whether any of it moved.
    pub(super) fn poll_held(
        &mut self,
        upstream: &mut UpstreamSide,
        answering: &mut Answering,
        cx: &mut Context<'_>,
    ) -> Result<bool> {
        let moved = self.give(answering, cx);
        if answering.is_done {
            return Ok(moved | self.end_given(answering, cx)?);
        }
        // The head of an answer and what came with it leave together.
        let is_begun = self.request.delivery.sent > 0 || self.client.is_http2();
        let passes = answering.held.is_empty() && (self.client.has_room() || !is_begun);
        if !passes && !answering.held.has_room(&self.worker.shared.memory) {
            answering.is_listening = false;
            return Ok(moved);
        }
        if !std::mem::replace(&mut answering.is_listening, true) {
            answering.heard_us = self.alarm.now_us();
        }
        let (client, delivery) = (&mut *self.client, &mut self.request.delivery);
        let held = &mut answering.held;
        let read = upstream.poll_body(cx, client.piece_bytes(), &mut |cx, piece| {
            if passes {
                deliver(client, delivery, cx, piece);
            } else {
                held.push(piece);
            }
        });
        let Poll::Ready(is_done) = read else { return Ok(moved) };
        if is_done? {
            (answering.is_done, answering.trailers) = (true, upstream.take_trailers());
            let is_empty = self.request.delivery.sent == 0 && answering.held.is_empty();
            self.count_end(answering.trailers.as_ref(), is_empty);
            self.end_given(answering, cx)?;
        } else {
            answering.heard_us = self.alarm.now_us();
        }
        Ok(true)
    }

    /// Gives the client of what is held as much as it has room for; whether that was any.
    fn give(&mut self, answering: &mut Answering, cx: &mut Context<'_>) -> bool {
        if answering.held.is_empty() || !self.client.has_room() {
            return false;
        }
        for _ in 0..TOGETHER {
            let Some(piece) = answering.held.pop() else { break };
            deliver(self.client, &mut self.request.delivery, cx, &piece);
        }
        true
    }

    /// Ends the answer once the client has been given all of it; whether that was now.
    fn end_given(&mut self, answering: &mut Answering, cx: &mut Context<'_>) -> Result<bool> {
        if answering.is_given || !answering.held.is_empty() {
            return Ok(false);
        }
        answering.is_given = true;
        let trailers = answering.trailers.take();
        self.finish(trailers, answering.is_all, cx)?;
        Ok(true)
    }

    /// Gives the client the rest of an answer that is whole. Its attempt is over.
    pub(super) async fn give_out(&mut self, answering: &mut Answering) -> Result<()> {
        self.request.attempts.leave_registry();
        self.request.attempts.current = None;
        poll_fn(|cx| self.poll_out(answering, cx)).await
    }

    fn poll_out(&mut self, answering: &mut Answering, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let had_room = self.client.has_room();
            let moved = self.give(answering, cx) | self.end_given(answering, cx)?;
            if self.poll_taken(answering, cx)? && answering.is_given {
                return Poll::Ready(Ok(()));
            }
            if !moved && (had_room || !self.client.has_room()) {
                break;
            }
        }
        let limit = self.request.inbound.listener.settings.write_timeout;
        let due_us = answering.untaken.map_or(NEVER_US, |(since_us, _)| after_us(since_us, limit));
        ready!(self.alarm.poll(due_us, cx));
        Poll::Ready(Err(stalled()))
    }
}
