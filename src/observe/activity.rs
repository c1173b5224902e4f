//! Which arms have something new, so that a reader need not look at the counters of all.
//!
//! Every worker counts by arm how often something has begun or gone wrong there, in a few bytes that lie close
//! together; a reader compares the counts with those that it saw last ([`Seen`]). What comes to a good end is
//! not counted: an arm with attempts under way is looked at anyway.

use crate::core::outcome::ArmId;
use std::sync::atomic::{AtomicU32, Ordering};

/// Of one worker. Written by its own thread alone, as everything in a shard; the counts wrap around.
#[derive(Debug)]
pub(super) struct Activity(Box<[AtomicU32]>);

/// What a reader has seen, by arm: the counts of all workers together.
#[derive(Clone, Debug, Default)]
pub struct Seen(Vec<u32>);

impl Activity {
    pub(super) fn of(arms: usize) -> Self {
        Activity((0..arms).map(|_| AtomicU32::new(0)).collect())
    }

    /// To be called once the counters have it: who reads the mark finds what it stands for.
    #[inline]
    pub(super) fn mark(&self, arm: ArmId) {
        if let Some(count) = self.0.get(usize::from(arm.0)) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        }
    }

    fn read(&self, arm: usize) -> u32 {
        self.0.get(arm).map_or(0, |count| count.load(Ordering::Acquire))
    }
}

impl Seen {
    /// The arms below `arms` that have been marked since the last call.
    pub(super) fn news<'a>(
        &mut self,
        arms: usize,
        workers: impl Iterator<Item = &'a Activity> + Clone,
    ) -> Vec<usize> {
        self.0.resize(arms, 0);
        let mut news = Vec::new();
        for (arm, seen) in self.0.iter_mut().enumerate() {
            let count = workers.clone().fold(0, |sum: u32, activity| sum.wrapping_add(activity.read(arm)));
            if count != *seen {
                *seen = count;
                news.push(arm);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_news_once_whoever_marks_it() {
        let workers = [Activity::of(4), Activity::of(4)];
        let mut seen = Seen::default();
        let mut news = || seen.news(3, workers.iter());
        assert!(news().is_empty());
        workers[0].mark(ArmId(2));
        workers[1].mark(ArmId(2));
        workers[1].mark(ArmId(0));
        workers[1].mark(ArmId(9));
        assert_eq!(news(), [0, 2]);
        assert!(news().is_empty());
        workers[0].mark(ArmId(0));
        assert_eq!(news(), [0]);
    }
}
