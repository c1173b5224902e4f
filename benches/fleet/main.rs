//! The figures of a fleet: real instances over a real etcd of three members, on this machine.
//!
//! `make fleet-figures`; `ROWS=verdict,steps` measures some rows, `SIZES=3,10` names the numbers of instances, `RUNS=50`
//! that of runs where there are several, `OUTAGE=60` the seconds without etcd; `QUICK=1` is shorter, and
//! `FLEET_BINARY=FILE` another build of pointsman (of before a change, say). Each figure stands beside what must be
//! reached. `cargo test` runs a short smoke. All load is open and bounded: a hundred requests a second in all, of which
//! half go to the candidate.

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

mod cost;
mod keys;
mod leader;
mod load;
mod options;
mod outage;
mod partition;
mod reaction;
mod report;
mod site;
mod stalled;
mod steps;
mod verdict;
mod watchers;

use options::Options;
use report::Report;

type Row = (&'static str, fn(&Options, &mut Report));

/// The rows by their names.
const ROWS: [Row; 9] = [
    ("verdict", verdict::run),
    ("reaction", reaction::run),
    ("steps", steps::run),
    ("leader", leader::run),
    ("etcd", stalled::run),
    ("outage", outage::run),
    ("partition", partition::run),
    ("keys", keys::run),
    ("cost", cost::run),
];

fn main() {
    let options =
        Options::read(!std::env::args().any(|argument| argument == "--bench"), &ROWS.map(|(name, _)| name));
    let mut report = Report::begin();
    for (name, run) in ROWS {
        if options.has(name) {
            run(&options, &mut report);
        }
    }
    report.print();
}
