//! Requests that what the proxy itself is short of keeps from a pool: they are charged to nobody.

use super::choice::By;
use super::gate::{Gate, answer_begun};
use super::plan;
use super::reply;
use super::request::Request;
use super::retry;
use crate::core::balance::Tried;
use crate::core::outcome::Outcome;
use crate::core::own_limit::OwnLimit;
use crate::core::table::{Pool, Service};
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

impl Gate {
    /// Whether an attempt failed for what this process is short of.
    pub(super) fn shortage(&self, error: &Error, request: &Request) -> Option<OwnLimit> {
        reply::shortage(error, request.upstream().map(|upstream| upstream.address))
    }

    /// Counts a request that was kept from the pool it is on.
    pub(super) fn kept_out(&self, request: &Request, limit: OwnLimit) {
        match request.pool() {
            Some(pool) => self.shard.kept_out(pool.arm, limit),
            None => self.shard.own_limit(limit),
        }
    }

    /// No connection, for want of something here. Where only ports towards this address are missing, others may have
    /// some; where it is descriptors or memory, nobody is helped by more attempts.
    pub(super) fn short(&self, session: &Session, request: &mut Request, limit: OwnLimit) -> Box<Error> {
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

    /// Sends a request on to another pool of its service, once, of which nothing has been sent: to stable, where it is
    /// on a shielded candidate, else to one that has weight. Neither the shield's budget nor its counts are touched,
    /// since the candidate has done nothing.
    pub(super) fn turn_elsewhere(&self, session: &Session, request: &mut Request) -> bool {
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

    fn elsewhere(&self, header: &RequestHeader, request: &Request) -> Option<usize> {
        let target = request.target?;
        let service = target.service(&request.table)?;
        let has_room = |pool: &Pool| {
            plan::upstream(pool, header, request.client, self.draw() as u32, Tried::default()).is_some()
        };
        let shielding = service.shielding.as_ref().filter(|shielding| shielding.candidate == target.pool);
        if let Some(shielding) = shielding {
            return service
                .pools
                .get(shielding.stable)
                .filter(|pool| has_room(pool))
                .map(|_| shielding.stable);
        }
        // Who asked for this pool gets no other.
        if matches!(request.by, Some(By::Tester | By::Rule)) {
            return None;
        }
        heaviest(service, target.pool, has_room)
    }
}

/// The pool with the most weight beside one, of those that can take a request.
fn heaviest(service: &Service, but: usize, has_room: impl Fn(&Pool) -> bool) -> Option<usize> {
    let others =
        service.pools.iter().enumerate().filter(|(index, pool)| *index != but && pool.weight.get() > 0);
    others
        .filter(|(_, pool)| has_room(pool))
        .max_by_key(|(_, pool)| pool.weight.get())
        .map(|(index, _)| index)
}
