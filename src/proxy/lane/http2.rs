//! One HTTP/2 connection: its limits, and its streams until it closes.
//!
//! Pingora would serve it with options that are the same for all listeners, and without any deadline for a
//! body or the head of an answer. Here the limits are the listener's; what a client can make the connection
//! remember (resets, errors, unread answers) is bounded tightly, since that is where floods aim; a stream
//! whose body stalls is given up, and so is an answer whose head does not come ([`Due`]). A [`Stream`] is
//! known to its request as a task-local: pingora passes nothing along.

mod due;
mod turns;

use crate::core::settings::Listener;
use crate::observe::access_log::Cut;
use crate::proxy::headers::tidy;
use crate::proxy::lane::gate::Gate;
use crate::proxy::listen::bound::Bound;
use crate::proxy::measure::log_entry::Logger;
use crate::proxy::wire::frames::Heard;
use crate::proxy::wire::interim::Interim;
use bytes::Bytes;
use due::Due;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::Stream as Io;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora_proxy::HttpProxy;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use turns::{Busy, Turn, Turns};

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

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

/// What a request has to know of its stream, and tells it.
pub(in crate::proxy) struct Stream {
    pub listener: Arc<Bound>,
    /// Bytes of the request's body so far, and whether that was all.
    body: AtomicU64,
    whole: AtomicBool,
    /// Rung when a long stream has to leave.
    pub leave: Notify,
    /// The answer's head, for which it may have to wait.
    pub due: Due,
    /// What has cut it short.
    cut: OnceLock<Cut>,
    heard: Arc<Heard>,
    /// What is said on the connection before answers.
    pub interim: Arc<Interim>,
    /// Its place among the streams that are served.
    turn: Mutex<Option<Busy>>,
}

impl Stream {
    /// The stream of the request under way, where it has one.
    pub(in crate::proxy) fn current() -> Option<Arc<Stream>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// What has cut it short, if anything did.
    pub(in crate::proxy) fn cut(&self) -> Option<Cut> {
        self.cut.get().copied().or_else(|| self.heard.ended())
    }

    /// It has been answered, and only waits for its end: another may be served.
    pub(in crate::proxy) fn give_turn(&self) {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(in crate::proxy) fn body_came(&self, bytes: u64, whole: bool) {
        self.body.fetch_add(bytes, Ordering::Relaxed);
        self.whole.fetch_or(whole, Ordering::Relaxed);
    }
}

/// Serves a connection to its end.
pub(in crate::proxy) async fn serve(
    io: Io,
    (heard, interim): (Arc<Heard>, Arc<Interim>),
    listener: Arc<Bound>,
    proxy: Arc<HttpProxy<Gate>>,
    mut shutdown: watch::Receiver<bool>,
    log: Option<Logger>,
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
    let mut turns = Turns::new(settings.max_streams, settings.header_timeout, log.clone());
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
            cut = heard.has_ended() => Turn::End(cut),
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
                let (heard, interim) = (heard.clone(), interim.clone());
                tokio::spawn(async move {
                    stream(session, listener, (heard, interim), busy, proxy, shutdown).await;
                });
            }
            Turn::End(cut) => {
                if let Some(log) = &log {
                    log.connection(client(&digest), cut);
                }
                return end(connection).await;
            }
            Turn::None => {}
            Turn::Refused if rejected < MOST_REJECTED => rejected += 1,
            Turn::Refused => return,
        }
    }
}

fn client(digest: &Digest) -> Option<IpAddr> {
    digest.socket_digest.as_ref()?.peer_addr()?.as_inet().map(|inet| inet.ip())
}

/// Says why, and ends all streams.
async fn end(mut connection: h2::server::Connection<Io, Bytes>) {
    connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
    let ended = timeout(LAST_WORD, poll_fn(|cx| connection.poll_closed(cx))).await;
    tracing::debug!("a connection of HTTP/2 was ended: {ended:?}");
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
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .reset_stream_duration(REMEMBERED);
    options
}

async fn stream(
    session: HttpSession,
    listener: Arc<Bound>,
    (heard, interim): (Arc<Heard>, Arc<Interim>),
    busy: Busy,
    proxy: Arc<HttpProxy<Gate>>,
    shutdown: watch::Receiver<bool>,
) {
    let mut session = ServerSession::new_http2(session);
    tidy::settle_length(&mut session);
    let whole = AtomicBool::new(session.is_body_done());
    let (due, leave) = (Due::new(), Notify::new());
    let (body, cut, turn) = (AtomicU64::new(0), OnceLock::new(), Mutex::new(Some(busy)));
    let stream = Arc::new(Stream { listener, body, whole, leave, due, cut, heard, interim, turn });
    let settings = &stream.listener.settings;
    stream.due.signals.expect_body((settings.body_timeout, settings.body_rate));
    session.set_write_timeout(Some(settings.write_timeout));
    let begun = Instant::now();
    let mut serving = pin!(STREAM.scope(stream.clone(), proxy.process_new_http(session, &shutdown)));
    let mut stalled = pin!(stalled(&stream));
    // A stream that is dropped is logged with what is said here.
    let cut = loop {
        tokio::select! {
            biased;
            _ = &mut serving => break None,
            () = &mut stalled => break Some(Cut::SlowBody),
            () = stream.leave.notified() => break Some(Cut::LeaveOrder),
            () = stream.due.overdue(&stream.whole) => stream.due.give_up(),
        }
    };
    if let Some(cut) = cut {
        stream.cut.get_or_init(|| cut);
    }
    if begun.elapsed() >= SERVED {
        stream.heard.served();
    }
    stream.give_turn();
}

/// Ends when the body has come too slowly, while somebody waits for it.
async fn stalled(stream: &Stream) {
    let (settings, signals) = (&stream.listener.settings, &stream.due.signals);
    // When the rate was asked for, what had come by then; when more came last, and how much it was.
    let (mut begun, mut first) = (Instant::now(), 0);
    let (mut latest, mut before) = (begun, 0);
    loop {
        if stream.whole.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        sleep(signals.silence().min(settings.body_timeout)).await;
        let now = stream.body.load(Ordering::Relaxed);
        let (silence, rate) = (signals.silence(), signals.rate().unwrap_or(0));
        if silence == Duration::MAX && rate == 0 {
            (begun, first) = (Instant::now(), now);
        }
        if now > before || begun > latest {
            (latest, before) = (Instant::now(), now);
        }
        let came = now.saturating_sub(first);
        let earned = came.saturating_mul(1000).checked_div(rate).map(Duration::from_millis);
        let is_slow = earned.is_some_and(|earned| begun.elapsed() > settings.header_timeout + earned);
        if !stream.whole.load(Ordering::Relaxed) && (is_slow || latest.elapsed() >= silence) {
            return;
        }
    }
}
