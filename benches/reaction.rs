//! From the outcome that completes the evidence to the table without the candidate, under full load.
//!
//! Each round starts a rollout of a version that always fails, at 5 %, and reads from the history how
//! long the revert took.

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

use harness::{Nginx, Origin, Pointsman, Reaction, wrk};

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let rounds = if smoke { 2 } else { 200 };
    let nginx = Nginx::start(&["blue"]);
    let red = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let pointsman = Pointsman::start(&format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.red]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 5, hold = \"1h\" }}, {{ weight = 100 }}]\n\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\nlatency_p95 = {{ critical = \"2s\" }}\n",
        nginx.addresses[0], red.address
    ));
    let load = wrk(pointsman.http(), 32, 600);
    let mut reactions = Vec::new();
    let mut failures = Vec::new();
    for _ in 0..rounds {
        let before = red.requests();
        let id = pointsman.start_rollout(r#"{"to": "red"}"#);
        assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
        let mut row = None;
        harness::eventually("the row is written", || {
            let rows = pointsman.history();
            row = rows.into_iter().find(|row| row["action"] == "aborted" && row["rollout"] == id.as_str());
            row.is_some()
        });
        let figures = &row.expect("found")["figures"];
        // Without the bell a tick was first, which knows of no deciding outcome.
        reactions.extend(figures["reaction_ms"].as_f64());
        failures.push(red.requests() - before);
    }
    let seen = load.stop();
    reactions.sort_by(f64::total_cmp);
    failures.sort_unstable();
    let at = |share: f64| reactions[((reactions.len() - 1) as f64 * share).round() as usize];
    println!(
        "revert of a version that always fails, at 5 % under {} requests of wrk, {} of {rounds} rounds by the bell:\n\
         deciding outcome to table: median {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms\n\
         failed requests until the revert: median {}, max {}",
        seen.requests,
        reactions.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        failures[failures.len() / 2],
        failures[failures.len() - 1],
    );
}
