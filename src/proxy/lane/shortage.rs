//! Requests that what the proxy itself is short of keeps from a pool: they are charged to nobody.

use crate::core::balance::Tried;
use crate::core::outcome::Outcome;
use crate::core::own_limit::OwnLimit;
use crate::core::tester::Wanted;
use crate::proxy::decide::choice::By;
use crate::proxy::decide::outcome as reply;
use crate::proxy::decide::plan;
use crate::proxy::decide::retry;
use crate::proxy::exchange::request::Request;
use crate::proxy::lane::gate::{Gate, answer_begun};
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

impl Gate {
    /// Whether an attempt failed for what this process is short of.
    pub(in crate::proxy) fn shortage(&self, error: &Error, request: &Request) -> Option<OwnLimit> {
        reply::shortage(error, request.upstream().map(|upstream| upstream.address))
    }

    /// Counts a request that was kept from the pool it is on.
    pub(in crate::proxy) fn kept_out(&self, request: &Request, limit: OwnLimit) {
        match request.pool() {
            Some(pool) => self.shard.kept_out(pool.arm, limit),
            None => self.shard.own_limit(limit),
        }
    }

    /// No connection, for want of something here. Where only ports towards this address are missing, others may have
    /// some; where it is descriptors or memory, nobody is helped by more attempts.
    pub(in crate::proxy) fn short(
        &self,
        session: &Session,
        request: &mut Request,
        limit: OwnLimit,
    ) -> Box<Error> {
        self.charge(request, Outcome::Ignored, 0);
        self.kept_out(request, limit);
        // Nothing has been tried.
        request.attempts = request.attempts.saturating_sub(1);
        let elsewhere = limit == OwnLimit::Ports
            && (retry::again(self.situation(session, request, true))
                || self.turn_elsewhere(session, request));
        let mut error = Error::explain(ErrorType::HTTPStatus(503), limit.label());
        error.set_retry(elsewhere);
        error
    }

    /// Sends a request of which nothing has been sent on to stable, once. Neither the shield's budget nor its counts are
    /// touched, since the candidate has done nothing.
    pub(in crate::proxy) fn turn_elsewhere(&self, session: &Session, request: &mut Request) -> bool {
        if request.moved || answer_begun(session) {
            return false;
        }
        let Some(pool) = self.elsewhere(session.req_header(), request) else { return false };
        request.moved = true;
        request.shielded_after = (request.attempts > 0).then_some(request.attempts);
        request.tried = Tried::default();
        if let Some(target) = &mut request.target {
            target.pool = pool;
        }
        true
    }

    /// Stable, where the request is on another pool and stable has room. Nobody is sent from stable to a candidate, who
    /// would serve more users than its weight says; and who asked for a pool gets no other, but from a shielded one.
    fn elsewhere(&self, header: &RequestHeader, request: &Request) -> Option<usize> {
        let target = request.target?;
        let service = target.service(&request.table)?;
        let stable =
            service.choice.place(&Wanted::Stable, &service.pools).filter(|stable| *stable != target.pool)?;
        let is_shielded =
            service.shielding.as_ref().is_some_and(|shielding| shielding.candidate == target.pool);
        if !is_shielded && matches!(request.by, Some(By::Tester | By::Rule)) {
            return None;
        }
        let pool = service.pools.get(stable)?;
        plan::upstream(pool, header, request.client, self.draw() as u32, Tried::default()).map(|_| stable)
    }
}
