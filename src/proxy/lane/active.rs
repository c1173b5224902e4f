//! The streams of one connection that are served at a time.

use crate::observe::clock::Clock;
use crate::proxy::listen::seats::Seat;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How many streams of a connection are being served.
#[derive(Default)]
pub(super) struct Active {
    most: usize,
    count: AtomicUsize,
    /// Told when there is none any more, and when there are less than may be.
    none: Notify,
    less: Notify,
}

impl Active {
    /// So many at a time.
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Active { most: most as usize, ..Active::default() })
    }

    /// Ends when there is room for another one.
    pub(super) async fn has_less(&self) {
        self.less.notified().await;
    }

    pub(super) fn has_room(&self) -> bool {
        self.count.load(Ordering::Relaxed) < self.most
    }

    pub(super) fn enter(self: &Arc<Self>) -> Busy {
        self.count.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Ends when there has been no stream for so long, or there is none and the place is needed.
    pub(super) async fn idle_for(&self, idle: Duration, (seat, clock, was_asked): (&Seat, Clock, bool)) {
        while self.count.load(Ordering::Relaxed) > 0 {
            self.none.notified().await;
        }
        seat.rest(clock.now_us(), was_asked);
        tokio::select! {
            () = sleep(idle) => {}
            () = poll_fn(|cx| seat.poll_pressed(cx)) => {}
        }
    }
}

/// One stream that is being served.
pub(super) struct Busy(Arc<Active>);

impl Drop for Busy {
    fn drop(&mut self) {
        let before = self.0.count.fetch_sub(1, Ordering::Relaxed);
        if before == 1 {
            self.0.none.notify_one();
        }
        if before == self.0.most {
            self.0.less.notify_one();
        }
    }
}
