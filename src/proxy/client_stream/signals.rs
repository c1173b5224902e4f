//! What the stream of a connection, or of a request of HTTP/2, and those who serve it tell each other.

use crate::proxy::interim::Interim;
use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

/// Shared between a stream and its connection; only one thread ever uses it.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Signals {
    next: AtomicBool,
    open: AtomicBool,
    late: AtomicBool,
    refused: AtomicU16,
    /// Whether the head that just came was put into other words, which say so.
    settled: AtomicBool,
    /// What is said before the answer.
    pub interim: Interim,
    /// Whether the exchange may be told to end, and whether it has been.
    may_leave: AtomicBool,
    leaves: AtomicBool,
    leaver: AtomicWaker,
    /// Which wait for an answer it is (upper half), and for how many milliseconds (lower half; 0: none).
    answer: AtomicU64,
}

impl Signals {
    /// The exchange is over: another head may come.
    pub(in crate::proxy) fn await_next(&self) {
        self.next.store(true, Ordering::Relaxed);
    }

    /// The protocol was switched: from now on bytes are bytes.
    pub(in crate::proxy) fn opened(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// The status with which the head that just came is to be refused.
    pub(in crate::proxy) fn refused(&self) -> Option<u16> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }

    /// Whether what the head that just came says of itself is ours.
    pub(in crate::proxy) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) fn note_settled(&self, is_settled: bool) {
        self.settled.store(is_settled, Ordering::Relaxed);
    }

    /// The head of an answer is due within `limit` of the request's end.
    pub(in crate::proxy) fn await_answer(&self, limit: Duration) {
        let which = (self.answer.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        let limit = limit.as_millis().clamp(1, u128::from(u32::MAX)) as u64;
        self.late.store(false, Ordering::Relaxed);
        self.answer.store(which | limit, Ordering::Relaxed);
    }

    /// The head of the answer is there.
    pub(in crate::proxy) fn answered(&self) {
        let which = self.answer.load(Ordering::Relaxed) >> 32 << 32;
        self.answer.store(which, Ordering::Relaxed);
    }

    /// Whether the wait for the head of an answer was given up.
    pub(in crate::proxy) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// The exchange is a long one, which may be told to end.
    pub(in crate::proxy) fn may_leave(&self) {
        self.may_leave.store(true, Ordering::Relaxed);
    }

    /// Ends the exchange: for the reading side, the client has gone.
    pub(in crate::proxy) fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
        self.leaver.wake();
    }

    /// Whether it has been told to end; else the reader is woken once it is.
    pub(super) fn has_left(&self, cx: &mut Context<'_>) -> bool {
        if !self.may_leave.load(Ordering::Relaxed) {
            return false;
        }
        self.leaver.register(cx.waker());
        self.leaves.load(Ordering::Acquire)
    }

    pub(in crate::proxy) fn gave_up(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, status: u16) {
        self.refused.store(status, Ordering::Relaxed);
    }

    pub(super) fn take_next(&self) -> bool {
        self.next.load(Ordering::Relaxed) && self.next.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The answer waited for, if any, and how long.
    pub(in crate::proxy) fn answer(&self) -> (u64, Option<Duration>) {
        let word = self.answer.load(Ordering::Relaxed);
        let limit = word & u64::from(u32::MAX);
        (word >> 32, (limit > 0).then(|| Duration::from_millis(limit)))
    }
}
