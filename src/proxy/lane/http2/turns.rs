//! Whose turn it is: of a connection's streams, as many are served at a time as its listener allows.
//!
//! A client that has not heard yet how many these are goes by a hundred, and may send as many with its first
//! packets. To refuse the rest would fail requests of clients that do not try again; they wait here for their
//! turn. A client that has heard it waits a moment only, since a stream that it has just reset may
//! not have ended on this side, and is then refused.

use crate::observe::access_log::Cut;
use crate::proxy::measure::log_entry::Logger;
use pingora_core::protocols::http::v2::server::HttpSession;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// How long who knows better waits.
const MOMENT: Duration = Duration::from_millis(500);
/// Streams that may wait. There are no more unless the client resets what waits, as a flood would.
const MOST_WAITING: usize = 100;

/// The streams of a connection that are served, and those that wait.
pub(super) struct Turns {
    active: Arc<Active>,
    waiting: VecDeque<Waiting>,
    /// How long one may wait.
    patience: Duration,
    log: Option<Logger>,
}

struct Waiting {
    session: HttpSession,
    until: Instant,
    /// Whether the client knows that it is one too many.
    is_fault: bool,
}

/// What becomes of a stream.
#[expect(clippy::large_enum_variant, reason = "most are served: a box for each would cost more than a move")]
pub(super) enum Turn {
    /// It is served, for as long as this is kept.
    Served(HttpSession, Busy),
    /// It is refused, by the client's fault.
    Refused,
    /// The connection has to end.
    End(Cut),
    /// Nothing is to be done.
    None,
}

impl Turns {
    pub(super) fn new(most: u32, patience: Duration, log: Option<Logger>) -> Self {
        let active = Active { most: most as usize, ..Active::default() };
        Turns { active: Arc::new(active), waiting: VecDeque::new(), patience, log }
    }

    pub(super) fn active(&self) -> Arc<Active> {
        self.active.clone()
    }

    /// A new stream, of a client that has heard how many it may have, or not.
    pub(super) fn place(&mut self, mut session: HttpSession, has_heard: bool) -> Turn {
        if self.waiting.is_empty() && self.active.has_room() {
            return Turn::Served(session, self.active.enter());
        }
        if self.waiting.len() >= MOST_WAITING {
            self.turn_away(&mut session);
            return Turn::Refused;
        }
        let patience = if has_heard { MOMENT.min(self.patience) } else { self.patience };
        let until = Instant::now() + patience;
        self.waiting.push_back(Waiting { session, until, is_fault: has_heard });
        Turn::None
    }

    /// What becomes of one that waits, as soon as it is known.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            let Some(first) = self.waiting.iter().map(|waiting| waiting.until).min() else {
                return std::future::pending().await;
            };
            if self.active.has_room()
                && let Some(Waiting { mut session, .. }) = self.waiting.pop_front()
            {
                if is_reset(&mut session) {
                    continue;
                }
                return Turn::Served(session, self.active.enter());
            }
            tokio::select! {
                () = self.active.less.notified() => {}
                () = sleep_until(first) => return self.refuse(first),
            }
        }
    }

    fn turn_away(&self, session: &mut HttpSession) {
        session.shutdown_with_reason(h2::Reason::REFUSED_STREAM);
        if let Some(log) = &self.log {
            log.refused(session);
        }
    }

    /// Gives one up that has waited until then.
    fn refuse(&mut self, until: Instant) -> Turn {
        let late = self.waiting.iter().position(|waiting| waiting.until == until);
        match late.and_then(|index| self.waiting.remove(index)) {
            Some(Waiting { mut session, is_fault, .. }) => {
                self.turn_away(&mut session);
                if is_fault { Turn::Refused } else { Turn::None }
            }
            None => Turn::None,
        }
    }
}

/// Whether its client has given it up.
fn is_reset(session: &mut HttpSession) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(session.idle()).poll(&mut context).is_ready()
}

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
    fn has_room(&self) -> bool {
        self.count.load(Ordering::Relaxed) < self.most
    }

    fn enter(self: &Arc<Self>) -> Busy {
        self.count.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Ends when there has been no stream for so long.
    pub(super) async fn idle_for(&self, idle: Duration) {
        while self.count.load(Ordering::Relaxed) > 0 {
            self.none.notified().await;
        }
        sleep(idle).await;
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
