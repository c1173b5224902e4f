//! The buckets of one rate limit, by key, shared by all workers.
//!
//! A key has its place in one set of eight slots: the slot that bears it, else the first free one, else
//! the one that was used longest ago, whose key is forgotten. Where that bucket had drained, as the oldest
//! of a table that is large enough has, nothing is lost. A slot never becomes free again, so that workers
//! which meet a new key at the same time agree on its slot.

use super::rate::{BucketLevel, Rate};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Slots in which a key may be: two cache lines.
const WAYS: usize = 8;
/// Others may take the slot that was chosen. After so many times a request passes uncounted.
const TRIES: usize = 8;

#[derive(Debug, Default)]
struct Slot {
    /// 0 is free.
    key: AtomicU64,
    level: AtomicU64,
}

#[derive(Debug)]
pub struct Buckets {
    sets: Box<[[Slot; WAYS]]>,
}

impl Buckets {
    /// For so many keys, rounded up to a power of two.
    pub fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Buckets { sets: (0..sets).map(|_| Default::default()).collect() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long it would have to wait, when it is too much; it is not counted then.
    pub fn take(&self, rate: &Rate, key: u64, now: Duration) -> Result<(), Duration> {
        let key = key.max(1);
        for _ in 0..TRIES {
            let Some(slot) = self.find(key).or_else(|| self.claim(rate, key, now)) else { continue };
            let mut bits = slot.level.load(Relaxed);
            loop {
                let next = rate.admit(BucketLevel::from_bits(bits), now)?;
                match slot.level.compare_exchange_weak(bits, next.to_bits(), Relaxed, Relaxed) {
                    Ok(_) => return Ok(()),
                    Err(meanwhile) => bits = meanwhile,
                }
            }
        }
        Ok(())
    }

    /// Whether [`Buckets::take`] would refuse.
    ///
    /// # Errors
    /// As [`Buckets::take`].
    pub fn look(&self, rate: &Rate, key: u64, now: Duration) -> Result<(), Duration> {
        let Some(slot) = self.find(key.max(1)) else { return Ok(()) };
        rate.admit(BucketLevel::from_bits(slot.level.load(Relaxed)), now).map(drop)
    }

    fn set(&self, key: u64) -> &[Slot] {
        // A power of two, at least one.
        self.sets.get((key >> 32) as usize & (self.sets.len() - 1)).map_or(&[], |set| &set[..])
    }

    fn find(&self, key: u64) -> Option<&Slot> {
        self.set(key).iter().find(|slot| slot.key.load(Relaxed) == key)
    }

    /// A slot that bears the key from now on; `None` where another worker was faster. What was seen of a slot
    /// is what must still be there: the key itself may have come meanwhile, and keeps its level.
    fn claim(&self, rate: &Rate, key: u64, now: Duration) -> Option<&Slot> {
        let chosen = self.set(key).iter().map(Seen::of).min_by_key(|seen| seen.rank(key))?;
        let Seen { slot, key: former, level } = chosen;
        if former == key {
            return Some(slot);
        }
        slot.key.compare_exchange(former, key, Relaxed, Relaxed).ok()?;
        if former != 0 && !rate.is_drained(BucketLevel::from_bits(level), now) {
            // The new client does not pay for the one that is forgotten. A failure means that it has been
            // used in the meantime, by this key or the former.
            let _ = slot.level.compare_exchange(level, 0, Relaxed, Relaxed);
        }
        Some(slot)
    }
}

/// A slot as one look at it found it.
struct Seen<'a> {
    slot: &'a Slot,
    key: u64,
    level: u64,
}

impl<'a> Seen<'a> {
    fn of(slot: &'a Slot) -> Self {
        Seen { slot, key: slot.key.load(Relaxed), level: slot.level.load(Relaxed) }
    }

    /// The least is the best for a key: its own, else the first free one, else the one used longest ago. The level of a
    /// free slot says nothing: it was looked at after the key, and may be that of a worker who was faster.
    fn rank(&self, key: u64) -> (bool, bool, u64) {
        let used_ms = if self.key == 0 { 0 } else { BucketLevel::from_bits(self.level).at_ms() };
        (self.key != key, self.key != 0, used_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;

    const RATE: Rate = Rate { requests: 10, period: Duration::from_secs(1), burst: 20 };

    fn served(buckets: &Buckets, key: u64, times: usize, now: Duration) -> usize {
        (0..times).filter(|_| buckets.take(&RATE, key, now).is_ok()).count()
    }

    #[test]
    fn each_key_has_its_own() {
        let buckets = Buckets::new(1024);
        let now = Duration::from_secs(5);
        for n in 0..500u32 {
            assert_eq!(served(&buckets, key(n.to_le_bytes(), 0), 30, now), 21, "client {n}");
        }
        assert!(buckets.look(&RATE, key(7u32.to_le_bytes(), 0), now).is_err());
        assert!(buckets.look(&RATE, key(7u32.to_le_bytes(), 0), now + Duration::from_secs(1)).is_ok());
        assert!(buckets.look(&RATE, key(7000u32.to_le_bytes(), 0), now).is_ok());
        assert_eq!(served(&buckets, 0, 30, now), 21, "no key is special");
    }

    #[test]
    fn workers_count_together() {
        let now = Duration::from_secs(5);
        for round in 0..200 {
            let (buckets, begin) = (Buckets::new(64), std::sync::Barrier::new(8));
            let total: usize = std::thread::scope(|scope| {
                let one = || {
                    begin.wait();
                    (0..8u32).map(|n| served(&buckets, key((n % 4).to_le_bytes(), 0), 30, now)).sum::<usize>()
                };
                let workers: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
            });
            assert_eq!(total, 4 * 21, "round {round}");
        }
    }

    #[test]
    fn a_slot_that_was_free_a_moment_ago_is_still_the_first_choice() {
        let (taken, free) = (Slot::default(), Slot::default());
        // Its key was read before another worker came, its level after.
        let seen = Seen {
            slot: &taken,
            key: 0,
            level: RATE.admit(BucketLevel::from_bits(0), Duration::from_secs(5)).expect("room").to_bits(),
        };
        let ranks = [seen.rank(7), Seen::of(&free).rank(7)];
        assert_eq!(ranks[0], ranks[1], "so both workers choose the first, and one of them finds it taken");
    }

    #[test]
    fn the_oldest_is_forgotten_and_nobody_is_shut_out() {
        let buckets = Buckets::new(8);
        for n in 0..8u64 {
            assert_eq!(served(&buckets, n + 1, 30, Duration::from_millis(5000 + n)), 21);
        }
        let now = Duration::from_millis(5100);
        assert_eq!(served(&buckets, 100, 30, now), 21, "a ninth client has a fresh bucket");
        assert!(buckets.look(&RATE, 2, now).is_err(), "the others are remembered");
        assert_eq!(served(&buckets, 1, 30, now), 21, "but the oldest");
    }

    #[test]
    fn a_flood_of_keys_costs_no_memory_and_no_service() {
        let buckets = Buckets::new(256);
        let refused = (0..100_000u32).filter(|n| {
            let now = Duration::from_secs(1) + Duration::from_micros(u64::from(*n));
            buckets.take(&RATE, key(n.to_le_bytes(), 0), now).is_err()
        });
        assert_eq!(refused.count(), 0);
        assert_eq!(buckets.sets.len() * WAYS, 256);
    }
}
