//! A request that its upstream has turned away without processing it.

use super::{Gate, answer_begun};
use crate::core::outcome::{Outcome, Reason};
use crate::proxy::decide::connection_end::{MOST_TURNED_AWAY, Unprocessed};
use crate::proxy::decide::retry;
use crate::proxy::exchange::request::Request;
use pingora_error::Error;
use pingora_proxy::Session;

impl Gate {
    /// Sends it again, whatever its method, if its body is still at hand: to the same upstream for nobody's
    /// fault, a few times; else the upstream is charged, and another one asked.
    pub(super) fn turned_away(
        &self,
        session: &Session,
        request: &mut Request,
        mut error: Box<Error>,
        unprocessed: Unprocessed,
    ) -> Box<Error> {
        let replayable = !answer_begun(session) && !session.as_ref().retry_buffer_truncated();
        request.turned_away = request.turned_away.saturating_add(1);
        if unprocessed.is_orderly && request.turned_away <= MOST_TURNED_AWAY {
            // Once, others that were turned away with it have made room.
            request.take_back(request.turned_away > 1 || !unprocessed.is_told);
            self.charge(request, Outcome::Ignored, 0);
            error.set_retry(replayable);
            return error;
        }
        let situation = self.situation(session, request, replayable);
        self.charge(request, Outcome::Failure(Reason::Reset), 0);
        let again = self.shield(session, request, replayable)
            || retry::again(situation)
            || self.leaves_with_weight(session, request, replayable);
        error.set_retry(again);
        error
    }
}
