//! What the mirror costs: CPU per request while no rollout runs, and the latency of the originals while a
//! tenth of them is mirrored.
//!
//! `make mirror`; `MIRROR_ROUNDS` and `MIRROR_SECONDS` change the length, `MIRROR_BASELINE=FILE` names another
//! build of pointsman (of before the mirror, say) to be held against this one. `cargo test` runs a short
//! smoke. The load is open: requests begin when they are due, and wait since then.

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

#[path = "../tests/it/harness/mod.rs"]
mod harness;

use harness::{Connection, Nginx, Origin, Pointsman, Reaction, eventually, whole};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Requests a second, and connections.
const RATE: u32 = 400;
const CONNECTIONS: u32 = 16;
const MIRROR_STEP: &str = "{ mirror = 10, hold = \"7d\" }, ";
/// How long the application takes.
const THINKS: Duration = Duration::from_millis(5);

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let rounds = number("MIRROR_ROUNDS", if smoke { 1 } else { 9 });
    let seconds = number("MIRROR_SECONDS", if smoke { 1 } else { 5 });
    idle(rounds, seconds);
    latency(rounds, seconds);
}

/// CPU per request while no rollout runs, beside another build.
fn idle(rounds: u64, seconds: u64) {
    let nginx = Nginx::start(&["blue", "green"]);
    // The other build may not know the mirror.
    let config = config(nginx.addresses[0], nginx.addresses[1], "").replace(MIRROR_STEP, "");
    let this = Pointsman::start(&config);
    let baseline = std::env::var("MIRROR_BASELINE").ok().map(|binary| {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(&config)).expect("a file");
        Pointsman::start_by(&mut Command::new(binary), dir)
    });
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own.push(cpu_us(&this, seconds));
        other.extend(baseline.as_ref().map(|baseline| cpu_us(baseline, seconds)));
    }
    println!(
        "no rollout: {:.2} us of CPU a request (median of {rounds} rounds of {seconds} s)",
        median(&own)
    );
    if baseline.is_some() {
        let ratios: Vec<f64> = own.iter().zip(&other).map(|(own, other)| own / other).collect();
        println!("  the baseline: {:.2} us; this to it, paired: {:.3}", median(&other), median(&ratios));
    }
}

/// The latency of originals, with and without a tenth of them mirrored, in turn.
fn latency(rounds: u64, seconds: u64) {
    println!(
        "originals at {RATE} requests/s, an application of {THINKS:?}; medians of {rounds} rounds of {seconds} s"
    );
    let app = || Origin::new(|_| Reaction::Late(THINKS, 200, "x".repeat(2000)));
    for (label, compare) in
        [("", ""), (", compared", "[services.web.mirror]\ncompare = { body = \"bytes\" }\n")]
    {
        let (blue, green) = (app(), app());
        let pointsman = Pointsman::start(&config(blue.address, green.address, compare));
        open_load(pointsman.http(), 1);
        let (mut off, mut on) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Who comes first changes, so that neither has the better of it.
            for mirrors in [round % 2 == 0, round % 2 != 0] {
                let id = mirrors.then(|| mirroring(&pointsman));
                let before = green.requests();
                let took = open_load(pointsman.http(), seconds);
                assert_eq!(green.requests() > before, mirrors, "a tenth is mirrored, or none");
                if let Some(id) = id {
                    pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
                }
                if mirrors { &mut on } else { &mut off }.push(took);
            }
        }
        let shown = |of: &[Took], which: fn(&Took) -> f64| median(&of.iter().map(which).collect::<Vec<_>>());
        let ratio = |which: fn(&Took) -> f64| {
            median(&on.iter().zip(&off).map(|(on, off)| which(on) / which(off)).collect::<Vec<_>>())
        };
        println!(
            "  not mirrored: p50 {:.3} ms, p99 {:.3} ms; 10 % mirrored{label}: p50 {:.3} ms, p99 {:.3} ms; paired: p50 {:+.2} %, p99 {:+.2} %",
            shown(&off, |took| took.p50_ms),
            shown(&off, |took| took.p99_ms),
            shown(&on, |took| took.p50_ms),
            shown(&on, |took| took.p99_ms),
            (ratio(|took| took.p50_ms) - 1.0) * 100.0,
            (ratio(|took| took.p99_ms) - 1.0) * 100.0,
        );
    }
}

fn config(blue: SocketAddr, green: SocketAddr, more: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{MIRROR_STEP}{{ weight = 100 }}]\n{more}\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\nlatency_p95 = {{ critical = \"2s\" }}\n"
    )
}

fn mirroring(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it mirrors", || pointsman.web()["rollout"]["mirror"].is_object());
    id
}

/// User and system time of one closed round of wrk, µs a request.
fn cpu_us(pointsman: &Pointsman, seconds: u64) -> f64 {
    let before = ticks(pointsman.pid());
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), &format!("http://{}/", pointsman.http())])
        .output()
        .expect("wrk is installed: make setup-test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains(" requests in ")).expect("a sum");
    let requests: f64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
    (ticks(pointsman.pid()) - before) as f64 * 10_000.0 / requests
}

fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    field(11) + field(12)
}

/// What users waited in one round.
struct Took {
    p50_ms: f64,
    p99_ms: f64,
}

fn open_load(address: SocketAddr, seconds: u64) -> Took {
    let every = Duration::from_secs(1) * CONNECTIONS / RATE;
    let count = u64::from(RATE / CONNECTIONS) * seconds;
    let begun = Instant::now();
    let client = |n: u32| {
        std::thread::spawn(move || {
            let mut connection = Connection::open(address);
            let first = begun + every * n / CONNECTIONS;
            let waited = (0..count).map(|index| {
                let due = first + every * index as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                assert_eq!(connection.get("/").status, 200);
                due.elapsed()
            });
            waited.collect::<Vec<_>>()
        })
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(client).collect();
    let mut waited: Vec<Duration> =
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
    waited.sort_unstable();
    let at = |share: f64| waited[(waited.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
    Took { p50_ms: at(0.5), p99_ms: at(0.99) }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
