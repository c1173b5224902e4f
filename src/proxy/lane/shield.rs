//! The shield: when an attempt on a candidate has failed, the same request goes to stable.
//!
//! It goes there at once, whatever else the candidate's pool could offer: its user waits for nothing. What
//! the candidate did is charged before, in full. Only what is safe to repeat is repeated.

use crate::core::balance::Tried;
use crate::core::table::Pool;
use crate::proxy::decide::plan;
use crate::proxy::decide::retry;
use crate::proxy::exchange::request::Request;
use crate::proxy::lane::gate::{Gate, answer_begun};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

impl Gate {
    /// Whether the request goes to stable after an attempt that failed; then it is on its way there.
    /// `unsent` says that nothing of it had been sent.
    pub(in crate::proxy) fn shield(&self, session: &Session, request: &mut Request, unsent: bool) -> bool {
        let header = session.req_header();
        let replayable = !session.as_ref().retry_buffer_truncated();
        let safe = !answer_begun(session) && retry::is_safe(&header.method, unsent, replayable);
        safe && self.turn_to_stable(header, request)
    }

    /// The same for an answer that the candidate gave.
    pub(in crate::proxy) fn hides(&self, session: &Session, request: &mut Request, status: u16) -> bool {
        let service = request.target.and_then(|target| target.service(&request.table));
        let shielding = service.and_then(|service| service.shielding.as_ref());
        shielding.is_some_and(|shielding| shielding.shield.hides(status))
            && self.shield(session, request, false)
    }

    fn turn_to_stable(&self, header: &RequestHeader, request: &mut Request) -> bool {
        let Some(stable) = self.granted(header, request) else { return false };
        request.shielded_after = Some(request.attempts);
        request.tried = Tried::default();
        if let Some(target) = &mut request.target {
            target.pool = stable;
        }
        true
    }

    /// Stable, where the request is on the candidate, stable can serve it and the budget allows it.
    fn granted(&self, header: &RequestHeader, request: &Request) -> Option<usize> {
        let target = request.target?;
        let service = target.service(&request.table)?;
        let shielding = service.shielding.as_ref().filter(|shielding| shielding.candidate == target.pool)?;
        let arm = |pool: usize| service.pools.get(pool).map(|pool: &Pool| pool.arm);
        let stable = service.pools.get(shielding.stable)?;
        plan::upstream(stable, header, request.client, self.draw() as u32, Tried::default())?;
        let granted = self.shard.shield(arm(target.pool)?, stable.arm, shielding.shield.budget);
        granted.then_some(shielding.stable)
    }
}
