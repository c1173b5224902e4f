//! What to do with a request: which service, pool and upstream it goes to.

use crate::core::balance::{Balance, HashBy, Tried, mix};
use crate::core::table::{Pool, Service, Table};
use http::request::Parts;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// Where a request goes, as indexes into the table it was planned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub service: usize,
    pub pool: usize,
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No route leads anywhere: 404.
    NoRoute,
    /// The service is under maintenance: 503, and when to come back.
    Maintenance { retry_after_s: u64 },
    /// No pool of the service has weight, or no upstream of the pool can serve: 503.
    NoUpstream,
}

/// The pool for a request, picked once: a retry stays in it.
pub(super) fn target(
    table: &Table,
    request: &Parts,
    client: IpAddr,
    now: Duration,
    draw: u32,
) -> Result<Target, Refusal> {
    let path = request.uri.path();
    let service = table.router.find(host(request), path).ok_or(Refusal::NoRoute)?;
    let entry = table.services.get(service).ok_or(Refusal::NoRoute)?;
    let stretch = entry.maintenance.filter(|_| !table.maintenance.lets_pass(path, client));
    if let Some(retry_after_s) = stretch.and_then(|stretch| stretch.retry_after_s(now)) {
        return Err(Refusal::Maintenance { retry_after_s });
    }
    let pool = entry.picker.pick(draw).ok_or(Refusal::NoUpstream)?;
    Ok(Target { service, pool })
}

/// The upstream for the next attempt in a pool.
pub(super) fn upstream(
    pool: &Pool,
    request: &Parts,
    client: IpAddr,
    draw: u32,
    tried: Tried,
) -> Option<usize> {
    let key = match pool.balancer.balance() {
        Balance::Hash(by) => hash_key(by, request, client),
        _ => 0,
    };
    pool.balancer.choose(&pool.upstreams, key, draw, tried)
}

impl Target {
    pub(super) fn service(self, table: &Table) -> Option<&Service> {
        table.services.get(self.service)
    }

    pub(super) fn pool(self, table: &Table) -> Option<&Pool> {
        self.service(table)?.pools.get(self.pool)
    }
}

/// The host a request names, with its port if it has one: the target's authority (always there in
/// HTTP/2) before the Host header.
pub(super) fn host(request: &Parts) -> &str {
    if let Some(authority) = request.uri.authority() {
        return authority.as_str();
    }
    request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

fn hash_key(by: &HashBy, request: &Parts, client: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    match by {
        HashBy::Uri => request.uri.path_and_query().hash(&mut hasher),
        HashBy::Header(name) => match request.headers.get(name.as_str()) {
            Some(value) => value.as_bytes().hash(&mut hasher),
            None => client.hash(&mut hasher),
        },
        HashBy::ClientIp => client.hash(&mut hasher),
    }
    mix(hasher.finish())
}
