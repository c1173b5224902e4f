//! Where an attempt goes.

use super::super::plan;
use super::super::request::Request;
use super::Gate;
use crate::core::own_limit::OwnLimit;
use pingora_core::prelude::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;

impl Gate {
    /// Begins an attempt on an upstream of the request's pool, or of stable where the shield sends it on.
    ///
    /// # Errors
    /// 503 when no upstream can take it.
    pub(super) fn next_peer(&self, session: &Session, request: &mut Request) -> Result<Box<HttpPeer>> {
        let table = request.table.clone();
        loop {
            let pool = request.target.and_then(|target| target.pool(&table));
            let Some(pool) = pool else { return Error::e_explain(ErrorType::HTTPStatus(503), "no pool") };
            let header = session.req_header();
            let chosen = plan::upstream(pool, header, request.client, self.draw() as u32, request.tried);
            if let Some((index, upstream)) =
                chosen.and_then(|index| Some((index, pool.upstreams.get(index)?)))
            {
                // Streams of HTTP/2 share their connections.
                let place = self.shared.places.upstream();
                if place.is_none() && !pool.http2 {
                    self.kept_out(request, OwnLimit::Descriptors);
                    return Error::e_explain(ErrorType::HTTPStatus(503), "no descriptor for an upstream");
                }
                self.begin(pool, index, request);
                if let Some(attempt) = &mut request.attempt {
                    attempt.place = place.filter(|_| !pool.http2);
                }
                let timeouts = request.timeouts(pool);
                if let Some(signals) = request.signals() {
                    signals.await_answer(timeouts.read);
                }
                return Ok(Box::new(self.peer(pool, upstream, timeouts)));
            }
            if request.attempts_here() > 0 {
                break;
            }
            if pool.is_ready() {
                self.kept_out(request, OwnLimit::MaxConns);
                if self.turn_elsewhere(session, request) {
                    continue;
                }
                break;
            }
            self.charge_unavailable(pool, request);
            // Once: stable has no stable to go to.
            if !self.shield(session, request, true) {
                break;
            }
        }
        Error::e_explain(ErrorType::HTTPStatus(503), "no upstream is ready")
    }
}
