//! The warm-up of an upstream: its first answers under a version are no evidence, whatever they are.
//!
//! A process that has just started compiles, fills caches and opens connections; stable did all that long ago. The
//! warm-up ends after so many attempts, or so long after the first of them, whichever comes first, so that an
//! upstream that never answers well is seen all the same. It begins again with another version of the pool, and
//! where an upstream comes back after a drain. What is counted of it may be off by a few where workers meet.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// Attempts on one upstream.
    pub requests: u32,
    /// Since the first of them.
    pub for_us: u64,
}

/// How warm one upstream is.
#[derive(Debug, Default)]
pub struct Warmth {
    /// When its first attempt began, µs on the process clock; 0 before that.
    began_us: AtomicU64,
    attempts: AtomicU32,
}

impl Warmth {
    /// Takes in an attempt that begins at `now_us`, on a version that its pool has had since `era_us`. Whether it is
    /// part of the warm-up.
    pub fn warms(&self, rule: WarmUp, era_us: u64, now_us: u64) -> bool {
        let began_us = self.began_us.load(Ordering::Relaxed);
        if began_us == 0 || began_us < era_us {
            // A request may have come before the version did, and 0 is before the first.
            let first_us = now_us.max(era_us).max(1);
            let order = Ordering::Relaxed;
            if self.began_us.compare_exchange(began_us, first_us, order, order).is_ok() {
                self.attempts.store(1, Ordering::Relaxed);
            }
            return true;
        }
        now_us.saturating_sub(began_us) < rule.for_us
            && self.attempts.load(Ordering::Relaxed) < rule.requests
            && self.attempts.fetch_add(1, Ordering::Relaxed) < rule.requests
    }

    /// It begins again with the next attempt.
    pub fn cool(&self) {
        self.began_us.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: WarmUp = WarmUp { requests: 3, for_us: 1000 };

    #[test]
    fn it_ends_after_so_many_attempts_or_so_long_after_the_first() {
        let warmth = Warmth::default();
        let warms = [10, 20, 30, 40, 50].map(|now| warmth.warms(RULE, 5, now));
        assert_eq!(warms, [true, true, true, false, false]);
        let idle = Warmth::default();
        assert!(idle.warms(RULE, 5, 10) && idle.warms(RULE, 5, 1009));
        assert!(!idle.warms(RULE, 5, 1010), "one that hardly serves is seen, too");
    }

    #[test]
    fn it_begins_again_with_another_version_and_after_a_drain() {
        let warmth = Warmth::default();
        let used_up = |era, from| (0..10_u64).filter(|n| warmth.warms(RULE, era, from + n)).count();
        assert_eq!((used_up(5, 10), used_up(5, 100)), (3, 0));
        assert_eq!((used_up(200, 210), used_up(200, 300)), (3, 0), "another version");
        assert_eq!(used_up(5, 400), 0, "a request on the table before changes nothing");
        assert_eq!(used_up(500, 499), 3, "nor does one that came before the version");
        warmth.cool();
        assert_eq!((used_up(500, 600), used_up(500, 700)), (3, 0));
    }
}
