//! The outcome of each attempt of a request, charged once to the pool that served it.

use super::meter::Meter;
use super::{groups, sample};
use crate::core::group::GroupEvent;
use crate::core::mirror::Place;
use crate::core::outcome::{Outcome, Reason};
use crate::core::table::Pool;
use crate::observe::shard::AnswerEnd;
use crate::proxy::exchange::{Attempt, AttemptPhase, Ended, Request};

/// A client that has been silent for so long in the middle of its body, or sent less than so many bytes a
/// second for so long, is one that servers give up.
const SILENCE_US: u64 = 1_000_000;
const SLOW_BYTES: u64 = 4 << 10;

/// Counts the start of an attempt on the upstream with this index, and in the request's own books.
pub(in crate::proxy) fn begin(
    meter: &Meter,
    pool: &Pool,
    index: usize,
    request: &mut Request,
    descriptor: Option<Place>,
) {
    let Some(upstream) = pool.upstreams.get(index) else { return };
    // The first attempt starts with the request, which saves a look at the clock, unless its body was waited for.
    let is_first = request.attempts.made == 0 && request.inbound.body.read == 0;
    let now = if is_first { request.inbound.started_us } else { meter.now_us() };
    let is_evidence = meter.is_evidence(pool, upstream, pool.arm, now) && request.is_measured();
    let is_whole = request.inbound.body.is_whole;
    let started = meter.start(pool.arm, now, request.client_key(), is_whole, is_evidence);
    upstream.requests.add(meter.worker);
    let live = upstream.live.clone();
    let in_flight = if is_evidence { live.enter() } else { live.enter_aside() };
    let kept = pool.keepalive_connections;
    let attempt = Attempt {
        arm: pool.arm,
        started: started.in_era(pool.era_us),
        started_us: now,
        began_us: now,
        phase: AttemptPhase::Waiting,
        group: None,
        is_endless: false,
        is_declined: false,
        interim: 0,
        is_crowded: kept > 0 && upstream.live.in_flight() > kept,
        in_flight,
        _descriptor: descriptor,
    };
    request.attempts.begin(attempt, index);
    if let Some(trace) = request.inbound.trace.as_mut().filter(|_| request.attempts.made > 1) {
        trace.attempt(request.attempts.made);
    }
    (request.delivery.head_us, request.delivery.response_us, request.delivery.connect_us) =
        (None, None, None);
}

/// A piece of the request's body has come, or the last: until then the clock of the attempt stands still.
pub(in crate::proxy) fn body_came(meter: &Meter, request: &mut Request) {
    let is_whole = request.inbound.body.is_whole;
    let Some(attempt) = request.attempts.current.as_mut().filter(|attempt| attempt.started.is_held()) else {
        return;
    };
    attempt.started_us = meter.now_us();
    if is_whole {
        attempt.started = meter.shard.release(attempt.arm, attempt.started, attempt.started_us);
    }
}

/// An open request that is answered as it goes on (gRPC): its clock has run since the last piece of it.
pub(in crate::proxy) fn converses(meter: &Meter, request: &mut Request) {
    if let Some(attempt) = request.attempts.current.as_mut() {
        attempt.started = meter.shard.release(attempt.arm, attempt.started, attempt.started_us);
    }
}

/// What a failure counts as where the client was so slow to send its body, or to take its answer, that the
/// upstream or the proxy may have given up for it: nothing.
pub(in crate::proxy) fn excuse(meter: &Meter, request: &mut Request, outcome: Outcome) -> Outcome {
    let Some(attempt) = request.attempts.current.as_ref() else { return outcome };
    if !matches!(outcome, Outcome::Failure(Reason::Reset | Reason::Timeout)) {
        return outcome;
    }
    let now = meter.now_us();
    let since = |us: u64| now.saturating_sub(us);
    let is_excused = match attempt.phase {
        AttemptPhase::Waiting if attempt.started.is_held() => {
            let (elapsed, quiet) = (since(attempt.began_us), since(attempt.started_us));
            request.attempts.is_late = is_slow_to_send(elapsed, quiet, request.inbound.body.read);
            request.attempts.is_late
        }
        AttemptPhase::Succeeding => {
            let answering = request.attempts.last.map_or(0, |last| since(last.known_us));
            is_slow_to_take(answering, request.delivery.untaken_us)
        }
        _ => false,
    };
    if is_excused { Outcome::Ignored } else { outcome }
}

/// Charges the outcome of the attempt under way; the first word counts, but a body that breaks
/// turns a success into a failure.
pub(in crate::proxy) fn charge(meter: &Meter, request: &mut Request, outcome: Outcome, code: u16) {
    let target = request.plan.target;
    let Some(pool) = target.and_then(|target| target.pool(&request.plan.table)) else { return };
    let Some(attempt) = request.attempts.current.as_ref() else { return };
    let (counted, started_us) = ((attempt.arm, attempt.started), attempt.started_us);
    let is_evidence = !attempt.started.is_aside();
    let mut outcome = outcome;
    let is_first = matches!(attempt.phase, AttemptPhase::Waiting | AttemptPhase::Succeeding);
    if is_first && matches!(outcome, Outcome::Failure(_)) && meter.shard.is_current(counted.0, counted.1) {
        // Before the count, so that the controller finds the request that it decides by.
        sample::offer(meter, request, (counted.0, meter.now_us()), (outcome, code));
    }
    match (attempt.phase, outcome) {
        (AttemptPhase::Waiting, _) => {
            let charged = meter.answered(counted, started_us, (outcome, code), &pool.thresholds);
            outcome = charged.outcome;
            request.delivery.head_us = (code > 0).then_some(charged.now_us.saturating_sub(started_us));
            let on = (target, request.attempts.upstream, request.attempts.made);
            let at = (started_us, charged.now_us);
            request.attempts.last = Some(Ended::new(on, (outcome, code, !is_evidence), at));
            groups::decided(meter, request, charged, code);
            if outcome == Outcome::Abandoned && is_evidence && charged.is_current {
                sample::offer(meter, request, (counted.0, charged.now_us), (outcome, code));
            }
        }
        (AttemptPhase::Succeeding, Outcome::Failure(reason)) => {
            let now = meter.broken(counted, reason);
            if let Some(last) = &mut request.attempts.last {
                (last.outcome, last.broke_us) = (outcome, Some(now));
            }
            groups::count(meter, request, GroupEvent::Broken);
        }
        (AttemptPhase::Succeeding, Outcome::Abandoned) => return finish(meter, request, AnswerEnd::Cut),
        _ => return,
    }
    if let Some(attempt) = request.attempts.current.as_mut() {
        attempt.phase =
            if outcome == Outcome::Success { AttemptPhase::Succeeding } else { AttemptPhase::Counted };
    }
    if let (Outcome::Failure(reason), Some(upstream)) = (outcome, request.attempts.upstream)
        && is_evidence
        && reason.is_transport()
        && let Some(upstream) = request.pool().and_then(|pool| pool.upstreams.get(upstream))
    {
        upstream.live.count_failure();
    }
}

/// An answer has come to its end that had begun as a success: how long it took, where a policy or the log asks.
pub(in crate::proxy) fn finish(meter: &Meter, request: &mut Request, end: AnswerEnd) {
    let Some(pool) = request.plan.target.and_then(|target| target.pool(&request.plan.table)) else { return };
    let thresholds = &pool.thresholds;
    let (is_asked_for, is_logged) = (thresholds.asks_for_durations(), request.delivery.is_unlogged);
    let Some(attempt) = request.attempts.current.as_mut() else { return };
    if attempt.phase != AttemptPhase::Succeeding || attempt.is_endless || !(is_asked_for || is_logged) {
        return;
    }
    let now = meter.now_us();
    let waited = request.delivery.untaken_us;
    let took = now.saturating_sub(attempt.started_us).saturating_sub(waited);
    if let Some(last) = request.attempts.last.as_mut().filter(|_| is_logged) {
        last.end(took, end == AnswerEnd::Cut);
    }
    if !is_asked_for {
        return;
    }
    let long = meter.finished((attempt.arm, attempt.started), (now, took), end, thresholds);
    attempt.phase = AttemptPhase::Counted;
    let event = if end == AnswerEnd::Cut { GroupEvent::Cut { long } } else { GroupEvent::Finished { long } };
    groups::count(meter, request, event);
}

/// No upstream could take the request: a failure of the pool all the same.
pub(in crate::proxy) fn unavailable(meter: &Meter, request: &mut Request) {
    let target = request.plan.target;
    let Some(pool) = target.and_then(|target| target.pool(&request.plan.table)) else { return };
    let began_us = request.inbound.started_us;
    let started = meter.start(pool.arm, began_us, request.client_key(), true, request.is_measured());
    let started = started.in_era(pool.era_us);
    let outcome = Outcome::Failure(Reason::Unavailable);
    let charged = meter.answered((pool.arm, started), began_us, (outcome, 0), &pool.thresholds);
    let (what, at) = ((outcome, 0, started.is_aside()), (began_us, charged.now_us));
    request.attempts.last = Some(Ended::new((target, None, 0), what, at));
    if charged.is_current && !started.is_aside() {
        sample::offer(meter, request, (pool.arm, charged.now_us), (outcome, 0));
    }
    groups::decided(meter, request, charged, 0);
}

/// A request that is dropped halfway leaves its attempt behind: its client has gone, or this process ends.
pub(in crate::proxy) fn abandon(meter: &Meter, request: &mut Request, outcome: Outcome) {
    charge(meter, request, outcome, 0);
    request.attempts.current = None;
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
