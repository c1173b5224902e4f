//! Changes to header fields, carried out: on answers of every kind, and on requests to upstreams.

use crate::core::condition::Questioned;
use crate::core::expires::{Expires, ExpiryRule};
use crate::core::headers::{Edits, Value, is_success};
use crate::core::route::without_port;
use crate::core::variable::{AnswerFacts, Facts, UpstreamSpan};
use crate::proxy::exchange::Request;
use crate::proxy::headers::{cookies, expiry, hsts};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::changes::Changes;
use crate::proxy::wire::host::is_host;
use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::{HeaderName, HeaderValue};
use std::path::Path;

/// On the head of an answer, no matter who made it.
pub(in crate::proxy) fn answer(request: &Request, head: &mut AnswerHead) {
    hsts::set(&request.inbound.listener, head);
    let (route, is_success) = (request.route(), is_success(head.status.as_u16()));
    if let Some(expires) = route.and_then(|route| route.expires.as_ref()).filter(|_| is_success) {
        expire(request, expires, head);
    }
    if let Some(edits) = request.plan.table.routes.response_edits(route) {
        if edits.is_fixed() {
            carry_out(edits, is_success, head, &|value, _, text| value.of(None, text));
        } else {
            let facts = facts(request);
            carry_out(edits, is_success, head, &|value, head, text| {
                let answer = Answered { head, request };
                value.of(Some(&Facts { answer: Some(&answer), ..facts }), text)
            });
        }
    }
    cookies::show(request, head);
}

/// Says until when an answer may be kept, in place of what was said.
fn expire(request: &Request, rule: &ExpiryRule, head: &mut AnswerHead) {
    let template = match rule {
        ExpiryRule::Fixed(expires) => return expiry::set(expires, head),
        ExpiryRule::Text(template) => template,
    };
    let mut text = Vec::with_capacity(32);
    let answer = Answered { head, request };
    template.fill(&Facts { answer: Some(&answer), ..facts(request) }, &mut text);
    if let Some(expires) = std::str::from_utf8(&text).ok().and_then(Expires::read) {
        expiry::set(&expires, head);
    }
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
        let facts = (!edits.is_fixed()).then(|| facts(request));
        carry_out(edits, false, changes, &|value, _, text| value.of(facts.as_ref(), text));
    }
}

/// A head whose fields can be changed.
trait Fields {
    fn remove(&mut self, name: &HeaderName);
    fn set(&mut self, name: HeaderName, value: HeaderValue);
    fn add(&mut self, name: HeaderName, value: HeaderValue);
}

/// What comes of a value on a head, by memory to write it in.
type Make<'a, H> = dyn Fn(&Value, &H, &mut Vec<u8>) -> Option<HeaderValue> + 'a;

/// A value that the request makes illegal is left out, and so is an empty one: as in nginx, a look-up that finds nothing
/// sets no field. `of` says what comes of a value on the head as it is by then.
fn carry_out<H: Fields>(edits: &Edits, is_success: bool, head: &mut H, of: &Make<'_, H>) {
    let mut text = Vec::new();
    let on_success = edits.on_success.as_deref().filter(|_| is_success);
    edits.remove.iter().for_each(|name| head.remove(name));
    for (name, value) in edits.set.iter().chain(on_success.into_iter().flat_map(|edits| &edits.set)) {
        match of(value, head, &mut text) {
            Some(value) => head.set(name.clone(), value),
            None => head.remove(name),
        }
    }
    for (name, value) in edits.add.iter().chain(on_success.into_iter().flat_map(|edits| &edits.add)) {
        if let Some(value) = of(value, head, &mut text) {
            head.add(name.clone(), value);
        }
    }
}

/// An answer, as texts refer to it.
struct Answered<'a> {
    head: &'a AnswerHead,
    request: &'a Request,
}

impl std::fmt::Debug for Answered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("status", &self.head.status).finish_non_exhaustive()
    }
}

impl AnswerFacts for Answered<'_> {
    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.head.get(name)
    }

    fn upstream(&self) -> &str {
        self.request.upstream().map_or("", |upstream| &*upstream.label)
    }

    fn upstream_status(&self) -> Option<u16> {
        self.request.attempts.last.map(|ended| ended.code).filter(|code| *code > 0)
    }

    fn upstream_us(&self, span: UpstreamSpan) -> Option<u64> {
        match span {
            // A connection that was kept took none.
            UpstreamSpan::Connect => {
                self.request.delivery.connect_us.or(self.request.delivery.head_us.map(|_| 0))
            }
            UpstreamSpan::Head => self.request.delivery.head_us,
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

/// A request keeps its host where its values make none of another.
impl Fields for Changes<'_> {
    fn remove(&mut self, name: &HeaderName) {
        if *name != HOST {
            Changes::remove(self, name);
        }
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        if name != HOST || is_host(value.as_bytes()) {
            Changes::set(self, name, value.into());
        }
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        Changes::add(self, name, value.into());
    }
}

impl Questioned for Request {
    fn facts(&self) -> Facts<'_> {
        compared(self)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}

/// The values of the variables, for a text that is compared with others, or a key.
pub(in crate::proxy) fn compared(request: &Request) -> Facts<'_> {
    Facts { is_compared: true, ..facts(request) }
}

/// The values of the variables.
pub(in crate::proxy) fn facts(request: &Request) -> Facts<'_> {
    let head = &request.head;
    let host = request.host();
    // Only an authority may have a user in front; a field that has one is refused.
    let named = match head.uri.authority() {
        Some(_) => host.rsplit_once('@').map_or(host, |(_, host)| host),
        None => host,
    };
    let path_and_query = || head.uri.path_and_query().map_or(&b"/"[..], |target| target.as_str().as_bytes());
    let sent = head.raw_path();
    let (path, query) = request.path_and_query();
    Facts {
        host: without_port(named),
        authority: named,
        client: request.inbound.client,
        scheme: request.inbound.listener.scheme(),
        port: request.inbound.listener.settings.address.port(),
        // A target that names the host as well is not what nginx calls the URI.
        uri: if sent.starts_with(b"/") { sent } else { path_and_query() },
        path,
        args: query.unwrap_or_default(),
        request_id: request.id(),
        pool: request.pool().map_or("", |pool| &*pool.name),
        user: request.user(),
        head: Some(head),
        answer: None,
        groups: None,
        is_compared: false,
    }
}
