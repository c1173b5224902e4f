//! One address of a pool, as the data plane reads it, and its counters.

use crate::core::counter::WorkerCounts;
use crate::core::hash::{FixedHash, Purpose};
use crate::core::upstream_address::UpstreamAddress;
use crate::core::warm_up::Warmth;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an upstream is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    Ready,
    /// Requests in flight finish, no new ones come.
    Draining,
    Down,
}

impl UpstreamState {
    pub fn label(self) -> &'static str {
        match self {
            UpstreamState::Ready => "ready",
            UpstreamState::Draining => "draining",
            UpstreamState::Down => "down",
        }
    }
}

/// One address of a pool.
#[derive(Debug)]
pub struct Upstream {
    /// As configured.
    pub label: Arc<str>,
    pub address: UpstreamAddress,
    pub weight: u16,
    pub backup: bool,
    /// 0 is no limit.
    pub max_conns: u32,
    pub state: UpstreamState,
    pub live: Arc<UpstreamLive>,
    /// Requests that were tried on what the label stands for, copies apart.
    pub requests: Arc<WorkerCounts>,
    /// Of the address; places it in the balancer's hash.
    pub hash: u64,
}

impl Upstream {
    /// Ready, primary and without limit.
    pub fn new(label: Arc<str>, address: impl Into<UpstreamAddress>, weight: u16) -> Self {
        let (live, address) = (Arc::default(), address.into());
        let hash = FixedHash::of(Purpose::Upstream).upstream(address).finish();
        Upstream {
            label,
            address,
            weight,
            backup: false,
            max_conns: 0,
            state: UpstreamState::Ready,
            live,
            requests: Arc::default(),
            hash,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.state == UpstreamState::Ready
    }

    /// Whether it has as many requests in flight as it may.
    pub fn is_full(&self) -> bool {
        self.max_conns > 0 && self.live.in_flight() >= self.max_conns
    }
}

/// An attempt in flight, and ever, in [`UpstreamLive::attempts`].
const BEGUN: u64 = 1 << 32 | 1;

/// The counters of one upstream, shared by all workers and all tables it appears in.
#[derive(Debug, Default)]
pub struct UpstreamLive {
    /// Attempts under way in the lower half; attempts ever, which wrap around, in the upper: one counter, so
    /// that the request path pays for one.
    attempts: AtomicU64,
    /// Attempts that failed on the way to or from it, ever. A 5xx answer is not one.
    failed: AtomicU64,
    /// Of use where its service has a warm-up.
    pub warmth: Warmth,
}

impl UpstreamLive {
    pub fn in_flight(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed) as u32
    }

    /// Attempts that have come to their end, ever. It wraps around.
    pub fn ended(&self) -> u32 {
        let attempts = self.attempts.load(Ordering::Relaxed);
        ((attempts >> 32) as u32).wrapping_sub(attempts as u32)
    }

    /// Counts one request in flight until the guard is dropped.
    pub fn enter(self: Arc<Self>) -> InFlight {
        self.attempts.fetch_add(BEGUN, Ordering::Relaxed);
        InFlight { live: self, end: 1 }
    }

    /// The same for one that is no evidence: it is in flight, and never one that has ended.
    pub fn enter_aside(self: Arc<Self>) -> InFlight {
        self.attempts.fetch_add(BEGUN, Ordering::Relaxed);
        InFlight { live: self, end: BEGUN }
    }

    pub fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// One request in flight on an upstream.
#[derive(Debug)]
pub struct InFlight {
    live: Arc<UpstreamLive>,
    /// What its end takes from the counter.
    end: u64,
}

impl InFlight {
    /// It has turned out to be no evidence: it never counts as ended.
    pub fn set_aside(&mut self) {
        self.end = BEGUN;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.live.attempts.fetch_sub(self.end, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_is_no_evidence_is_in_flight_and_never_ended() {
        let live: Arc<UpstreamLive> = Arc::default();
        drop(live.clone().enter());
        let aside = live.clone().enter_aside();
        assert_eq!((live.in_flight(), live.ended()), (1, 1));
        let other = live.clone().enter();
        drop(aside);
        assert_eq!((live.in_flight(), live.ended()), (1, 1));
        drop(other);
        assert_eq!((live.in_flight(), live.ended()), (0, 2));
        let mut stale = live.clone().enter();
        stale.set_aside();
        drop(stale);
        assert_eq!((live.in_flight(), live.ended()), (0, 2), "it is no evidence, for or against");
    }
}
