//! The one place that reads clocks: a monotonic one for every decision, the wall clock for display.

use std::time::{Duration, Instant};

/// Time since the process started. It never steps, whatever the wall clock does.
#[derive(Clone, Copy, Debug)]
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

/// The wall clock, for people: times in views, logs and the history.
#[allow(clippy::disallowed_methods, reason = "this is the edge")]
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The same in seconds since 1970: for what is dated on its way to clients and comes back from them.
pub fn unix_seconds() -> u64 {
    u64::try_from(wall().as_second()).unwrap_or_default()
}
