//! What to do with a request: which route it takes, and which service, pool and upstream it goes to.

use crate::core::balance::{Balance, HashBy, Tried, mix};
use crate::core::condition::Condition;
use crate::core::hash::{FixedHash, Purpose};
use crate::core::route::{self, RouteSpec, Sought};
use crate::core::settings::Listener;
use crate::core::table::{Pool, Table};
use crate::proxy::decide::asked::RequestFacts;
use crate::proxy::decide::choice;
use crate::proxy::exchange::{Chosen, Request};
use crate::proxy::headers::rewrite;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use std::net::IpAddr;
use std::time::Duration;

/// What a body has to keep that nobody waits for: any silence, and any rate.
pub(in crate::proxy) const AT_ITS_LEISURE: (Duration, u64) = (Duration::MAX, 0);
const GRPC: &[u8] = b"application/grpc";

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum PlanRefusal {
    /// The path means nothing: 400.
    BadPath,
    /// No route leads anywhere: 404.
    NoRoute,
    /// The route is not for this client, or for nobody: 403.
    Denied,
    /// The body will be larger than it may: 413.
    TooLarge,
    /// Its path has been changed too often: 500.
    Endless,
    /// A pattern stopped before it was known whether it fits: 500.
    Undecided,
    /// A limit has no room for it: its status, and when to come back.
    TooMany { status: u16, retry_after_s: u64 },
    /// The service is under maintenance: 503, and when to come back.
    Maintenance { retry_after_s: u64 },
    /// No pool of the service has weight, or no upstream of the pool can serve: 503.
    NoUpstream,
}

/// Where a request leads that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Way {
    /// To a pool, chosen once: a retry stays in it.
    Upstream(Chosen),
    /// To an answer that the proxy makes itself, as the route says.
    Own,
    /// To another place, which a rule of the route names.
    Away { status: u16, location: HeaderValue },
}

/// The index of the route for a path.
pub(in crate::proxy) fn route(request: &Request, path: &str) -> Result<usize, PlanRefusal> {
    let (head, client) = (&request.head, request.inbound.client);
    let holds = |when: &Condition| when.holds(head, client, request);
    let listener = Some(request.inbound.listener.settings.address);
    let sought = Sought { listener, host: request.host(), path, first_from: request.plan.first_from };
    request.plan.table.routes.find(sought, holds).ok_or(PlanRefusal::NoRoute)
}

/// Whether a route is for a client at all.
pub(in crate::proxy) fn admits(route: &RouteSpec, client: IpAddr) -> Result<(), PlanRefusal> {
    let is_denied = route.target == route::Target::Deny || !route.admits(client);
    if is_denied { Err(PlanRefusal::Denied) } else { Ok(()) }
}

/// Largest body of a request on a route.
pub(in crate::proxy) fn max_body(route: Option<&RouteSpec>, listener: &Listener) -> u64 {
    let own = route.and_then(|route| route.max_body);
    own.unwrap_or(listener.max_body)
}

/// How long the body of a request may be silent, and how many bytes a second it has to bring (0: any). That
/// is for bodies that an answer waits for: one of gRPC is a stream of its own.
pub(in crate::proxy) fn body_pace(
    request: &Parts,
    route: Option<&RouteSpec>,
    listener: &Listener,
) -> (Duration, u64) {
    if is_grpc(&request.headers) {
        return AT_ITS_LEISURE;
    }
    let silence = route.and_then(|route| route.timeouts.body);
    let rate = route.and_then(|route| route.body_rate);
    (silence.unwrap_or(listener.body_timeout), rate.unwrap_or(listener.body_rate))
}

fn is_grpc(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
    kind.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

/// Where the request leads on its route.
pub(in crate::proxy) fn way(
    table: &Table,
    asked: RequestFacts<'_>,
    index: usize,
) -> Result<Way, PlanRefusal> {
    let route = table.routes.spec(index).ok_or(PlanRefusal::NoRoute)?;
    admits(route, asked.client)?;
    if body_length(&asked.request.head) > Some(max_body(Some(route), asked.listener)) {
        return Err(PlanRefusal::TooLarge);
    }
    match route.target {
        // Opened to one path, and to no other way of writing it: the admin API might read it otherwise.
        route::Target::Admin if asked.path().as_deref() != Ok(asked.request.head.uri.path()) => {
            Err(PlanRefusal::NoRoute)
        }
        route::Target::Onward => Err(PlanRefusal::NoRoute),
        route::Target::Service(_) | route::Target::Admin => chosen(table, asked, index).map(Way::Upstream),
        _ => Ok(Way::Own),
    }
}

/// The length that the request says its body has.
pub(in crate::proxy) fn body_length(request: &Parts) -> Option<u64> {
    request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn chosen(table: &Table, asked: RequestFacts<'_>, route: usize) -> Result<Chosen, PlanRefusal> {
    of_service(table, asked, table.service_of(route).ok_or(PlanRefusal::NoRoute)?)
}

/// The pool of a service, by its index, for a request.
pub(in crate::proxy) fn of_service(
    table: &Table,
    asked: RequestFacts<'_>,
    service: usize,
) -> Result<Chosen, PlanRefusal> {
    let entry = table.services.get(service).ok_or(PlanRefusal::NoRoute)?;
    if let Some(retry_after_s) = entry.maintenance.and_then(|stretch| stretch.retry_after_s(asked.now)) {
        let path = asked.path().map_err(|_| PlanRefusal::BadPath)?;
        if !table.maintenance.lets_pass(&path, asked.client) {
            return Err(PlanRefusal::Maintenance { retry_after_s });
        }
    }
    choice::choose(service, entry, asked).ok_or(PlanRefusal::NoUpstream)
}

/// The upstream for the next attempt in a pool.
pub(in crate::proxy) fn upstream(pool: &Pool, request: &Request, draw: u32, tried: Tried) -> Option<usize> {
    let key = match pool.balancer.balance() {
        Balance::Hash(by) => hash_key(by, request),
        _ => 0,
    };
    pool.balancer.choose(&pool.upstreams, key, draw, tried)
}

fn hash_key(by: &HashBy, request: &Request) -> u64 {
    let hash = FixedHash::of(Purpose::Balance);
    let (head, client) = (&request.head, request.inbound.client);
    let hash = match by {
        HashBy::Uri => hash.bytes(head.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes()),
        HashBy::Header(name) => match head.headers.get(name.as_str()) {
            Some(value) => hash.bytes(value.as_bytes()),
            None => hash.ip(client),
        },
        HashBy::ClientIp => hash.ip(client),
        HashBy::Text(text) => {
            let mut key = Vec::with_capacity(64);
            text.fill(&rewrite::compared(request), &mut key);
            hash.bytes(&key)
        }
    };
    mix(hash.finish())
}
