//! What the access log is told of a request.
//!
//! Its line is begun with the request, so that one that is dropped halfway has one, too.

use crate::observe::access_log::{AccessLog, Attempted, Cut, Entry};
use crate::observe::clock::Clock;
use crate::proxy::decide::choice::By;
use crate::proxy::decide::{outcome as reply, plan};
use crate::proxy::exchange::request::{Ended, Request};
use crate::proxy::headers::forward;
use crate::proxy::lane::gate::answer_begun;
use crate::proxy::wire::asked::Asked;
use http::header::{HeaderMap, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Version};
use pingora_core::protocols::http::v2::server::HttpSession;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// Writes the lines of what never came to be a request.
#[derive(Clone)]
pub(in crate::proxy) struct Logger {
    log: Arc<AccessLog>,
    clock: Clock,
}

impl Logger {
    pub(in crate::proxy) fn new(log: &AccessLog, clock: Clock) -> Self {
        Logger { log: Arc::new(log.clone()), clock }
    }

    /// A connection of HTTP/2 has been ended: under the name of its first line.
    pub(in crate::proxy) fn connection(&self, client: Option<IpAddr>, cut: Cut) {
        self.log.log(Entry {
            client,
            method: Method::from_bytes(b"PRI").unwrap_or_default(),
            uri: b"*".to_vec(),
            version: Version::HTTP_2,
            started_us: self.clock.now_us(),
            ended: Some(cut),
            ..Entry::default()
        });
    }

    /// A stream of HTTP/2 that there was no room for.
    pub(in crate::proxy) fn refused(&self, session: &HttpSession) {
        let head = session.req_header();
        self.log.log(Entry {
            client: session.client_addr().and_then(|address| address.as_inet()).map(|inet| inet.ip()),
            method: head.method.clone(),
            host: plan::host(head).as_bytes().to_vec(),
            uri: head.raw_path().to_vec(),
            version: head.version,
            started_us: self.clock.now_us(),
            user_agent: header(&head.headers, &USER_AGENT),
            referer: header(&head.headers, &REFERER),
            ended: Some(Cut::RefusedStream),
            ..Entry::default()
        });
    }
}

/// The line of a request that is under way.
pub(in crate::proxy) struct Unlogged {
    log: Arc<AccessLog>,
    entry: Box<Entry>,
}

impl Unlogged {
    pub(in crate::proxy) fn new(log: &Arc<AccessLog>, session: &Session, request: &Request) -> Self {
        Unlogged { log: log.clone(), entry: Box::new(of(session, request, request.started_us)) }
    }

    /// What is none of anybody's business has been taken off the head since.
    pub(in crate::proxy) fn stripped(&mut self, head: &RequestHeader, asked: Option<&Asked>) {
        let uri = asked.map_or_else(|| head.raw_path(), |asked| &asked.target);
        if self.entry.uri != uri {
            self.entry.uri = uri.to_vec();
        }
        let referer = head.headers.get(REFERER).map(HeaderValue::as_bytes).unwrap_or_default();
        if self.entry.referer != referer {
            self.entry.referer = referer.to_vec();
        }
    }

    /// Writes it, if its route wants that.
    pub(in crate::proxy) fn log(self, request: &Request, ended: Option<Cut>) {
        if request.route().is_some_and(|route| !route.access_log) {
            return;
        }
        let mut entry = *self.entry;
        entry.status = request.status;
        entry.bytes_sent = request.sent;
        entry.request_us = request.now_us().saturating_sub(request.started_us);
        entry.connect_us = request.connect_us;
        entry.head_us = request.head_us;
        entry.response_us = request.response_us.or(request.head_us);
        entry.service = request.service().map(|service| service.name.clone());
        entry.pool = request.pool().map(|pool| pool.name.clone());
        entry.by = request.by.map(By::label);
        entry.upstream = request.upstream().map(|upstream| upstream.label.clone());
        entry.attempts = request.attempts;
        entry.last = request.last.map(|ended| attempted(request, ended));
        entry.earlier = request.earlier.iter().map(|ended| attempted(request, *ended)).collect();
        entry.ended = ended;
        self.log.log(entry);
    }
}

/// What cut a request short, if anything did.
pub(in crate::proxy) fn ended(session: &Session, error: Option<&Error>, request: &Request) -> Option<Cut> {
    let signals = request.signals();
    if let Some(cut) = request.stream.as_ref().and_then(|stream| stream.cut()) {
        return Some(cut);
    }
    if signals.is_some_and(|signals| signals.refused() == Some(408)) {
        return Some(Cut::SlowHead);
    }
    if signals.is_some_and(|signals| signals.must_leave()) {
        return Some(Cut::LeaveOrder);
    }
    let error = error?;
    if signals.is_some_and(|signals| signals.is_late()) {
        return Some(Cut::LateAnswer);
    }
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ReadTimedout) if !answer_begun(session) => Some(Cut::LateAnswer),
        (ErrorSource::Upstream, _) => answer_begun(session).then_some(Cut::UpstreamBroke),
        (ErrorSource::Downstream, ErrorType::HTTPStatus(_)) => None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Cut::SlowBody),
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => Some(Cut::ClientStalled),
        (ErrorSource::Downstream, _) => match reply::cause(error) {
            Some(io::ErrorKind::TimedOut) => Some(Cut::SlowBody),
            // It is answered with 400.
            Some(io::ErrorKind::InvalidData) => None,
            _ => Some(Cut::ClientLeft),
        },
        (ErrorSource::Internal | ErrorSource::Unset, _) => None,
    }
}

fn of(session: &Session, request: &Request, now_us: u64) -> Entry {
    let head = session.req_header();
    let asked = request.asked.as_deref();
    Entry {
        client: Some(request.client).filter(|client| !client.is_unspecified()),
        method: asked.and_then(|asked| asked.method.clone()).unwrap_or_else(|| head.method.clone()),
        host: asked
            .and_then(|asked| asked.host.clone())
            .unwrap_or_else(|| plan::host(head).as_bytes().to_vec()),
        uri: asked.map_or_else(|| head.raw_path(), |asked| &asked.target).to_vec(),
        version: head.version,
        status: session.response_written().map_or(0, |response| response.status.as_u16()),
        bytes_sent: session.body_bytes_sent() as u64,
        started_us: request.started_us,
        request_us: now_us.saturating_sub(request.started_us),
        connect_us: request.connect_us,
        head_us: request.head_us,
        response_us: request.response_us.or(request.head_us),
        service: request.service().map(|service| service.name.clone()),
        pool: request.pool().map(|pool| pool.name.clone()),
        by: request.by.map(By::label),
        upstream: request.upstream().map(|upstream| upstream.label.clone()),
        attempts: request.attempts,
        last: request.last.map(|ended| attempted(request, ended)),
        earlier: request.earlier.iter().map(|ended| attempted(request, *ended)).collect(),
        ended: None,
        user_agent: header(&head.headers, &USER_AGENT),
        referer: header(&head.headers, &REFERER),
        request_id: forward::request_id(&head.headers, request).to_vec(),
        forwarded_for: header(&head.headers, &http::header::HeaderName::from_static("x-forwarded-for")),
    }
}

fn attempted(request: &Request, ended: Ended) -> Attempted {
    let pool = ended.target.and_then(|target| target.pool(&request.table));
    let upstream = pool.and_then(|pool| pool.upstreams.get(ended.upstream?));
    Attempted {
        pool: pool.map(|pool| pool.name.clone()),
        upstream: upstream.map(|upstream| upstream.label.clone()),
        status: ended.code,
        outcome: ended.outcome,
        began_us: ended.began_us.saturating_sub(request.started_us),
        took_us: ended.known_us.saturating_sub(ended.began_us),
        broke_us: ended.broke_us.map(|broke| broke.saturating_sub(ended.began_us)),
    }
}

fn header(headers: &HeaderMap, name: &http::header::HeaderName) -> Vec<u8> {
    headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default()
}
