//! Pointsman for a long time: whether memory and file descriptors stay flat under everything clients do,
//! whether it comes back after it had no descriptors left, and what ten thousand slow clients cost others.
//!
//! `make soak MINUTES=10` and `make slow`; `cargo test` runs a few seconds of each.

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

mod clients;
mod exhausted;
mod mixed;
mod slow;
mod watched;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let smoke = !has("--bench");
    let all = !has("mixed") && !has("exhausted") && !has("slow");
    raise_limit();
    if all || has("mixed") {
        let minutes = std::env::var("MINUTES").ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(10.0);
        let length = if smoke { Duration::from_secs(6) } else { Duration::from_secs_f64(minutes * 60.0) };
        mixed::run(length);
    }
    if all || has("exhausted") {
        exhausted::run();
    }
    if all || has("slow") {
        match smoke {
            true => slow::run(200, Duration::from_secs(2)),
            false => slow::run(10_000, Duration::from_secs(60)),
        }
    }
}

/// The clients of ten thousand connections are in this process.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).expect("the soft limit may be raised to the hard one");
}
