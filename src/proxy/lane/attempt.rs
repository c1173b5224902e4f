//! One attempt on an upstream after the other, until one of them answers the client.

use super::exchange::Exchange;
use super::relay::Answering;
use super::replace::UNSHOWN;
use super::upstream_side::UpstreamSide;
use crate::core::own_limit::OwnLimit;
use crate::proxy::decide::plan;
use crate::proxy::headers::to_upstream;
use crate::proxy::measure::{charge, mirror};
use crate::proxy::upstream::kept;
use crate::proxy::upstream::peer::PeerNeeds;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::body::BodyWriter;
use http::header::{ACCEPT, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use pingora_error::{Error, ErrorType, Result};

impl Exchange<'_> {
    /// Has the request answered by an upstream.
    pub(super) async fn pass_on(&mut self) -> Result<()> {
        let most = self.intake();
        if most > 0 {
            Box::pin(self.take_in(most)).await?;
        }
        loop {
            match self.attempt().await {
                Err(error) if error.retry() => {}
                ended => return ended,
            }
        }
    }

    async fn attempt(&mut self) -> Result<()> {
        self.choose_upstream()?;
        let (mut upstream, reused) = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => return Err(self.unconnected(error)),
        };
        let exchanged = self.exchange(&mut upstream, reused).await;
        match exchanged {
            Ok(rest) => {
                self.release(upstream).await;
                match rest {
                    Some(mut rest) => Box::pin(self.give_out(&mut rest)).await,
                    None => Ok(()),
                }
            }
            Err(error) if *error.etype() == UNSHOWN => {
                Box::pin(self.end_unshown(upstream)).await;
                Err(error)
            }
            Err(error) => {
                if let UpstreamSide::Http2(exchange) = upstream {
                    Box::pin(exchange.end()).await;
                }
                Err(self.failed(error, reused))
            }
        }
    }

    /// Begins an attempt on an upstream of the request's pool, or of another one that it is sent on to.
    ///
    /// # Errors
    /// 503 when no upstream can take it.
    fn choose_upstream(&mut self) -> Result<()> {
        let table = self.request.plan.table.clone();
        loop {
            let pool = self.request.plan.target.and_then(|target| target.pool(&table));
            let Some(pool) = pool else { return Error::e_explain(ErrorType::HTTPStatus(503), "no pool") };
            let (request, draw) = (&mut self.request, self.worker.draw() as u32);
            let tried = request.attempts.tried;
            if let Some(index) = plan::upstream(pool, request, draw, tried) {
                // Streams of HTTP/2 share their connections.
                let descriptor = self.worker.shared.places.upstream();
                if descriptor.is_none() && !pool.http2 {
                    self.kept_out(OwnLimit::Descriptors);
                    return Error::e_explain(ErrorType::HTTPStatus(503), "no descriptor for an upstream");
                }
                charge::begin(&self.worker.meter, pool, index, request, descriptor.filter(|_| !pool.http2));
                return Ok(());
            }
            if request.attempts.here() > 0 {
                break;
            }
            if pool.is_ready() {
                self.kept_out(OwnLimit::MaxConns);
                if self.turn_elsewhere() {
                    continue;
                }
                break;
            }
            charge::unavailable(&self.worker.meter, request);
            // Once: stable has no stable to go to.
            if !self.shield(true) && !self.turn_over() {
                break;
            }
        }
        Error::e_explain(ErrorType::HTTPStatus(503), "no upstream is ready")
    }

    /// A connection to the upstream chosen, and whether it was there before.
    async fn connect(&mut self) -> Result<(UpstreamSide, bool)> {
        let (worker, request) = (self.worker, &self.request);
        let (Some(pool), Some(upstream)) = (request.pool(), request.upstream()) else {
            return Error::e_explain(ErrorType::HTTPStatus(503), "no upstream");
        };
        let needs = PeerNeeds {
            timeouts: request.timeouts(pool),
            is_alone: request.attempts.is_alone,
            // Over HTTP/1 nobody asks.
            is_repeatable: pool.http2 && is_brief(&request.head),
        };
        let now_us = request.attempts.current.as_ref().map_or(0, |attempt| attempt.began_us);
        UpstreamSide::open(worker, (pool, upstream), needs, now_us).await
    }

    /// Sends the request and has its answer given to the client; what is left to be given, where all of it has come.
    async fn exchange(
        &mut self,
        upstream: &mut UpstreamSide,
        reused: bool,
    ) -> Result<Option<Box<Answering>>> {
        let closes = self.is_last(upstream);
        self.enter_registry(upstream.fd(), reused)?;
        if (self.request.delivery.is_unlogged || !reused)
            && let Some(attempt) = &mut self.request.attempts.current
        {
            let took = self.worker.meter.now_us().saturating_sub(attempt.started_us);
            self.request.delivery.connect_us = Some(took);
            attempt.started = attempt.started.connected_after(took);
        }
        self.send_request(upstream, closes)?;
        // An upstream is there: the body is wanted.
        if std::mem::take(&mut self.request.inbound.expects) && !self.request.inbound.body.is_empty {
            self.client.send_interim(&AnswerHead::new(StatusCode::CONTINUE).into_parts());
        }
        // Where nothing was waited for, the attempt has only begun.
        let is_at_once =
            reused && matches!(upstream, UpstreamSide::Http1(_)) && self.request.inbound.body.is_empty;
        let attempt = self.request.attempts.current.as_ref().filter(|_| is_at_once);
        let sent_us = attempt.map(|attempt| attempt.began_us);
        self.relay(upstream, sent_us).await
    }

    /// Whether no other request follows on the connection.
    fn is_last(&self, upstream: &mut UpstreamSide) -> bool {
        let UpstreamSide::Http1(connection) = upstream else { return false };
        let most = self.request.pool().map_or(0, |pool| pool.requests_per_connection);
        let is_last = connection.count_use() >= most && most > 0;
        let is_crowded = self.request.attempts.current.as_ref().is_some_and(|attempt| attempt.is_crowded);
        is_last || is_crowded || self.request.attempts.is_alone
    }

    fn send_request(&mut self, upstream: &mut UpstreamSide, closes: bool) -> Result<()> {
        let (worker, hop_mark) = (self.worker, &self.worker.shared.hop_mark);
        let (request, mirroring, draw) = (&self.request, worker.mirroring(), worker.draw());
        let original = match upstream {
            UpstreamSide::Http1(connection) => {
                let mut fields = to_upstream::http1(request, hop_mark, closes);
                let original = mirror::copy(&mirroring, request, &mut fields, draw);
                let writer =
                    if fields.has(&TRANSFER_ENCODING) { BodyWriter::Chunked } else { BodyWriter::Plain };
                let line = (&request.head.method, to_upstream::target(request));
                connection.begin(line, &fields, &request.inbound.spelling, (writer, closes));
                original
            }
            UpstreamSide::Http2(exchange) => {
                let Some(pool) = request.pool() else { return Ok(()) };
                let mut fields = to_upstream::http2(request, hop_mark);
                let original = mirror::copy(&mirroring, request, &mut fields, draw);
                let head = to_upstream::http2_head(request, &fields, pool);
                exchange.begin(head.map_err(|error| error.into_down())?, request.inbound.body.is_empty)?;
                original
            }
        };
        if original.is_some() {
            self.request.delivery.original = original;
        }
        Ok(())
    }

    /// Keeps the connection for another request, where it can serve one.
    pub(super) async fn release(&mut self, upstream: UpstreamSide) {
        match upstream {
            UpstreamSide::Http1(mut connection) => {
                let request = &self.request;
                let closes = request.attempts.is_alone;
                let kept = self.worker.shared.places.shares().kept;
                if let (Some(pool), Some(upstream)) = (request.pool(), request.upstream())
                    && connection.is_reusable()
                    && !closes
                {
                    connection.rest();
                    kept::keep(connection, pool, upstream, self.worker.meter.now_us(), kept);
                }
            }
            UpstreamSide::Http2(exchange) => Box::pin(exchange.end()).await,
        }
    }
}

/// Whether a request may be repeated, and its answer ends: such requests share connections of HTTP/2, so that
/// none has to wait for another to end when they are taken back.
fn is_brief(head: &Parts) -> bool {
    head.method.is_idempotent() && !asks_for_events(head)
}

/// Whether it asks for a stream of events.
fn asks_for_events(head: &Parts) -> bool {
    let asks = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().windows(17).any(|part| part == b"text/event-stream")
    };
    head.headers.get_all(ACCEPT).iter().any(asks)
}
