//! What the access log is told of a request.
//!
//! Its line is begun with the request, so that one that is dropped halfway has one, too.

use crate::core::failure_statuses::grpc_status;
use crate::observe::access_log::{AccessLog, Attempted, Cut, Entry};
use crate::observe::clock::Clock;
use crate::proxy::decide::outcome;
use crate::proxy::exchange::request::host;
use crate::proxy::exchange::{By, Ended, Request, Unlogged};
use crate::proxy::measure::meter::Meter;
use http::header::{HeaderMap, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Request as Head, Version};
use pingora_error::{Error, ErrorSource, ErrorType};
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
    pub(in crate::proxy) fn refused<B>(&self, client: IpAddr, head: &Head<B>) {
        let target = head.uri().path_and_query().map_or("", |target| target.as_str());
        self.log.log(Entry {
            client: Some(client),
            method: head.method().clone(),
            host: head.uri().authority().map_or("", |host| host.as_str()).as_bytes().to_vec(),
            uri: target.as_bytes().to_vec(),
            version: head.version(),
            started_us: self.clock.now_us(),
            user_agent: header(head.headers(), &USER_AGENT),
            referer: header(head.headers(), &REFERER),
            ended: Some(Cut::RefusedStream),
            ..Entry::default()
        });
    }
}

/// Begins the line of a request, where there is a log.
pub(in crate::proxy) fn begin(request: &mut Request, log: Option<&Arc<AccessLog>>) {
    let Some(log) = log else { return };
    let entry = Box::new(of(request));
    request.delivery.unlogged = Some(Unlogged { log: log.clone(), entry });
}

/// What is none of anybody's business has been taken off the head since.
pub(in crate::proxy) fn strip(request: &mut Request) {
    let Some(unlogged) = &mut request.delivery.unlogged else { return };
    let uri = request.inbound.target.as_deref().unwrap_or_else(|| request.head.raw_path());
    if unlogged.entry.uri != uri {
        unlogged.entry.uri = uri.to_vec();
    }
    let referer = request.head.headers.get(REFERER).map(HeaderValue::as_bytes).unwrap_or_default();
    if unlogged.entry.referer != referer {
        unlogged.entry.referer = referer.to_vec();
    }
}

/// The attempt's answer is one of gRPC, with this status in its head or in its trailers.
pub(in crate::proxy) fn note_grpc(request: &mut Request, field: Option<&[u8]>) {
    let last = request.attempts.last.as_mut().filter(|_| request.delivery.unlogged.is_some());
    if let (Some(last), Some(field)) = (last, field) {
        last.grpc = Some(grpc_status(field));
    }
}

/// Writes the line, if its route wants that.
pub(in crate::proxy) fn log(request: &mut Request, meter: &Meter, ended: Option<Cut>) {
    let Some(Unlogged { log, entry }) = request.delivery.unlogged.take() else { return };
    if request.route().is_some_and(|route| !route.access_log) {
        return;
    }
    let (delivery, attempts) = (&request.delivery, &request.attempts);
    let mut entry = *entry;
    entry.status = delivery.status;
    entry.bytes_sent = delivery.sent;
    entry.request_us = meter.now_us().saturating_sub(request.inbound.started_us);
    entry.connect_us = delivery.connect_us;
    entry.head_us = delivery.head_us;
    entry.response_us = delivery.response_us.or(delivery.head_us);
    entry.service = request.service().map(|service| service.name.clone());
    entry.pool = request.pool().map(|pool| pool.name.clone());
    entry.by = request.plan.by.map(By::label);
    entry.upstream = request.upstream().map(|upstream| upstream.label.clone());
    entry.attempts = attempts.made;
    entry.last = attempts.last.map(|ended| attempted(request, ended));
    entry.earlier = attempts.earlier.iter().map(|ended| attempted(request, *ended)).collect();
    entry.ended = ended;
    log.log(entry);
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

fn of(request: &Request) -> Entry {
    let (head, inbound) = (&request.head, &request.inbound);
    let refused = inbound.refused.as_deref();
    let uri = refused.map(|refused| &*refused.target).or(inbound.target.as_deref());
    Entry {
        client: Some(inbound.client).filter(|client| !client.is_unspecified()),
        method: refused.map_or_else(|| head.method.clone(), |refused| refused.method.clone()),
        host: refused.map_or_else(|| host(head).as_bytes().to_vec(), |refused| refused.host.clone()),
        uri: uri.unwrap_or_else(|| head.raw_path()).to_vec(),
        version: head.version,
        started_us: inbound.started_us,
        user_agent: header(&head.headers, &USER_AGENT),
        referer: header(&head.headers, &REFERER),
        request_id: request.id().to_vec(),
        forwarded_for: header(&head.headers, &http::header::HeaderName::from_static("x-forwarded-for")),
        ..Entry::default()
    }
}

fn attempted(request: &Request, ended: Ended) -> Attempted {
    let (pool, upstream) = ended.names(&request.plan.table);
    Attempted {
        pool,
        upstream,
        status: ended.code,
        grpc: ended.grpc,
        outcome: ended.outcome,
        began_us: ended.began_us.saturating_sub(request.inbound.started_us),
        took_us: ended.known_us.saturating_sub(ended.began_us),
        broke_us: ended.broke_us.map(|broke| broke.saturating_sub(ended.began_us)),
        whole_us: ended.whole_us,
        cut_us: ended.cut_us,
    }
}

fn header(headers: &HeaderMap, name: &http::header::HeaderName) -> Vec<u8> {
    headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default()
}
