//! A request that was taken back from a frozen or aborted upstream goes to where the weights lead now.

use super::exchange::Exchange;
use crate::core::balance::Tried;
use crate::core::outcome::Outcome;
use crate::core::table::Table;
use crate::proxy::decide::{plan, retry};
use crate::proxy::exchange::PlanTarget;
use pingora_error::{Error, ErrorType, Result};
use std::os::fd::RawFd;
use std::sync::Arc;

/// The error of an attempt that was taken back before it began; nobody else sees it.
pub(super) const RECALLED: ErrorType = ErrorType::Custom("recalled");

/// Times that one request may be taken back.
const MOST_RECALLS: u8 = 4;

impl Exchange<'_> {
    /// An attempt has its connection.
    ///
    /// # Errors
    /// [`RECALLED`] when its upstream was recalled while it was connecting: nothing of it has been sent.
    pub(super) fn enter_registry(&mut self, socket: RawFd, reused: bool) -> Result<()> {
        let request = &mut self.request;
        request.attempts.leave_registry();
        let may_return = request.attempts.recalls < MOST_RECALLS
            && request.head.method.is_idempotent()
            && request.inbound.body.is_replayable();
        let (Some(pool), Some(upstream)) = (request.pool(), request.upstream()) else { return Ok(()) };
        let (place, revision) = ((pool.arm, upstream.hash), request.plan.table.revision);
        let registry = request.attempts.registry();
        if request.attempts.recalls < MOST_RECALLS
            && registry.is_recalled(pool.arm, upstream.address, revision)
        {
            return Error::e_explain(RECALLED, "the upstream is not to be used any more");
        }
        request.attempts.place = registry.enter(socket, !reused, place, revision, may_return);
        Ok(())
    }

    /// What becomes of a request that was taken back: it goes elsewhere, and nobody is charged.
    pub(super) fn taken_back(&mut self, mut error: Box<Error>) -> Box<Error> {
        self.charge(Outcome::Ignored);
        error.set_retry(self.send_elsewhere());
        error.into_up()
    }

    /// After a failure, where nothing else is left: whether the request goes to where the weights lead now,
    /// since its pool has lost its own in the meantime.
    pub(super) fn leaves_with_weight(&mut self, unsent: bool) -> bool {
        let request = &self.request;
        let replayable = request.inbound.body.is_replayable();
        if request.attempts.recalls >= MOST_RECALLS
            || !retry::is_safe(&request.head.method, unsent, replayable)
        {
            return false;
        }
        let Some(pool) = request.pool().filter(|pool| pool.weight.get() > 0) else { return false };
        let now = self.worker.shared.table.load();
        let mut pools = now.services.iter().flat_map(|service| &service.pools);
        let has_lost = pools.any(|now| now.arm == pool.arm && now.weight.get() == 0);
        drop(now);
        has_lost && self.send_elsewhere()
    }

    /// The body of a request was waited for: what the newest table says of pools and upstreams counts by now.
    pub(super) fn catch_up(&mut self) {
        let now = self.worker.shared.table.load_full();
        let plan = &self.request.plan;
        // The request's route is known by its number.
        let is_comparable = Arc::ptr_eq(&now.routes, &plan.table.routes);
        if !is_comparable || Arc::ptr_eq(&now, &plan.table) || self.leaves_with_weight(true) {
            return;
        }
        let Some((name, arm)) = self.request.service().zip(self.request.pool()) else { return };
        let (name, arm) = (&name.name, arm.arm);
        let Some(service) = now.services.iter().position(|service| service.name == *name) else { return };
        let pools = now.services.get(service).map_or(&[][..], |service| &service.pools);
        let Some(pool) = pools.iter().position(|pool| pool.arm == arm) else { return };
        (self.request.plan.table, self.request.plan.target) = (now, Some(PlanTarget { service, pool }));
    }

    /// Sends a request that was taken back on its way again; `false` where nobody can serve it.
    fn send_elsewhere(&mut self) -> bool {
        if !self.request.can_be_repeated() {
            return false;
        }
        let now = self.worker.shared.table.load_full();
        // The request's route is known by its number.
        let is_same = Arc::ptr_eq(&now.routes, &self.request.plan.table.routes);
        let table = if is_same { now.clone() } else { self.request.plan.table.clone() };
        let Some(target) = self.place_elsewhere(&now, &table) else { return false };
        self.request.turn_to(table, target);
        true
    }

    /// Another upstream of its pool while the pool has weight `now`, else a pool that has; as `table` numbers
    /// them.
    fn place_elsewhere(&self, now: &Table, table: &Table) -> Option<PlanTarget> {
        let request = &self.request;
        let (name, own) = (&request.service()?.name, request.pool()?.arm);
        let find = |table: &Table| table.services.iter().position(|service| service.name == *name);
        let today = now.services.get(find(now)?)?;
        let service = find(table)?;
        let pools = &table.services.get(service)?.pools;
        let position = |arm| pools.iter().position(|pool| pool.arm == arm);
        let can_serve = |pool: &usize| {
            let is_own = request.plan.target == Some(PlanTarget { service, pool: *pool });
            let tried = if is_own { request.attempts.tried } else { Tried::default() };
            let draw = self.worker.draw() as u32;
            let upstream = |pool| plan::upstream(pool, request, draw, tried);
            pools.get(*pool).and_then(upstream).is_some()
        };
        let has_weight = today.pools.iter().any(|pool| pool.arm == own && pool.weight.get() > 0);
        let own = position(own).filter(|_| has_weight).filter(can_serve);
        let by_weight = || today.picker.pick(self.worker.draw() as u32);
        let drawn = || position(today.pools.get(by_weight()?)?.arm).filter(can_serve);
        Some(PlanTarget { service, pool: own.or_else(drawn)? })
    }
}
