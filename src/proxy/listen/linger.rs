//! The end of a connection, in stages (RFC 9112, 9.6): the rest of the answer, the half-close, then the
//! client's bytes are read and dropped until it closes, too.
//!
//! A close with bytes unread, or before more of them arrive, makes the system answer with a reset, which
//! fails the client's next write before it reads, and takes what is still on its way to it. As in nginx it
//! is time that is bounded, not bytes: a client that has 20 MB on its way needs them to be taken. While a
//! connection lingers, it counts as before, towards the listener and its client; a new connection that
//! would find no room takes the place of one that lingers.

use crate::proxy::listen::door::Door;
use crate::proxy::wire::remains::ClosingConnection;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long a client may be silent, and how long it may go on sending: nginx's `lingering_timeout` and
/// `lingering_time`.
const SILENCE: Duration = Duration::from_secs(5);
pub(in crate::proxy) const IN_ALL: Duration = Duration::from_secs(30);
/// How long a client may be silent while the process ends.
const SILENCE_AT_END: Duration = Duration::from_millis(500);
/// Closes it; early where its place is needed.
pub(in crate::proxy) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut remains: ClosingConnection<S>,
    door: &Door,
    mut closing: watch::Receiver<bool>,
) {
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
            match remains.poll_finish(cx) {
                Poll::Ready(Ok(())) => is_finished = true,
                // Nothing more reaches the client.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if !has_ended {
            let dropped = remains.drop_what_comes(cx);
            has_ended = dropped.is_all;
            begins_anew |= dropped.any;
            remains.is_sending |= dropped.any;
        }
        if is_finished && (has_ended || !remains.is_sending) {
            return Poll::Ready(());
        }
        if begins_anew {
            silence.as_mut().reset(Instant::now() + limit);
        }
        silence.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::wire::outbox::Outbox;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    fn remains(is_sending: bool) -> (DuplexStream, ClosingConnection<DuplexStream>, Door) {
        let (client, stream) = duplex(64);
        (client, ClosingConnection { stream, out: Outbox::default(), is_sending }, Door::unlimited())
    }

    async fn closed_after(remains: ClosingConnection<DuplexStream>, door: &Door) -> Duration {
        let (_end, closing) = watch::channel(false);
        let since = Instant::now();
        close(remains, door, closing).await;
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
        stream.out.put(&[b'a'; 500]);
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
        let close = close(one, &door, closing);
        let mut close = pin!(close);
        assert!(timeout(Duration::from_millis(1), close.as_mut()).await.is_err());
        assert!(door.take_place());
        assert!(timeout(Duration::from_millis(1), close).await.is_ok());
        assert!(!door.take_place(), "there is no other");
        drop((client, end));
        let (_client, other, door) = remains(true);
        let (end, closing) = watch::channel(false);
        let since = Instant::now();
        let close = tokio::spawn(async move { super::close(other, &door, closing).await });
        sleep(Duration::from_secs(1)).await;
        end.send_replace(true);
        close.await.expect("it ends");
        assert_eq!(since.elapsed(), Duration::from_secs(1) + SILENCE_AT_END);
    }
}
