//! When to order, and when to try again. Pure: the time and the random draw come in.

use super::super::load::Facts;
use crate::core::pause::Pauses;
use std::time::Duration;

/// After the first failure; doubled by each one more. Let's Encrypt allows five failures an hour.
const PAUSES: Pauses = Pauses { first: Duration::from_secs(120), longest: Duration::from_secs(12 * 3600) };

/// How long until the certificate has to be renewed: zero where there is none from an authority, or for
/// other names; else after two thirds of its life, and up to a thirtieth more.
pub(super) fn wait(current: Option<&Facts>, names: &[String], now_s: i64, draw: f64) -> Duration {
    let Some(facts) = current.filter(|facts| !facts.is_self_signed && same(&facts.names, names)) else {
        return Duration::ZERO;
    };
    let (from, until) = (facts.from.timestamp(), facts.until.timestamp());
    let life = until.saturating_sub(from).max(0) as f64;
    let due = from.saturating_add((life * (2.0 / 3.0 + draw / 30.0)) as i64);
    Duration::from_secs(due.saturating_sub(now_s).try_into().unwrap_or(0))
}

/// The pause after so many failures in a row, a quarter more or less.
pub(super) fn pause(failures: u32, draw: f64) -> Duration {
    PAUSES.after(failures).mul_f64(0.75 + draw / 2.0)
}

pub(super) fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        names
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::time::ASN1Time;

    const DAY: i64 = 86_400;

    fn facts(names: &[&str], is_self_signed: bool) -> Facts {
        let at = |s| ASN1Time::from_timestamp(s).expect("a time");
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Facts { names, from: at(0), until: at(90 * DAY), is_self_signed }
    }

    #[test]
    fn a_renewal_is_due_after_two_thirds_or_for_other_names() {
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let wait_for = |facts: &Facts, now, draw| wait(Some(facts), &names, now, draw).as_secs() as i64;
        let fresh = facts(&["b.example", "a.example"], false);
        assert_eq!(wait_for(&fresh, 0, 0.0), 60 * DAY);
        assert_eq!(wait_for(&fresh, 0, 1.0), 63 * DAY);
        assert_eq!(wait_for(&fresh, 59 * DAY, 0.0), DAY);
        assert_eq!(wait_for(&fresh, 64 * DAY, 1.0), 0);
        assert_eq!(wait_for(&fresh, 1000 * DAY, 0.0), 0);
        assert_eq!(wait_for(&facts(&["a.example"], false), 0, 0.0), 0);
        assert_eq!(wait_for(&facts(&["a.example", "b.example"], true), 0, 0.0), 0, "a placeholder");
        assert_eq!(wait(None, &names, 0, 0.0), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        assert_eq!(pause(1, 0.5), PAUSES.first);
        assert_eq!(pause(3, 0.5), PAUSES.first * 4);
        assert_eq!(pause(u32::MAX, 0.5), PAUSES.longest);
        assert!(pause(2, 0.0) < pause(2, 1.0));
        let within_an_hour = (1..).scan(Duration::ZERO, |at, n| {
            *at += pause(n, 0.0);
            Some(*at)
        });
        assert!(within_an_hour.take_while(|at| at.as_secs() < 3600).count() <= 5);
    }
}
