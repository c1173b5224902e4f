//! The attempts of one arm and worker that are under way, by the time at which they started.
//!
//! They are counted in buckets of [`BUCKET_US`], so that no request needs a timer. By each bucket stands, too,
//! in which lanes their clients are ([`ClientKey::lane`]): a version that hangs is found before it answers
//! anybody, and it must be known by then whether one client waits or many.

use crate::core::client::{ClientKey, LANES};
use crate::core::counter::Counter;
use crate::core::outcome::{MAX_LIMITS, SlowLimits};

/// Width of a bucket, µs.
const BUCKET_US: u64 = 100_000;
/// Buckets kept apart: 102.4 s of them, longer than any latency limit may be.
const SLOTS: usize = 1024;
/// The lower half of a slot's head.
const OPEN: u64 = u32::MAX as u64;
/// Lanes in one counter, of a byte each.
const LANES_A_WORD: usize = 8;
/// The most that is counted of one lane in one bucket. What comes beyond it is not counted, so that the lane
/// may look empty too early: rather a client too few than one too many.
const FULL: u64 = 0xff;

/// Written by the worker's own thread alone, as everything in a shard.
#[derive(Debug)]
pub(super) struct Starts {
    slots: Box<[Slot]>,
    /// Attempts of the bucket in which an era began, as far as they began in it: those before are in the bucket's own
    /// slot. And which era that was, in µs.
    first: Slot,
    first_era: Counter,
    /// Attempts under way whose slot was taken by a later time.
    old_open: Counter,
}

#[derive(Debug, Default)]
struct Slot {
    /// The number of the bucket + 1 in the upper half (0 while unused), how many are under way in the lower.
    head: Counter,
    lanes: [Counter; LANES / LANES_A_WORD],
}

impl Starts {
    pub(super) fn new() -> Self {
        Starts {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            first: Slot::default(),
            first_era: Counter::default(),
            old_open: Counter::default(),
        }
    }

    /// Counts an attempt of an era as under way; an older time gives up its slot if need be.
    pub(super) fn begin(&self, at_us: u64, client: ClientKey, era_us: u64) {
        let Some((slot, epoch)) = self.slot(at_us, era_us) else { return };
        let now = slot.head.read();
        if now >> 32 == epoch && !self.is_stale(at_us, era_us) {
            slot.head.set(now + 1);
        } else {
            self.old_open.add(now & OPEN);
            slot.lanes.iter().for_each(|lanes| lanes.set(0));
            slot.head.set(epoch << 32 | 1);
            if is_first(at_us, era_us) {
                self.first_era.set(era_us);
            }
        }
        slot.count(client, |open| if open < FULL { open + 1 } else { open });
    }

    pub(super) fn end(&self, at_us: u64, client: ClientKey, era_us: u64) {
        let Some((slot, epoch)) = self.slot(at_us, era_us) else { return };
        let now = slot.head.read();
        if now >> 32 == epoch && now & OPEN > 0 && !self.is_stale(at_us, era_us) {
            slot.count(client, |open| open.saturating_sub(1));
            slot.head.set(now - 1);
        } else {
            self.old_open.set(self.old_open.read().saturating_sub(1));
        }
    }

    fn slot(&self, at_us: u64, era_us: u64) -> Option<(&Slot, u64)> {
        let epoch = at_us / BUCKET_US + 1;
        let slot = self.slots.get(epoch as usize % SLOTS)?;
        Some((if is_first(at_us, era_us) { &self.first } else { slot }, epoch))
    }

    /// Whether the slot for the first bucket of an era is another era's.
    fn is_stale(&self, at_us: u64, era_us: u64) -> bool {
        is_first(at_us, era_us) && self.first_era.read() != era_us
    }

    /// What stands in the slot for the first bucket, where it is this era's.
    fn first_of(&self, era_us: u64) -> Option<&Slot> {
        (era_us > 0 && self.first_era.read() == era_us).then_some(&self.first)
    }

    /// Attempts without an answer: all, and those that started longer ago than each limit, but not before
    /// `era_us`.
    pub(super) fn under_way(
        &self,
        now_us: u64,
        limits: &SlowLimits,
        era_us: u64,
    ) -> (u64, [u64; MAX_LIMITS]) {
        let mut overdue = [0; MAX_LIMITS];
        let mut all = self.old_open.read();
        // The last bucket that ended more than the limit ago.
        let last = limits.0.map(|limit| now_us.saturating_sub(u64::from(limit)) / BUCKET_US);
        let used = limits.used().len();
        let first = first_epoch(era_us);
        if now_us.saturating_sub(era_us) >= BUCKET_US * SLOTS as u64 || era_us == 0 {
            overdue.iter_mut().take(used).for_each(|overdue| *overdue = all);
        }
        let early = self.first.head.read();
        all += early & OPEN;
        if self.first_of(era_us).is_some() {
            let is_overdue = |last: &u64| early >> 32 <= *last;
            let late = overdue.iter_mut().zip(&last).take(used).filter(|(_, last)| is_overdue(last));
            late.for_each(|(overdue, _)| *overdue += early & OPEN);
        }
        for slot in &self.slots {
            let slot = slot.head.read();
            let open = slot & OPEN;
            if open == 0 {
                continue;
            }
            all += open;
            let epoch = slot >> 32;
            for (overdue, last) in overdue.iter_mut().zip(&last).take(used) {
                if epoch <= *last && epoch >= first {
                    *overdue += open;
                }
            }
        }
        (all, overdue)
    }

    /// The lanes of the attempts under way that passed a limit since a time, a bit for each; but of none that
    /// started before `era_us`.
    pub(super) fn overdue_lanes(&self, now_us: u64, limit_us: u64, since_us: u64, era_us: u64) -> u16 {
        let last = now_us.saturating_sub(limit_us) / BUCKET_US;
        let since = since_us.saturating_sub(limit_us) / BUCKET_US;
        let first = first_epoch(era_us).max(since);
        let mut all = 0;
        if let Some(slot) = self.first_of(era_us) {
            let head = slot.head.read();
            if head & OPEN > 0 && (since..=last).contains(&(head >> 32)) {
                all |= slot.open_lanes();
            }
        }
        for slot in &self.slots {
            let head = slot.head.read();
            let epoch = head >> 32;
            if head & OPEN > 0 && epoch <= last && epoch >= first {
                all |= slot.open_lanes();
            }
        }
        all
    }
}

/// The first bucket of which everything started after the arm began again: the one that it began in holds
/// attempts from before, too.
/// Whether an attempt began in the bucket in which its era did.
fn is_first(at_us: u64, era_us: u64) -> bool {
    era_us > 0 && at_us >= era_us && at_us / BUCKET_US == era_us / BUCKET_US
}

/// The first bucket that holds nothing from before an era.
fn first_epoch(era_us: u64) -> u64 {
    if era_us == 0 { 0 } else { era_us / BUCKET_US + 2 }
}

impl Slot {
    fn count(&self, client: ClientKey, change: impl FnOnce(u64) -> u64) {
        let lane = client.lane();
        let Some(word) = self.lanes.get(lane / LANES_A_WORD) else { return };
        let (shift, lanes) = (lane % LANES_A_WORD * 8, word.read());
        let open = change(lanes >> shift & FULL);
        word.set(lanes & !(FULL << shift) | open << shift);
    }

    fn open_lanes(&self) -> u16 {
        let mut open = 0;
        for (index, word) in self.lanes.iter().enumerate() {
            let lanes = word.read();
            for lane in 0..LANES_A_WORD {
                open |= u16::from(lanes >> (lane * 8) & FULL != 0) << (index * LANES_A_WORD + lane);
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> ClientKey {
        ClientKey::of([10, 0, 0, n].into())
    }

    #[test]
    fn what_begins_right_after_an_era_is_overdue_like_all_that_follows() {
        let (starts, mut limits) = (Starts::new(), SlowLimits::default());
        limits.0[0] = 500_000;
        let (era, next) = (1_030_000, 1_070_000);
        let seen = |era_us| {
            let (all, overdue) = starts.under_way(2_000_000, &limits, era_us);
            (all, overdue[0], starts.overdue_lanes(2_000_000, 500_000, 0, era_us).count_ones())
        };
        starts.begin(1_010_000, client(1), 0);
        starts.begin(1_040_000, client(2), era);
        starts.begin(1_050_000, client(3), era);
        assert_eq!(seen(era), (3, 2, 2), "all but the one from before");
        assert_eq!(starts.under_way(1_400_000, &limits, era), (3, [0; MAX_LIMITS]), "within the limit");
        starts.end(1_040_000, client(2), era);
        assert_eq!(seen(era), (2, 1, 1));
        assert_eq!(seen(next), (2, 0, 0), "nothing has begun in the next");
        starts.begin(1_080_000, client(4), next);
        assert_eq!(seen(next), (3, 1, 1));
        starts.end(1_050_000, client(3), era);
        starts.end(1_010_000, client(1), 0);
        starts.end(1_080_000, client(4), next);
        assert_eq!(seen(next), (0, 0, 0));
    }

    #[test]
    fn the_clients_that_wait_are_those_whose_attempts_are_overdue() {
        let starts = Starts::new();
        let lanes = |now| starts.overdue_lanes(now, 500_000, 0, 0);
        for _ in 0..300 {
            starts.begin(1_000_000, client(1), 0);
        }
        starts.begin(1_000_000, client(2), 0);
        starts.begin(2_000_000, client(3), 0);
        assert_eq!(lanes(1_400_000), 0, "within the limit");
        assert_eq!(lanes(1_700_000), 1 << client(1).lane() | 1 << client(2).lane());
        starts.end(1_000_000, client(2), 0);
        assert_eq!(lanes(1_700_000), 1 << client(1).lane(), "answered");
        assert_eq!(lanes(2_700_000).count_ones(), 2);
        assert_eq!(starts.overdue_lanes(2_700_000, 500_000, 2_400_000, 0), 1 << client(3).lane());
        for _ in 0..300 {
            starts.end(1_000_000, client(1), 0);
        }
        assert_eq!(lanes(1_700_000), 0, "more than one byte counts leave it empty, never over");
    }

    #[test]
    fn what_started_before_the_era_is_never_overdue() {
        let starts = Starts::new();
        let mut limits = SlowLimits::default();
        limits.0[0] = 500_000;
        starts.begin(1_000_000, client(1), 0);
        starts.begin(3_000_000, client(2), 0);
        let overdue = |now, era| starts.under_way(now, &limits, era).1[0];
        assert_eq!((overdue(9_000_000, 0), overdue(9_000_000, 2_000_000)), (2, 1));
        assert_eq!(starts.overdue_lanes(9_000_000, 500_000, 0, 2_000_000), 1 << client(2).lane());
        // Much later their slots are taken over by another time.
        starts.begin(1_000_000 + BUCKET_US * SLOTS as u64, client(3), 0);
        assert_eq!(overdue(103_500_000, 2_000_000), 1, "not the one from before the era");
        assert_eq!(starts.under_way(103_500_000, &limits, 2_000_000).0, 3);
    }
}
