//! nginx's leaky bucket (`limit_req` with `nodelay`).
//!
//! A bucket holds the *excess*: how far its requests are ahead of the rate, in thousandths of a request.
//! It drains by the rate; a request adds 1000 and is refused where that makes more than the burst. What
//! is refused changes nothing. Unlike nginx's, a rate by the minute is not rounded to whole thousandths a
//! second.

use std::time::Duration;

/// Excess of one request.
const ONE: u64 = 1000;
const EXCESS_BITS: u32 = 26;
/// Largest burst that a level can hold.
pub const MOST_BURST: u64 = (1 << EXCESS_BITS) / ONE - 1;

/// How often, and how many at once beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in each `period`, at least 1.
    pub requests: u32,
    /// A second or a minute.
    pub period: Duration,
    /// At most [`MOST_BURST`].
    pub burst: u32,
}

/// A bucket at a point in time: excess and milliseconds in one word, so that it is changed at once.
/// 0 is a bucket that has never been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketLevel(u64);

impl BucketLevel {
    fn new(excess: u64, at_ms: u64) -> Self {
        BucketLevel(at_ms << EXCESS_BITS | excess)
    }

    pub fn from_bits(bits: u64) -> Self {
        BucketLevel(bits)
    }

    pub fn to_bits(self) -> u64 {
        self.0
    }

    fn excess(self) -> u64 {
        self.0 & ((1 << EXCESS_BITS) - 1)
    }

    /// When it was used last.
    pub fn at_ms(self) -> u64 {
        self.0 >> EXCESS_BITS
    }
}

impl Rate {
    /// The level after one more request, or how long it would have to wait to be served.
    ///
    /// # Errors
    /// The wait, when the request is too much.
    pub fn admit(&self, level: BucketLevel, now: Duration) -> Result<BucketLevel, Duration> {
        // The first millisecond is the second, so that no used bucket looks unused.
        let now_ms = (now.as_millis() as u64).max(1);
        if level == BucketLevel::default() {
            return Ok(BucketLevel::new(0, now_ms));
        }
        let idle_ms = now_ms.saturating_sub(level.at_ms());
        let full = level.excess() + ONE;
        let excess = full.saturating_sub(self.drained(idle_ms));
        let most = u64::from(self.burst).min(MOST_BURST) * ONE;
        if excess > most {
            let wait_ms = self.ms_for(full - most).saturating_sub(idle_ms);
            return Err(Duration::from_millis(wait_ms));
        }
        // Another worker's clock may have been read a moment later.
        Ok(BucketLevel::new(excess, level.at_ms().max(now_ms)))
    }

    /// Whether a bucket has drained, and says no more than an unused one.
    pub fn is_drained(&self, level: BucketLevel, now: Duration) -> bool {
        let idle = (now.as_millis() as u64).saturating_sub(level.at_ms());
        self.drained(idle) >= level.excess() + ONE
    }

    /// What drains in some milliseconds.
    fn drained(&self, ms: u64) -> u64 {
        u64::from(self.requests) * ONE * ms.min(u64::from(u32::MAX)) / self.period_ms()
    }

    /// How long it takes to drain so much.
    fn ms_for(&self, excess: u64) -> u64 {
        (excess * self.period_ms()).div_ceil(u64::from(self.requests.max(1)) * ONE)
    }

    fn period_ms(&self) -> u64 {
        (self.period.as_millis() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `ngx_http_limit_req_lookup` with its integers, for one node.
    struct Nginx {
        /// Thousandths a second.
        rate: i64,
        burst: i64,
        node: Option<(i64, i64)>,
    }

    impl Nginx {
        fn admits(&mut self, now: i64) -> bool {
            let Some((last, before)) = self.node else {
                self.node = Some((now, 0));
                return true;
            };
            let ms = now - last;
            let excess = (before - self.rate * ms / 1000 + 1000).max(0);
            if excess > self.burst * 1000 {
                return false;
            }
            self.node = Some((if ms > 0 { now } else { last }, excess));
            true
        }
    }

    fn rate(requests: u32, period_s: u64, burst: u32) -> Rate {
        Rate { requests, period: Duration::from_secs(period_s), burst }
    }

    /// How many of requests at these points in time are admitted.
    fn admitted(rate: Rate, times_ms: impl IntoIterator<Item = u64>) -> usize {
        let mut level = BucketLevel::default();
        let mut count = 0;
        for ms in times_ms {
            if let Ok(next) = rate.admit(level, Duration::from_millis(ms)) {
                (level, count) = (next, count + 1);
            }
        }
        count
    }

    #[test]
    fn a_burst_is_served_at_once_and_the_rate_after_it() {
        assert_eq!(admitted(rate(10, 1, 5), std::iter::repeat_n(5, 100)), 6, "one, and the burst");
        assert_eq!(admitted(rate(10, 1, 5), 1..=10_000), 6 + 99, "ten a second for ten seconds");
        assert_eq!(admitted(rate(100, 60, 0), 1..=600_000), 1000, "a hundred a minute for ten minutes");
    }

    #[test]
    fn the_wait_is_when_it_would_be_served() {
        let slow = rate(2, 60, 0);
        let level = slow.admit(BucketLevel::default(), Duration::from_secs(9)).expect("the first");
        let wait = slow.admit(level, Duration::from_secs(19)).expect_err("the second");
        assert_eq!(wait, Duration::from_secs(20));
        assert!(slow.admit(level, Duration::from_secs(39)).is_ok());
        assert!(slow.admit(level, Duration::from_millis(38_999)).is_err());
    }

    #[test]
    fn years_do_not_overflow() {
        let fast = rate(1_000_000, 1, 65_000);
        let level = fast.admit(BucketLevel::default(), Duration::from_secs(1)).expect("the first");
        let years = Duration::from_secs(86_400 * 365 * 5);
        assert!(fast.is_drained(level, years));
        assert_eq!(fast.admit(level, years).expect("served").at_ms(), years.as_millis() as u64);
    }

    proptest! {
        #[test]
        fn it_decides_as_nginx_does(
            requests in 1u32..2000, burst in 0u32..200,
            steps in prop::collection::vec(prop_oneof![Just(0u64), 0u64..5, 0u64..2000], 1..400),
        ) {
            let ours = rate(requests, 1, burst);
            let mut nginx = Nginx { rate: i64::from(requests) * 1000, burst: i64::from(burst), node: None };
            let (mut level, mut now) = (BucketLevel::default(), 1);
            for step in steps {
                now += step;
                let admitted = ours.admit(level, Duration::from_millis(now));
                prop_assert_eq!(admitted.is_ok(), nginx.admits(now as i64), "at {} ms", now);
                level = admitted.unwrap_or(level);
            }
        }

        #[test]
        fn no_stretch_of_time_gets_more_than_its_share(
            requests in 1u32..100, minutes: bool, burst in 0u32..20,
            steps in prop::collection::vec(0u64..300, 1..300),
        ) {
            let period_s = if minutes { 60 } else { 1 };
            let rate = rate(requests, period_s, burst);
            let mut now = 0;
            let times: Vec<u64> = steps.into_iter().map(|step| { now += step; now }).collect();
            let span_ms = times[times.len() - 1] - times[0];
            let share = u64::from(requests) * span_ms / (period_s * 1000) + 1 + u64::from(burst) + 1;
            prop_assert!(admitted(rate, times) as u64 <= share);
        }
    }
}
