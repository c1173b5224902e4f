//! The one place that reads clocks: a monotonic one for every decision, the wall clock for display.

use std::time::{Duration, Instant};

/// How far the wall clock may be from where it is expected before it has been set.
const SET_US: u64 = 50_000;
/// Two looks at clocks that are further apart than this say nothing of each other.
const TOGETHER_US: u64 = 1_000;

/// Time since the process started. It never steps, whatever the wall clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting; made once, at the composition root, and passed on.
    #[allow(clippy::disallowed_methods, reason = "this is the edge")]
    pub fn start() -> Self {
        Clock { start: Instant::now() }
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

/// Wall-clock times of points on the process clock, for logs. The distance between two of them is exact,
/// whenever they are asked for, unless the wall clock has been set in between.
#[derive(Debug)]
pub struct Calendar {
    clock: Clock,
    /// The wall clock's lead over the process clock, µs.
    lead_us: i64,
}

impl Calendar {
    pub fn new(clock: Clock) -> Self {
        let lead_us = wall().as_microsecond() - clock.now_us() as i64;
        Calendar { clock, lead_us }
    }

    /// Looks at the wall clock, which also says whether it has been set.
    pub fn now(&mut self) -> jiff::Timestamp {
        let before = self.clock.now_us();
        let now = wall();
        let lead_us = now.as_microsecond() - before as i64;
        let is_sound = self.clock.now_us() - before < TOGETHER_US;
        if is_sound && lead_us.abs_diff(self.lead_us) > SET_US {
            self.lead_us = lead_us;
        }
        now
    }

    /// When it was so much on the process clock.
    pub fn at(&self, us: u64) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(us as i64 + self.lead_us).unwrap_or_default()
    }
}

/// The wall clock, for people: times in views, logs and the history.
#[allow(clippy::disallowed_methods, reason = "this is the edge")]
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The same in seconds since 1970: for what is dated on its way to clients and comes back from them.
pub fn unix_seconds() -> u64 {
    u64::try_from(wall().as_second()).unwrap_or_default()
}
