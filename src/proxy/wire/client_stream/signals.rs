//! What the stream of a connection, or of a request of HTTP/2, and those who serve it tell each other.

use crate::proxy::wire::interim::Interim;
use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
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
    /// What the body has to keep: milliseconds that it may be silent, and bytes a second; each one more than
    /// is meant, 0 where nothing was said.
    silence: AtomicU64,
    rate: AtomicU64,
    /// How many more requests the connection may have after an exchange that failed, one less than this; 0:
    /// none.
    kept: AtomicU32,
    /// Which wait for an answer it is (upper half), and for how many milliseconds (lower half; 0: none).
    answer: AtomicU64,
    /// How long in all the client has not taken what was sent to it, in this exchange: milliseconds.
    untaken_ms: AtomicU64,
}

impl Signals {
    /// The exchange is over: another head may come.
    pub(in crate::proxy) fn await_next(&self) {
        self.next.store(true, Ordering::Relaxed);
        self.untaken_ms.store(0, Ordering::Relaxed);
    }

    /// How long the client has not taken what was sent to it.
    pub(in crate::proxy) fn untaken(&self) -> Duration {
        Duration::from_millis(self.untaken_ms.load(Ordering::Relaxed))
    }

    /// The client has taken nothing for so long.
    pub(super) fn took_after(&self, wait: Duration) {
        self.untaken_ms.fetch_add(wait.as_millis() as u64, Ordering::Relaxed);
    }

    /// The body of the request may be silent for so long, and has to bring so many bytes a second (0: any).
    pub(in crate::proxy) fn expect_body(&self, (silence, rate): (Duration, u64)) {
        let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        self.silence.store(silence.saturating_add(1), Ordering::Relaxed);
        self.rate.store(rate.saturating_add(1), Ordering::Relaxed);
    }

    /// How long the body may be silent; [`Duration::MAX`] is for ever.
    pub(in crate::proxy) fn silence(&self) -> Duration {
        match self.silence.load(Ordering::Relaxed) {
            0 | u64::MAX => Duration::MAX,
            more => Duration::from_millis(more - 1),
        }
    }

    /// Bytes a second that the body has to bring, where it was said.
    pub(in crate::proxy) fn rate(&self) -> Option<u64> {
        self.rate.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The exchange has failed, its client has been answered whole, and may send so many requests more.
    pub(in crate::proxy) fn keep(&self, requests: u32) {
        self.kept.store(requests.saturating_add(1), Ordering::Relaxed);
    }

    /// How many requests may follow on an exchange that has failed; none where the connection has to close.
    pub(in crate::proxy) fn take_kept(&self) -> Option<u32> {
        self.kept.swap(0, Ordering::Relaxed).checked_sub(1)
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

    /// Whether it has been told to end.
    pub(in crate::proxy) fn must_leave(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
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
