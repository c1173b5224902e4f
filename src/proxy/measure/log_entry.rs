//! What the access log has of a request.
//!
//! A request has its line at its end, one that is dropped halfway as well. What is none of anybody's business has been
//! taken off its head by then.

use crate::core::failure_statuses::grpc_status;
use crate::core::trace::TraceContext;
use crate::observe::access_log::{AccessLog, Attempted, Cut, Entry, SpanLog};
use crate::observe::clock::Clock;
use crate::proxy::decide::outcome;
use crate::proxy::exchange::{ChosenBy, Ended, Request};
use crate::proxy::measure::meter::Meter;
use http::header::{HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Request as Head, Version};
use pingora_error::{Error, ErrorSource, ErrorType};
use std::io;
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Writes the lines of connections that never made a request.
#[derive(Clone)]
pub(in crate::proxy) struct Logger {
    log: AccessLog,
    clock: Clock,
}

impl Logger {
    pub(in crate::proxy) fn new(log: &AccessLog, clock: Clock) -> Self {
        Logger { log: log.clone(), clock }
    }

    /// A connection of HTTP/2 has been ended: under the name of its first line.
    pub(in crate::proxy) fn connection(&self, client: Option<IpAddr>, cut: Cut) {
        self.log.log(&Entry {
            client,
            method: "PRI",
            uri: b"*",
            version: Version::HTTP_2,
            started_us: self.clock.now_us(),
            ended: Some(cut),
            ..Entry::default()
        });
    }

    /// A stream of HTTP/2 that there was no room for.
    pub(in crate::proxy) fn refused<B>(&self, client: IpAddr, head: &Head<B>) {
        let target = head.uri().path_and_query().map_or("", |target| target.as_str());
        self.log.log(&Entry {
            client: Some(client),
            method: head.method().as_str(),
            host: head.uri().authority().map_or("", |host| host.as_str()).as_bytes(),
            uri: target.as_bytes(),
            version: head.version(),
            started_us: self.clock.now_us(),
            user_agent: header(head.headers(), &USER_AGENT),
            referer: header(head.headers(), &REFERER),
            ended: Some(Cut::RefusedStream),
            ..Entry::default()
        });
    }
}

/// The attempt's answer is one of gRPC, with this status in its head or in its trailers.
pub(in crate::proxy) fn note_grpc(request: &mut Request, field: Option<&[u8]>) {
    let last = request.attempts.last.as_mut().filter(|_| request.delivery.is_unlogged);
    if let (Some(last), Some(field)) = (last, field) {
        last.grpc = Some(grpc_status(field));
    }
}

/// Whether a request has a line anywhere.
pub(in crate::proxy) fn is_wanted(
    request: &Request,
    (log, spans): (Option<&AccessLog>, Option<&SpanLog>),
) -> bool {
    log.is_some() || spans.is_some() && request.inbound.trace.is_some_and(|trace| trace.is_sampled())
}

/// Writes the line, once, if its route wants that: to the log, and for its spans where it is sampled.
pub(in crate::proxy) fn log(
    request: &mut Request,
    (log, spans): (Option<&AccessLog>, Option<&SpanLog>),
    meter: &Meter,
    ended: Option<Cut>,
) {
    let is_unlogged = std::mem::take(&mut request.delivery.is_unlogged);
    if !is_unlogged || request.route().is_some_and(|route| !route.access_log) {
        return;
    }
    let entry = of(request, meter.now_us(), ended);
    if let Some(log) = log {
        log.log(&entry);
    }
    if let (Some(spans), Some(trace)) = (spans, request.inbound.trace.filter(TraceContext::is_sampled)) {
        spans.log(&entry, &trace, request.inbound.listener.scheme());
    }
}

/// What cut a request short, by the error that ended it.
pub(in crate::proxy) fn ended(error: &Error, request: &Request) -> Option<Cut> {
    if request.delivery.is_late {
        return Some(Cut::LateAnswer);
    }
    let has_begun = request.delivery.has_begun();
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ReadTimedout) if !has_begun => Some(Cut::LateAnswer),
        (ErrorSource::Upstream, _) => has_begun.then_some(Cut::UpstreamBroke),
        (ErrorSource::Downstream, ErrorType::HTTPStatus(_)) => None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Cut::SlowBody),
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => Some(Cut::ClientStalled),
        (ErrorSource::Downstream, _) => match outcome::cause(error) {
            Some(io::ErrorKind::TimedOut) => Some(Cut::SlowBody),
            // It is answered with 400.
            Some(io::ErrorKind::InvalidData) => None,
            _ => Some(Cut::ClientLeft),
        },
        (ErrorSource::Internal | ErrorSource::Unset, _) => None,
    }
}

fn of(request: &Request, now_us: u64, ended: Option<Cut>) -> Entry<'_> {
    let Request { head, inbound, attempts, delivery, plan } = request;
    let refused = inbound.refused.as_deref();
    let asked_by = plan.replaced.as_ref().and_then(|replaced| replaced.method.as_ref());
    let uri = refused.map(|refused| &*refused.target).or(inbound.target.as_deref());
    Entry {
        client: Some(inbound.client).filter(|client| !client.is_unspecified()),
        method: refused.map_or(asked_by.unwrap_or(&head.method), |refused| &refused.method).as_str(),
        host: refused.map_or_else(|| request.host().as_bytes(), |refused| &refused.host),
        uri: uri.unwrap_or_else(|| head.raw_path()),
        version: head.version,
        status: delivery.status,
        bytes_sent: delivery.sent,
        started_us: inbound.started_us,
        request_us: now_us.saturating_sub(inbound.started_us),
        connect_us: delivery.connect_us,
        head_us: delivery.head_us,
        response_us: delivery.response_us.or(delivery.head_us),
        service: request.service().map(|service| &*service.name),
        pool: request.pool().map(|pool| &*pool.name),
        by: plan.by.map(ChosenBy::label),
        upstream: request.upstream().map(|upstream| &*upstream.label),
        attempts: attempts.made,
        last: attempts.last.map(|ended| attempted(request, ended)),
        earlier: attempts.earlier.iter().map(|ended| attempted(request, *ended)).collect(),
        ended,
        user_agent: header(&head.headers, &USER_AGENT),
        referer: header(&head.headers, &REFERER),
        request_id: request.id(),
        trace_id: inbound.trace.as_ref().map(TraceContext::id),
        forwarded_for: header(&head.headers, &X_FORWARDED_FOR),
        user: inbound.user.as_deref().unwrap_or_default().as_bytes(),
    }
}

fn attempted(request: &Request, ended: Ended) -> Attempted<'_> {
    let (pool, upstream) = ended.names(&request.plan.table);
    Attempted {
        pool,
        upstream,
        number: ended.number,
        status: ended.code,
        grpc: ended.grpc,
        outcome: ended.outcome,
        is_aside: ended.is_aside,
        began_us: ended.began_us.saturating_sub(request.inbound.started_us),
        took_us: ended.known_us.saturating_sub(ended.began_us),
        broke_us: ended.broke_us.map(|broke| broke.saturating_sub(ended.began_us)),
        whole_us: ended.whole_us,
        cut_us: ended.cut_us,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a [u8] {
    headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
}
