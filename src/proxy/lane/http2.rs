//! One HTTP/2 connection: its limits, and its streams until it closes.
//!
//! The limits are the listener's; what a client can make the connection remember (resets, errors, unread answers)
//! is bounded tightly, since that is where floods aim.

mod turns;

use super::client::{Client, Http2Client};
use super::closing::Closing;
use super::exchange;
use super::line::{self, Line, Peer};
use super::stream::Stream;
use crate::core::settings::Listener;
use crate::proxy::headers::tidy;
use crate::proxy::listen::seats::Seat;
use crate::proxy::wire::alarm::Alarm;
use crate::proxy::wire::asked;
use crate::proxy::wire::frames::Heard;
use crate::proxy::wire::holding::{self, HeldMemory};
use crate::proxy::wire::interim::Interim;
use crate::proxy::wire::refused::RefusedHead;
use bytes::Bytes;
use h2::server::{Builder, Connection};
use pingora_http::RequestHeader;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use turns::{Begun, StreamTurn, Turns};

/// Streams that are taken from a client, though less may be served at a time: what clients go by before they
/// have heard of another limit.
const TAKEN: u32 = 100;
/// Bytes a client may send ahead, on a stream and on all of a connection: from the start where clients are few, else
/// once it sends a body, while memory is not short. Without, it is this on a stream, and what the protocol begins with
/// on a connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;
const NARROW_STREAM_WINDOW: u32 = 16 << 10;
const NARROW_WINDOW: usize = 64 << 10;
/// Bytes of an answer that wait for the client, for each stream, beside the one piece that was read ahead.
const SEND_BUFFER: usize = 16 << 10;
/// Bytes of fields of our own in a request.
const OWN_FIELDS: usize = 32 << 10;
/// Resets that are remembered: by this side, by the client before a stream was looked at, and in all for
/// the client's errors; beyond, the connection ends (ENHANCE_YOUR_CALM).
const OWN_RESETS: usize = 256;
const EARLY_RESETS: usize = 20;
const ERROR_RESETS: usize = 64;
/// How long the streams are remembered that were reset here: what their clients had on its way is dropped,
/// and not an error.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How long the last word to a client may take.
const LAST_WORD: Duration = Duration::from_secs(1);
/// A stream that has lived so long was served, whatever became of it.
const SERVED: Duration = Duration::from_millis(20);
/// Malformed requests on one connection, and such beyond its limit.
const MOST_REJECTED: usize = 32;

/// Serves a connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    (heard, interim): (Arc<Heard>, Arc<Interim>),
    (peer, seat): (SocketAddr, &Seat),
    line: &Line,
) {
    let settings = &line.listener.settings;
    let mut options = options(settings);
    let has_room = are_few(line);
    if has_room {
        options.initial_connection_window_size(CONNECTION_WINDOW).initial_window_size(STREAM_WINDOW);
    }
    let handshake = options.handshake(io);
    // In boxes: what is there once needs no room in the task for as long as that lives.
    let handshake = Box::pin(timeout(settings.header_timeout, handshake)).await;
    let Ok(Ok(mut connection)) = handshake.map(|greeted| greeted.map(Box::new)) else { return };
    let log = line.worker.logger();
    let mut turns = Turns::new(settings.max_streams, settings.header_timeout, log.clone(), peer.ip());
    let (active, from) = (turns.active(), Peer::new(peer.ip()));
    let (mut ending, mut accepted, mut rejected) = (false, 0, 0);
    let mut window = has_room.then(HeldMemory::default);
    // Both are waited for as long as the connection lives, and not again for each stream.
    let (mut shutdown, mut ended) = (Closing::new(line.shutdown.clone()), pin!(heard.has_ended()));
    let cut = loop {
        let turn = tokio::select! {
            biased;
            () = poll_fn(|cx| shutdown.poll(cx)), if !ending => {
                connection.graceful_shutdown();
                ending = true;
                continue;
            }
            cut = &mut ended => StreamTurn::End(cut),
            turn = turns.next() => turn,
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => {
                    accepted += 1;
                    if window.is_none() && !request.body().is_end_stream() {
                        window = Some(HeldMemory::of(widen(&mut connection)));
                    }
                    let is_last = seat.work() || accepted >= settings.requests_per_connection;
                    if is_last && !ending {
                        connection.graceful_shutdown();
                        ending = true;
                    }
                    turns.place(Begun::new(request, respond), heard.is_so())
                }
                // Broken or closed.
                Some(Err(_)) | None => return,
            },
            () = active.idle_for(settings.keepalive, (seat, line.worker.shared.clock, accepted > 0)) => return,
        };
        match turn {
            StreamTurn::Served(begun, busy) => {
                let stream = Stream::new(heard.clone(), interim.clone(), busy);
                // In a box, since a task is moved several times before it runs, and once more at its end.
                let served = Box::pin(serve_stream(begun, Arc::new(stream), from.clone(), line.clone()));
                tokio::spawn(served);
            }
            StreamTurn::End(cut) => break cut,
            StreamTurn::None => {}
            StreamTurn::Refused if rejected < MOST_REJECTED => rejected += 1,
            StreamTurn::Refused => return,
        }
    };
    if let Some(log) = &log {
        log.connection(Some(peer.ip()), cut);
    }
    Box::pin(end(connection)).await;
}

/// Gives a client that sends a body more room, while memory is not short; how much it may send ahead.
fn widen<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S, Bytes>) -> usize {
    if holding::is_full() {
        return NARROW_WINDOW;
    }
    connection.set_target_window_size(CONNECTION_WINDOW);
    // Where the client has not heard of the first window yet, streams keep that.
    let _ = connection.set_initial_window_size(STREAM_WINDOW);
    CONNECTION_WINDOW as usize
}

/// Whether half of the memory for bodies would hold what all clients may send ahead.
fn are_few(line: &Line) -> bool {
    let shared = &line.worker.shared;
    let ahead = (shared.places.clients() as usize).saturating_mul(CONNECTION_WINDOW as usize);
    ahead <= shared.memory.limit() / 2
}

/// Says why, and ends all streams.
async fn end<S: AsyncRead + AsyncWrite + Unpin>(mut connection: Box<Connection<S, Bytes>>) {
    connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
    let ended = timeout(LAST_WORD, poll_fn(|cx| connection.poll_closed(cx))).await;
    tracing::debug!("a connection of HTTP/2 was ended: {ended:?}");
}

fn options(settings: &Listener) -> Builder {
    // What clients send is counted before; here escapes and fields of our own have to fit in, too.
    let most = settings.max_header_size.saturating_mul(4).saturating_add(OWN_FIELDS);
    let mut options = Builder::new();
    options
        .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
        .max_concurrent_streams(settings.max_streams.max(TAKEN))
        .initial_window_size(NARROW_STREAM_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(OWN_RESETS)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .reset_stream_duration(REMEMBERED);
    options
}

async fn serve_stream(begun: Begun, stream: Arc<Stream>, peer: Peer, line: Line) {
    let mut alarm = Alarm::new(line.worker.shared.clock);
    let started_us = alarm.now_us();
    let (parts, receive) = begun.request.into_parts();
    let mut head = RequestHeader::from(parts);
    let asked = asked::take(&mut head, true);
    tidy::settle_length(&mut head, receive.is_end_stream());
    let mut request = line::request(&line, &peer, head, started_us);
    if let Some(asked) = asked {
        match asked.status {
            Some(status) => {
                let (method, host) = (asked.method.unwrap_or_default(), asked.host.unwrap_or_default());
                let refused = RefusedHead { status, method, host, target: asked.target };
                request.inbound.refused = Some(Box::new(refused));
            }
            None => request.inbound.target = Some(asked.target.into()),
        }
    }
    let mut client = Client::Http2(Box::new(Http2Client::new(receive, begun.respond, stream.clone())));
    request.inbound.body.is_whole = client.is_whole();
    request.inbound.body.is_empty = client.is_whole();
    let under_way = line.worker.request();
    exchange::serve(&line.worker, &mut client, request, &mut alarm).await;
    drop(under_way);
    if alarm.now_us().saturating_sub(started_us) >= SERVED.as_micros() as u64 {
        stream.served();
    }
    stream.give_turn();
}
