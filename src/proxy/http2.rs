//! One HTTP/2 connection: its limits, and its streams until it closes.
//!
//! Pingora would serve it with options that are the same for all listeners, and without any deadline for a
//! body or the head of an answer. Here the limits are the listener's; what a client can make the connection
//! remember (resets, errors, unread answers) is bounded tightly, since that is where floods aim; a stream
//! whose body stalls is given up, and so is an answer whose head does not come ([`Due`]). A [`Stream`] is
//! known to its request as a task-local: pingora passes nothing along.

mod due;
mod turns;

use super::frames::Heard;
use super::gate::Gate;
use super::interim::Interim;
use super::listen::Bound;
use super::tidy;
use crate::core::settings::Listener;
use due::Due;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::Stream as Io;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora_proxy::HttpProxy;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use turns::{Turn, Turns};

/// Streams that are taken from a client, though less may be served at a time: what clients go by before they
/// have heard of another limit.
const TAKEN: u32 = 100;
/// Bytes a client may send ahead, on a stream and on all of a connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;
/// Bytes of an answer that wait for the client, for each stream; beside them, pingora reads ahead: up to
/// eleven pieces of 64 KiB, which [`Listener::max_streams`] multiplies.
const SEND_BUFFER: usize = 32 << 10;
/// Bytes of fields of our own in a request.
const OWN_FIELDS: usize = 32 << 10;
/// Resets that are remembered: by this side, by the client before a stream was looked at, and in all for
/// the client's errors; beyond, the connection ends (ENHANCE_YOUR_CALM).
const OWN_RESETS: usize = 16;
const EARLY_RESETS: usize = 20;
const ERROR_RESETS: usize = 64;
/// Malformed requests on one connection, and such beyond its limit.
const MOST_REJECTED: usize = 32;

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

/// What a request has to know of its stream, and tells it.
pub(super) struct Stream {
    pub listener: Arc<Bound>,
    /// Bytes of the request's body so far, and whether that was all.
    body: AtomicU64,
    whole: AtomicBool,
    /// Rung when a long stream has to leave.
    pub leave: Notify,
    /// The answer's head, for which it may have to wait.
    pub due: Due,
    /// What is said on the connection before answers.
    pub interim: Arc<Interim>,
}

impl Stream {
    /// The stream of the request under way, where it has one.
    pub(super) fn current() -> Option<Arc<Stream>> {
        STREAM.try_with(Arc::clone).ok()
    }

    pub(super) fn body_came(&self, bytes: u64, whole: bool) {
        self.body.fetch_add(bytes, Ordering::Relaxed);
        self.whole.fetch_or(whole, Ordering::Relaxed);
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    io: Io,
    (heard, interim): (Arc<Heard>, Arc<Interim>),
    listener: Arc<Bound>,
    proxy: Arc<HttpProxy<Gate>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let digest = Arc::new(Digest {
        ssl_digest: io.get_ssl_digest(),
        timing_digest: io.get_timing_digest(),
        proxy_digest: io.get_proxy_digest(),
        socket_digest: io.get_socket_digest(),
    });
    let settings = &listener.settings;
    let handshake = server::handshake(io, Some(options(settings)));
    let Ok(Ok(mut connection)) = timeout(settings.header_timeout, handshake).await else { return };
    let mut turns = Turns::new(settings.max_streams, settings.header_timeout);
    let active = turns.active();
    let (mut ending, mut accepted, mut rejected) = (false, 0, 0);
    loop {
        let turn = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop), if !ending => {
                connection.graceful_shutdown();
                ending = true;
                continue;
            }
            turn = turns.next() => turn,
            next = HttpSession::from_h2_conn(&mut connection, digest.clone()) => match next {
                Ok(Some(H2Accept::Session(session))) => {
                    accepted += 1;
                    if accepted >= settings.requests_per_connection && !ending {
                        connection.graceful_shutdown();
                        ending = true;
                    }
                    turns.place(session, heard.is_so())
                }
                Ok(Some(H2Accept::Rejected)) => Turn::Refused,
                // Broken or closed.
                _ => return,
            },
            () = active.idle_for(settings.keepalive) => return,
        };
        match turn {
            Turn::Served(session, busy) => {
                let (listener, proxy, shutdown) = (listener.clone(), proxy.clone(), shutdown.clone());
                let interim = interim.clone();
                tokio::spawn(async move {
                    stream(session, (listener, interim), proxy, shutdown).await;
                    drop(busy);
                });
            }
            Turn::None => {}
            Turn::Refused if rejected < MOST_REJECTED => rejected += 1,
            Turn::Refused => return,
        }
    }
}

fn options(settings: &Listener) -> H2Options {
    // What clients send is counted before; here escapes and fields of our own have to fit in, too.
    let most = settings.max_header_size.saturating_mul(4).saturating_add(OWN_FIELDS);
    let mut options = server::default_h2_options();
    options
        .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
        .max_concurrent_streams(settings.max_streams.max(TAKEN))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(OWN_RESETS)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS));
    options
}

async fn stream(
    session: HttpSession,
    (listener, interim): (Arc<Bound>, Arc<Interim>),
    proxy: Arc<HttpProxy<Gate>>,
    shutdown: watch::Receiver<bool>,
) {
    let mut session = ServerSession::new_http2(session);
    tidy::settle_length(&mut session);
    let whole = AtomicBool::new(session.is_body_done());
    let (due, leave) = (Due::new(), Notify::new());
    let body = AtomicU64::new(0);
    let stream = Arc::new(Stream { listener, body, whole, leave, due, interim });
    session.set_write_timeout(Some(stream.listener.settings.write_timeout));
    let mut serving = pin!(STREAM.scope(stream.clone(), proxy.process_new_http(session, &shutdown)));
    let mut stalled = pin!(stalled(&stream));
    loop {
        tokio::select! {
            biased;
            _ = &mut serving => return,
            () = &mut stalled => return tracing::debug!("a stream was given up: its body stalled"),
            () = stream.leave.notified() => return tracing::debug!("a stream has left: its pool has no weight"),
            () = stream.due.overdue(&stream.whole) => stream.due.give_up(),
        }
    }
}

/// Ends when the body has come too slowly.
async fn stalled(stream: &Stream) {
    let settings = &stream.listener.settings;
    let (begun, mut before) = (Instant::now(), 0);
    loop {
        if stream.whole.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        sleep(settings.body_timeout).await;
        let now = stream.body.load(Ordering::Relaxed);
        let earned = now.saturating_mul(1000).checked_div(settings.body_rate).map(Duration::from_millis);
        let slow = earned.is_some_and(|earned| begun.elapsed() > settings.header_timeout + earned);
        if !stream.whole.load(Ordering::Relaxed) && (now == before || slow) {
            return;
        }
        before = now;
    }
}
