//! A request that was taken back from a frozen or aborted upstream goes to where the weights lead now.

use crate::core::balance::Tried;
use crate::core::outcome::Outcome;
use crate::core::table::{Service, Table};
use crate::proxy::decide::plan::{self, Target};
use crate::proxy::decide::retry;
use crate::proxy::exchange::request::Request;
use crate::proxy::lane::gate::{Gate, answer_begun};
use http::request::Parts;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use std::os::fd::RawFd;
use std::sync::Arc;

/// The error of an attempt that was taken back before it began; nobody else sees it.
pub(in crate::proxy) const RECALLED: ErrorType = ErrorType::Custom("recalled");

/// Times that one request may be taken back.
const MOST_RECALLS: u8 = 4;

impl Gate {
    /// An attempt has its connection.
    ///
    /// # Errors
    /// [`RECALLED`] when its upstream was recalled while it was connecting: nothing of it has been sent.
    pub(in crate::proxy) fn enter_registry(
        &self,
        session: &Session,
        request: &mut Request,
        socket: RawFd,
        reused: bool,
    ) -> Result<()> {
        request.leave_registry();
        let may_return = self.may_return(session, request);
        let (Some(pool), Some(upstream)) = (request.pool(), request.upstream()) else { return Ok(()) };
        let (arm, address) = (pool.arm, upstream.address);
        if request.recalls < MOST_RECALLS && self.registry.is_recalled(arm, address, request.table.revision) {
            return Error::e_explain(RECALLED, "the upstream is not to be used any more");
        }
        let revision = request.table.revision;
        request.place = self.registry.enter(socket, !reused, (arm, address), revision, may_return);
        Ok(())
    }

    /// What becomes of a request that was taken back: it goes elsewhere, and nobody is charged.
    pub(in crate::proxy) fn taken_back(
        &self,
        session: &Session,
        request: &mut Request,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.charge(request, Outcome::Ignored, 0);
        error.set_retry(self.send_elsewhere(session, request));
        error.into_up()
    }

    /// After a failure, where nothing else is left: whether the request goes to where the weights lead now,
    /// since its pool has lost its own in the meantime.
    pub(in crate::proxy) fn leaves_with_weight(
        &self,
        session: &Session,
        request: &mut Request,
        unsent: bool,
    ) -> bool {
        let replayable = !session.as_ref().retry_buffer_truncated();
        if request.recalls >= MOST_RECALLS
            || !retry::is_safe(&session.req_header().method, unsent, replayable)
        {
            return false;
        }
        let Some(pool) = request.pool().filter(|pool| pool.weight.get() > 0) else { return false };
        let now = self.shared.table.load();
        let mut pools = now.services.iter().flat_map(|service| &service.pools);
        let has_lost = pools.any(|now| now.arm == pool.arm && now.weight.get() == 0);
        has_lost && self.send_elsewhere(session, request)
    }

    /// Whether a request may be taken back while it waits on an upstream: it can be sent once more.
    fn may_return(&self, session: &Session, request: &Request) -> bool {
        request.recalls < MOST_RECALLS
            && session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated()
    }

    /// Sends a request that was taken back on its way again; `false` where nobody can serve it.
    fn send_elsewhere(&self, session: &Session, request: &mut Request) -> bool {
        if answer_begun(session) || session.as_ref().retry_buffer_truncated() {
            return false;
        }
        let now = self.shared.table.load_full();
        // The request's route is known by its number.
        let table =
            if Arc::ptr_eq(&now.routes, &request.table.routes) { now.clone() } else { request.table.clone() };
        let Some(target) = self.place_elsewhere(&now, &table, session.req_header(), request) else {
            return false;
        };
        request.turn_to(table, target);
        true
    }

    /// Another upstream of its pool while the pool has weight `now`, else a pool that has; as `table` numbers
    /// them.
    fn place_elsewhere(&self, now: &Table, table: &Table, head: &Parts, request: &Request) -> Option<Target> {
        let (name, own) = (&request.service()?.name, request.pool()?.arm);
        let find = |table: &Table| table.services.iter().position(|service| service.name == *name);
        let today = now.services.get(find(now)?)?;
        let service = find(table)?;
        let pools = &table.services.get(service)?.pools;
        let position = |arm| pools.iter().position(|pool| pool.arm == arm);
        let can_serve = |pool: &usize| {
            let tried = if request.target == Some(Target { service, pool: *pool }) {
                request.tried
            } else {
                Tried::default()
            };
            let upstream = |pool| plan::upstream(pool, head, request.client, self.draw() as u32, tried);
            pools.get(*pool).and_then(upstream).is_some()
        };
        let has_weight = today.pools.iter().any(|pool| pool.arm == own && pool.weight.get() > 0);
        let own = position(own).filter(|_| has_weight).filter(can_serve);
        let drawn = || position(today.pools.get(self.by_weight(today)?)?.arm).filter(can_serve);
        Some(Target { service, pool: own.or_else(drawn)? })
    }

    fn by_weight(&self, service: &Service) -> Option<usize> {
        service.picker.pick(self.draw() as u32)
    }
}
