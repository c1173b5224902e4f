//! Counting: what each attempt on an upstream came to, charged once to the pool that served it.

use super::gate::Gate;
use super::request::{Attempt, Ended, Phase, Request};
use crate::core::client::ClientKey;
use crate::core::outcome::{Outcome, Reason};
use crate::core::table::Pool;

/// Attempts of one request that are remembered beside the last: more than a pool may be told to make.
const REMEMBERED: usize = 16;

impl Gate {
    /// Counts the start of an attempt on an upstream, and in the request's own books.
    pub(super) fn begin(&self, pool: &Pool, index: usize, request: &mut Request) {
        let Some(upstream) = pool.upstreams.get(index) else { return };
        // The first attempt starts with the request, which saves a look at the clock.
        let now = if request.attempts == 0 { request.started_us } else { self.shared.clock.now_us() };
        if let Some(ended) = request.last.take().filter(|_| request.earlier.len() < REMEMBERED) {
            request.earlier.push(ended);
        }
        let in_flight = upstream.live.clone().enter();
        let kept = pool.keepalive_connections;
        request.attempt = Some(Attempt {
            arm: pool.arm,
            started: self.shard.start(pool.arm, now),
            started_us: now,
            phase: Phase::Waiting,
            is_crowded: kept > 0 && upstream.live.in_flight() > kept,
            _in_flight: in_flight,
            place: None,
        });
        request.attempts += 1;
        request.tried.add(index);
        request.upstream = Some(index);
        request.head_us = None;
        request.response_us = None;
        request.connect_us = None;
    }

    /// Charges what the attempt under way came to; the first word counts, but a body that breaks
    /// turns a success into a failure.
    pub(super) fn charge(&self, request: &mut Request, outcome: Outcome, code: u16) {
        let Some(pool) = request.target.and_then(|t| t.pool(&request.table)) else { return };
        let client = request.client;
        let Some(attempt) = request.attempt.as_mut() else { return };
        match (attempt.phase, outcome) {
            (Phase::Waiting, _) => {
                let now = self.shared.clock.now_us();
                if let Outcome::Failure(_) = outcome {
                    self.shard.failed_for(attempt.arm, ClientKey::of(client), now);
                }
                let took = now.saturating_sub(attempt.started_us);
                self.shard.answered(attempt.arm, attempt.started, now, outcome, code, &pool.slow);
                request.head_us = (code > 0).then_some(took);
                let (target, upstream, began_us) = (request.target, request.upstream, attempt.started_us);
                request.last =
                    Some(Ended { target, upstream, code, outcome, began_us, known_us: now, broke_us: None });
                let slow = pool.slow.0.iter().any(|limit| took > u64::from(*limit));
                if slow || matches!(outcome, Outcome::Failure(_)) {
                    self.shared.wake.adverse(now);
                }
            }
            (Phase::Succeeding, Outcome::Failure(reason)) => {
                let now = self.shared.clock.now_us();
                self.shard.failed_for(attempt.arm, ClientKey::of(client), now);
                self.shard.broken(attempt.arm, reason);
                if let Some(last) = &mut request.last {
                    (last.outcome, last.broke_us) = (outcome, Some(now));
                }
                self.shared.wake.adverse(now);
            }
            _ => return,
        }
        attempt.phase = if outcome == Outcome::Success { Phase::Succeeding } else { Phase::Counted };
        if let (Outcome::Failure(reason), Some(upstream)) = (outcome, request.upstream)
            && reason.is_transport()
            && let Some(upstream) = pool.upstreams.get(upstream)
        {
            upstream.live.count_failure();
        }
    }

    /// No upstream could take the request: a failure of the pool all the same.
    pub(super) fn charge_unavailable(&self, pool: &Pool, request: &mut Request) {
        let started = self.shard.start(pool.arm, request.started_us);
        let outcome = Outcome::Failure(Reason::Unavailable);
        let now = self.shared.clock.now_us();
        self.shard.failed_for(pool.arm, ClientKey::of(request.client), now);
        self.shard.answered(pool.arm, started, now, outcome, 0, &pool.slow);
        self.shared.wake.adverse(now);
        let (target, began_us) = (request.target, request.started_us);
        request.last =
            Some(Ended { target, upstream: None, code: 0, outcome, began_us, known_us: now, broke_us: None });
    }
}
