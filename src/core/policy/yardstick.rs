//! What a pool did in the last minutes: the baseline of a candidate that is set beside it.

use crate::core::kind_counts::KindCounts;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How far back it reaches, and the time between two samples.
const LENGTH: Duration = Duration::from_secs(600);
const SPACING: Duration = Duration::from_secs(20);

/// Samples of one pool's counts.
#[derive(Clone, Debug, Default)]
pub struct Yardstick {
    samples: VecDeque<(Duration, KindCounts)>,
}

impl Yardstick {
    /// Takes a sample, if the last is old enough.
    pub fn push(&mut self, now: Duration, counts: impl FnOnce() -> KindCounts) {
        if self.samples.back().is_some_and(|(at, _)| now < *at + SPACING) {
            return;
        }
        self.samples.push_back((now, counts()));
        // The oldest stays as the base until the next one is old enough.
        while self.samples.get(1).is_some_and(|(at, _)| *at + LENGTH <= now) {
            self.samples.pop_front();
        }
    }

    /// Forgets everything: the pool has another version, or is counted in another way.
    pub fn restart(&mut self) {
        self.samples.clear();
    }

    /// What came between the oldest sample and `counts`; `None` without a sample.
    pub fn since(&self, counts: &KindCounts) -> Option<KindCounts> {
        self.samples.front().map(|(_, oldest)| counts.since(oldest))
    }
}

/// The same of groups of requests, by their keys: what came in the last ten to twenty minutes.
#[derive(Clone, Debug, Default)]
pub struct GroupYardstick {
    /// As the counters stood at two times.
    older: HashMap<u64, KindCounts>,
    newer: HashMap<u64, KindCounts>,
    turned_at: Option<Duration>,
}

impl GroupYardstick {
    /// Whether it is time for [`Self::turn`].
    pub fn is_due(&self, now: Duration) -> bool {
        self.turned_at.is_none_or(|at| now >= at + LENGTH)
    }

    /// Notes how the counters stand.
    pub fn turn(&mut self, now: Duration, counts: impl IntoIterator<Item = (u64, KindCounts)>) {
        self.older = std::mem::replace(&mut self.newer, counts.into_iter().collect());
        self.turned_at = Some(now);
    }

    /// What a group came to since the older of the two times.
    pub fn since(&self, key: u64, counts: &KindCounts) -> KindCounts {
        self.older.get(&key).map_or(*counts, |older| counts.since(older))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(attempts: u64) -> KindCounts {
        KindCounts { attempts, ..KindCounts::default() }
    }

    #[test]
    fn it_reaches_back_ten_minutes() {
        let mut yardstick = Yardstick::default();
        assert_eq!(yardstick.since(&counts(5)), None);
        for second in 0..3_600 {
            yardstick.push(Duration::from_secs(second), || counts(second));
        }
        let reach = yardstick.since(&counts(3_600)).expect("samples").attempts;
        assert!((600..=640).contains(&reach), "{reach}");
        assert!(yardstick.samples.len() <= 32);
        yardstick.restart();
        assert_eq!(yardstick.since(&counts(5)), None);
    }

    #[test]
    fn groups_reach_back_ten_to_twenty_minutes() {
        let mut yardstick = GroupYardstick::default();
        for minute in 0..60 {
            let now = Duration::from_secs(60 * minute);
            if yardstick.is_due(now) {
                yardstick.turn(now, [(7, counts(60 * minute))]);
            }
        }
        let reach = yardstick.since(7, &counts(3_600)).attempts;
        assert!((600..=1_200).contains(&reach), "{reach}");
        assert_eq!(yardstick.since(8, &counts(3)).attempts, 3, "a group that is new");
    }
}
