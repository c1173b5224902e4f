//! The upstreams of one service as text, a line each: since when each has its state, and its last check.

use super::render::table;
use crate::control::view::{ServiceView, UpstreamView};

/// Where each column stands: of the left ones, figures to the right.
const LEFT: [bool; 6] = [true, true, true, false, true, true];

pub(super) fn of(view: &ServiceView) -> String {
    let head = ["upstream", "pool", "state", "in flight", "since (UTC)", "checked"].map(String::from);
    let pools = view.pools.iter();
    let rows = pools.flat_map(|(name, pool)| pool.upstreams.iter().map(move |upstream| row(name, upstream)));
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    if rows.len() > 1 { table(&rows, LEFT) } else { String::new() }
}

fn row(pool: &str, upstream: &UpstreamView) -> [String; 6] {
    let address = match &upstream.resolved {
        Some(resolved) => format!("{} {resolved}", upstream.address),
        None => upstream.address.clone(),
    };
    let since = upstream.since.as_deref().and_then(|since| since.get(..19));
    let checked = upstream.checked.at().map(|at| at.strftime("%H:%M:%S").to_string());
    [
        address,
        pool.to_owned(),
        upstream.state.clone(),
        upstream.in_flight.to_string(),
        since.map_or_else(|| "-".to_owned(), |since| since.replace('T', " ")),
        checked.unwrap_or_else(|| "-".to_owned()),
    ]
}
