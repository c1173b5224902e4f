//! Samples of answers that differed, on their way from the workers to the controller, which writes a few of
//! them into the history.
//!
//! Nobody waits for anybody: a sample that finds no room, or the queue in another's hands, is dropped. The
//! differences themselves are counted elsewhere.

use crate::core::outcome::ArmId;
use std::sync::{Mutex, PoisonError, TryLockError};

/// Samples that wait for the controller.
const KEPT: usize = 16;

/// One answer that differed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub arm: ArmId,
    /// The request, without the values of its query, and what differed.
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Differences(Mutex<Vec<Difference>>);

impl Differences {
    /// Offers a sample, which is only made where there is room for it.
    pub fn offer(&self, arm: ArmId, text: impl FnOnce() -> String) {
        let kept = match self.0.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(kept.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut kept) = kept.filter(|kept| kept.len() < KEPT) {
            kept.push(Difference { arm, text: text() });
        }
    }

    /// Takes all that wait.
    pub fn take(&self) -> Vec<Difference> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded() {
        let differences = Differences::default();
        for n in 0..100 {
            differences.offer(ArmId(1), || n.to_string());
        }
        let taken = differences.take();
        assert_eq!(taken.len(), KEPT);
        assert_eq!(taken[0], Difference { arm: ArmId(1), text: "0".into() });
        assert_eq!(differences.take(), []);
    }
}
