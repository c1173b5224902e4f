//! What the access log is told of a request.

use super::choice::By;
use super::request::{Ended, Request};
use super::{forward, plan};
use crate::observe::access_log::{Attempted, Entry};
use http::header::{HeaderMap, REFERER, USER_AGENT};
use pingora_proxy::Session;

pub(super) fn of(session: &Session, request: &Request, now_us: u64) -> Entry {
    let head = session.req_header();
    Entry {
        client: Some(request.client).filter(|client| !client.is_unspecified()),
        method: head.method.clone(),
        host: plan::host(head).as_bytes().to_vec(),
        uri: head.raw_path().to_vec(),
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
