//! The end of a connection, in stages (RFC 9112, 9.6): the rest of the answer, the half-close, then the
//! client's bytes are read and dropped until it closes, too.
//!
//! A close with bytes unread, or before more of them arrive, makes the system answer with a reset, which
//! fails the client's next write before it reads, and takes what is still on its way to it. As in nginx it
//! is time that is bounded, not bytes: a client that has 20 MB on its way needs them to be taken. While a
//! connection lingers, it counts as before, towards the listener and its client; a new connection that
//! would find no room takes the place of one that lingers.

use crate::proxy::listen::admission::Door;
use crate::proxy::wire::gather::Gather;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long a client may be silent, and how long it may go on sending: nginx's `lingering_timeout` and
/// `lingering_time`.
const SILENCE: Duration = Duration::from_secs(5);
pub(in crate::proxy) const IN_ALL: Duration = Duration::from_secs(30);
/// How long a client may be silent while the process ends.
const SILENCE_AT_END: Duration = Duration::from_millis(500);
/// Bytes that are dropped at a time.
const SCRATCH: usize = 16 << 10;

/// What is left of a connection that has served its last request.
#[derive(Debug)]
pub(in crate::proxy) struct Remains<S> {
    pub stream: S,
    /// The end of the answer.
    pub out: Gather,
    /// Whether the client may have more to send; else it is asked once whether it has.
    pub is_sending: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Remains<S> {
    /// Closes it; early where its place is needed.
    pub(in crate::proxy) async fn close(mut self, door: &Door, mut closing: watch::Receiver<bool>) {
        let place = door.linger();
        let mut pressed = pin!(place.is_needed());
        let mut closes = pin!(closing.wait_for(|closing| *closing));
        let (mut silence, mut in_all) = (pin!(sleep(SILENCE)), pin!(sleep(IN_ALL)));
        let (mut limit, mut is_finished, mut has_ended) = (SILENCE, false, false);
        poll_fn(|cx| {
            if pressed.as_mut().poll(cx).is_ready() || in_all.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut begins_anew = false;
            if limit == SILENCE && closes.as_mut().poll(cx).is_ready() {
                (limit, begins_anew) = (SILENCE_AT_END, true);
            }
            if !is_finished {
                match self.poll_finish(cx) {
                    Poll::Ready(Ok(())) => is_finished = true,
                    // Nothing more reaches the client.
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if !has_ended {
                let dropped = self.drop_what_comes(cx);
                has_ended = dropped.is_all;
                begins_anew |= dropped.any;
                self.is_sending |= dropped.any;
            }
            if is_finished && (has_ended || !self.is_sending) {
                return Poll::Ready(());
            }
            if begins_anew {
                silence.as_mut().reset(Instant::now() + limit);
            }
            silence.as_mut().poll(cx)
        })
        .await;
    }

    /// Sends what is left of the answer, then the end of the stream.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.out.poll_empty(&mut self.stream, cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn drop_what_comes(&mut self, cx: &mut Context<'_>) -> Dropped {
        let mut scratch = [MaybeUninit::uninit(); SCRATCH];
        let mut dropped = Dropped { any: false, is_all: false };
        loop {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut scratch) {
                Poll::Pending => return dropped,
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => dropped.any = true,
                Poll::Ready(_) => return Dropped { is_all: true, ..dropped },
            }
        }
    }
}

/// What came of a look for more bytes.
struct Dropped {
    any: bool,
    /// The client has closed.
    is_all: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    fn remains(is_sending: bool) -> (DuplexStream, Remains<DuplexStream>, Door) {
        let (client, stream) = duplex(64);
        (client, Remains { stream, out: Gather::default(), is_sending }, Door::unlimited())
    }

    async fn closed_after(remains: Remains<DuplexStream>, door: &Door) -> Duration {
        let (_end, closing) = watch::channel(false);
        let since = Instant::now();
        remains.close(door, closing).await;
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_so_does_the_whole_time() {
        let (client, silent, door) = remains(true);
        assert_eq!(closed_after(silent, &door).await, SILENCE);
        drop(client);
        let (mut client, dripping, door) = remains(true);
        let drip = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(4)).await;
            }
        });
        assert_eq!(closed_after(dripping, &door).await, IN_ALL);
        drip.await.expect("it was cut");
    }

    #[tokio::test(start_paused = true)]
    async fn much_is_dropped_while_the_end_of_the_answer_is_sent() {
        let (mut client, mut stream, door) = remains(true);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(stream.out.poll_write(&mut stream.stream, &mut cx, &[b'a'; 500]).is_ready());
        let sends = tokio::spawn(async move {
            // Reads nothing before all is sent: a megabyte through a pipe of 64 bytes.
            client.write_all(&vec![b'x'; 1 << 20]).await.expect("all of it is taken");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("an end");
            answer.len()
        });
        assert!(closed_after(stream, &door).await < SILENCE);
        assert_eq!(sends.await.expect("it ends"), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_nothing_to_send_is_not_waited_for() {
        let (_client, remains, door) = remains(false);
        assert_eq!(closed_after(remains, &door).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn its_place_is_given_up_and_the_end_of_the_process_does_not_wait() {
        let (client, one, door) = remains(true);
        let (end, closing) = watch::channel(false);
        let close = one.close(&door, closing);
        let mut close = pin!(close);
        assert!(timeout(Duration::from_millis(1), close.as_mut()).await.is_err());
        assert!(door.take_place());
        assert!(timeout(Duration::from_millis(1), close).await.is_ok());
        assert!(!door.take_place(), "there is no other");
        drop((client, end));
        let (_client, other, door) = remains(true);
        let (end, closing) = watch::channel(false);
        let since = Instant::now();
        let close = tokio::spawn(async move { other.close(&door, closing).await });
        sleep(Duration::from_secs(1)).await;
        end.send_replace(true);
        close.await.expect("it ends");
        assert_eq!(since.elapsed(), Duration::from_secs(1) + SILENCE_AT_END);
    }
}
