//! Pingora's callbacks. They carry out what [`crate::proxy::decide::plan`], [`reply`] and [`retry`] decide, and record.

mod attempt;
mod facts;
mod turned_away;
mod way;

pub(in crate::proxy) use facts::answer_begun;

use crate::core::balance::mix;
use crate::core::outcome::{Outcome, Reason};
use crate::observe::access_log::AccessLog;
use crate::observe::shard::Shard;
use crate::proxy::decide::retry;
use crate::proxy::decide::{connection_end, follow, outcome as reply, plan, refuse};
use crate::proxy::exchange::request::Request;
use crate::proxy::headers::{claims, compress, forward, rewrite, sound, tidy};
use crate::proxy::lane::connection::Connection;
use crate::proxy::lane::http2::Stream;
use crate::proxy::lane::recall::RECALLED;
use crate::proxy::lane::unchunk;
use crate::proxy::lane::worker::Shared;
use crate::proxy::measure::log_entry;
use crate::proxy::measure::log_entry::Unlogged;
use crate::proxy::measure::mirror::Sender;
use crate::proxy::own::{answer, challenge, error_page};
use crate::proxy::upstream::keyring::Keyring;
use crate::proxy::upstream::registry::AttemptRegistry;
use crate::proxy::upstream::uses::Uses;
use crate::proxy::wire::client_stream::Signals;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Version};
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::Digest;
use pingora_error::{Error, ErrorSource, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use std::any::Any;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The error that sends a shielded request on its way again; nobody else sees it.
const SHIELDED: ErrorType = ErrorType::Custom("shielded");

/// One worker's side of the data plane.
pub(in crate::proxy) struct Gate {
    pub shared: Arc<Shared>,
    pub shard: Arc<Shard>,
    /// State of the worker's random numbers (SplitMix64); only its own thread draws.
    pub random: AtomicU64,
    pub uses: Uses,
    pub registry: Arc<AttemptRegistry>,
    pub keyring: Keyring,
    /// Sends mirrored requests.
    pub sender: Sender,
    /// The access log, where there is one.
    pub log: Option<Arc<AccessLog>>,
}

impl Gate {
    pub(in crate::proxy) fn draw(&self) -> u64 {
        let next = self.random.load(Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.store(next, Ordering::Relaxed);
        mix(next)
    }
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Request;

    fn new_ctx(&self) -> Request {
        let (table, registry) = (self.shared.table.load_full(), self.registry.clone());
        let mut request = Request::new(table, self.shard.clone(), registry, self.shared.clock);
        if let Some(stream) = Stream::current() {
            request.listener = Some(stream.listener.clone());
            request.stream = Some(stream);
        }
        request
    }

    fn init_downstream_modules(&self, modules: &mut pingora_core::modules::http::HttpModules) {
        modules.add_module(Box::new(unchunk::Unchunking));
    }

    fn on_connection_reuse(
        &self,
        session: &mut Session,
        request: &mut Request,
        info: Box<dyn Any + Send + Sync>,
    ) {
        if let Ok(connection) = info.downcast::<Arc<Connection>>() {
            let settings = &connection.listener.settings;
            session.set_read_timeout(Some(settings.body_timeout));
            connection.signals.expect_body((settings.body_timeout, settings.body_rate));
            request.listener = Some(connection.listener.clone());
            request.connection = Some(*connection);
        }
    }

    async fn request_filter(&self, session: &mut Session, request: &mut Request) -> Result<bool> {
        // Interim answers pass it by.
        session.set_ignore_info_resp(true);
        request.note_asked(session.req_header_mut());
        tidy::tidy(session.req_header_mut());
        let peer = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip());
        if let Some(peer) = peer {
            let trusted = request.listener.as_ref().map_or(&[][..], |l| &l.settings.trusted_proxies);
            request.believed = forward::is_believed(peer, trusted);
            let client = forward::client(peer, &session.req_header().headers, trusted);
            (request.client, request.is_nameless) = (client.address, client.is_nameless);
        }
        claims::remove(session.req_header_mut(), request.believed);
        request.own_id = forward::id_of(self.draw(), self.draw());
        if let Some(log) = &self.log {
            request.unlogged = Some(Unlogged::new(log, session, request));
        }
        let unread = request.connection.as_ref().and_then(|connection| connection.signals.refused());
        let unread = unread.or_else(|| request.asked.as_ref()?.status);
        let refused = unread.or_else(|| {
            let header = session.req_header();
            let listener = request.listener.as_ref()?;
            refuse::status(header, header.raw_path(), &listener.settings)
        });
        let refused =
            refused.or_else(|| self.shared.hop_mark.ends(&session.req_header().headers).then_some(508));
        if let Some(status) = refused {
            session.set_keepalive(None);
            error_page::send(session, request, status).await?;
            return Ok(true);
        }
        request.expects = tidy::take_expectation(session.req_header_mut());
        if session.req_header().raw_path() == b"*" {
            answer::server_itself(session, request).await?;
            return Ok(true);
        }
        let (listener, path) = (request.listener.as_deref(), session.req_header().uri.path());
        if let Some(answer) = challenge::answer(&self.shared.challenges, listener, path) {
            challenge::send(session, answer).await?;
            return Ok(true);
        }
        let way = self.way(session.req_header(), request, None);
        self.take(session, request, way).await
    }

    async fn upstream_peer(&self, session: &mut Session, request: &mut Request) -> Result<Box<HttpPeer>> {
        self.next_peer(session, request)
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        _: &HttpPeer,
        socket: RawFd,
        _: Option<&Digest>,
        request: &mut Request,
    ) -> Result<()> {
        // One of HTTP/2 is shared.
        let own = request.pool().filter(|pool| !pool.http2);
        if let (Some(stream), Some(_)) = (&request.stream, own) {
            stream.due.connected(socket);
        }
        let most = own.map_or(0, |pool| pool.requests_per_connection);
        let is_crowded = own.is_some() && request.attempt.as_ref().is_some_and(|attempt| attempt.is_crowded);
        let is_last = most > 0 && self.uses.count(socket, reused) >= most;
        request.closes = is_last || is_crowded || own.is_some() && request.is_alone || request.is_verbatim;
        self.enter_registry(session, request, socket, reused)?;
        // Only the access log asks for it.
        if self.shared.access_log.is_some()
            && let Some(attempt) = &request.attempt
        {
            request.connect_us = Some(self.shared.clock.now_us().saturating_sub(attempt.started_us));
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        request: &mut Request,
    ) -> Result<()> {
        if request.closes && !session.is_upgrade_req() {
            upstream_request.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
        }
        follow::retarget(upstream_request, request)?;
        forward::set(session, upstream_request, request)?;
        self.shared.hop_mark.add(upstream_request)?;
        rewrite::to_upstream(session, request, upstream_request)?;
        self.mirror(session, request, upstream_request);
        // An upstream is there: the body is wanted.
        if std::mem::take(&mut request.expects) && !session.is_body_empty() {
            request.say(&*ResponseHeader::build(100, Some(0))?);
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        whole: bool,
        request: &mut Request,
    ) -> Result<()> {
        let came = body.as_ref().map_or(0, |b| b.len() as u64);
        // What is sent again has been read once.
        request.body_read = session.body_bytes_read() as u64;
        self.body_came(request, whole);
        if session.as_ref().retry_buffer_truncated() {
            request.settle();
        }
        if let Some(stream) = &request.stream {
            stream.body_came(came, whole);
        }
        // Pingora would write a last chunk for an empty last piece, and another one for the end.
        if whole && came == 0 {
            *body = None;
        }
        if request.body_read > request.max_body && !session.was_upgraded() {
            return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is too large")
                .map_err(|e| e.into_down());
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        request: &mut Request,
    ) -> Result<()> {
        let status = response.status.as_u16();
        request.interim = request.interim.saturating_add(u8::from(status < 200 && status != 101));
        sound::check(response, request.interim)
            .map_err(|fault| Error::explain(ErrorType::InvalidHTTPHeader, fault).into_up())?;
        sound::merge_lengths(response)?;
        if status == 101 {
            if !session.is_upgrade_req() {
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 101 nobody asked for").into_up());
            }
            // An upgraded connection may be silent for as long as it likes.
            session.set_read_timeout(None);
            if let Some(connection) = &request.connection {
                connection.signals.opened();
            }
        } else {
            reply::drop_hop_by_hop(response);
        }
        // Interim answers (100, 103) say nothing yet; 101 is final.
        if let Some(signals) = request.signals() {
            match status {
                100 | 102..=199 => signals.await_answer(request.read_timeout()),
                _ => signals.answered(),
            }
        }
        if (102..200).contains(&status) && session.req_header().version != Version::HTTP_10 {
            // Of 100, a client that waits for it has heard by then.
            request.say(response);
        }
        if status >= 200 || status == 101 {
            request.is_bodiless = reply::unframe(&session.req_header().method, response);
            request.settle();
            if request.is_held() && reply::is_grpc(&session.req_header().headers) {
                self.converses(request);
            }
            self.charge(request, reply::outcome_of_status(status), status);
            if self.hides(session, request, status) {
                return Error::e_explain(SHIELDED, "the candidate's answer is not shown");
            }
            if let Some(original) = &mut request.original {
                original.head(status, &response.headers);
            }
            request.lasting = self.lasting(request, response);
            request.status = status;
            if reply::goes_on(response, session.req_header()) {
                request.expect_body(session, plan::AT_ITS_LEISURE);
            }
            rewrite::relocate(session, request, response)?;
            rewrite::answer(session, request, response)?;
        }
        if status >= 200
            && let Some(compression) = request.compression()
        {
            request.encoder = compress::begin(session.req_header(), response, compression)?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        request: &mut Request,
    ) -> Result<Option<Duration>> {
        if request.is_bodiless {
            *body = None;
        } else if let Some(encoder) = &mut request.encoder {
            let encoded = encoder.encode(body.as_deref().unwrap_or_default(), end);
            let encoded = encoded.or_err(ErrorType::InternalError, "compressing")?;
            // An empty piece would be read as the last one.
            *body = Some(encoded).filter(|bytes| end || !bytes.is_empty());
        }
        request.sent += body.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        request: &mut Request,
    ) -> Result<()> {
        let is_final = !response.status.is_informational();
        if session.req_header().version == Version::HTTP_10 && is_final {
            let has_length = response.headers.contains_key(CONTENT_LENGTH);
            if reply::unchunk(response) || !(has_length || request.is_bodiless) {
                session.set_keepalive(None);
            }
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        request: &mut Request,
    ) -> Result<Option<Duration>> {
        if is_end && !session.was_upgraded() {
            request.expect_its_body(session);
        }
        if let (Some(original), Some(piece)) = (&mut request.original, &body) {
            original.body(piece);
        }
        if is_end && let Some(original) = request.original.take() {
            original.end();
        }
        // Only the access log asks for it.
        if is_end
            && self.shared.access_log.is_some()
            && let Some(attempt) = &request.attempt
        {
            request.response_us = Some(self.shared.clock.now_us().saturating_sub(attempt.started_us));
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut http::HeaderMap,
        request: &mut Request,
    ) -> Result<Option<Bytes>> {
        // The body ends here, without its last piece having said so; its trailers are given up for it.
        let Some(mut encoder) = request.encoder.take() else { return Ok(None) };
        encoder.encode(b"", true).map(Some).or_err(ErrorType::InternalError, "compressing")
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        peer: &HttpPeer,
        request: &mut Request,
        mut error: Box<Error>,
    ) -> Box<Error> {
        tracing::debug!("no connection to {peer}: {error}");
        if let Some(limit) = self.shortage(&error, request) {
            return self.short(session, request, limit);
        }
        if let Some(unprocessed) = connection_end::unprocessed(&error) {
            // A kept connection of HTTP/2 that has ended.
            return self.turned_away(session, request, error, unprocessed.over(true));
        }
        self.charge(request, Outcome::Failure(Reason::Connect), 0);
        let again = self.shield(session, request, true)
            || retry::again(self.situation(session, request, true))
            || self.leaves_with_weight(session, request, true);
        error.set_retry(again);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        request: &mut Request,
        reused: bool,
    ) -> Box<Error> {
        if let Some(stream) = &request.stream {
            stream.due.disconnected();
        }
        let was_taken_back = request.leave_registry();
        if *error.etype() == SHIELDED {
            error.set_retry(true);
            return error;
        }
        if was_taken_back || *error.etype() == RECALLED {
            return self.taken_back(session, request, error);
        }
        if request.signals().is_some_and(Signals::is_late) {
            // It looks like the client's end of the line, or like a reset by the upstream.
            error = Error::explain(ErrorType::ReadTimedout, "the answer's head took too long").into_up();
        }
        if let Some(unprocessed) = connection_end::unprocessed(&error).filter(|_| request.head_us.is_none()) {
            return self.turned_away(session, request, error, unprocessed.over(reused));
        }
        let mut outcome = reply::outcome_of_error(&error);
        // What the upstream does not take, its client has sent.
        if *error.etype() != ErrorType::WriteTimedout {
            outcome = self.excuse(request, outcome);
        }
        if matches!(outcome, Outcome::Failure(_))
            && let Some(limit) = self.shortage(&error, request)
        {
            self.kept_out(request, limit);
            outcome = Outcome::Ignored;
        }
        let situation = self.situation(session, request, false);
        let reset = outcome == Outcome::Failure(Reason::Reset) && request.head_us.is_none();
        if retry::stale(situation, reused, reset, request.stale_seen) {
            request.stale_seen = true;
            request.take_back(true);
            self.charge(request, Outcome::Ignored, 0);
            error.set_retry(true);
            return error;
        }
        self.charge(request, outcome, 0);
        let again = matches!(outcome, Outcome::Failure(_))
            && (self.shield(session, request, false)
                || retry::again(situation)
                || self.leaves_with_weight(session, request, false));
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        request: &mut Request,
    ) -> FailToProxy {
        let begun = answer_begun(session);
        let late = request.is_late.then_some(408);
        let status = late.or_else(|| reply::status_of_error(error)).filter(|_| !begun);
        if begun {
            // What the client is sent of it may still wait for the rest of its packet.
            session.as_downstream_mut().shutdown().await;
        }
        if let Some(status) = status {
            if *error.esource() == ErrorSource::Downstream {
                // What follows of its request is nothing that could be relied on.
                session.set_keepalive(None);
            }
            match error_page::send(session, request, status).await {
                Ok(()) => {
                    request.is_answered = true;
                    answer::keep(session, request).await;
                }
                Err(e) => tracing::debug!("the error reply could not be sent: {e}"),
            }
        }
        FailToProxy { error_code: status.unwrap_or(0), can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, session: &Session, _: &Request, error: &Error) -> bool {
        tracing::debug!(request = %session.request_summary(), "request failed: {error}");
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Request, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, request: &mut Request) {
        // An answer without a body ends here.
        if let Some(original) = request.original.take().filter(|_| error.is_none()) {
            original.end();
        }
        self.charge(request, Outcome::Ignored, 0);
        request.leave_registry();
        request.attempt = None;
        request.held = None;
        request.lasting = None;
        request.status = session.response_written().map_or(0, |response| response.status.as_u16());
        request.sent = session.body_bytes_sent() as u64;
        if let Some(unlogged) = request.unlogged.take() {
            unlogged.log(request, log_entry::ended(session, error, request));
        }
        if error.is_none() || request.is_answered {
            answer::linger(session, request).await;
        }
    }
}
