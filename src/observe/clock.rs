//! The one place that reads clocks: a monotonic one for every decision, the wall clock for display.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// Wall-clock times of points on the process clock, for logs, in µs since 1970. The distance between two of them is
/// exact, no matter who asks for them and when, unless the wall clock has been set in between.
#[derive(Debug)]
pub struct Calendar {
    clock: Clock,
    /// The wall clock's lead over the process clock, µs.
    lead_us: AtomicI64,
}

impl Calendar {
    pub fn new(clock: Clock) -> Self {
        let lead_us = wall_us() - clock.now_us() as i64;
        Calendar { clock, lead_us: AtomicI64::new(lead_us) }
    }

    /// Looks at the wall clock, which also says whether it has been set; `now_us` is what the process clock has just
    /// shown.
    pub fn now(&self, now_us: u64) -> i64 {
        let now = wall_us();
        if self.is_off(now, now_us) {
            self.set();
        }
        now
    }

    /// When it was so much on the process clock.
    pub fn at(&self, us: u64) -> i64 {
        self.lead_us.load(Ordering::Relaxed).saturating_add_unsigned(us)
    }

    fn is_off(&self, wall_us: i64, now_us: u64) -> bool {
        wall_us.abs_diff(self.at(now_us)) > SET_US
    }

    /// Takes the lead again, if the two looks that it is made of were not interrupted.
    fn set(&self) {
        let before = self.clock.now_us();
        let now = wall_us();
        let is_sound = self.clock.now_us().saturating_sub(before) < TOGETHER_US;
        if is_sound && self.is_off(now, before) {
            self.lead_us.store(now.saturating_sub_unsigned(before), Ordering::Relaxed);
        }
    }
}

/// The wall clock, µs since 1970.
#[allow(clippy::disallowed_methods, reason = "this is the edge")]
fn wall_us() -> i64 {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
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
