//! One attempt at a request of our own on an upstream, while a client's request waits for what it says.

use super::upstream_side::UpstreamSide;
use super::worker::Worker;
use crate::core::outcome::Outcome;
use crate::core::table::{InFlight, Pool, Upstream};
use crate::observe::shard::Started;
use crate::proxy::decide::outcome;
use crate::proxy::exchange::Request;
use crate::proxy::headers::{hop_by_hop, sound, to_authority, to_upstream};
use crate::proxy::own::authorized::AuthorityAnswer;
use crate::proxy::upstream::kept;
use crate::proxy::upstream::peer::PeerNeeds;
use crate::proxy::wire::body::BodyWriter;
use crate::proxy::wire::scratch::SCRATCH_BYTES;
use http::Method;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::time::timeout;

/// The largest body of an answer that is passed on, in bytes.
const MOST_BODY_BYTES: usize = 64 << 10;
/// How long the body of an answer is read that only its head is wanted of.
const REST: Duration = Duration::from_millis(500);

/// What is sent where.
pub(super) struct Subrequest<'a> {
    pub worker: &'a Worker,
    /// The client's.
    pub request: &'a Request,
    /// What the upstream is asked, before it is dressed for it.
    pub head: &'a RequestHeader,
    pub pool: &'a Pool,
    pub upstream: &'a Upstream,
}

/// Why there is no answer.
pub(super) enum SubrequestFailure {
    /// A connection from before was closed meanwhile, which is nobody's fault.
    Stale,
    Failed,
}

impl Subrequest<'_> {
    /// Sends it, and counts what comes of it. `is_alone` asks for a connection that no other request uses up.
    pub(super) async fn send(
        &self,
        is_alone: bool,
    ) -> std::result::Result<AuthorityAnswer, SubrequestFailure> {
        let descriptor = self.worker.shared.places.upstream();
        if descriptor.is_none() && !self.pool.http2 {
            return Err(SubrequestFailure::Failed);
        }
        let mut charge = SubrequestCharge::begin(self);
        let timeouts = self.pool.timeouts;
        let needs = PeerNeeds { timeouts, is_alone, is_repeatable: true };
        let now_us = self.worker.meter.now_us();
        let opened = UpstreamSide::open(self.worker, (self.pool, self.upstream), needs, now_us).await;
        let (error, reused) = match opened {
            Ok((mut upstream, reused)) => {
                let late = |_| Error::explain(ErrorType::ReadTimedout, "no answer in time").into_up();
                let answered = timeout(timeouts.read, self.exchange(&mut upstream)).await.map_err(late);
                match answered.and_then(|answered| answered) {
                    Ok(answer) => {
                        charge.answered(answer.head.status.as_u16());
                        self.release(upstream).await;
                        return Ok(answer);
                    }
                    Err(error) => {
                        if let UpstreamSide::Http2(exchange) = upstream {
                            exchange.end().await;
                        }
                        (error, reused)
                    }
                }
            }
            Err(error) => (error, false),
        };
        tracing::debug!("no answer to a request of our own: {error}");
        if reused && !is_alone && is_reset(&error) {
            charge.set_aside();
            return Err(SubrequestFailure::Stale);
        }
        charge.failed(&error);
        Err(SubrequestFailure::Failed)
    }

    async fn exchange(&self, upstream: &mut UpstreamSide) -> Result<AuthorityAnswer> {
        self.begin(upstream)?;
        let mut interim = 0_u8;
        let head = loop {
            let mut head = poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = upstream.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                upstream.poll_head(cx, &Method::GET)
            })
            .await?;
            let malformed = |fault| Error::explain(ErrorType::InvalidHTTPHeader, fault).into_up();
            sound::check(&head, interim).map_err(malformed)?;
            match head.status.as_u16() {
                101 => return Err(malformed("a 101 nobody asked for")),
                100..=199 => interim = interim.saturating_add(1),
                _ => {
                    hop_by_hop::strip_response(&mut head);
                    break head;
                }
            }
        };
        if !head.status.is_success() {
            let body = body_of(upstream).await?;
            return Ok(AuthorityAnswer {
                head,
                body: Some(body).filter(|body| body.len() <= MOST_BODY_BYTES),
            });
        }
        // The head has said it all. What follows is read for the connection's sake, for a moment, and broken or not.
        let _ = timeout(REST, body_of(upstream)).await;
        Ok(AuthorityAnswer { head, body: None })
    }

    fn begin(&self, upstream: &mut UpstreamSide) -> Result<()> {
        let sent = (self.request, &self.head.headers);
        let fields = to_authority::of(sent, &self.worker.shared.hop_mark, (self.pool, self.upstream));
        match upstream {
            UpstreamSide::Http1(connection) => {
                let most = self.pool.requests_per_connection;
                let closes = connection.count_use() >= most && most > 0;
                let line = (&self.head.method, self.head.raw_path());
                let spelling = &self.request.inbound.spelling;
                connection.begin(line, &fields, spelling, (BodyWriter::Plain, closes));
                connection.finish_body();
                Ok(())
            }
            UpstreamSide::Http2(exchange) => {
                let mut parts = http::Request::new(()).into_parts().0;
                (parts.method, parts.uri) = (Method::GET, self.head.uri.clone());
                parts.headers = fields.to_map();
                let head = to_upstream::for_http2(parts.into(), self.pool);
                let head = head.map_err(|error| error.into_up())?;
                exchange.begin(head, true)
            }
        }
    }

    async fn release(&self, upstream: UpstreamSide) {
        match upstream {
            UpstreamSide::Http1(mut connection) if connection.is_reusable() => {
                connection.rest();
                let most = self.worker.shared.places.shares().kept;
                kept::keep(connection, self.pool, self.upstream, self.worker.meter.now_us(), most);
            }
            UpstreamSide::Http1(_) => {}
            UpstreamSide::Http2(exchange) => exchange.end().await,
        }
    }
}

/// Reads the body, as far as it is passed on: beyond that, its connection ends.
async fn body_of(upstream: &mut UpstreamSide) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    poll_fn(|cx| {
        while body.len() <= MOST_BODY_BYTES {
            let read = upstream.poll_body(cx, SCRATCH_BYTES, &mut |_, piece| body.extend_from_slice(piece));
            if ready!(read)? {
                break;
            }
        }
        Poll::Ready(Ok::<_, Box<Error>>(()))
    })
    .await?;
    Ok(body)
}

/// An attempt in the books of its pool. One that is dropped halfway has no outcome.
struct SubrequestCharge<'a> {
    of: &'a Subrequest<'a>,
    started: Started,
    in_flight: InFlight,
    is_charged: bool,
}

impl<'a> SubrequestCharge<'a> {
    fn begin(of: &'a Subrequest<'a>) -> Self {
        let Subrequest { worker, request, pool, upstream, .. } = of;
        let now_us = worker.meter.now_us();
        let counts = worker.meter.is_evidence(pool, upstream, pool.arm, now_us) && request.is_measured();
        let started = worker.meter.start(pool.arm, now_us, request.client_key(), true, counts);
        upstream.requests.add(worker.meter.worker);
        let live = upstream.live.clone();
        let in_flight = if counts { live.enter() } else { live.enter_aside() };
        SubrequestCharge { of, started: started.in_era(pool.era_us), in_flight, is_charged: false }
    }

    fn answered(&mut self, status: u16) {
        let outcome = outcome::outcome_of_status(status, &self.of.pool.failures);
        self.charge(outcome, status);
    }

    fn failed(&mut self, error: &Error) {
        if let Some(limit) = outcome::shortage(error, self.of.upstream.address.ip()) {
            self.of.worker.meter.kept_out(Some(self.of.pool.arm), limit);
            return self.set_aside();
        }
        let outcome = outcome::outcome_of_error(error);
        if matches!(outcome, Outcome::Failure(reason) if reason.is_transport()) && !self.started.is_aside() {
            self.of.upstream.live.count_failure();
        }
        self.charge(outcome, 0);
    }

    /// It speaks neither for its upstream nor against it.
    fn set_aside(&mut self) {
        self.in_flight.set_aside();
        self.charge(Outcome::Ignored, 0);
    }

    fn charge(&mut self, outcome: Outcome, status: u16) {
        if !std::mem::replace(&mut self.is_charged, true) {
            let pool = self.of.pool;
            let since_us = self.started.at_us();
            let counted = (pool.arm, self.started);
            self.of.worker.meter.answered(counted, since_us, (outcome, status), &pool.thresholds);
        }
    }
}

impl Drop for SubrequestCharge<'_> {
    fn drop(&mut self) {
        if !self.is_charged {
            self.set_aside();
        }
    }
}

fn is_reset(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError)
}
