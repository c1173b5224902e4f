//! The mirror: in a mirror step of a rollout a share of stable's safe requests is sent to the candidate as
//! well. Its answers are thrown away, so that it is measured before it serves anybody.
//!
//! A copy never waits for room: beyond the copies that may be under way it is dropped, and counted as that.
//! Optionally a copy's answer is held against the original's ([`compare`]).

pub mod compare;
mod json;

pub use json::Pointer;

use super::outcome::ArmId;
use super::weight::BasisPoints;
use compare::Compare;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a service's requests are mirrored, whenever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Copies under way at a time.
    pub in_flight: u32,
    pub compare: Option<Compare>,
}

impl Default for Mirror {
    fn default() -> Self {
        Mirror { in_flight: 64, compare: None }
    }
}

/// What is mirrored now, and where to; pools by index.
#[derive(Clone, Debug)]
pub struct Mirroring {
    pub stable: usize,
    pub candidate: usize,
    /// Where what comes of the copies is counted.
    pub arm: ArmId,
    /// Of stable's safe requests.
    pub share: BasisPoints,
    pub mirror: Arc<Mirror>,
    pub under_way: Arc<UnderWay>,
}

impl Mirroring {
    /// Whether a request is copied whose lot is `draw`.
    pub fn takes(&self, draw: u32) -> bool {
        (u64::from(draw) * 10_000) >> 32 < u64::from(self.share.get())
    }
}

/// The copies under way to one pool, over all workers and all tables.
#[derive(Debug, Default)]
pub struct UnderWay(AtomicU32);

impl UnderWay {
    /// A place for one more copy until it is dropped; `None` where `most` are taken.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let place = Place(self.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One copy under way.
#[derive(Debug)]
pub struct Place(Arc<UnderWay>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::hash::mix;

    #[test]
    fn the_share_is_taken_and_no_more() {
        for share in [1, 1_000, 10_000] {
            let mirroring = Mirroring {
                stable: 0,
                candidate: 1,
                arm: ArmId(0),
                share: BasisPoints::new(share).expect("at most all"),
                mirror: Arc::default(),
                under_way: Arc::default(),
            };
            let taken = (0..100_000_u64).filter(|n| mirroring.takes(mix(*n) as u32)).count();
            let expected = usize::from(share) * 10;
            assert!(taken.abs_diff(expected) <= 50 + expected / 20, "{taken} of {expected}");
            assert_eq!(mirroring.takes(u32::MAX), share == 10_000);
        }
    }

    #[test]
    fn there_is_room_for_so_many() {
        let under_way = Arc::new(UnderWay::default());
        let places: Vec<_> = (0..5).map(|_| under_way.enter(3)).collect();
        assert_eq!(places.iter().flatten().count(), 3);
        assert_eq!(under_way.count(), 3, "who found no room has left");
        drop(places);
        assert!(under_way.count() == 0 && under_way.enter(1).is_some());
    }
}
