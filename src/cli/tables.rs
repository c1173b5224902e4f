//! The pools of a service, and its upstreams one by one, as lines of a table; how tables are set.

use crate::control::view::{PoolView, ServiceView, UpstreamView};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Which columns are words, and stand to the left; figures stand to the right.
const POOL_WORDS: [bool; 8] = [true, false, false, false, false, false, false, true];
const UPSTREAM_WORDS: [bool; 6] = [true, true, true, false, true, true];

pub(super) fn pools(view: &ServiceView) -> String {
    let head = ["pool", "weight", "requests", "errors", "p50", "p95", "p99", "upstreams"].map(String::from);
    let rows = view.pools.iter().map(|(name, pool)| of_pool(name, pool));
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>(), POOL_WORDS)
}

fn of_pool(name: &str, pool: &PoolView) -> [String; 8] {
    let window = &pool.window;
    let time = |ms: f64| if window.requests > 0 { format!("{ms:.1} ms") } else { "-".into() };
    let errors = if window.requests > 0 { format!("{:.2} %", window.error_rate * 100.0) } else { "-".into() };
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for upstream in &pool.upstreams {
        *states.entry(&upstream.state).or_default() += 1;
    }
    let states: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let latency = &window.latency_ms;
    let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(time);
    let (weight, requests) = (format!("{} %", pool.weight), window.requests.to_string());
    [name.to_owned(), weight, requests, errors, p50, p95, p99, states.join(", ")]
}

/// Since when each has its state, and when it was checked last; nothing for a service without any.
pub(super) fn upstreams(view: &ServiceView) -> String {
    let head = ["upstream", "pool", "state", "in flight", "since (UTC)", "checked"].map(String::from);
    let pools = view.pools.iter();
    let rows = pools.flat_map(|(name, pool)| pool.upstreams.iter().map(move |one| of_upstream(name, one)));
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    if rows.len() > 1 { table(&rows, UPSTREAM_WORDS) } else { String::new() }
}

fn of_upstream(pool: &str, upstream: &UpstreamView) -> [String; 6] {
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

/// Columns aligned, those of words to the left, figures to the right.
pub(super) fn table<const N: usize>(rows: &[[String; N]], words: [bool; N]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            // Writing to a text cannot fail.
            let _ = match words[column] {
                true => write!(line, " {cell:<width$} "),
                false => write!(line, " {cell:>width$} "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
