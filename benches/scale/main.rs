//! A thousand services in one process: what a change of one of them costs, how fast a bad version is taken back, what
//! the rest costs while nothing happens, and how ten thousand upstreams start.
//!
//! `make scale`; `SCALE_SERVICES` changes the number of services, `SCALE_BINARY=FILE` names another build of
//! pointsman (of before a change, say) to be measured by the same clients. `cargo test` runs a short smoke with few
//! services. CPU time is the process's own, so that it says the same on a busy machine.

#![allow(
    missing_docs,
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark that shares the harness of the tests"
)]

#[path = "../../tests/it/harness/mod.rs"]
mod harness;

mod site;

use harness::{Connection, Origin, Pointsman, Reaction, eventually, median};
use site::Site;
use std::time::{Duration, Instant};

/// Requests a second while a version is tried.
const RATE: u32 = 50;

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let services = std::env::var("SCALE_SERVICES").ok().and_then(|text| text.parse().ok());
    let services = services.unwrap_or(if smoke { 20 } else { 1000 });
    let (blue, red) = (Origin::named("blue"), Origin::new(|_| Reaction::Answer(500, "broken".into())));
    let site = Site { services, upstreams: 2, blue: blue.address, red: red.address };
    let pointsman = site.start();
    println!("{services} services of 2 pools of 2 upstreams");
    idle(&pointsman, Duration::from_secs(if smoke { 1 } else { 20 }));
    flips(&pointsman, if smoke { 4 } else { 100 });
    reverts(&pointsman, &red, if smoke { 1 } else { 10 });
    drop(pointsman);
    start(Site { upstreams: 5, ..site });
}

/// CPU while nobody asks for anything.
fn idle(pointsman: &Pointsman, length: Duration) {
    std::thread::sleep(length / 10);
    let before = site::cpu(pointsman.pid());
    std::thread::sleep(length);
    let spent = site::cpu(pointsman.pid()).saturating_sub(before);
    println!(
        "idle: {:.2} % of a core, {} MiB",
        spent.as_secs_f64() / length.as_secs_f64() * 100.0,
        site::memory_mib(pointsman.pid())
    );
}

/// From the call to its answer, over a connection that is kept.
fn flips(pointsman: &Pointsman, count: usize) {
    let mut admin = Connection::open(pointsman.admin);
    let before = site::cpu(pointsman.pid());
    let mut took_ms = Vec::new();
    for to in ["red", "blue"].into_iter().cycle().take(count) {
        let call = site::call("POST", "/v1/services/web/flip", &format!("{{\"to\": \"{to}\"}}"));
        let since = Instant::now();
        let answer = admin.send(call.as_bytes());
        took_ms.push(since.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let cpu_ms = site::cpu(pointsman.pid()).saturating_sub(before).as_secs_f64() * 1000.0;
    took_ms.sort_by(f64::total_cmp);
    println!(
        "flip, from call to answer: median {:.2} ms, p90 {:.2} ms, max {:.2} ms; {:.2} ms of CPU each",
        median(&took_ms),
        took_ms[took_ms.len() * 9 / 10],
        took_ms[took_ms.len() - 1],
        cpu_ms / count as f64,
    );
}

/// Rollouts of a version that always fails, each until it is taken back.
fn reverts(pointsman: &Pointsman, red: &Origin, rounds: usize) {
    let (mut reactions_ms, mut failures) = (Vec::new(), Vec::new());
    let load = site::Load::start(pointsman.http(), RATE);
    for _ in 0..rounds {
        let before = red.requests();
        let id = pointsman.start_rollout(r#"{"to": "red"}"#);
        assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
        failures.push(red.requests() - before);
        let mut row = None;
        eventually("the row is written", || {
            let rows = pointsman.history();
            row = rows.into_iter().find(|row| row["action"] == "aborted" && row["rollout"] == id.as_str());
            row.is_some()
        });
        // Without the bell a tick was first, which knows of no deciding outcome.
        reactions_ms.extend(row.expect("found")["figures"]["reaction_ms"].as_f64());
    }
    load.stop();
    failures.sort_unstable();
    println!(
        "revert of a version that always fails, at {RATE} requests a second: {} to {} failures, median {}",
        failures[0],
        failures[failures.len() - 1],
        median(&failures),
    );
    if !reactions_ms.is_empty() {
        println!(
            "  deciding outcome to table: median {:.2} ms, max {:.2} ms, {} of {rounds} by the bell",
            median(&reactions_ms),
            reactions_ms.iter().copied().fold(0.0, f64::max),
            reactions_ms.len(),
        );
    }
}

/// From the process's start until it listens.
fn start(site: Site) {
    let upstreams = site.services * 2 * site.upstreams;
    let since = Instant::now();
    let pointsman = site.start();
    let took = since.elapsed();
    println!(
        "start with {upstreams} upstreams: {:.2} s, {:.2} s of CPU, {} MiB",
        took.as_secs_f64(),
        site::cpu(pointsman.pid()).as_secs_f64(),
        site::memory_mib(pointsman.pid())
    );
}
