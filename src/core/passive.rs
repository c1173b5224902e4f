//! Passive ejection: an upstream that fails real traffic is taken out for a while.
//!
//! The rule is nginx's: `max_fails` failures within `fail_timeout` take it out for `fail_timeout`.
//! That a pool is never emptied this way is the business of who combines the upstreams' states.

use super::settings::Passive;
use std::time::Duration;

/// The failures of one upstream, and whether it is out for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejection {
    fails: u32,
    /// When the first of `fails` came.
    since: Duration,
    out_until: Option<Duration>,
}

impl Ejection {
    /// Takes in `failures` new ones and the passing of time.
    pub fn observe(&mut self, rule: &Passive, failures: u64, now: Duration) {
        if self.out_until.is_some_and(|until| until <= now) {
            *self = Ejection::default();
        }
        if failures == 0 || rule.max_fails == 0 || self.out_until.is_some() {
            return;
        }
        if self.fails == 0 || now.saturating_sub(self.since) > rule.fail_timeout {
            (self.fails, self.since) = (0, now);
        }
        self.fails = self.fails.saturating_add(failures.min(u64::from(u32::MAX)) as u32);
        if self.fails >= rule.max_fails {
            self.out_until = Some(now + rule.fail_timeout);
        }
    }

    pub fn is_out(&self) -> bool {
        self.out_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Passive = Passive { max_fails: 3, fail_timeout: Duration::from_secs(30) };

    fn after(events: &[(u64, u64)]) -> Ejection {
        let mut ejection = Ejection::default();
        for (second, failures) in events {
            ejection.observe(&RULE, *failures, Duration::from_secs(*second));
        }
        ejection
    }

    #[test]
    fn three_failures_within_the_time_take_it_out_and_time_brings_it_back() {
        assert!(!after(&[(0, 1), (1, 1)]).is_out());
        assert!(after(&[(0, 1), (1, 1), (2, 1)]).is_out());
        assert!(after(&[(0, 5)]).is_out());
        assert!(after(&[(0, 5), (29, 0)]).is_out());
        assert!(!after(&[(0, 5), (30, 0)]).is_out());
        assert!(!after(&[(0, 2), (31, 1), (32, 1)]).is_out(), "old failures are forgotten");
    }

    #[test]
    fn zero_switches_it_off() {
        let mut ejection = Ejection::default();
        ejection.observe(&Passive { max_fails: 0, ..RULE }, 1000, Duration::ZERO);
        assert!(!ejection.is_out());
    }
}
