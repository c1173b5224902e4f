//! One timer of a connection, for all its deadlines.
//!
//! Most deadlines are moved long before they are due. The timer is set again only where it would ring too late;
//! where it rings too early, it is set to what is due now.
//!
//! For the same reason a worker keeps timers of connections and streams that are over: the next one takes one as it is
//! set, since it is hardly ever due later than that.

use crate::observe::clock::Clock;
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// No deadline, in µs on the process clock.
pub(in crate::proxy) const NEVER_US: u64 = u64::MAX;

/// Timers that a worker has at hand.
const SPARE: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Spare>> = const { RefCell::new(Vec::new()) };
}

/// A timer that nobody waits for: if it rings, it wakes a task that is over.
struct Spare {
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    rings_us: u64,
}

/// The timer of one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Alarm {
    clock: Clock,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes: it need not be told again.
    wakes: Option<Waker>,
    /// When it rings, in µs on the process clock.
    rings_us: u64,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(timer) = self.timer.take().filter(|_| self.rings_us != NEVER_US) else { return };
        let spare = Spare { clock: self.clock, timer, rings_us: self.rings_us };
        // At the end of a thread there is nobody to keep it for.
        let _ = SPARES.try_with(|spares| {
            let Ok(mut spares) = spares.try_borrow_mut() else { return };
            if spares.len() < SPARE {
                spares.push(spare);
            }
        });
    }
}

impl Alarm {
    pub(in crate::proxy) fn new(clock: Clock) -> Self {
        let spare = SPARES.with_borrow_mut(Vec::pop).filter(|spare| spare.clock == clock);
        let (timer, rings_us) = spare.map(|spare| (spare.timer, spare.rings_us)).unzip();
        Alarm { clock, timer, wakes: None, rings_us: rings_us.unwrap_or(NEVER_US) }
    }

    pub(in crate::proxy) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// Ready once the deadline has passed.
    pub(in crate::proxy) fn poll(&mut self, deadline_us: u64, cx: &mut Context<'_>) -> Poll<()> {
        if deadline_us == NEVER_US {
            return Poll::Pending;
        }
        loop {
            if self.rings_us > deadline_us && !self.set(deadline_us) {
                return Poll::Ready(());
            }
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            let is_told = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if is_told && !timer.is_elapsed() {
                return Poll::Pending;
            }
            // A task that has used up its turn is not asked whom to wake.
            let is_asked = has_budget_remaining();
            if timer.as_mut().poll(cx).is_pending() {
                self.wakes = is_asked.then(|| cx.waker().clone());
                return Poll::Pending;
            }
            self.wakes = None;
            self.rings_us = NEVER_US;
        }
    }

    /// Sets the timer; `false` where the deadline has passed already.
    fn set(&mut self, deadline_us: u64) -> bool {
        let left = deadline_us.saturating_sub(self.clock.now_us());
        if left == 0 {
            return false;
        }
        let at = Instant::now().checked_add(Duration::from_micros(left));
        let at = at.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 3600));
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
        (self.rings_us, self.wakes) = (deadline_us, None);
        true
    }
}

/// A moment after another, in µs; a limit without end has none.
pub(in crate::proxy) fn after_us(since_us: u64, limit: Duration) -> u64 {
    u64::try_from(limit.as_micros()).map_or(NEVER_US, |limit| since_us.saturating_add(limit))
}
