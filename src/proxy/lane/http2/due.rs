//! The deadline of an answer's head, for a request of HTTP/2.
//!
//! Pingora's begins anew with every byte of the head, so that an upstream could drip it for hours. A client
//! of HTTP/1 has a stream of its own, which ends the wait ([`ClientStream`](crate::proxy::wire::client_stream)); here
//! many share one, and the end must come from the other side: the connection to the upstream is shut
//! down, and the failure that follows is told from others by [`Signals::is_late`].

use crate::proxy::wire::client_stream::Signals;
use std::future::poll_fn;
use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep;

/// No socket.
const NONE: RawFd = -1;

/// The answer that a stream waits for.
#[derive(Debug)]
pub(in crate::proxy) struct Due {
    pub signals: Signals,
    /// The connection to the upstream, while an attempt on it is under way and it serves nobody else.
    socket: AtomicI32,
}

impl Due {
    pub(super) fn new() -> Self {
        Due { signals: Signals::default(), socket: AtomicI32::new(NONE) }
    }

    /// The attempt has got its connection.
    pub(in crate::proxy) fn connected(&self, socket: RawFd) {
        self.socket.store(socket, Ordering::Relaxed);
    }

    /// The attempt is over, and its connection somebody else's or closed.
    pub(in crate::proxy) fn disconnected(&self) {
        self.socket.store(NONE, Ordering::Relaxed);
    }

    /// Ready when the head is late. It has no waker of its own: it is asked after the request, within the
    /// same task, and only what the request does changes its mind.
    pub(super) async fn overdue(&self, is_whole: &AtomicBool) {
        loop {
            let awaited = || self.awaited(is_whole);
            let (which, limit) = poll_fn(|_| awaited().map_or(Poll::Pending, Poll::Ready)).await;
            let mut timer = pin!(sleep(limit));
            let is_late = poll_fn(|cx| match awaited() {
                Some((same, _)) if same == which => timer.as_mut().poll(cx).map(|()| true),
                _ => Poll::Ready(false),
            });
            if is_late.await {
                return;
            }
        }
    }

    /// Which head is awaited, and how long; not before the whole request has been sent.
    fn awaited(&self, is_whole: &AtomicBool) -> Option<(u64, Duration)> {
        let (which, limit) = self.signals.answer();
        limit.filter(|_| is_whole.load(Ordering::Relaxed)).map(|limit| (which, limit))
    }

    /// Ends the attempt.
    pub(super) fn give_up(&self) {
        let socket = self.socket.swap(NONE, Ordering::Relaxed);
        if socket == NONE {
            return;
        }
        self.signals.gave_up();
        // It may have been closed by the other side just now.
        if let Err(error) = nix::sys::socket::shutdown(socket, nix::sys::socket::Shutdown::Both) {
            tracing::debug!("a late upstream's connection was not shut down: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future, pending};
    use tokio::time::{Instant, timeout};

    async fn late_after(
        due: &Due,
        whole: &AtomicBool,
        request: impl Future<Output = ()>,
    ) -> Option<Duration> {
        let since = Instant::now();
        let both = async {
            let mut request = pin!(request);
            tokio::select! {
                biased;
                () = async { request.as_mut().await; pending().await } => {}
                () = due.overdue(whole) => {}
            }
        };
        timeout(Duration::from_secs(100), both).await.ok().map(|()| since.elapsed())
    }

    const LIMIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_the_requests_end() {
        let (due, whole) = (Due::new(), AtomicBool::new(false));
        let request = async {
            due.signals.await_answer(LIMIT);
            sleep(Duration::from_secs(30)).await;
            whole.store(true, Ordering::Relaxed);
        };
        let after = late_after(&due, &whole, request).await.expect("late");
        assert!((32..33).contains(&after.as_secs()), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn another_attempt_has_its_own_and_an_answer_ends_it() {
        let (due, whole) = (Due::new(), AtomicBool::new(true));
        let again = async {
            due.signals.await_answer(LIMIT);
            sleep(Duration::from_secs(1)).await;
            due.signals.await_answer(LIMIT);
        };
        let after = late_after(&due, &whole, again).await.expect("late");
        assert!((3..4).contains(&after.as_secs()), "{after:?}");
        let answered = async {
            due.signals.await_answer(LIMIT);
            sleep(Duration::from_secs(1)).await;
            due.signals.answered();
        };
        assert_eq!(late_after(&due, &whole, answered).await, None);
    }

    #[test]
    fn without_a_connection_of_its_own_nothing_is_ended() {
        let due = Due::new();
        due.give_up();
        assert!(!due.signals.is_late());
        due.connected(7);
        due.disconnected();
        due.give_up();
        assert!(!due.signals.is_late());
    }
}
