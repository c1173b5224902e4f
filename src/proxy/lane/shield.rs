//! The shield: when an attempt on a candidate has failed, the same request goes to stable. So does one that an own
//! limit keeps from another pool; and one that could not be sent goes to any other pool with weight.
//!
//! It goes there at once, whatever else the candidate's pool could offer: its user waits for nothing. What
//! the candidate did is charged before, in full. Only what is safe to repeat is repeated.

use super::exchange::Exchange;
use crate::core::balance::Tried;
use crate::core::table::Pool;
use crate::core::tester::Wanted;
use crate::proxy::decide::{plan, retry};
use crate::proxy::exchange::ChosenBy;

impl Exchange<'_> {
    /// Whether the request goes to stable after an attempt that failed; then it is on its way there.
    /// `unsent` says that nothing of it had been sent.
    pub(super) fn shield(&mut self, unsent: bool) -> bool {
        let request = &self.request;
        let replayable = request.inbound.body.is_replayable();
        let is_safe = retry::is_safe(&request.head.method, unsent, replayable);
        if !is_safe || request.delivery.has_begun() {
            return false;
        }
        let Some(stable) = self.granted() else { return false };
        self.request.attempts.shielded_after = Some(self.request.attempts.made);
        self.turn_to(stable);
        true
    }

    /// The same for an answer that the candidate gave.
    pub(super) fn hides(&mut self, status: u16) -> bool {
        let shielding = self.request.service().and_then(|service| service.shielding.as_ref());
        shielding.is_some_and(|shielding| shielding.shield.hides(status)) && self.shield(false)
    }

    /// Stable, where the request is on the candidate, stable can serve it and the budget allows it.
    fn granted(&self) -> Option<usize> {
        let request = &self.request;
        let target = request.plan.target?;
        let service = request.service()?;
        let shielding = service.shielding.as_ref().filter(|shielding| shielding.candidate == target.pool)?;
        let arm = |pool: usize| service.pools.get(pool).map(|pool: &Pool| pool.arm);
        let stable = service.pools.get(shielding.stable)?;
        self.can_serve(stable).then_some(())?;
        let granted = self.worker.meter.shard.shield(arm(target.pool)?, stable.arm, shielding.shield.budget);
        granted.then_some(shielding.stable)
    }

    /// Sends a request that could not be sent to its pool, which was charged for that, on to another one with weight,
    /// whatever its method; once, and not after the shield or an own limit has sent it on.
    pub(super) fn turn_over(&mut self) -> bool {
        let attempts = &self.request.attempts;
        if attempts.moved || attempts.shielded_after.is_some() || self.request.delivery.has_begun() {
            return false;
        }
        let Some(pool) = self.another_with_weight() else { return false };
        self.move_to(pool);
        true
    }

    /// Stable or, where it cannot, the pool with the most weight of those that can serve the request. Testers, and
    /// requests that a strict rule holds for, get no pool but the one they asked for.
    fn another_with_weight(&self) -> Option<usize> {
        let target = self.request.plan.target?;
        if matches!(self.request.plan.by, Some(ChosenBy::Tester | ChosenBy::StrictRule)) {
            return None;
        }
        let service = self.request.service()?;
        let stable = service.choice.place(&Wanted::Stable, &service.pools);
        let others = service.pools.iter().enumerate();
        let others =
            others.filter(|(index, pool)| *index != target.pool && pool.takes_over && self.can_serve(pool));
        others.max_by_key(|(index, pool)| (Some(*index) == stable, pool.weight)).map(|(index, _)| index)
    }

    /// Sends a request of which nothing has been sent on to stable, once. Neither the shield's budget nor its counts are
    /// touched, since the candidate has done nothing.
    pub(super) fn turn_elsewhere(&mut self) -> bool {
        let attempts = &self.request.attempts;
        if attempts.moved || self.request.delivery.has_begun() {
            return false;
        }
        let Some(pool) = self.elsewhere() else { return false };
        self.move_to(pool);
        true
    }

    /// Stable, where the request is on another pool and stable has room. Nobody is sent from stable to a candidate, who
    /// would serve more users than its weight says; and who asked for a pool gets no other, but from a shielded one.
    fn elsewhere(&self) -> Option<usize> {
        let target = self.request.plan.target?;
        let service = self.request.service()?;
        let stable = service.choice.place(&Wanted::Stable, &service.pools);
        let stable = stable.filter(|stable| *stable != target.pool)?;
        let is_shielded =
            service.shielding.as_ref().is_some_and(|shielding| shielding.candidate == target.pool);
        if !is_shielded
            && matches!(self.request.plan.by, Some(ChosenBy::Tester | ChosenBy::Rule | ChosenBy::StrictRule))
        {
            return None;
        }
        self.can_serve(service.pools.get(stable)?).then_some(stable)
    }

    fn can_serve(&self, pool: &Pool) -> bool {
        let (request, draw) = (&self.request, self.worker.draw() as u32);
        plan::upstream(pool, request, draw, Tried::default()).is_some()
    }

    fn move_to(&mut self, pool: usize) {
        let attempts = &mut self.request.attempts;
        attempts.moved = true;
        attempts.shielded_after = (attempts.made > 0).then_some(attempts.made);
        self.turn_to(pool);
    }

    fn turn_to(&mut self, pool: usize) {
        self.request.attempts.tried = Tried::default();
        if let Some(target) = &mut self.request.plan.target {
            target.pool = pool;
        }
    }
}
