//! The pool that a deploy may take: one that nobody is served by.

use super::ServiceState;
use super::change::Denied;
use crate::core::weight::BasisPoints;

/// What a start may name in place of a pool, unless a pool is called so.
pub const IDLE: &str = "idle";

impl ServiceState {
    /// A pool that neither serves nor is about to: of several the one that got its version first, and the one that a
    /// rollback goes to last.
    pub fn idle(&self) -> Option<&str> {
        let candidate = self.running().map(|running| running.to.as_str());
        let is_free = |pool: &&String| Some(pool.as_str()) != candidate && **pool != self.stable;
        let without = self.weights.iter().filter(|(_, weight)| **weight == BasisPoints::ZERO);
        let since = |pool: &String| self.pools.get(pool).and_then(|record| record.since.as_deref());
        let order = |pool: &&String| (self.previous.as_ref() == Some(*pool), since(pool));
        without.map(|(pool, _)| pool).filter(is_free).min_by_key(order).map(String::as_str)
    }

    /// The pool that a start means.
    pub(super) fn meant(&self, to: &str) -> Result<String, Denied> {
        if to != IDLE || self.weights.contains_key(IDLE) {
            return Ok(to.to_owned());
        }
        let detail = "no pool is idle: each is stable, has weight, or is the candidate of a rollout; set its \
                      weight to 0, or name a pool";
        self.idle().map(str::to_owned).ok_or(Denied::Conflict { detail: detail.into(), rollout: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::service::tests::{CAREFUL, at, bp, canary, start};
    use crate::core::service::{Change, ServiceState};
    use std::collections::BTreeMap;

    fn three() -> ServiceState {
        ServiceState::new("blue", ["blue", "canary", "green"])
    }

    #[test]
    fn a_deploy_takes_the_pool_that_has_been_free_for_longest() {
        let mut state = three();
        assert_eq!(state.idle(), Some("canary"));
        state.pools.entry("canary".into()).or_default().since = Some("2026-01-01T00:00:00Z".into());
        assert_eq!(state.idle(), Some("green"), "it has had no version yet");
        state.previous = Some("green".into());
        assert_eq!(state.idle(), Some("canary"), "a rollback goes to the other");
        let started = state.apply(start("r1", IDLE, canary()), at(0)).expect("started").state;
        assert_eq!(started.running().map(|running| &*running.to), Some("canary"));
        assert_eq!(started.idle(), Some("green"), "what is being tried is not free");
    }

    #[test]
    fn where_all_serve_none_is_free() {
        let weights = BTreeMap::from([("blue".to_owned(), bp(5000)), ("green".to_owned(), bp(5000))]);
        let state = ServiceState::new("blue", ["blue", "green"]);
        let change = Change::Weights { weights: &weights, caution: CAREFUL, who: "kim" };
        let state = state.apply(change, at(0)).expect("set").state;
        assert_eq!(state.idle(), None);
        assert!(matches!(state.apply(start("r1", IDLE, canary()), at(0)), Err(Denied::Conflict { .. })));
    }

    #[test]
    fn a_pool_of_that_name_is_meant_by_it() {
        let state = ServiceState::new("blue", ["blue", "idle"]);
        assert_eq!(state.meant(IDLE), Ok("idle".to_owned()));
        assert_eq!(three().meant("green"), Ok("green".to_owned()));
    }
}
