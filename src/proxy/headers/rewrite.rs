//! Changes to header fields, carried out: on answers of every kind, and on requests to upstreams.

use crate::core::expires::{Expires, ExpiryDate};
use crate::core::headers::{Edits, is_success};
use crate::core::route::without_port;
use crate::core::template::Facts;
use crate::proxy::exchange::Request;
use crate::proxy::headers::{cookies, hsts};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::changes::Changes;
use crate::proxy::wire::date;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, EXPIRES, LOCATION};
use http::{HeaderName, HeaderValue};

/// On the head of an answer, no matter who made it.
pub(in crate::proxy) fn answer(request: &Request, head: &mut AnswerHead) {
    hsts::set(&request.inbound.listener, head);
    let (route, is_success) = (request.route(), is_success(head.status.as_u16()));
    if let Some(expires) = route.and_then(|route| route.expires.as_ref()).filter(|_| is_success) {
        expire(expires, head);
    }
    if let Some(edits) = request.plan.table.routes.response_edits(route) {
        carry_out(edits, facts_for(edits, request), is_success, head);
    }
    cookies::show(request, head);
}

/// Says until when an answer may be kept, in place of what was said.
fn expire(expires: &Expires, head: &mut AnswerHead) {
    let date = match &expires.date {
        ExpiryDate::Fixed(date) => date.clone(),
        ExpiryDate::In(seconds) => date::later(*seconds),
    };
    head.set(EXPIRES, date);
    head.set(CACHE_CONTROL, expires.cache_control.clone());
}

/// On an upstream's redirect: a place that names the upstream becomes one of the site.
pub(in crate::proxy) fn relocate(request: &Request, head: &mut AnswerHead) {
    let Some(route) = request.route().filter(|route| !route.relocations.is_empty()) else { return };
    let Some(location) = head.get(&LOCATION) else { return };
    let facts = facts(request);
    let mut places = route.relocations.iter();
    let place = places.find_map(|relocation| relocation.relocated(location, &facts));
    if let Some(place) = place.and_then(|place| HeaderValue::from_maybe_shared(Bytes::from(place)).ok()) {
        head.set(LOCATION, place);
    }
}

/// On a request that goes to an upstream.
pub(in crate::proxy) fn to_upstream(request: &Request, changes: &mut Changes<'_>) {
    if let Some(edits) = request.plan.table.routes.request_edits(request.route()) {
        carry_out(edits, facts_for(edits, request), false, changes);
    }
}

/// A head whose fields can be changed.
trait Fields {
    fn remove(&mut self, name: &HeaderName);
    fn set(&mut self, name: HeaderName, value: HeaderValue);
    fn add(&mut self, name: HeaderName, value: HeaderValue);
}

/// A value that the request makes illegal is left out.
fn carry_out(edits: &Edits, facts: Option<Facts<'_>>, is_success: bool, head: &mut impl Fields) {
    let on_success = edits.on_success.as_deref().filter(|_| is_success);
    edits.remove.iter().for_each(|name| head.remove(name));
    for (name, value) in edits.set.iter().chain(on_success.into_iter().flat_map(|edits| &edits.set)) {
        match value.of(facts.as_ref()) {
            Some(value) => head.set(name.clone(), value),
            None => head.remove(name),
        }
    }
    for (name, value) in edits.add.iter().chain(on_success.into_iter().flat_map(|edits| &edits.add)) {
        if let Some(value) = value.of(facts.as_ref()) {
            head.add(name.clone(), value);
        }
    }
}

impl Fields for AnswerHead {
    fn remove(&mut self, name: &HeaderName) {
        AnswerHead::remove(self, name);
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        AnswerHead::set(self, name, value);
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        AnswerHead::add(self, name, value);
    }
}

impl Fields for Changes<'_> {
    fn remove(&mut self, name: &HeaderName) {
        Changes::remove(self, name);
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        Changes::set(self, name, value.into());
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        Changes::add(self, name, value.into());
    }
}

fn facts_for<'a>(edits: &Edits, request: &'a Request) -> Option<Facts<'a>> {
    (!edits.is_fixed()).then(|| facts(request))
}

/// The values of the variables.
pub(in crate::proxy) fn facts(request: &Request) -> Facts<'_> {
    let head = &request.head;
    let host = request.host();
    let named = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path_and_query = || head.uri.path_and_query().map_or(&b"/"[..], |target| target.as_str().as_bytes());
    let sent = head.raw_path();
    let (path, query) = request.path_and_query();
    Facts {
        host: without_port(named),
        client: request.inbound.client,
        scheme: request.inbound.listener.scheme(),
        // A target that names the host as well is not what nginx calls the URI.
        uri: if sent.starts_with(b"/") { sent } else { path_and_query() },
        path,
        args: query.unwrap_or_default(),
        request_id: request.id(),
        pool: request.pool().map_or("", |pool| &*pool.name),
    }
}
