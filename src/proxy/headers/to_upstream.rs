//! The head that an upstream gets.

use super::{forward, hop_by_hop, rewrite};
use crate::core::table::Pool;
use crate::proxy::exchange::Request;
use crate::proxy::headers::hops::HopMark;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderValue, Uri, Version};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

/// The head for an upstream of HTTP/1. `closes` says that no other request follows on its connection.
///
/// # Errors
/// None that occurs: names and values are legal.
pub(in crate::proxy) fn http1(request: &Request, hop_mark: &HopMark, closes: bool) -> Result<RequestHeader> {
    let mut head = request.head.clone();
    head.set_version(Version::HTTP_11);
    let is_websocket = hop_by_hop::strip_request(&mut head) && request.head.version == Version::HTTP_11;
    set_host(&mut head, request)?;
    if is_websocket {
        head.insert_header(CONNECTION, HeaderValue::from_static("Upgrade"))?;
        head.insert_header(UPGRADE, HeaderValue::from_static("websocket"))?;
    } else if closes {
        head.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
    }
    edit(&mut head, request, hop_mark)?;
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    if !has_length && !request.inbound.body.is_empty {
        head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(head)
}

/// The head for an upstream of HTTP/2.
///
/// # Errors
/// When its host is no authority.
pub(in crate::proxy) fn http2(request: &Request, hop_mark: &HopMark, pool: &Pool) -> Result<RequestHeader> {
    let mut head = request.head.clone();
    let te = head.headers.get(http::header::TE).filter(|te| te.as_bytes() == b"trailers").cloned();
    hop_by_hop::strip_request(&mut head);
    if let Some(te) = te {
        head.insert_header(http::header::TE, te)?;
    }
    head.set_version(Version::HTTP_2);
    set_host(&mut head, request)?;
    edit(&mut head, request, hop_mark)?;
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

/// The bytes that stand for the target in HTTP/1, where the head cannot carry them.
pub(in crate::proxy) fn target(request: &Request) -> Option<&[u8]> {
    request.inbound.target.as_deref().filter(|_| request.plan.rewritten.is_none())
}

fn set_host(head: &mut RequestHeader, request: &Request) -> Result<()> {
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).or_err(ErrorType::InternalError, "a host")?;
        head.insert_header(HOST, host)?;
        let mut parts = head.uri.clone().into_parts();
        (parts.scheme, parts.authority) = (None, None);
        head.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "a target")?);
    } else if !head.headers.contains_key(HOST) {
        // HTTP/1.0 need not name one. nginx would say its `$proxy_host`.
        let label = request.upstream().map_or("localhost", |upstream| &*upstream.label);
        let host = HeaderValue::from_str(label).unwrap_or(HeaderValue::from_static("localhost"));
        head.insert_header(HOST, host)?;
    }
    Ok(())
}

/// Puts what a request has become in place of what was asked, and what is said of its client.
fn edit(head: &mut RequestHeader, request: &Request, hop_mark: &HopMark) -> Result<()> {
    if let Some(rewritten) = &request.plan.rewritten {
        let mut parts = head.uri.clone().into_parts();
        parts.path_and_query = Some(rewritten.target().clone());
        head.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "rewriting a path")?);
    }
    forward::set(head, request)?;
    hop_mark.add(head)?;
    rewrite::to_upstream(request, head)
}
