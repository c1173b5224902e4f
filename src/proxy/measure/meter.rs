//! Counting: the outcome of an attempt, on the arm that served it. Traffic and mirror share it.

use crate::core::client::ClientKey;
use crate::core::outcome::{ArmId, Outcome, PATIENCE_US, Reason, SlowLimits, Thresholds};
use crate::core::own_limit::OwnLimit;
use crate::core::table::{Pool, Upstream};
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use crate::observe::shard::{AnswerEnd, Shard, Started};
use crate::observe::wake::Wake;
use crate::proxy::exchange::Request;
use std::sync::Arc;

/// Where one worker counts.
#[derive(Clone)]
pub(in crate::proxy) struct Meter {
    /// Its number.
    pub worker: usize,
    pub shard: Arc<Shard>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub clock: Clock,
}

impl Meter {
    pub(in crate::proxy) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// Counts the answer that a request's client gets, or that it gets none (0).
    pub(in crate::proxy) fn sent(&self, request: &Request, status: u16) {
        let plan = &request.plan;
        let counted = plan.route.and_then(|route| plan.table.answers.get(route));
        let answers = counted.map_or(&self.recorder.unrouted, |answers| answers);
        answers.count(request.inbound.place, self.worker, status);
    }

    /// Whether an attempt that begins now on an upstream, counted on an arm, is any: not while the upstream warms up.
    pub(in crate::proxy) fn is_evidence(
        &self,
        pool: &Pool,
        upstream: &Upstream,
        arm: ArmId,
        now_us: u64,
    ) -> bool {
        let Some(rule) = pool.warm_up else { return true };
        let warms = upstream.live.warmth.warms(rule, pool.era_us, now_us);
        if warms {
            self.shard.warming(arm);
        }
        !warms
    }

    /// An attempt begins. `is_whole` says that the client has sent all of its request: until then its clock
    /// stands still. `is_evidence` is whether its outcome speaks for or against its pool.
    pub(in crate::proxy) fn start(
        &self,
        arm: ArmId,
        now_us: u64,
        client: ClientKey,
        is_whole: bool,
        is_evidence: bool,
    ) -> Started {
        if !is_evidence {
            return self.shard.begin_aside(arm, now_us, client, !is_whole);
        }
        if is_whole { self.shard.start(arm, now_us, client) } else { self.shard.hold(arm, now_us, client) }
    }

    /// Its answer's head has come, or it failed before; `since_us` is when its clock started. A client that leaves at
    /// once, or before all of its request has come, says nothing.
    pub(in crate::proxy) fn answered(
        &self,
        (arm, started): (ArmId, Started),
        since_us: u64,
        (outcome, code): (Outcome, u16),
        thresholds: &Thresholds,
    ) -> Charged {
        let now = self.clock.now_us();
        let took = now.saturating_sub(since_us);
        let was_patient = !started.is_held() && took >= PATIENCE_US;
        let outcome = if outcome == Outcome::Abandoned && !was_patient { Outcome::Ignored } else { outcome };
        if let Outcome::Failure(_) = outcome {
            self.shard.failed_for(arm, started, now);
        }
        let is_current = self.shard.answered(arm, started, now, (outcome, code), thresholds);
        let is_timed = !started.is_held() && code != 101;
        let late = if is_timed { past(&thresholds.slow, took) } else { 0 };
        let is_adverse = late != 0 || matches!(outcome, Outcome::Failure(_) | Outcome::Abandoned);
        if is_adverse && !started.is_aside() {
            self.wake.adverse(now);
        }
        Charged { now_us: now, outcome, is_current, late: is_timed.then_some(late) }
    }

    /// All of an answer has come that had begun as a success, or its client has left: after `took_us`, without the time
    /// that its client made it wait. The limits that it passed, a bit for each.
    pub(in crate::proxy) fn finished(
        &self,
        (arm, started): (ArmId, Started),
        (now_us, took_us): (u64, u64),
        end: AnswerEnd,
        thresholds: &Thresholds,
    ) -> u8 {
        if self.shard.finished(arm, started, now_us, (took_us, end), thresholds) {
            self.wake.adverse(now_us);
        }
        past(&thresholds.long, took_us)
    }

    /// The body broke of what had been counted as a success. When it was.
    pub(in crate::proxy) fn broken(&self, (arm, started): (ArmId, Started), reason: Reason) -> u64 {
        let now = self.clock.now_us();
        self.shard.failed_for(arm, started, now);
        self.shard.broken(arm, started, reason);
        if !started.is_aside() {
            self.wake.adverse(now);
        }
        now
    }

    /// Counts a request that an own limit kept from a pool, or that met one before.
    pub(in crate::proxy) fn kept_out(&self, arm: Option<ArmId>, limit: OwnLimit) {
        match arm {
            Some(arm) => self.shard.kept_out(arm, limit),
            None => self.shard.own_limit(limit),
        }
    }
}

/// The outcome of an attempt, as it was counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Charged {
    /// When it was known, µs on the process clock.
    pub now_us: u64,
    pub outcome: Outcome,
    /// Whether it is about the version that its pool has now.
    pub is_current: bool,
    /// The limits that it passed, a bit for each; `None` where it says nothing of how fast the upstream is.
    pub late: Option<u8>,
}

fn past(limits: &SlowLimits, took_us: u64) -> u8 {
    let late = |bits, (slot, limit): (usize, &u32)| bits | u8::from(took_us > u64::from(*limit)) << slot;
    limits.used().iter().enumerate().fold(0, late)
}
