//! What operators are told of own limits: once, and again after a while as long as they are met.

use super::Task;
use crate::core::own_limit::OwnLimit;
use std::time::Duration;

/// Least time between two words about one limit.
const PAUSE: Duration = Duration::from_secs(60);

/// How often each limit had been met when operators were told of it last, and when that was.
#[derive(Debug, Default)]
pub(super) struct Told([(u64, Option<Duration>); OwnLimit::ALL.len()]);

impl Task {
    /// Says in the log which limits have been met. What clients bring about alone is counted only.
    pub(super) fn tell_own_limits(&mut self, now: Duration) {
        let counts = self.links.recorder.own_limits();
        for ((limit, count), told) in OwnLimit::ALL.into_iter().zip(counts).zip(&mut self.told.0) {
            let Some(advice) = limit.advice().filter(|_| count > told.0) else { continue };
            if told.1.is_some_and(|at| now < at + PAUSE) {
                continue;
            }
            let times = count - told.0;
            *told = (count, Some(now));
            let pools: Vec<_> = self.lives.awake().flat_map(|live| live.kept_out(&self.links)).collect();
            let pools = if limit == OwnLimit::Hops { String::new() } else { pools.join(" ") };
            tracing::warn!(limit = limit.label(), times, pools, "{advice}; no pool is charged for it");
        }
    }
}
