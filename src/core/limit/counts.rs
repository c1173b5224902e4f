//! How much a client has under way: connections of a listener, requests on a route.
//!
//! A key has its place in one set of eight slots, each a tag and a count in one word; a slot whose count
//! is 0 is free. One is added first and compared with the limit after, over all slots that bear the tag:
//! workers that meet a new key in the same moment may give it two, and still never let through more than
//! the limit. Where all eight are taken by others, the key goes uncounted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const WAYS: usize = 8;
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug)]
pub struct Counts {
    sets: Box<[[AtomicU64; WAYS]]>,
}

/// One that is under way, until it is dropped.
#[derive(Debug)]
pub struct Held {
    counts: Arc<Counts>,
    /// Set and way; `None` goes uncounted.
    slot: Option<(usize, usize)>,
}

impl Counts {
    /// For so many keys at a time, rounded up to a power of two.
    pub fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Counts { sets: (0..sets).map(|_| Default::default()).collect() }
    }

    /// Counts one more by its key; `None` where that would be more than `most`.
    pub fn enter(self: &Arc<Self>, key: u64, most: u32) -> Option<Held> {
        let (index, tag) = self.place(key);
        let set = self.sets.get(index)?;
        let slot = add(set, tag).map(|way| (index, way));
        let held = Held { counts: self.clone(), slot };
        // Dropped, and so taken back, where it is too much.
        (slot.is_none() || under_way(set, tag) <= u64::from(most)).then_some(held)
    }

    /// How much is under way by a key.
    pub fn of(&self, key: u64) -> u64 {
        let (index, tag) = self.place(key);
        self.sets.get(index).map_or(0, |set| under_way(set, tag))
    }

    fn place(&self, key: u64) -> (usize, u64) {
        // A power of two, at least one. The tag is the higher bits, the place the lower ones.
        (key as usize & (self.sets.len() - 1), key & !COUNT)
    }
}

/// Adds one to the slot of a tag; the way.
fn add(set: &[AtomicU64; WAYS], tag: u64) -> Option<usize> {
    loop {
        let bits = set.each_ref().map(|slot| slot.load(SeqCst));
        let slots = || set.iter().zip(bits).enumerate();
        let known = slots().find(|(_, (_, bits))| bits & !COUNT == tag && bits & COUNT > 0);
        let (way, (slot, bits)) = known.or_else(|| slots().find(|(_, (_, bits))| bits & COUNT == 0))?;
        let next = if known.is_some() { bits + 1 } else { tag | 1 };
        if slot.compare_exchange(bits, next, SeqCst, SeqCst).is_ok() {
            return Some(way);
        }
    }
}

fn under_way(set: &[AtomicU64; WAYS], tag: u64) -> u64 {
    let bits = set.iter().map(|slot| slot.load(SeqCst));
    bits.filter(|bits| bits & !COUNT == tag).map(|bits| bits & COUNT).sum()
}

impl Drop for Held {
    fn drop(&mut self) {
        let slot = self.slot.and_then(|(index, way)| self.counts.sets.get(index)?.get(way));
        if let Some(slot) = slot {
            slot.fetch_sub(1, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;
    use std::sync::atomic::AtomicI64;

    #[test]
    fn what_ends_makes_room() {
        let counts = Arc::new(Counts::new(64));
        let (one, other) = (key("1", 0), key("2", 0));
        let mut held: Vec<_> = (0..3).map(|_| counts.enter(one, 3).expect("room")).collect();
        assert!(counts.enter(one, 3).is_none());
        assert_eq!((counts.of(one), counts.of(other)), (3, 0));
        assert!(counts.enter(other, 1).is_some());
        held.pop();
        assert!(counts.enter(one, 3).is_some());
        drop(held);
        assert_eq!((counts.of(one), counts.of(other)), (0, 0));
    }

    #[test]
    fn a_full_set_lets_pass() {
        let counts = Arc::new(Counts::new(8));
        let tags: Vec<_> = (1..=9u64).map(|n| n << COUNT_BITS).collect();
        let _held: Vec<_> = tags[..8].iter().map(|key| counts.enter(*key, 1)).collect();
        let uncounted = (counts.enter(tags[8], 1), counts.enter(tags[8], 1));
        assert!(uncounted.0.is_some() && uncounted.1.is_some());
        assert!(counts.enter(tags[0], 1).is_none(), "those that are counted are limited");
    }

    #[test]
    fn workers_never_let_more_through_than_the_limit() {
        let counts = Arc::new(Counts::new(8));
        let inside = [const { AtomicI64::new(0) }; 3];
        std::thread::scope(|scope| {
            for worker in 0..8u64 {
                let (counts, inside) = (&counts, &inside);
                scope.spawn(move || {
                    for n in 0..20_000u64 {
                        let which = (worker + n) % 3;
                        let Some(held) = counts.enter((which + 1) << COUNT_BITS, 2) else { continue };
                        let most = inside[which as usize].fetch_add(1, SeqCst) + 1;
                        assert!(most <= 2, "{most} at a time");
                        inside[which as usize].fetch_sub(1, SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert!((1..=3).all(|n| counts.of(n << COUNT_BITS) == 0), "nothing is left behind");
    }
}
