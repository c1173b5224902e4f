//! How soon weights that were set at one instance are in effect at all.

use super::harness::{Pointsman, eventually};
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, set_green};
use super::watchers::Watchers;
use std::time::{Duration, Instant};

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let fleet = Fleet::start(count);
        let watchers = Watchers::of(&fleet.members);
        std::thread::sleep(PAUSE);
        let took: Vec<Duration> =
            (0..options.runs(200)).map(|run| step(&fleet.members[run % count], run, &watchers)).collect();
        report.times("weights set at one, to the last table", count, &took, (10.0, 100.0));
        joins(&fleet, report);
    }
}

/// From the call to the last table.
fn step(member: &Pointsman, run: usize, watchers: &Watchers) -> Duration {
    std::thread::sleep(PAUSE);
    watchers.forget();
    let green = 10 + run % 50;
    let since = Instant::now();
    assert!(set_green(member, green), "weights are set");
    watchers.all(green as f64).saturating_duration_since(since)
}

/// The first requests of an instance that joins go by the current weights.
fn joins(fleet: &Fleet, report: &mut Report) {
    assert!(set_green(&fleet.members[0], 100), "weights are set");
    let late = fleet.member("edge-late", &fleet.cluster.endpoints());
    let count = 20;
    let other = (0..count).filter(|_| super::harness::get(late.http(), "/").text() != "green").count();
    report.figure(
        "a joining instance: requests by old weights",
        fleet.members.len() + 1,
        (other as f64, "requests"),
        0.0,
    );
}
