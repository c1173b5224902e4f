//! Pointsman beside nginx and haproxy: the same origin, one worker each, pinned,
//! in alternating rounds. Prints requests a second, latencies and CPU time per request.
//!
//! `COMPARE_ROUNDS` and `COMPARE_SECONDS` change the length; `cargo test` runs a short smoke.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

mod measure;
mod proxies;

use measure::{Round, median, wrk};
use proxies::{Kind, Origin, Running};
use std::collections::BTreeMap;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = !arguments.iter().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let rounds = number("COMPARE_ROUNDS", if smoke { 1 } else { 5 });
    let seconds = number("COMPARE_SECONDS", if smoke { 1 } else { 4 });
    let scenarios: &[(&str, usize)] = match smoke {
        true => &[("/small", 32)],
        false => &[("/small", 32), ("/small", 256), ("/10k", 32), ("/10k", 256)],
    };
    let origin = Origin::start();
    let proxies: Vec<Running> =
        Kind::ALL.into_iter().filter_map(|kind| Running::start(kind, &origin)).collect();
    println!(
        "{rounds} rounds of {seconds} s each, alternating; medians; proxy on CPU 0, origin and wrk on CPU 1"
    );
    for (path, connections) in scenarios {
        let mut results: BTreeMap<Kind, Vec<Round>> = BTreeMap::new();
        for proxy in &proxies {
            // Connections, caches and branch predictors warm up.
            wrk(proxy, path, *connections, 1);
        }
        for _ in 0..rounds {
            for proxy in &proxies {
                let round = wrk(proxy, path, *connections, seconds);
                assert_eq!(round.failed, 0, "{}: requests failed", proxy.kind.label());
                results.entry(proxy.kind).or_default().push(round);
            }
        }
        report(path, *connections, &results);
    }
}

fn report(path: &str, connections: usize, results: &BTreeMap<Kind, Vec<Round>>) {
    println!("\n{path}, {connections} connections");
    println!(
        "  {:<13} {:>9} {:>7} {:>9} {:>9} {:>11} {:>7}",
        "", "req/s", "ratio", "p50 ms", "p99 ms", "CPU us/req", "ratio"
    );
    let of = |kind: Kind, figure: fn(&Round) -> f64| {
        results.get(&kind).map(|rounds| median(rounds.iter().map(figure)))
    };
    for kind in results.keys() {
        let figure = |figure: fn(&Round) -> f64| of(*kind, figure).unwrap_or_default();
        let ratio =
            |figure: fn(&Round) -> f64| paired(results, *kind, Kind::Nginx, figure).unwrap_or(f64::NAN);
        println!(
            "  {:<13} {:>9.0} {:>7.2} {:>9.2} {:>9.2} {:>11.2} {:>7.2}",
            kind.label(),
            figure(|round| round.per_second),
            ratio(|round| round.per_second),
            figure(|round| round.p50_ms),
            figure(|round| round.p99_ms),
            figure(|round| round.cpu_us),
            ratio(|round| round.cpu_us),
        );
    }
}

/// The median over the rounds of one kind's figure to another's in the same round.
fn paired(
    results: &BTreeMap<Kind, Vec<Round>>,
    one: Kind,
    other: Kind,
    figure: fn(&Round) -> f64,
) -> Option<f64> {
    let pairs = results.get(&one)?.iter().zip(results.get(&other)?);
    Some(median(pairs.map(|(one, other)| figure(one) / figure(other))))
}
