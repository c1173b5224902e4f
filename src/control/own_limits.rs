//! What operators hear of own limits: once, and again after a while as long as they are met.

use super::links::Links;
use super::services::Services;
use crate::core::own_limit::OwnLimit;
use std::time::Duration;

/// Least time between two words about one limit.
const PAUSE: Duration = Duration::from_secs(60);
/// Time between two looks at them.
const LOOK: Duration = Duration::from_secs(1);

/// How often each limit had been met when operators heard of it last, and when that was.
#[derive(Debug, Default)]
pub(super) struct OwnLimits {
    told: [(u64, Option<Duration>); OwnLimit::ALL.len()],
    looked_at: Duration,
}

impl OwnLimits {
    /// Says in the log which limits have been met. What clients bring about alone is counted only.
    pub(super) fn tell(&mut self, now: Duration, services: &Services, links: &Links) {
        if now < self.looked_at + LOOK {
            return;
        }
        self.looked_at = now;
        let counts = links.recorder.own_limits();
        for ((limit, count), told) in OwnLimit::ALL.into_iter().zip(counts).zip(&mut self.told) {
            let Some(advice) = limit.advice().filter(|_| count > told.0) else { continue };
            if told.1.is_some_and(|at| now < at + PAUSE) {
                continue;
            }
            let times = count - told.0;
            *told = (count, Some(now));
            let pools: Vec<_> =
                services.awake().flat_map(|service| service.facts().kept_out(links)).collect();
            let pools = if limit == OwnLimit::Hops { String::new() } else { pools.join(" ") };
            tracing::warn!(limit = limit.label(), times, pools, "{advice}; no pool is charged for it");
        }
    }
}
