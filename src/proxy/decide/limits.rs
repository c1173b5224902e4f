//! The limits of a route, applied to a request.

use crate::core::client::ClientKey;
use crate::core::limit::counts::Held;
use crate::core::limit::{By, Limit, Refused, client_key, key};
use crate::proxy::decide::plan::PlanRefusal;
use crate::proxy::exchange::Request;
use crate::proxy::headers::rewrite;
use std::time::Duration;

/// Counts a request on a route for as long as what is returned is kept. `seed` is the process's own.
///
/// # Errors
/// [`PlanRefusal::TooMany`] when a limit has no room for it.
pub(in crate::proxy) fn admit(
    route: usize,
    request: &Request,
    now: Duration,
    seed: u64,
) -> Result<Option<Held>, PlanRefusal> {
    let table = &request.plan.table;
    let Some(limits) = table.limits.get(route).filter(|limits| !limits.is_empty()) else { return Ok(None) };
    let client = ClientKey::of(request.inbound.client);
    let counted_by = |limit: &Limit| {
        Some(match &limit.settings.by {
            By::Client => client_key(client, 0),
            By::Service => limits.service_key,
            By::Header(name) => match request.head.headers.get(name) {
                Some(value) => key(value.as_bytes(), seed),
                None => client_key(client, 0),
            },
            By::Text(text) => {
                let mut counted = Vec::with_capacity(64);
                text.fill(&rewrite::compared(request), &mut counted);
                // As in nginx, what says nothing is not counted.
                return (!counted.is_empty()).then(|| key(counted, seed));
            }
        })
    };
    limits.admit(client, now, counted_by).map_err(|Refused { status, wait }| {
        let retry_after_s = (wait.as_millis() as u64).div_ceil(1000).max(1);
        PlanRefusal::TooMany { status, retry_after_s }
    })
}
