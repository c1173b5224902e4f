//! Wakes the controller on adverse outcomes, however many workers report them at once.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use tokio::sync::Notify;

/// One bell, rung by the workers and heard by the controller.
#[derive(Debug, Default)]
pub struct Wake {
    /// When it was rung, if it has been since it was last heard (µs on the process clock, never 0).
    rung_us: AtomicU64,
    notify: Notify,
}

impl Wake {
    /// Something went wrong on a pool, now. Cheap when the bell has been rung already and not yet heard.
    pub fn adverse(&self, now_us: u64) {
        // Either the controller sees what was recorded before this, or this sees that it has heard already.
        fence(Ordering::SeqCst);
        if self.rung_us.compare_exchange(0, now_us.max(1), Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.notify.notify_one();
        }
    }

    /// When it was rung, if it has not been heard yet (µs): what is read now may hold what it was rung for.
    pub fn rung_us(&self) -> Option<u64> {
        Some(self.rung_us.load(Ordering::Acquire)).filter(|us| *us > 0)
    }

    /// Waits for the bell; returns when it was first rung (µs). What was recorded before that can be
    /// read now; what is recorded later rings again.
    pub async fn wait(&self) -> u64 {
        self.notify.notified().await;
        let rung_us = self.rung_us.swap(0, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        rung_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_rings_are_one_and_none_is_lost() {
        let wake = Wake::default();
        for us in 7..100 {
            wake.adverse(us);
        }
        assert_eq!(wake.rung_us(), Some(7));
        assert_eq!(wake.wait().await, 7);
        assert_eq!(wake.rung_us(), None);
        wake.adverse(200);
        assert_eq!(wake.wait().await, 200);
    }
}
