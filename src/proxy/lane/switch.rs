//! A switch of protocols: what was an exchange becomes a tunnel.

use super::exchange::Exchange;
use super::lasting::lasting;
use super::tunnel;
use super::upstream_side::UpstreamSide;
use crate::core::outcome::{Outcome, Reason};
use crate::proxy::decide::outcome;
use crate::proxy::headers::{hop_by_hop, rewrite};
use crate::proxy::lane::client::Client;
use crate::proxy::measure::charge;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::websocket;
use pingora_error::{Error, ErrorType, Result};
use std::future::poll_fn;
use std::task::Poll;

/// A WebSocket that its upstream ends with a fault so soon has died at once.
const WEBSOCKET_DIED_US: u64 = 5_000_000;

impl Exchange<'_> {
    /// The protocol is switched: bytes pass as they are.
    pub(super) async fn switch(&mut self, head: AnswerHead, upstream: &mut UpstreamSide) -> Result<()> {
        let mut head = head;
        self.request.attempts.settle();
        charge::charge(&self.worker.meter, &mut self.request, Outcome::Success, 101);
        outcome::unframe(&self.request.head.method, &mut head);
        hop_by_hop::strip_accel(&mut head);
        rewrite::answer(&self.request, &mut head);
        let mut lasting = lasting(self.worker, &self.request, &head);
        self.send_head(head, false, self.alarm.now_us())?;
        let (Client::Http1(client), UpstreamSide::Http1(connection)) = (&mut *self.client, upstream) else {
            return Error::e_explain(ErrorType::InternalError, "a switch of protocols in HTTP/2");
        };
        let silence = self.request.pool().map(|pool| self.request.timeouts(pool).read);
        let is_websocket = websocket::is_asked_for(&self.request.head.headers);
        let silence = silence.unwrap_or_default();
        let mut tunnel = tunnel::Tunnel::new(client.open(), connection.open(), silence, is_websocket);
        let alarm = &mut *self.alarm;
        let ended = poll_fn(|cx| {
            if let Some(lasting) = &mut lasting
                && lasting.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(None);
            }
            tunnel.poll(alarm, cx).map(Some)
        })
        .await;
        self.request.delivery.sent = tunnel.sent;
        let (meter, request) = (&self.worker.meter, &mut self.request);
        let lasted = request
            .attempts
            .current
            .as_ref()
            .map_or(u64::MAX, |attempt| meter.now_us().saturating_sub(attempt.started_us));
        if lasted < WEBSOCKET_DIED_US && tunnel.died() {
            charge::charge(meter, request, Outcome::Failure(Reason::WebSocket), 101);
        }
        self.note_end();
        ended.unwrap_or_else(|| Err(self.leave()))
    }
}
