//! What one worker counts of each group.

use super::{GroupEvent, Side};
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::MAX_LIMITS;
use crate::core::policy::MAX_GROUPS;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one worker; only its own thread writes.
#[derive(Debug)]
pub(super) struct GroupShard {
    candidate: [GroupCell; MAX_GROUPS + 1],
    stable: [GroupCell; MAX_GROUPS + 1],
}

#[derive(Debug, Default)]
struct GroupCell {
    attempts: AtomicU64,
    failures: AtomicU64,
    abandoned: AtomicU64,
    /// Attempts that have a latency, and whole answers.
    timed: AtomicU64,
    finished: AtomicU64,
    /// Past each limit: to the head (of abandoned ones, too), to the last byte, and before they were cut short.
    late: [AtomicU64; MAX_LIMITS],
    left_late: [AtomicU64; MAX_LIMITS],
    long: [AtomicU64; MAX_LIMITS],
    cut_long: [AtomicU64; MAX_LIMITS],
}

impl Default for GroupShard {
    fn default() -> Self {
        let cells = || std::array::from_fn(|_| GroupCell::default());
        GroupShard { candidate: cells(), stable: cells() }
    }
}

impl GroupShard {
    pub(super) fn count(&self, side: Side, group: usize, event: GroupEvent) {
        let Some(cell) = self.cell(side, group) else { return };
        match event {
            GroupEvent::Decided { failed, late } => {
                add(&cell.failures, u64::from(failed));
                if let Some(late) = late {
                    add_bits(&cell.late, late);
                    add(&cell.timed, 1);
                }
                add(&cell.attempts, 1);
            }
            GroupEvent::Abandoned { late } => {
                add_bits(&cell.left_late, late);
                add(&cell.abandoned, 1);
            }
            GroupEvent::Broken => add(&cell.failures, 1),
            GroupEvent::Finished { long } => {
                add_bits(&cell.long, long);
                add(&cell.finished, 1);
            }
            GroupEvent::Cut { long } => add_bits(&cell.cut_long, long),
        }
    }

    pub(super) fn counts(&self, side: Side, group: usize) -> KindCounts {
        let Some(cell) = self.cell(side, group) else { return KindCounts::default() };
        let sums = |one: &[AtomicU64; MAX_LIMITS], other: &[AtomicU64; MAX_LIMITS]| {
            std::array::from_fn(|slot| one[slot].load(Relaxed) + other[slot].load(Relaxed))
        };
        let others = |all: &AtomicU64, events: &[AtomicU64; MAX_LIMITS]| {
            let all = all.load(Relaxed);
            std::array::from_fn(|slot| all.saturating_sub(events[slot].load(Relaxed)))
        };
        KindCounts {
            attempts: cell.attempts.load(Relaxed),
            failures: cell.failures.load(Relaxed),
            abandoned: cell.abandoned.load(Relaxed),
            slow: sums(&cell.late, &cell.left_late),
            fast: others(&cell.timed, &cell.late),
            long: sums(&cell.long, &cell.cut_long),
            brief: others(&cell.finished, &cell.long),
            ..KindCounts::default()
        }
    }

    fn cell(&self, side: Side, group: usize) -> Option<&GroupCell> {
        match side {
            Side::Candidate => self.candidate.get(group),
            Side::Stable => self.stable.get(group),
        }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

fn add_bits(counters: &[AtomicU64; MAX_LIMITS], bits: u8) {
    if bits != 0 {
        for (slot, counter) in counters.iter().enumerate() {
            add(counter, u64::from(bits >> slot & 1));
        }
    }
}
