//! The body of a request, on its way from the client to an upstream, and the time that it may take.

use super::exchange::Exchange;
use super::upstream_side::UpstreamSide;
use crate::proxy::measure::charge;
use crate::proxy::wire::alarm::{NEVER_US, after_us};
use pingora_error::{Error, ErrorType, Result};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes of what came before that are handed over at a time.
const REPLAY_BYTES: usize = 64 << 10;

/// What is left to do of a request in one attempt.
#[derive(Debug)]
pub(super) struct Upload {
    /// Whether what came before this attempt has been sent again, and how much of it.
    has_replayed: bool,
    replayed: usize,
    /// When it begins, for a request without a body, where that is known: µs on the process clock.
    sent_us: Option<u64>,
    /// When all of the request was handed over, or given up: µs on the process clock.
    over_us: Option<u64>,
    /// Since when the client is waited for, how long it was in all, and for how many bytes.
    waiting_us: Option<u64>,
    waited_us: u64,
    bytes: u64,
    /// Since when the upstream takes nothing, and how much waits.
    untaken: Option<(u64, usize)>,
    /// Whether the upstream took nothing for too long.
    pub is_stalled: bool,
}

impl Upload {
    pub(super) fn new(sent_us: Option<u64>) -> Self {
        Upload {
            has_replayed: false,
            replayed: 0,
            sent_us,
            over_us: None,
            waiting_us: None,
            waited_us: 0,
            bytes: 0,
            untaken: None,
            is_stalled: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over_us.is_some()
    }

    /// The client is waited for.
    pub(super) fn wait(&mut self, now_us: u64) {
        self.waiting_us.get_or_insert(now_us);
    }

    /// So many bytes have come from it.
    pub(super) fn came(&mut self, bytes: usize, now_us: impl FnOnce() -> u64) {
        if let Some(since_us) = self.waiting_us.take() {
            self.waited_us = self.waited_us.saturating_add(now_us().saturating_sub(since_us));
        }
        self.bytes += bytes as u64;
    }

    /// The wait for the answer's head begins again.
    pub(super) fn restart(&mut self, now_us: u64) {
        if self.is_over() {
            self.over_us = Some(now_us);
        }
    }

    /// By when the head of the answer is due.
    pub(super) fn answer_due_us(&self, limit: Duration) -> u64 {
        self.over_us.map_or(NEVER_US, |over_us| after_us(over_us, limit))
    }

    /// By when more of the body has to come; `grace` is how long it may be slower than its rate.
    pub(super) fn body_due_us(&self, (silence, rate): (Duration, u64), grace: Duration) -> u64 {
        let Some(since_us) = self.waiting_us.filter(|_| !self.is_over()) else { return NEVER_US };
        let earned_us = self.bytes.saturating_mul(1_000_000).checked_div(rate);
        let rate_due_us = earned_us.map_or(NEVER_US, |earned_us| {
            after_us(since_us, grace).saturating_add(earned_us).saturating_sub(self.waited_us)
        });
        after_us(since_us, silence).min(rate_due_us)
    }

    /// By when the upstream has to take more.
    pub(super) fn taken_due_us(&self, limit: Duration) -> u64 {
        self.untaken.filter(|_| !self.is_over()).map_or(NEVER_US, |(since_us, _)| after_us(since_us, limit))
    }

    /// The upstream takes nothing; an answer is still waited for.
    pub(super) fn stall(&mut self, now_us: u64) {
        (self.is_stalled, self.over_us) = (true, Some(now_us));
    }

    /// Nobody waits for the rest: it may take its time.
    pub(super) fn forget_rate(&mut self) {
        (self.bytes, self.waited_us) = (0, 0);
    }
}

impl Exchange<'_> {
    /// Passes on what has come of the request, as far as the upstream takes it.
    ///
    /// # Errors
    /// When the client breaks it, or it is too large; when the upstream cannot be written to at all.
    pub(super) fn poll_upload(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        loop {
            self.poll_read(upstream, upload, cx)?;
            let was_full = !upstream.has_room();
            self.poll_send(upstream, upload, cx)?;
            if upload.is_over() || !was_full || !upstream.has_room() {
                return Ok(());
            }
        }
    }

    /// Reads what has come of the request, as far as there is room for it.
    fn poll_read(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        if upload.is_over() {
            return Ok(());
        }
        if !upload.has_replayed {
            self.replay(upstream, upload, cx);
        }
        while upload.has_replayed && !upload.is_over() && upstream.has_room() {
            let (body, mut came) = (&mut self.request.inbound.body, 0);
            let read = self.client.poll_body(cx, &mut |cx, piece| {
                came += piece.len();
                body.came(piece);
                upstream.put_body(cx, piece);
            });
            match read {
                Poll::Ready(Ok(is_whole)) => self.body_came(upstream, upload, (came, is_whole))?,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    if upload.waiting_us.is_none() {
                        upload.wait(self.alarm.now_us());
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends what came before this attempt, as far as there is room for it.
    fn replay(&mut self, upstream: &mut UpstreamSide, upload: &mut Upload, cx: &mut Context<'_>) {
        let body = &self.request.inbound.body;
        while let Some(rest) = body.replay().get(upload.replayed..).filter(|rest| !rest.is_empty()) {
            if !upstream.has_room() {
                return;
            }
            let piece = rest.get(..REPLAY_BYTES).unwrap_or(rest);
            upstream.put_body(cx, piece);
            upload.replayed += piece.len();
        }
        upload.has_replayed = true;
        if body.is_whole {
            upstream.finish_body();
            upload.over_us = Some(upload.sent_us.unwrap_or_else(|| self.alarm.now_us()));
        }
    }

    fn body_came(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        (came, is_whole): (usize, bool),
    ) -> Result<()> {
        let request = &mut self.request;
        request.inbound.body.is_whole = is_whole;
        upload.came(came, || self.alarm.now_us());
        charge::body_came(&self.worker.meter, request);
        if !request.inbound.body.is_replayable() {
            request.attempts.settle();
        }
        if request.inbound.body.read > request.plan.max_body {
            return Err(too_large());
        }
        if is_whole {
            upstream.finish_body();
            upload.over_us = Some(self.alarm.now_us());
        }
        Ok(())
    }

    /// Writes what the upstream takes.
    fn poll_send(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        match upstream.poll_flush(cx) {
            Poll::Ready(flushed) => {
                upload.untaken = None;
                flushed
            }
            Poll::Pending => {
                let waiting = upstream.waiting();
                if upload.untaken.is_none_or(|(_, before)| before != waiting) {
                    upload.untaken = Some((self.alarm.now_us(), waiting));
                }
                Ok(())
            }
        }
    }
}

pub(super) fn slow_body() -> Box<Error> {
    Error::explain(ErrorType::ReadTimedout, "the body is too slow").into_down()
}

pub(super) fn too_large() -> Box<Error> {
    Error::explain(ErrorType::HTTPStatus(413), "the request body is too large").into_down()
}
