//! A counter of one worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Adds counters to sums; returns what they came to together.
pub(super) fn sum(sums: &mut [u64], counters: &[Counter]) -> u64 {
    let mut all = 0;
    for (sum, counter) in sums.iter_mut().zip(counters) {
        let count = counter.read();
        *sum += count;
        all += count;
    }
    all
}
