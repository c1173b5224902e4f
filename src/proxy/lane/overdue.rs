//! The deadlines of an exchange: of an answer's head, of the request's body, and of an answer under way.

use super::answering::stalled;
use super::exchange::Exchange;
use super::relay::Answering;
use super::upload::{Upload, slow_body};
use crate::proxy::wire::alarm::{NEVER_US, after_us};
use pingora_error::{Error, ErrorType, Result};
use std::task::{Context, Poll};

impl Exchange<'_> {
    /// Ready when one of the deadlines of a request without an answer has passed.
    pub(super) fn poll_overdue_head<T>(
        &mut self,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        let Some(timeouts) = self.request.pool().map(|pool| self.request.timeouts(pool)) else {
            return Poll::Pending;
        };
        let grace = self.request.inbound.listener.settings.header_timeout;
        loop {
            let answer_us = upload.answer_due_us(timeouts.read);
            let body_us = upload.body_due_us(self.request.delivery.pace, grace);
            let taken_us = upload.taken_due_us(timeouts.write);
            let due_us = answer_us.min(body_us).min(taken_us);
            if self.alarm.poll(due_us, cx).is_pending() {
                return Poll::Pending;
            }
            if due_us == taken_us {
                upload.stall(self.alarm.now_us());
                continue;
            }
            if due_us == body_us {
                return Poll::Ready(Err(slow_body()));
            }
            self.request.delivery.is_late = true;
            let kind = if upload.is_stalled { ErrorType::WriteTimedout } else { ErrorType::ReadTimedout };
            return Poll::Ready(Err(Error::explain(kind, "the answer's head took too long").into_up()));
        }
    }

    /// Ready when one of the deadlines of an answer under way has passed.
    pub(super) fn poll_overdue_answer<T>(
        &mut self,
        upload: &Upload,
        answering: &Answering,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        let settings = &self.request.inbound.listener.settings;
        let read = self.request.pool().map(|pool| self.request.timeouts(pool).read);
        let stalled_us =
            answering.untaken.map_or(NEVER_US, |(since_us, _)| after_us(since_us, settings.write_timeout));
        let is_heard = (answering.untaken.is_none() || answering.is_listening) && !answering.is_done;
        let silent_us = read.filter(|_| is_heard).map_or(NEVER_US, |read| after_us(answering.heard_us, read));
        let body_us = upload.body_due_us(self.request.delivery.pace, settings.header_timeout);
        let due_us = stalled_us.min(silent_us).min(body_us);
        std::task::ready!(self.alarm.poll(due_us, cx));
        if due_us == stalled_us {
            // How long it took nothing counts where the upstream breaks for it.
            return Poll::Ready(Err(stalled()));
        }
        if due_us == body_us {
            return Poll::Ready(Err(slow_body()));
        }
        Poll::Ready(Err(Error::explain(ErrorType::ReadTimedout, "the answer is silent").into_up()))
    }
}
