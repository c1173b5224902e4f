//! Where an attempt goes.

use super::Gate;
use crate::core::own_limit::OwnLimit;
use crate::core::table::Pool;
use crate::proxy::decide::plan;
use crate::proxy::exchange::request::Request;
use crate::proxy::upstream::peer::PeerNeeds;
use crate::proxy::upstream::verbatim;
use http::HeaderValue;
use http::header::ACCEPT;
use http::request::Parts;
use pingora_core::prelude::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use std::time::Duration;

/// How long an upload may take at most, whatever its length.
const LONGEST_UPLOAD: Duration = Duration::from_secs(3600);
/// How long one of unknown length may take.
const UNKNOWN_UPLOAD: Duration = Duration::from_secs(600);
/// Shorter bodies of HTTP/2 come with their head, as good as always.
const SHORT_BODY: u64 = 64 << 10;

impl Gate {
    /// Begins an attempt on an upstream of the request's pool, or of stable where the shield sends it on.
    ///
    /// # Errors
    /// 503 when no upstream can take it.
    pub(super) fn next_peer(&self, session: &mut Session, request: &mut Request) -> Result<Box<HttpPeer>> {
        let table = request.table.clone();
        loop {
            let pool = request.target.and_then(|target| target.pool(&table));
            let Some(pool) = pool else { return Error::e_explain(ErrorType::HTTPStatus(503), "no pool") };
            let header = session.req_header();
            let chosen = plan::upstream(pool, header, request.client, self.draw() as u32, request.tried);
            if let Some((index, upstream)) =
                chosen.and_then(|index| Some((index, pool.upstreams.get(index)?)))
            {
                // Streams of HTTP/2 share their connections.
                let place = self.shared.places.upstream();
                if place.is_none() && !pool.http2 {
                    self.kept_out(request, OwnLimit::Descriptors);
                    return Error::e_explain(ErrorType::HTTPStatus(503), "no descriptor for an upstream");
                }
                let is_whole = session.as_mut().is_body_done();
                self.begin(pool, index, request, is_whole);
                if let Some(attempt) = &mut request.attempt {
                    attempt.place = place.filter(|_| !pool.http2);
                }
                let mut timeouts = request.timeouts(pool);
                if let Some(signals) = request.signals() {
                    signals.await_answer(timeouts.read);
                }
                let head = session.req_header();
                if !is_whole {
                    timeouts.read = timeouts.read.saturating_add(upload_time(pool, head, request));
                }
                let needs = PeerNeeds { timeouts, is_alone: request.is_alone, is_repeatable: is_brief(head) };
                let mut peer = self.peer(pool, upstream, needs);
                request.is_verbatim = false;
                if let Some(target) = request.verbatim_target(pool) {
                    let carried = head.raw_path().len();
                    verbatim::write(&mut peer, target, carried, timeouts.connect, self.draw());
                    request.is_verbatim = true;
                }
                return Ok(Box::new(peer));
            }
            if request.attempts_here() > 0 {
                break;
            }
            if pool.is_ready() {
                self.kept_out(request, OwnLimit::MaxConns);
                if self.turn_elsewhere(session, request) {
                    continue;
                }
                break;
            }
            self.charge_unavailable(pool, request);
            // Once: stable has no stable to go to.
            if !self.shield(session, request, true) {
                break;
            }
        }
        Error::e_explain(ErrorType::HTTPStatus(503), "no upstream is ready")
    }
}

/// Whether a request may be repeated, and its answer ends: such requests share connections of HTTP/2, so that
/// none has to wait for another to end when they are taken back.
fn is_brief(head: &Parts) -> bool {
    let asks_for_events = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().windows(17).any(|part| part == b"text/event-stream")
    };
    head.method.is_idempotent() && !head.headers.get_all(ACCEPT).iter().any(asks_for_events)
}

/// What pingora's timeout of reading has to add for the client's body, which it does not leave out of account.
///
/// To an upstream of HTTP/1 it begins anew with every piece; to one of HTTP/2 it runs from the head of the
/// request to the head of the answer. The exact deadline of the answer's head, from the end of the request, is
/// kept by the client's stream ([`client_stream`](crate::proxy::wire::client_stream), `Due`), but for clients of
/// HTTP/2 on upstreams of HTTP/2: there a request that may be short, as gRPC's are, keeps pingora's.
fn upload_time(pool: &Pool, head: &Parts, request: &Request) -> Duration {
    let Some(settings) = request.listener.as_ref().map(|listener| &listener.settings) else {
        return Duration::ZERO;
    };
    if !pool.http2 {
        return settings.body_timeout;
    }
    let is_http1 = request.connection.is_some();
    match plan::body_length(head) {
        Some(length) if is_http1 || length > SHORT_BODY => {
            let least = length.saturating_mul(1000).checked_div(settings.body_rate);
            let earned = least.map_or(LONGEST_UPLOAD, Duration::from_millis);
            (settings.header_timeout + settings.body_timeout).saturating_add(earned).min(LONGEST_UPLOAD)
        }
        None if is_http1 => UNKNOWN_UPLOAD,
        _ => Duration::ZERO,
    }
}
