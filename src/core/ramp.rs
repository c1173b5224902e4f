//! Slow start: an upstream that begins to serve gets its share of the traffic little by little.
//!
//! The share rises in ten steps, each a new table, so that a request pays nothing for it. Where all
//! upstreams of a pool are new there is nobody to take the rest: their shares stay equal.

use std::time::Duration;

/// Steps to the whole share; also what weights are scaled by while a pool may ramp.
pub const STEPS: u16 = 10;

/// Where one upstream is on its way to its whole share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// When it came to serve; `None` while it does not.
    since: Option<Duration>,
    step: u16,
}

impl Ramp {
    /// It serves already, with its whole share.
    pub fn whole() -> Self {
        Ramp { since: Some(Duration::ZERO), step: STEPS }
    }

    /// It does not serve.
    pub fn out() -> Self {
        Ramp { since: None, step: 1 }
    }

    /// Takes in whether it serves, and the passing of time; whether its share has changed. `length` is the
    /// time to the whole share.
    pub fn observe(&mut self, serves: bool, length: Duration, now: Duration) -> bool {
        let before = *self;
        *self = match (serves, self.since) {
            (false, _) => Ramp::out(),
            (true, None) if length.is_zero() => Ramp::whole(),
            (true, None) => Ramp { since: Some(now), step: 1 },
            (true, Some(since)) => {
                Ramp { since: Some(since), step: self.step.max(step(now.saturating_sub(since), length)) }
            }
        };
        before.step != self.step
    }

    /// Whether time alone changes nothing of it.
    pub fn is_settled(self, serves: bool, length: Duration) -> bool {
        match serves {
            true => self.since.is_some() && (length.is_zero() || self.step == STEPS),
            false => self.since.is_none(),
        }
    }

    /// The share it has now, in tenths.
    pub fn step(self) -> u16 {
        self.step
    }
}

/// From 1 at the start to all of them at the end.
fn step(passed: Duration, length: Duration) -> u16 {
    let steps = u128::from(STEPS);
    let done = (passed.as_millis() * steps).checked_div(length.as_millis()).unwrap_or(steps);
    done.clamp(1, steps) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_share_rises_to_the_whole_in_its_time() {
        let mut ramp = Ramp::out();
        assert!(!ramp.observe(true, S(30), S(100)), "a tenth at once");
        assert_eq!(ramp.step(), 1);
        let steps: Vec<u16> = (101..=131)
            .map(|s| {
                ramp.observe(true, S(30), S(s));
                ramp.step()
            })
            .collect();
        assert!(
            steps.is_sorted() && steps[..5] == [1, 1, 1, 1, 1] && steps[28..] == [9, 10, 10],
            "{steps:?}"
        );
        assert!(!ramp.observe(true, S(30), S(500)));
        assert!(ramp.is_settled(true, S(30)) && !ramp.is_settled(false, S(30)));
    }

    #[test]
    fn a_fall_starts_it_again() {
        let mut ramp = Ramp::whole();
        assert!(!ramp.observe(true, S(30), S(1)), "those of the start have their share");
        assert!(ramp.observe(false, S(30), S(2)));
        ramp.observe(true, S(30), S(10));
        assert_eq!((ramp.step(), ramp.is_settled(true, S(30))), (1, false));
        assert!(ramp.observe(true, S(30), S(25)));
        assert_eq!(ramp.step(), 5);
    }

    #[test]
    fn without_a_length_there_is_none() {
        let mut ramp = Ramp::out();
        assert!(ramp.observe(true, Duration::ZERO, S(10)));
        assert_eq!(ramp.step(), STEPS);
    }
}
