//! Whose turn it is: of a connection's streams, as many are served at a time as its listener allows.
//!
//! A client that has not heard yet how many these are goes by a hundred, and may send as many with its first
//! packets. To refuse the rest would fail requests of clients that do not try again; they wait here for their
//! turn. A client that has heard it waits a moment only, since a stream that it has just reset may
//! not have ended on this side, and is then refused.

use crate::observe::access_log::Cut;
use crate::proxy::lane::active::{Active, Busy};
use crate::proxy::measure::log_entry::Logger;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

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
    client: IpAddr,
}

/// A stream whose head has come.
pub(super) struct Begun {
    pub request: Request<RecvStream>,
    pub respond: SendResponse<Bytes>,
}

impl Begun {
    pub(super) fn new(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        Begun { request, respond }
    }

    /// Whether its client has given it up.
    fn is_reset(&mut self) -> bool {
        self.respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

struct Waiting {
    begun: Begun,
    until: Instant,
    /// Whether the client knows that it is one too many.
    is_fault: bool,
}

/// What becomes of a stream.
#[expect(clippy::large_enum_variant, reason = "most are served: a box for each would cost more than a move")]
pub(super) enum StreamTurn {
    /// It is served, for as long as this is kept.
    Served(Begun, Busy),
    /// It is refused, by the client's fault.
    Refused,
    /// The connection has to end.
    End(Cut),
    /// Nothing is to be done.
    None,
}

impl Turns {
    pub(super) fn new(most: u32, patience: Duration, log: Option<Logger>, client: IpAddr) -> Self {
        Turns { active: Active::new(most), waiting: VecDeque::new(), patience, log, client }
    }

    pub(super) fn active(&self) -> Arc<Active> {
        self.active.clone()
    }

    /// A new stream, of a client that has heard how many it may have, or not.
    pub(super) fn place(&mut self, mut begun: Begun, has_heard: bool) -> StreamTurn {
        if self.waiting.is_empty() && self.active.has_room() {
            return StreamTurn::Served(begun, self.active.enter());
        }
        if self.waiting.len() >= MOST_WAITING {
            self.turn_away(&mut begun);
            return StreamTurn::Refused;
        }
        let patience = if has_heard { MOMENT.min(self.patience) } else { self.patience };
        let until = Instant::now() + patience;
        self.waiting.push_back(Waiting { begun, until, is_fault: has_heard });
        StreamTurn::None
    }

    /// What becomes of one that waits, as soon as it is known.
    pub(super) async fn next(&mut self) -> StreamTurn {
        loop {
            let Some(first) = self.waiting.iter().map(|waiting| waiting.until).min() else {
                return std::future::pending().await;
            };
            if self.active.has_room()
                && let Some(Waiting { mut begun, .. }) = self.waiting.pop_front()
            {
                if begun.is_reset() {
                    continue;
                }
                return StreamTurn::Served(begun, self.active.enter());
            }
            tokio::select! {
                () = self.active.has_less() => {}
                () = sleep_until(first) => return self.refuse(first),
            }
        }
    }

    fn turn_away(&self, begun: &mut Begun) {
        begun.respond.send_reset(h2::Reason::REFUSED_STREAM);
        if let Some(log) = &self.log {
            log.refused(self.client, &begun.request);
        }
    }

    /// Gives one up that has waited until then.
    fn refuse(&mut self, until: Instant) -> StreamTurn {
        let late = self.waiting.iter().position(|waiting| waiting.until == until);
        match late.and_then(|index| self.waiting.remove(index)) {
            Some(Waiting { mut begun, is_fault, .. }) => {
                self.turn_away(&mut begun);
                if is_fault { StreamTurn::Refused } else { StreamTurn::None }
            }
            None => StreamTurn::None,
        }
    }
}
