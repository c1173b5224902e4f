//! The head that a service gets which is asked about a request.
//!
//! It has the request's own fields, so that the service sees cookies and credentials, but none that are about a body or
//! about a copy that the client has. What was asked for stands in the fields that nginx's `auth_request`, Traefik's
//! `ForwardAuth` and oauth2-proxy have made usual.

use super::{forward, hop_by_hop, hops::HopMark, rewrite, to_upstream, trace};
use crate::core::table::{Pool, Upstream};
use crate::proxy::exchange::Request;
use crate::proxy::wire::changes::{Changes, FieldName, FieldValue};
use http::HeaderName;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use std::borrow::Cow;

/// What is about a body that does not come along, or about another resource.
const LEFT_OUT: [HeaderName; 9] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    EXPECT,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

const ORIGINAL_URI: FieldName =
    FieldName::written(HeaderName::from_static("x-original-uri"), "X-Original-URI");
const ORIGINAL_URL: FieldName =
    FieldName::written(HeaderName::from_static("x-original-url"), "X-Original-URL");
const ORIGINAL_METHOD: FieldName =
    FieldName::written(HeaderName::from_static("x-original-method"), "X-Original-Method");
const FORWARDED_METHOD: FieldName =
    FieldName::written(HeaderName::from_static("x-forwarded-method"), "X-Forwarded-Method");
const FORWARDED_URI: FieldName =
    FieldName::written(HeaderName::from_static("x-forwarded-uri"), "X-Forwarded-Uri");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is changed of the fields that a request came with. `sent` are those, and the upstream is one of the
/// pool.
pub(in crate::proxy) fn of<'a>(
    (request, sent): (&'a Request, &'a http::HeaderMap),
    hop_mark: &'a HopMark,
    (pool, upstream): (&'a Pool, &'a Upstream),
) -> Changes<'a> {
    let mut changes = Changes::new(sent);
    hop_by_hop::strip_request(&mut changes);
    LEFT_OUT.iter().for_each(|name| changes.remove(name));
    let host = to_upstream::own_host(pool, upstream).unwrap_or(request.host().as_bytes());
    changes.set(HOST, FieldValue::Lent(host));
    forward::set(&mut changes, request, pool.forwarded);
    trace::set(&mut changes, request);
    hop_mark.add(&mut changes);
    let uri = rewrite::facts(request).uri;
    let method = request.head.method.as_str().as_bytes();
    let url = url(&changes, request, uri);
    for name in [ORIGINAL_METHOD, FORWARDED_METHOD] {
        changes.set(name, FieldValue::Lent(method));
    }
    for name in [ORIGINAL_URI, FORWARDED_URI] {
        changes.set(name, FieldValue::Lent(uri));
    }
    changes.set(ORIGINAL_URL, url);
    changes
}

/// The whole address that the client asked for, as far as it is known.
fn url<'a>(changes: &Changes<'a>, request: &Request, uri: &[u8]) -> FieldValue<'a> {
    let scheme = changes.values(&PROTO).next().map(<[u8]>::to_vec);
    let mut url = scheme.unwrap_or_else(|| request.inbound.listener.scheme().into());
    url.extend_from_slice(b"://");
    url.extend_from_slice(request.host().as_bytes());
    url.extend_from_slice(uri);
    Cow::<[u8]>::Owned(url).into()
}
