//! Counting: what each attempt on an upstream came to, charged once to the pool that served it.

use crate::core::outcome::{Outcome, Reason};
use crate::core::table::Pool;
use crate::proxy::exchange::request::{Attempt, Ended, Phase, Request};
use crate::proxy::lane::gate::Gate;

/// A client that has been silent for so long in the middle of its body, or sent less than so many bytes a
/// second for so long, is one that servers give up.
const SILENCE_US: u64 = 1_000_000;
const SLOW_BYTES: u64 = 4 << 10;

/// Attempts of one request that are remembered beside the last: more than a pool may be told to make.
const REMEMBERED: usize = 16;

impl Gate {
    /// Counts the start of an attempt on an upstream, and in the request's own books. `is_whole` says that the
    /// client has sent all of the request.
    pub(in crate::proxy) fn begin(&self, pool: &Pool, index: usize, request: &mut Request, is_whole: bool) {
        let Some(upstream) = pool.upstreams.get(index) else { return };
        // The first attempt starts with the request, which saves a look at the clock.
        let now = if request.attempts == 0 { request.started_us } else { self.shared.clock.now_us() };
        if let Some(ended) = request.last.take().filter(|_| request.earlier.len() < REMEMBERED) {
            request.earlier.push(ended);
        }
        let (arm, client) = (pool.arm, request.client_key());
        let started =
            if is_whole { self.shard.start(arm, now, client) } else { self.shard.hold(arm, now, client) };
        let started = started.in_era(pool.era_us);
        let in_flight = upstream.live.clone().enter();
        let kept = pool.keepalive_connections;
        request.attempt = Some(Attempt {
            arm: pool.arm,
            started,
            started_us: now,
            began_us: now,
            phase: Phase::Waiting,
            is_crowded: kept > 0 && upstream.live.in_flight() > kept,
            _in_flight: in_flight,
            place: None,
        });
        request.attempts += 1;
        // What has been read of it goes out again.
        request.body_read = 0;
        request.tried.add(index);
        request.upstream = Some(index);
        request.head_us = None;
        request.response_us = None;
        request.connect_us = None;
    }

    /// A piece of the request's body has come, or the last: until then the clock of the attempt stands still.
    pub(in crate::proxy) fn body_came(&self, request: &mut Request, is_whole: bool) {
        let Some(attempt) = request.attempt.as_mut().filter(|attempt| attempt.started.is_held()) else {
            return;
        };
        attempt.started_us = self.shared.clock.now_us();
        if is_whole {
            attempt.started = self.shard.release(attempt.arm, attempt.started, attempt.started_us);
        }
    }

    /// An open request that is answered as it goes on (gRPC): its clock has run since the last piece of it.
    pub(in crate::proxy) fn converses(&self, request: &mut Request) {
        if let Some(attempt) = request.attempt.as_mut() {
            attempt.started = self.shard.release(attempt.arm, attempt.started, attempt.started_us);
        }
    }

    /// What a failure comes to where the client was so slow to send its body, or to take its answer, that the
    /// upstream or the proxy may have given up for it: nothing.
    pub(in crate::proxy) fn excuse(&self, request: &mut Request, outcome: Outcome) -> Outcome {
        let Some(attempt) = request.attempt.as_ref() else { return outcome };
        if !matches!(outcome, Outcome::Failure(Reason::Reset | Reason::Timeout)) {
            return outcome;
        }
        let now = self.shared.clock.now_us();
        let since = |us: u64| now.saturating_sub(us);
        let is_excused = match attempt.phase {
            Phase::Waiting if attempt.started.is_held() => {
                let (elapsed, quiet) = (since(attempt.began_us), since(attempt.started_us));
                request.is_late = is_slow_to_send(elapsed, quiet, request.body_read);
                request.is_late
            }
            Phase::Succeeding => {
                let answering = request.last.map_or(0, |last| since(last.known_us));
                let untaken = request.signals().map_or(0, |signals| signals.untaken().as_micros() as u64);
                is_slow_to_take(answering, untaken)
            }
            _ => false,
        };
        if is_excused { Outcome::Ignored } else { outcome }
    }

    /// Charges what the attempt under way came to; the first word counts, but a body that breaks
    /// turns a success into a failure.
    pub(in crate::proxy) fn charge(&self, request: &mut Request, outcome: Outcome, code: u16) {
        let Some(pool) = request.target.and_then(|t| t.pool(&request.table)) else { return };
        let Some(attempt) = request.attempt.as_mut() else { return };
        match (attempt.phase, outcome) {
            (Phase::Waiting, _) => {
                let now = self.shared.clock.now_us();
                if let Outcome::Failure(_) = outcome {
                    self.shard.failed_for(attempt.arm, attempt.started, now);
                }
                let took = now.saturating_sub(attempt.started_us);
                self.shard.answered(attempt.arm, attempt.started, now, outcome, code, &pool.slow);
                request.head_us = (code > 0).then_some(took);
                let (target, upstream, began_us) = (request.target, request.upstream, attempt.started_us);
                request.last =
                    Some(Ended { target, upstream, code, outcome, began_us, known_us: now, broke_us: None });
                let slow =
                    !attempt.started.is_held() && pool.slow.0.iter().any(|limit| took > u64::from(*limit));
                if slow || matches!(outcome, Outcome::Failure(_)) {
                    self.shared.wake.adverse(now);
                }
            }
            (Phase::Succeeding, Outcome::Failure(reason)) => {
                let now = self.shared.clock.now_us();
                self.shard.failed_for(attempt.arm, attempt.started, now);
                self.shard.broken(attempt.arm, attempt.started, reason);
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
    pub(in crate::proxy) fn charge_unavailable(&self, pool: &Pool, request: &mut Request) {
        let started = self.shard.start(pool.arm, request.started_us, request.client_key());
        let started = started.in_era(pool.era_us);
        let outcome = Outcome::Failure(Reason::Unavailable);
        let now = self.shared.clock.now_us();
        self.shard.failed_for(pool.arm, started, now);
        self.shard.answered(pool.arm, started, now, outcome, 0, &pool.slow);
        self.shared.wake.adverse(now);
        let (target, began_us) = (request.target, request.started_us);
        request.last =
            Some(Ended { target, upstream: None, code: 0, outcome, began_us, known_us: now, broke_us: None });
    }
}

/// Whether a client is so slow to send its body that servers give up on it: `elapsed` since the attempt began,
/// `quiet` since the last of `bytes`, both in µs.
fn is_slow_to_send(elapsed_us: u64, quiet_us: u64, bytes: u64) -> bool {
    let earned_us = bytes.saturating_mul(1_000_000) / SLOW_BYTES;
    quiet_us >= SILENCE_US || elapsed_us >= SILENCE_US.max(earned_us)
}

/// Whether an answer that broke had spent most of its time waiting for the client to take it, in µs.
fn is_slow_to_take(answering_us: u64, untaken_us: u64) -> bool {
    untaken_us >= SILENCE_US && untaken_us >= answering_us / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_what_comes_excuses_nobody() {
        let second = 1_000_000;
        assert!(is_slow_to_take(10 * second, 6 * second));
        assert!(!is_slow_to_take(10 * second, 4 * second));
        assert!(!is_slow_to_take(second / 2, second / 2));
    }

    #[test]
    fn who_sends_fast_excuses_nobody() {
        let second = 1_000_000;
        assert!(is_slow_to_send(60 * second, 2 * second, 1 << 30), "silent");
        assert!(is_slow_to_send(5 * second, second / 10, 50), "a byte from time to time");
        assert!(!is_slow_to_send(5 * second, second / 10, 50 << 10));
        assert!(!is_slow_to_send(second / 2, second / 2, 0), "it has only begun");
        assert!(!is_slow_to_send(60 * second, 0, u64::MAX));
    }
}
