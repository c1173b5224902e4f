//! What the upstreams of a service say of themselves, as it comes in.
//!
//! It is kept for all pools: the candidate is held against it, and people look at stable's beside it.

use super::links::Links;
use super::live::{Live, LivePool};
use crate::core::policy::readings::Source;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Live {
    /// Takes in one round of one upstream.
    pub(super) fn signals(
        &mut self,
        pool: &str,
        source: &Source,
        values: Vec<(Arc<str>, Result<f64, String>)>,
        asked: Duration,
        links: &Links,
    ) {
        self.expect_signals(links);
        // What was asked for before the pool began anew may be another version's word.
        if let Some(pool) = self.pools.get_mut(pool).filter(|pool| asked >= pool.begun) {
            pool.readings.observe(source, values, links.clock.now());
        }
        self.judge(links, None);
    }

    /// Brings those who are expected to speak in line with the upstreams: draining ones need not.
    pub(super) fn expect_signals(&mut self, links: &Links) {
        if self.policy(links).is_none_or(|policy| policy.signals.is_empty()) {
            return;
        }
        let now = links.clock.now();
        for pool in self.pools.values_mut() {
            pool.readings.expect(pool.upstreams.open(), now);
        }
    }

    /// The worst latest value of each signal over the upstreams of a pool, by name.
    pub(super) fn worst_signals(&self, pool: &LivePool, links: &Links) -> BTreeMap<String, f64> {
        let policy = self.policy(links);
        policy.map(|p| pool.readings.highest(&p.signals, links.clock.now())).unwrap_or_default()
    }
}
