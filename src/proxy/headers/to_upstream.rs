//! The head that an upstream gets.

use super::{forward, grant, hop_by_hop, rewrite, trace};
use crate::core::settings::HostSent;
use crate::core::table::{Pool, Upstream};
use crate::core::upstream_address::UpstreamAddress;
use crate::proxy::exchange::Request;
use crate::proxy::headers::hops::HopMark;
use crate::proxy::wire::changes::{Changes, FieldValue};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{Uri, Version};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

/// What is changed for an upstream of HTTP/1. `closes` says that no other request follows on its connection.
pub(in crate::proxy) fn http1<'a>(request: &'a Request, hop_mark: &'a HopMark, closes: bool) -> Changes<'a> {
    let mut changes = Changes::new(&request.head.headers);
    let is_websocket = hop_by_hop::strip_request(&mut changes) && request.head.version == Version::HTTP_11;
    set_host(&mut changes, request);
    if is_websocket {
        changes.set(CONNECTION, "Upgrade".into());
        changes.set(UPGRADE, "websocket".into());
    } else if closes {
        changes.set(CONNECTION, "close".into());
    }
    edit(&mut changes, request, hop_mark);
    let body = &request.inbound.body;
    if !body.is_empty && !changes.has(&CONTENT_LENGTH) {
        if body.is_whole {
            // It was taken in, so its length is known.
            changes.set(CONTENT_LENGTH, FieldValue::Held(body.read.into()));
        } else {
            changes.set(TRANSFER_ENCODING, "chunked".into());
        }
    }
    changes
}

/// What is changed for an upstream of HTTP/2.
pub(in crate::proxy) fn http2<'a>(request: &'a Request, hop_mark: &'a HopMark) -> Changes<'a> {
    let mut changes = Changes::new(&request.head.headers);
    let te = request.head.headers.get(http::header::TE).filter(|te| te.as_bytes() == b"trailers");
    hop_by_hop::strip_request(&mut changes);
    if let Some(te) = te {
        changes.set(http::header::TE, FieldValue::Lent(te.as_bytes()));
    }
    set_host(&mut changes, request);
    edit(&mut changes, request, hop_mark);
    changes
}

/// The head of HTTP/2 with these changes.
///
/// # Errors
/// When its host is no authority.
pub(in crate::proxy) fn http2_head(
    request: &Request,
    changes: &Changes<'_>,
    pool: &Pool,
) -> Result<RequestHeader> {
    for_http2(whole(request, changes), pool)
}

/// The same of a head as HTTP/1 has it.
///
/// # Errors
/// When its host is no authority.
pub(in crate::proxy) fn for_http2(mut head: RequestHeader, pool: &Pool) -> Result<RequestHeader> {
    head.set_version(Version::HTTP_2);
    let host = head.remove_header(&HOST);
    let authority = match &host {
        Some(host) => Authority::try_from(host.as_bytes()).or_err(ErrorType::InvalidHTTPHeader, "host")?,
        None => return Err(Error::explain(ErrorType::InvalidHTTPHeader, "no host")),
    };
    let mut parts = head.uri.clone().into_parts();
    let scheme = if pool.tls.is_some() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
    (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
    head.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "a target")?);
    Ok(head)
}

/// The head with these changes, apart: as HTTP/1 has it.
pub(in crate::proxy) fn whole(request: &Request, changes: &Changes<'_>) -> RequestHeader {
    let mut parts = http::request::Request::new(()).into_parts().0;
    parts.method = request.head.method.clone();
    parts.headers = changes.to_map();
    let mut head = RequestHeader::from(parts);
    head.set_version(Version::HTTP_11);
    let is_plain = request.plan.rewritten.is_none() && request.head.uri.authority().is_none();
    let is_set = is_plain && head.set_raw_path(request.head.raw_path()).is_ok();
    if let Some(carried) = carried(request).filter(|_| !is_set) {
        head.set_uri(Uri::from(carried.clone()));
    }
    head
}

/// The target in HTTP/1, as bytes.
pub(in crate::proxy) fn target(request: &Request) -> &[u8] {
    let is_kept = request.plan.rewritten.is_none();
    if let Some(target) = request.inbound.target.as_deref().filter(|_| is_kept) {
        return target;
    }
    if is_kept && request.head.uri.authority().is_none() {
        return request.head.raw_path();
    }
    carried(request).map_or(b"/", |target| target.as_str().as_bytes())
}

/// The path and the query that the request has now.
fn carried(request: &Request) -> Option<&http::uri::PathAndQuery> {
    match &request.plan.rewritten {
        Some(rewritten) => Some(rewritten.target()),
        None => request.head.uri.path_and_query(),
    }
}

fn set_host<'a>(changes: &mut Changes<'a>, request: &'a Request) {
    let own = request.pool().zip(request.upstream()).and_then(|(pool, upstream)| own_host(pool, upstream));
    if let Some(host) = own {
        changes.set(HOST, FieldValue::Lent(host));
    } else if let Some(authority) = request.head.uri.authority() {
        changes.set(HOST, FieldValue::Lent(authority.as_str().as_bytes()));
    } else if !request.head.headers.contains_key(HOST) {
        // HTTP/1.0 need not name one. nginx would say its `$proxy_host`.
        let label =
            request.upstream().map_or("localhost", |upstream| UpstreamAddress::authority_of(&upstream.label));
        changes.set(HOST, FieldValue::Lent(label.as_bytes()));
    }
}

/// The host that an upstream is asked for, where its pool says that it is not the client's.
pub(in crate::proxy) fn own_host<'a>(pool: &'a Pool, upstream: &'a Upstream) -> Option<&'a [u8]> {
    match &pool.host {
        HostSent::Client => None,
        HostSent::Named(name) => Some(name.as_bytes()),
        HostSent::Upstream => {
            let label = UpstreamAddress::authority_of(&upstream.label);
            let usual = if pool.tls.is_some() { ":443" } else { ":80" };
            Some(label.strip_suffix(usual).unwrap_or(label).as_bytes())
        }
    }
}

/// What is said of a request's client, and what the configuration changes.
fn edit<'a>(changes: &mut Changes<'a>, request: &'a Request, hop_mark: &'a HopMark) {
    forward::set(changes, request, request.forwarded());
    trace::set(changes, request);
    hop_mark.add(changes);
    grant::set(changes, request);
    rewrite::to_upstream(request, changes);
}
