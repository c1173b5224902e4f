//! Counters that have one writer each, so that counting is a plain load and store, without a lock and without waiting
//! for another thread. Whoever reads them sees each as it was a moment ago.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Adds counters to sums; returns what they came to together.
pub fn sum(sums: &mut [u64], counters: &[Counter]) -> u64 {
    let mut all = 0;
    for (sum, counter) in sums.iter_mut().zip(counters) {
        let count = counter.read();
        *sum += count;
        all += count;
    }
    all
}

/// One count with a counter for each worker. Without any, nothing is counted.
#[derive(Debug, Default)]
pub struct WorkerCounts(Box<[Apart]>);

/// Far enough from the next one that their writers do not disturb each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart(Counter);

impl WorkerCounts {
    pub fn new(workers: usize) -> Self {
        WorkerCounts((0..workers).map(|_| Apart::default()).collect())
    }

    /// Whether nobody counts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// To be called by the worker's own thread.
    #[inline]
    pub fn add(&self, worker: usize) {
        if let Some(Apart(counter)) = self.0.get(worker) {
            counter.add(1);
        }
    }

    /// Over all workers.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|Apart(counter)| counter.read()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_workers_add_up() {
        let counts = WorkerCounts::new(2);
        (0..5).for_each(|n| counts.add(n % 3));
        assert_eq!(counts.total(), 4, "two for each, and none for a worker that there is not");
        WorkerCounts::default().add(0);
    }
}
