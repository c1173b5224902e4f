//! Wakes the controller on adverse outcomes, however many workers report them at once.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// One bell, rung by the workers and heard by the controller.
#[derive(Debug, Default)]
pub struct Wake {
    rung: AtomicBool,
    notify: Notify,
}

impl Wake {
    /// Something went wrong on a pool. Cheap when the bell has been rung already and not yet heard.
    pub fn adverse(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Waits for the bell. What was recorded before it rang can be read after this returns; what is
    /// recorded later rings again.
    pub async fn wait(&self) {
        self.notify.notified().await;
        self.rung.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_rings_are_one_and_none_is_lost() {
        let wake = Wake::default();
        for _ in 0..100 {
            wake.adverse();
        }
        wake.wait().await;
        wake.adverse();
        wake.wait().await;
    }
}
