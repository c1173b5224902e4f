//! Groups of a service's requests: by route, method, and the shape of the path.
//!
//! A version with one dead route of many fails a share of its requests that no limit sees. So both arms of a rollout
//! are counted by group, too, up to [`MAX_GROUPS`] of them, found by their traffic; the rest is one more group. While
//! nothing is rolled out, one of [`SAMPLED`] of stable's requests is counted, which gives the baseline for later at next
//! to no cost.
//!
//! A group gets its place with its second request that was not refused as the client's fault (4xx), so that a
//! client that asks for a thousand paths that do not exist takes none. Workers find groups without a lock, and count in shards of
//! their own; the controller reads at any time.

mod counts;
mod shape;

pub use shape::{Shape, name, parts, path};

use super::kind_counts::KindCounts;
use super::policy::MAX_GROUPS;
use counts::GroupShard;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// While nothing is rolled out, one of so many requests is counted.
pub const SAMPLED: u64 = 16;
/// Places for hashes: twice as many as groups, so that a search is short.
const PLACES: usize = 2 * MAX_GROUPS;
/// Hashes of shapes that were met once.
const SIGHTINGS: usize = 256;
/// How far a search goes.
const PROBES: usize = 16;

/// One group; the last is that of all requests without a group of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(u8);

impl GroupId {
    pub const REST: GroupId = GroupId(MAX_GROUPS as u8);

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Whose attempt is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Candidate,
    Stable,
}

/// What an attempt came to, in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// It succeeded or failed; `late` has a bit for each limit that it passed, `None` where it has no latency.
    Decided {
        failed: bool,
        late: Option<u8>,
    },
    Abandoned {
        late: u8,
    },
    /// What had been counted as a success failed afterwards.
    Broken,
    /// Its answer is whole, or was cut short past the limits in `long`.
    Finished {
        long: u8,
    },
    Cut {
        long: u8,
    },
}

/// The groups of one service.
#[derive(Debug)]
pub struct Groups {
    most: u32,
    places: Box<[Place]>,
    sightings: Box<[AtomicU64]>,
    found: AtomicU32,
    /// By [`GroupId`].
    known: Box<[OnceLock<Known>]>,
    /// By worker; made when it counts first.
    shards: Box<[OnceLock<Box<GroupShard>>]>,
}

#[derive(Debug, Default)]
struct Place {
    /// The hash of a shape; 0 while free.
    hash: AtomicU64,
    /// Its group's number + 1; 0 until that is known.
    group: AtomicU32,
}

#[derive(Clone, Debug)]
struct Known {
    hash: u64,
    name: Arc<str>,
}

/// One group as it stands: its key, its name, and what was counted of candidate and stable.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    pub key: u64,
    pub name: Arc<str>,
    pub candidate: KindCounts,
    pub stable: KindCounts,
}

impl Groups {
    /// At most `most` groups beside the rest, counted by so many workers.
    pub fn new(most: usize, workers: usize) -> Self {
        Groups {
            most: most.min(MAX_GROUPS) as u32,
            places: (0..PLACES).map(|_| Place::default()).collect(),
            sightings: (0..SIGHTINGS).map(|_| AtomicU64::new(0)).collect(),
            found: AtomicU32::new(0),
            known: (0..MAX_GROUPS).map(|_| OnceLock::new()).collect(),
            shards: (0..workers.max(1)).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The group of a shape. `may_claim` says that the request is no client's mistake, so that a shape met before gets
    /// a place of its own, under the name that is made then.
    pub fn of(&self, shape: Shape, may_claim: bool, name: impl FnOnce() -> String) -> GroupId {
        let hash = shape.key();
        let start = (hash % PLACES as u64) as usize;
        for step in 0..PROBES {
            let Some(place) = self.places.get((start + step) % PLACES) else { break };
            let known = place.hash.load(Ordering::Acquire);
            if known == hash {
                let group = place.group.load(Ordering::Acquire);
                return group.checked_sub(1).map_or(GroupId::REST, |group| GroupId(group as u8));
            }
            if known == 0 {
                return if may_claim && self.is_met_before(hash) {
                    self.claim(place, hash, name)
                } else {
                    GroupId::REST
                };
            }
        }
        GroupId::REST
    }

    /// Counts on the shard of a worker, whose thread alone may do so.
    pub fn count(&self, worker: usize, side: Side, group: GroupId, event: GroupEvent) {
        let Some(shard) = self.shards.get(worker % self.shards.len().max(1)) else { return };
        shard.get_or_init(Box::default).count(side, group.index(), event);
    }

    /// All groups, over all workers.
    pub fn snapshot(&self) -> Vec<GroupSnapshot> {
        let known =
            (0..self.known.len()).filter(|index| self.known.get(*index).is_some_and(|k| k.get().is_some()));
        known.chain([GroupId::REST.index()]).map(|index| self.snapshot_of(GroupId(index as u8))).collect()
    }

    /// One group, over all workers.
    pub fn snapshot_of(&self, group: GroupId) -> GroupSnapshot {
        let known = self.known.get(group.index()).and_then(OnceLock::get).cloned();
        let rest = || Known { hash: 0, name: "other requests".into() };
        self.summed(group.index(), known.unwrap_or_else(rest))
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.found.load(Ordering::Relaxed) >= self.most
    }

    fn summed(&self, index: usize, known: Known) -> GroupSnapshot {
        let (mut candidate, mut stable) = (KindCounts::default(), KindCounts::default());
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            candidate = candidate.plus(&shard.counts(Side::Candidate, index));
            stable = stable.plus(&shard.counts(Side::Stable, index));
        }
        GroupSnapshot { key: known.hash, name: known.name, candidate, stable }
    }

    /// Notes a shape; whether it was the last one noted in its place.
    fn is_met_before(&self, hash: u64) -> bool {
        let place = (hash >> 32) as usize % SIGHTINGS;
        self.sightings.get(place).is_some_and(|place| place.swap(hash, Ordering::Relaxed) == hash)
    }

    fn claim(&self, place: &Place, hash: u64, name: impl FnOnce() -> String) -> GroupId {
        if self.is_full()
            || place.hash.compare_exchange(0, hash, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return GroupId::REST;
        }
        let group = self.found.fetch_add(1, Ordering::Relaxed);
        let Some(known) = self.known.get(group as usize).filter(|_| group < self.most) else {
            return GroupId::REST;
        };
        let _ = known.set(Known { hash, name: name().into() });
        place.group.store(group + 1, Ordering::Release);
        GroupId(group as u8)
    }
}

#[cfg(test)]
mod tests;
