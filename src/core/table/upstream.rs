//! One address of a pool, as the data plane reads it, and its counters.

use crate::core::hash::{FixedHash, Purpose};
use crate::core::upstream_address::UpstreamAddress;
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

/// The counters of one upstream, shared by all workers and all tables it appears in.
#[derive(Debug, Default)]
pub struct UpstreamLive {
    /// Attempts under way in the lower half; attempts ever, which wrap around, in the upper: one counter, so
    /// that the request path pays for one.
    attempts: AtomicU64,
    /// Attempts that failed on the way to or from it, ever. A 5xx answer is not one.
    failed: AtomicU64,
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
        self.attempts.fetch_add(1 << 32 | 1, Ordering::Relaxed);
        InFlight(self)
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
pub struct InFlight(Arc<UpstreamLive>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.attempts.fetch_sub(1, Ordering::Relaxed);
    }
}
