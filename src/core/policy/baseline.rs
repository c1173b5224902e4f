//! What stable did before the candidate came: the yardstick that a level is raised by.
//!
//! A level that stable broke already says nothing about the candidate: a route that waits for news for seconds, or a
//! feature that answers 503 on both versions. It is raised to what stable may do by its figures, times the tolerated
//! ratio. That takes a share whose lower bound is above the level: one failure of eighty raises nothing.

/// Attempts that a baseline takes.
pub const LEAST_ATTEMPTS: u64 = 200;
/// The same of one group of requests.
pub(super) const LEAST_OF_GROUP: u64 = 10;
/// The share by which a kind of events may rise for both.
const LEFT_TO_CHANGE: f64 = 0.1;
/// Standard deviations of a bound of 95 %.
const DEVIATIONS: f64 = 1.96;

/// The share that is allowed beside stable's `events` of `attempts`; above 1, anything is.
pub(super) fn raised(allowed: f64, (events, attempts): (u64, u64), ratio: f64) -> f64 {
    let (lower, upper) = bounds(events, attempts);
    if lower > allowed { upper * ratio.max(1.0) } else { allowed }
}

/// What is allowed of a kind that no limit asks about, while stable has no traffic to be compared with: by what it did
/// before. Its share may have risen for both since then, so a tenth of all attempts is left to that.
pub(super) fn allowed_alone((events, attempts): (u64, u64), ratio: f64) -> f64 {
    let (_, upper) = bounds(events, attempts);
    (upper * ratio.max(1.0)).max(upper + LEFT_TO_CHANGE)
}

/// Wilson's bounds of a share.
fn bounds(events: u64, attempts: u64) -> (f64, f64) {
    if attempts == 0 {
        return (0.0, 1.0);
    }
    let (n, z2) = (attempts as f64, DEVIATIONS * DEVIATIONS);
    let share = events as f64 / n;
    let middle = share + z2 / (2.0 * n);
    let half = DEVIATIONS * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stable_surely_breaks_is_raised() {
        assert_eq!(raised(0.01, (1, 80), 1.5), 0.01, "a mere 1 of 80");
        assert_eq!(raised(0.01, (0, 10_000), 1.5), 0.01);
        assert_eq!(raised(0.01, (100, 10_000), 1.5), 0.01, "exactly at the level");
        let raised_to = raised(0.01, (500, 10_000), 1.5);
        assert!((0.078..0.085).contains(&raised_to), "{raised_to}");
        assert!(raised(0.01, (10, 10), 1.5) > 1.0, "what always fails has no limit");
    }
}
