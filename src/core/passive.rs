//! Passive ejection: an upstream that fails real traffic is taken out for a while.
//!
//! The rule is nginx's: `max_fails` failures within `fail_timeout` take it out for `fail_timeout`.
//! That a pool is never emptied this way is the business of who combines the upstreams' states.
//!
//! The rule asks for no share, so a busy upstream that fails three requests of ten thousand is taken out,
//! too. What is held against a version is the share ([`Accusation`]): of what came to its end since the
//! first of the failures, until as many requests in a row have gone well again. An upstream that is back
//! because its time is over has proven nothing yet.

use super::settings::Passive;
use std::time::Duration;

/// The failures of one upstream, and whether it is out for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejection {
    fails: u32,
    /// When the first of `fails` came.
    since: Duration,
    out_until: Option<Duration>,
    /// Whether it has been out, and is not proven well since.
    accused: bool,
    /// Good attempts in a row since it came back.
    good: u64,
    /// What it did since the first of the failures it was taken out for.
    stretch: EndedAttempts,
    began: Duration,
}

/// Attempts of an upstream that have come to their end, and those of them that failed on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedAttempts {
    pub attempts: u64,
    pub failures: u64,
}

/// What speaks against an upstream that was taken out for failing requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Accusation {
    pub upstream: String,
    pub ended: EndedAttempts,
    /// When the first of the failures came.
    pub since: Duration,
    /// How many clients met failures of its pool since then.
    pub clients: usize,
}

impl EndedAttempts {
    /// What is counted last is counted as ended all the same.
    pub fn share(self) -> f64 {
        self.failures as f64 / self.attempts.max(self.failures).max(1) as f64
    }

    fn add(&mut self, other: EndedAttempts) {
        self.attempts += other.attempts;
        self.failures += other.failures;
    }
}

impl Ejection {
    /// Takes in what has newly `ended`, and the passing of time.
    pub fn observe(&mut self, rule: &Passive, ended: EndedAttempts, now: Duration) {
        if self.out_until.is_some_and(|until| until <= now) {
            (self.fails, self.out_until, self.good) = (0, None, 0);
        }
        self.prove(rule, ended);
        if rule.max_fails == 0 || ended.failures == 0 || self.is_out() {
            return;
        }
        if self.fails == 0 || now.saturating_sub(self.since) > rule.fail_timeout {
            (self.fails, self.since) = (0, now);
            if !self.accused {
                (self.stretch, self.began) = (ended, now);
            }
        }
        self.fails = self.fails.saturating_add(ended.failures.min(u64::from(u32::MAX)) as u32);
        if self.fails >= rule.max_fails {
            (self.out_until, self.accused) = (Some(now + rule.fail_timeout), true);
        }
    }

    /// Counts towards what is held against it, or in its favour once it is back.
    fn prove(&mut self, rule: &Passive, ended: EndedAttempts) {
        if self.fails > 0 || self.accused {
            self.stretch.add(ended);
        }
        if !self.accused || self.is_out() {
            return;
        }
        self.good = if ended.failures > 0 { 0 } else { self.good + ended.attempts };
        if self.good >= u64::from(rule.max_fails.max(1)) {
            *self = Ejection::default();
        }
    }

    /// What it did so far is held against nobody any more: another version may run on it. It stays out as long
    /// as it would have.
    pub fn forgive(&mut self) {
        *self = Ejection { out_until: self.out_until, ..Ejection::default() };
    }

    pub fn is_out(&self) -> bool {
        self.out_until.is_some()
    }

    /// What it did since the first of the failures that it was taken out for, and when that was; `None` where
    /// it was not taken out, or has proven itself since.
    pub fn accusation(&self) -> Option<(EndedAttempts, Duration)> {
        self.accused.then_some((self.stretch, self.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Passive = Passive { max_fails: 3, fail_timeout: Duration::from_secs(30) };

    fn after(events: &[(u64, u64)]) -> Ejection {
        let mut ejection = Ejection::default();
        for (second, failures) in events {
            let ended = EndedAttempts { attempts: *failures, failures: *failures };
            ejection.observe(&RULE, ended, Duration::from_secs(*second));
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
        let ended = EndedAttempts { attempts: 1000, failures: 1000 };
        ejection.observe(&Passive { max_fails: 0, ..RULE }, ended, Duration::ZERO);
        assert!(!ejection.is_out() && ejection.accusation().is_none());
    }

    #[test]
    fn what_is_held_against_it_is_its_share_until_it_has_proven_itself() {
        let mut ejection = Ejection::default();
        let mut at = |second, attempts, failures| {
            ejection.observe(&RULE, EndedAttempts { attempts, failures }, Duration::from_secs(second));
            ejection.accusation().map(|(ended, since)| (ended.attempts, ended.failures, since.as_secs()))
        };
        assert_eq!(at(1, 5000, 0), None);
        assert_eq!(at(2, 10, 2), None, "it is not out yet");
        assert_eq!(at(3, 100, 1), Some((110, 3, 2)));
        assert_eq!(at(4, 1, 1), Some((111, 4, 2)), "what was under way ends while it is out");
        assert_eq!(at(40, 0, 0), Some((111, 4, 2)), "back, and nothing proven");
        assert_eq!(at(41, 2, 0), Some((113, 4, 2)));
        assert_eq!(at(42, 1, 1), Some((114, 5, 2)));
        assert_eq!(at(43, 2, 0), Some((116, 5, 2)));
        assert_eq!(at(44, 1, 0), None, "three in a row");
    }

    #[test]
    fn another_version_is_not_accused_of_it() {
        let mut ejection = after(&[(0, 3)]);
        ejection.forgive();
        assert!(ejection.is_out() && ejection.accusation().is_none());
        ejection.observe(&RULE, EndedAttempts::default(), Duration::from_secs(30));
        assert_eq!(ejection, Ejection::default());
    }
}
