//! How long changes stand still while a member of etcd stalls, or its leader is killed.

use super::harness::eventually;
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, set_green};
use super::watchers::Watchers;
use std::time::{Duration, Instant};

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let mut fleet = Fleet::start(count);
        let runs = options.runs(5).min(10);
        let stalled: Vec<Duration> = (0..2 * runs).map(|run| stalled(&fleet, run)).collect();
        report.longest("a member of etcd stalls, until a change is everywhere", count, &stalled, 1.2);
        let killed: Vec<[Duration; 2]> = (0..runs).map(|run| killed(&mut fleet, 40 + run)).collect();
        let after = killed.iter().map(|[led, changed]| changed.saturating_sub(*led)).collect::<Vec<_>>();
        let killed: Vec<Duration> = killed.into_iter().map(|[_, changed]| changed).collect();
        report.longest("etcd's leader is killed, until a change is everywhere", count, &killed, 2.0);
        report.longest("of that, after etcd had another leader", count, &after, 0.5);
    }
}

/// One that does not lead: another one each time, since not all members of the fleet are with the same.
fn stalled(fleet: &Fleet, run: usize) -> Duration {
    let other = (fleet.etcd_leader() + 1 + run % 2) % fleet.cluster.members.len();
    let since = Instant::now();
    fleet.cluster.stop(other);
    let took = until_changed(fleet, 10 + run, since);
    fleet.cluster.go_on(other);
    fleet.in_step();
    took
}

/// Until etcd has another leader, and until a change is everywhere.
fn killed(fleet: &mut Fleet, green: usize) -> [Duration; 2] {
    let leader = fleet.etcd_leader();
    let since = Instant::now();
    fleet.cluster.kill(leader);
    let (took, led) = std::thread::scope(|scope| {
        let led = scope.spawn(|| {
            fleet.etcd_leader();
            since.elapsed()
        });
        (until_changed(fleet, green, since), led.join().expect("etcd has a leader"))
    });
    fleet.cluster.restart(leader);
    fleet.in_step();
    [led, took]
}

/// All members are asked in turn, as CI would that reaches any.
fn until_changed(fleet: &Fleet, green: usize, since: Instant) -> Duration {
    let watchers = Watchers::of(&fleet.members);
    let mut members = fleet.members.iter().cycle();
    eventually("a change is taken", || members.next().is_some_and(|member| set_green(member, green)));
    watchers.all(green as f64).saturating_duration_since(since)
}
