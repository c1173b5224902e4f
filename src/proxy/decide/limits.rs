//! The limits of a route, applied to a request.

use crate::core::client::ClientKey;
use crate::core::limit::counts::Held;
use crate::core::limit::{By, Limit, Refused, client_key, key};
use crate::core::table::Table;
use crate::proxy::decide::plan::Refusal;
use http::request::Parts;
use std::net::IpAddr;
use std::time::Duration;

/// Counts a request on a route for as long as what is returned is kept. `seed` is the process's own.
///
/// # Errors
/// [`Refusal::TooMany`] when a limit has no room for it.
pub(in crate::proxy) fn admit(
    table: &Table,
    route: usize,
    request: &Parts,
    client: IpAddr,
    now: Duration,
    seed: u64,
) -> Result<Option<Held>, Refusal> {
    let Some(limits) = table.limits.get(route).filter(|limits| !limits.is_empty()) else { return Ok(None) };
    let client = ClientKey::of(client);
    let counted_by = |limit: &Limit| match &limit.settings.by {
        By::Client => client_key(client, 0),
        By::Service => limits.service_key,
        By::Header(name) => match request.headers.get(name) {
            Some(value) => key(value.as_bytes(), seed),
            None => client_key(client, 0),
        },
    };
    limits.admit(client, now, counted_by).map_err(|Refused { status, wait }| {
        let retry_after_s = (wait.as_millis() as u64).div_ceil(1000).max(1);
        Refusal::TooMany { status, retry_after_s }
    })
}
