//! What is known of an attempt that failed, when it is decided what follows. The decision itself is a plain
//! function ([`super::retry`]).

use super::Gate;
use crate::proxy::decide::plan;
use crate::proxy::decide::retry::Situation;
use crate::proxy::exchange::request::Request;
use pingora_proxy::Session;

impl Gate {
    /// What is known for the decision whether the request goes to another upstream.
    pub(in crate::proxy) fn situation<'a>(
        &self,
        session: &'a Session,
        request: &Request,
        unsent: bool,
    ) -> Situation<'a> {
        let header = session.req_header();
        let another = request
            .pool()
            .and_then(|pool| plan::upstream(pool, header, request.client, self.draw() as u32, request.tried));
        Situation {
            method: &header.method,
            unsent,
            answer_begun: answer_begun(session),
            replayable: !session.as_ref().retry_buffer_truncated(),
            attempts: request.attempts_here(),
            tries: request.pool().map_or(0, |pool| pool.tries),
            another: another.is_some(),
        }
    }
}

/// Whether the client has been sent any of the final answer.
pub(in crate::proxy) fn answer_begun(session: &Session) -> bool {
    session.response_written().is_some_and(|head| !head.status.is_informational() || head.status == 101)
}
