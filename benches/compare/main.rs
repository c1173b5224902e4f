//! Pointsman beside nginx and haproxy: the same origin, one worker each, pinned, in alternating rounds.
//! Prints requests a second, latencies and CPU time a request of each row, and a table of all.
//!
//! `QUICK=1` measures less (3 minutes in place of 12), `ROWS=small,post` some rows, and
//! `BINARY=before,after` other binaries than the one just built, beside each other. `ROUNDS` and
//! `ROUND_SECONDS` change the length. With the argument `memory` it is what clients cost in memory (see
//! [`memory`]). `cargo test` runs a short smoke of both.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

mod configs;
mod generator;
mod load;
mod memory;
mod options;
mod process;
mod proxies;
mod report;
mod rows;
mod table;
mod tls;

use options::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, address, rate, seconds] = arguments.as_slice()
        && command == generator::COMMAND
    {
        return generator::run(address, rate, seconds);
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let options = Options::read(!has("--bench"));
    raise_limit();
    if !has("memory") {
        compare(&options);
    }
    if has("memory") || options.is_smoke {
        memory::run(&options);
    }
}

fn compare(options: &Options) {
    report::heading(options);
    let mut bench = table::Bench::start(options);
    let mut all = Vec::new();
    for row in &options.rows {
        let measured = bench.measure(*row);
        report::details(&measured);
        let failed = measured.contenders.iter().flat_map(|of| &of.rounds).any(|round| round.failed > 0);
        assert!(!(options.is_smoke && failed), "requests failed");
        all.push(measured);
    }
    report::summary(&all, bench.contenders());
}

/// Ten thousand connections are in this process, and in those that it starts.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).expect("the soft limit may be raised to the hard one");
}
