//! One copy on its way: sent, and its answer thrown away.
//!
//! How long the whole of it may
//! take and how much of an answer is read is bounded, since nobody is there to give up.

use super::evidence::MirrorEvidence;
use crate::core::balance::mix;
use crate::core::mirror::{Mirror, Place};
use crate::core::outcome::Outcome;
use crate::core::table::{InFlight, UpstreamLive};
use crate::observe::shard::Started;
use crate::proxy::decide::connection_end::{MOST_TURNED_AWAY, unprocessed};
use crate::proxy::decide::outcome;
use crate::proxy::exchange::Collected;
use crate::proxy::upstream::peer;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::Peer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What a worker sends copies with: connections of their own, so that no original waits for one.
pub(in crate::proxy) type Sender = Arc<Connector>;

/// Bytes of an answer's body that are read; beyond, its connection is closed.
const MOST_READ: usize = 1 << 20;
/// Interim answers that are passed over.
const MOST_INTERIM: usize = 16;

pub(super) struct Copy {
    pub evidence: MirrorEvidence,
    pub sender: Sender,
    /// How long the head of the answer may take, from the connection on, and the body.
    pub read: Duration,
    pub live: Arc<UpstreamLive>,
    pub _in_flight: InFlight,
    pub _place: Place,
    pub _descriptor: Option<Place>,
    pub head: Box<RequestHeader>,
    pub peer: Box<HttpPeer>,
    pub mirror: Arc<Mirror>,
    /// Where stable's answer comes from, if it is to be compared.
    pub stable: Option<oneshot::Receiver<Collected>>,
}

impl Copy {
    /// To the end of it.
    pub(super) async fn send(mut self) {
        let started = self.evidence.start();
        match self.ask().await {
            Ok((session, status)) => {
                self.evidence.answered(
                    started,
                    outcome::outcome_of_status(status, &self.evidence.failures),
                    status,
                );
                if let Some(mine) = self.throw_away(session, status, started).await {
                    self.compare(mine).await;
                }
            }
            Err(error) => {
                let outcome = self.outcome(&error.into_up());
                self.evidence.answered(started, outcome, 0);
                self.count_failure(outcome);
            }
        }
    }

    /// Sends it, again where its connection has just ended as connections do; the head of the answer.
    async fn ask(&mut self) -> Result<(HttpSession, u16)> {
        let sender = self.sender.clone();
        let (mut turned_away, mut stale_seen) = (0, false);
        loop {
            let (error, reused) = match sender.get_http_session(&*self.peer).await {
                Ok((mut session, reused)) => match self.exchange(&mut session).await {
                    Ok(status) => return Ok((session, status)),
                    Err(error) => (error.into_up(), reused),
                },
                Err(error) => (error.into_up(), true),
            };
            if unprocessed(&error).is_some_and(|end| end.over(reused).is_orderly) {
                turned_away += 1;
                if turned_away > MOST_TURNED_AWAY {
                    return Err(error);
                }
            } else if reused && is_reset(&error) && !std::mem::replace(&mut stale_seen, true) {
                // Its upstream closed it meanwhile.
            } else {
                return Err(error);
            }
            peer::set_alone(&mut self.peer, mix(self.evidence.meter.now_us()));
        }
    }

    async fn exchange(&self, session: &mut HttpSession) -> Result<u16> {
        session.set_read_timeout(Some(self.read));
        session.set_write_timeout(self.peer.options.write_timeout);
        let late = |_| Error::explain(ErrorType::ReadTimedout, "the answer's head took too long");
        timeout(self.read, self.head_of(session)).await.map_err(late)?
    }

    async fn head_of(&self, session: &mut HttpSession) -> Result<u16> {
        match &mut *session {
            // It ends with its head, as the original does.
            HttpSession::H2(stream) => stream.write_request_header(self.head.clone(), true)?,
            other => {
                other.write_request_header(self.head.clone()).await?;
                other.finish_request_body().await?;
            }
        }
        for _ in 0..MOST_INTERIM {
            session.read_response_header().await?;
            let status = session.response_header().map_or(0, |head| head.status.as_u16());
            // In HTTP/2 no interim answer is passed on.
            if status >= 200 || session.as_http2().is_some() {
                return Ok(status);
            }
            if status == 101 {
                break;
            }
        }
        Err(Error::explain(ErrorType::InvalidHTTPHeader, "no final answer"))
    }

    /// Reads the body; what is kept of it, where it is to be compared.
    async fn throw_away(
        &mut self,
        mut session: HttpSession,
        status: u16,
        started: Started,
    ) -> Option<Collected> {
        let compare = self.mirror.compare.as_ref().filter(|_| self.stable.is_some());
        let head = session.response_header();
        let mut mine =
            compare.zip(head).map(|(compare, head)| Collected::new(compare, status, &head.headers));
        let mut left = MOST_READ.max(compare.map_or(0, |compare| compare.limit));
        let body = async {
            while let Some(piece) = session.read_response_body().await? {
                if let Some(mine) = &mut mine {
                    mine.add(&piece);
                }
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    break;
                }
            }
            Ok::<_, Box<Error>>(())
        };
        // Twice, so that an upstream that falls silent is charged before.
        match timeout(self.read.saturating_mul(2), body).await {
            Ok(Ok(())) if session.response_done() => {
                self.sender.release_http_session(session, &*self.peer, self.peer.options.idle_timeout).await;
                mine
            }
            Ok(Err(error)) => {
                session.shutdown().await;
                let outcome = self.outcome(&error.into_up());
                self.count_failure(outcome);
                self.evidence.broken(started, outcome);
                None
            }
            // Long, but not broken.
            Ok(Ok(())) | Err(_) => {
                session.shutdown().await;
                mine.map(Collected::cut)
            }
        }
    }

    /// Holds the answer against stable's, away from the worker's thread: a body may take a while.
    async fn compare(self, mine: Collected) {
        let Some(stable) = self.stable else { return };
        // Whoever answers slowly must not keep the place for ever; without an answer nothing is compared.
        let Ok(Ok(stable)) = timeout(self.read, stable).await else { return };
        let mirror = self.mirror.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let compare = mirror.compare.as_ref()?;
            compare.difference(&stable.answer(compare), &mine.answer(compare))
        });
        let Ok(Some(difference)) = compared.await else { return };
        self.evidence.compared(difference.as_deref(), &self.head);
    }

    /// As that of an original.
    fn outcome(&self, error: &Error) -> Outcome {
        match outcome::shortage(error, self.peer.address().as_inet().copied()) {
            Some(limit) => {
                self.evidence.meter.shard.own_limit(limit);
                Outcome::Ignored
            }
            None => outcome::outcome_of_error(error),
        }
    }

    fn count_failure(&self, outcome: Outcome) {
        let is_failure = matches!(outcome, Outcome::Failure(reason) if reason.is_transport());
        if is_failure && self.evidence.counts {
            self.live.count_failure();
        }
    }
}

fn is_reset(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError)
}

/// Connections of one worker's copies, of which so many are kept.
pub(in crate::proxy) fn sender(kept: usize) -> Sender {
    Arc::new(Connector::new(Some(ConnectorOptions::new(kept))))
}
