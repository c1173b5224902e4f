//! Samples of what happened to requests, on their way from the workers to the controller: answers that differed,
//! attempts that failed.
//!
//! Nobody waits for anybody: a sample that finds no room, or the queue in another's hands, is dropped. What they are
//! samples of is counted elsewhere.

use crate::core::outcome::ArmId;
use std::sync::{Mutex, PoisonError, TryLockError};

/// Samples that wait for the controller; of one arm, so that another's find room.
const KEPT: usize = 64;
const OF_AN_ARM: usize = 16;

/// A queue of samples, each of one arm.
#[derive(Debug)]
pub struct Samples<T>(Mutex<Vec<(ArmId, T)>>);

impl<T> Default for Samples<T> {
    fn default() -> Self {
        Samples(Mutex::default())
    }
}

impl<T> Samples<T> {
    /// Offers a sample, which is only made where there is room for it.
    pub fn offer(&self, arm: ArmId, make: impl FnOnce() -> T) {
        let kept = match self.0.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(kept.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let has_room = |kept: &Vec<(ArmId, T)>| {
            kept.len() < KEPT && kept.iter().filter(|(of, _)| *of == arm).count() < OF_AN_ARM
        };
        if let Some(mut kept) = kept.filter(|kept| has_room(kept)) {
            kept.push((arm, make()));
        }
    }

    /// Takes all that wait.
    pub fn take(&self) -> Vec<(ArmId, T)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded_and_leave_room_for_other_arms() {
        let samples = Samples::default();
        for n in 0..100 {
            samples.offer(ArmId(1), || n);
        }
        samples.offer(ArmId(2), || 100);
        let taken = samples.take();
        assert_eq!(taken.len(), OF_AN_ARM + 1);
        assert_eq!((taken[0], taken[OF_AN_ARM]), ((ArmId(1), 0), (ArmId(2), 100)));
        assert_eq!(samples.take(), []);
        for n in 0..100 {
            samples.offer(ArmId(n), || 0);
        }
        assert_eq!(samples.take().len(), KEPT);
    }
}
