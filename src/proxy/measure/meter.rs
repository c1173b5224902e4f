//! Counting: what an attempt came to, on the arm that served it. Traffic and mirror share it.

use crate::core::client::ClientKey;
use crate::core::outcome::{ArmId, Outcome, Reason, SlowLimits};
use crate::core::own_limit::OwnLimit;
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use crate::observe::shard::{Shard, Started};
use crate::observe::wake::Wake;
use std::sync::Arc;

/// Where one worker counts.
#[derive(Clone)]
pub(in crate::proxy) struct Meter {
    pub shard: Arc<Shard>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub clock: Clock,
}

impl Meter {
    pub(in crate::proxy) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// An attempt begins. `is_whole` says that the client has sent all of its request: until then its clock
    /// stands still.
    pub(in crate::proxy) fn start(
        &self,
        arm: ArmId,
        now_us: u64,
        client: ClientKey,
        is_whole: bool,
    ) -> Started {
        if is_whole { self.shard.start(arm, now_us, client) } else { self.shard.hold(arm, now_us, client) }
    }

    /// Its answer's head has come, or it failed before; `since_us` is when its clock started. When it was.
    pub(in crate::proxy) fn answered(
        &self,
        (arm, started): (ArmId, Started),
        since_us: u64,
        (outcome, code): (Outcome, u16),
        slow: &SlowLimits,
    ) -> u64 {
        let now = self.clock.now_us();
        if let Outcome::Failure(_) = outcome {
            self.shard.failed_for(arm, started, now);
        }
        self.shard.answered(arm, started, now, outcome, code, slow);
        let took = now.saturating_sub(since_us);
        let is_slow = !started.is_held() && slow.0.iter().any(|limit| took > u64::from(*limit));
        if is_slow || matches!(outcome, Outcome::Failure(_)) {
            self.wake.adverse(now);
        }
        now
    }

    /// The body broke of what had been counted as a success. When it was.
    pub(in crate::proxy) fn broken(&self, (arm, started): (ArmId, Started), reason: Reason) -> u64 {
        let now = self.clock.now_us();
        self.shard.failed_for(arm, started, now);
        self.shard.broken(arm, started, reason);
        self.wake.adverse(now);
        now
    }

    /// It was given up, by nobody's fault.
    pub(in crate::proxy) fn abandoned(&self, (arm, started): (ArmId, Started), slow: &SlowLimits) -> u64 {
        let now = self.clock.now_us();
        self.shard.answered(arm, started, now, Outcome::Ignored, 0, slow);
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
