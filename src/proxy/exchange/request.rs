//! One request: its head, and the four parts of what is known of it.

use super::{Attempts, Delivery, Inbound, PlanTarget, RoutePlan};
use crate::core::client::ClientKey;
use crate::core::compression::Compression;
use crate::core::failure_statuses::FailureStatuses;
use crate::core::route::RouteSpec;
use crate::core::settings::{Forwarded, Timeouts};
use crate::core::table::{Pool, Service, Table, Upstream};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName};
use http::request::Parts;
use pingora_http::RequestHeader;
use std::sync::Arc;

/// A request body up to this is read and thrown away to keep the connection.
const DRAINED_BYTES: u64 = 64 << 10;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request.
pub(in crate::proxy) struct Request {
    /// What the client asked, without what is none of anybody's business.
    pub head: RequestHeader,
    pub inbound: Inbound,
    pub plan: RoutePlan,
    pub attempts: Attempts,
    pub delivery: Delivery,
}

impl Request {
    pub(in crate::proxy) fn route(&self) -> Option<&RouteSpec> {
        self.plan.table.route(self.plan.route)
    }

    pub(in crate::proxy) fn service(&self) -> Option<&Service> {
        self.plan.target?.service(&self.plan.table)
    }

    pub(in crate::proxy) fn pool(&self) -> Option<&Pool> {
        self.plan.target?.pool(&self.plan.table)
    }

    pub(in crate::proxy) fn upstream(&self) -> Option<&Upstream> {
        self.pool()?.upstreams.get(self.attempts.upstream?)
    }

    /// The client, as it is distinguished from others.
    pub(in crate::proxy) fn client_key(&self) -> ClientKey {
        if self.inbound.is_nameless { ClientKey::NAMELESS } else { ClientKey::of(self.inbound.client) }
    }

    /// What the upstream learns of the client.
    pub(in crate::proxy) fn forwarded(&self) -> Forwarded {
        let own = self.route().and_then(|route| route.forwarded);
        own.or_else(|| Some(self.pool()?.forwarded)).unwrap_or_default()
    }

    /// Who has shown the right password, where its route asks for one; nobody, if nothing.
    pub(in crate::proxy) fn user(&self) -> Option<&str> {
        self.route()?.access.as_ref()?.basic.as_ref()?;
        let proven = self.inbound.user.as_deref().filter(|_| self.inbound.is_proven);
        Some(proven.unwrap_or_default())
    }

    /// The host it names, with its port if it has one.
    pub(in crate::proxy) fn host(&self) -> &str {
        host(&self.head)
    }

    /// What it is called: by a trusted proxy, or else by this one.
    pub(in crate::proxy) fn id(&self) -> &[u8] {
        let given = self.inbound.believed.then(|| self.head.headers.get(REQUEST_ID)).flatten();
        given.map_or(&self.inbound.own_id[..], HeaderValue::as_bytes)
    }

    /// The path and the query that it has now, as they are sent.
    pub(in crate::proxy) fn path_and_query(&self) -> (&str, Option<&str>) {
        match &self.plan.rewritten {
            Some(rewritten) => (rewritten.target().path(), rewritten.target().query()),
            None => (self.head.uri.path(), self.head.uri.query()),
        }
    }

    /// How its answer may be compressed, if it may.
    pub(in crate::proxy) fn compression(&self) -> Option<&Compression> {
        let compression = self.plan.table.compression.as_deref()?;
        self.route().is_none_or(|route| route.compression).then_some(compression)
    }

    /// Whether what comes of it is evidence for or against its pool.
    pub(in crate::proxy) fn is_measured(&self) -> bool {
        self.route().is_none_or(|route| route.measure)
    }

    /// The pool's, but for what the route says otherwise.
    pub(in crate::proxy) fn timeouts(&self, pool: &Pool) -> Timeouts {
        self.route().map_or(pool.timeouts, |route| route.timeouts.over(pool.timeouts))
    }

    /// Which answers of its pool are failures.
    pub(in crate::proxy) fn failures(&self) -> FailureStatuses {
        self.pool().map_or(FailureStatuses::NONE, |pool| pool.failures)
    }

    /// Whether all that has come of it can be sent once more, and nothing of an answer has been.
    pub(in crate::proxy) fn can_be_repeated(&self) -> bool {
        !self.delivery.has_begun() && self.inbound.body.is_replayable()
    }

    /// Whether what the client has yet to send is little.
    pub(in crate::proxy) fn has_small_body(&self) -> bool {
        if self.plan.replaced.as_ref().is_some_and(|replaced| replaced.has_small_body) {
            return true;
        }
        let length =
            self.head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_small = length.is_some_and(|length: u64| length <= DRAINED_BYTES);
        // A client that waits for 100 has sent none yet, and need not do so any more.
        is_small && !self.inbound.expects && !self.head.headers.contains_key(EXPECT)
    }

    /// It was taken back, and goes to a pool of this table.
    pub(in crate::proxy) fn turn_to(&mut self, table: Arc<Table>, target: PlanTarget) {
        let is_same = self.plan.target == Some(target) && Arc::ptr_eq(&self.plan.table, &table);
        self.attempts.turn_elsewhere(is_same);
        self.plan.table = table;
        self.plan.target = Some(target);
    }
}

/// The host a request names, with its port if it has one: the target's authority (always there in
/// HTTP/2) before the Host header.
pub(in crate::proxy) fn host(head: &Parts) -> &str {
    if let Some(authority) = head.uri.authority() {
        return authority.as_str();
    }
    head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}
