//! How soon the failure that decides takes the candidate's traffic away: at all instances, and at one that knows by
//! itself, with etcd and without.
//!
//! Failures come one by one here, each once the one before has had its effect, so that it is known which one decided.

use super::harness::{Connection, Pointsman};
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, start_rollout};
use super::watchers::Watchers;
use std::time::{Duration, Instant};

/// Nearly all of the traffic.
const MOST: &str = r#"{"to": "green", "strategy": "canary",
    "steps": [{"weight": 99, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;
/// After a failure that did not decide.
const PAUSE: Duration = Duration::from_millis(120);

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let fleet = Fleet::start(count);
        fleet.green.fail(1000);
        let watchers = Watchers::of(&fleet.members);
        let all: Vec<_> = fleet.members.iter().collect();
        let took: Vec<Duration> = (0..options.runs(40)).map(|_| decided(&fleet, &all, &watchers)).collect();
        report.times("deciding failure to the last table", count, &took, (15.0, 100.0));
    }
    let fleet = Fleet::start(options.sizes[0]);
    fleet.green.fail(1000);
    for (what, with_etcd) in [("own knowledge to own table", true), ("the same, etcd stopped", false)] {
        let took: Vec<Duration> = (0..options.runs(20)).filter_map(|_| alone(&fleet, with_etcd)).collect();
        report.times(what, options.sizes[0], &took, (2.0, 2.0));
    }
}

/// From the failure that decides to the last table; users are at these members in turn.
fn decided(fleet: &Fleet, users_at: &[&Pointsman], watchers: &Watchers) -> Duration {
    watchers.forget();
    start_rollout(&fleet.members[0], MOST);
    watchers.all(99.0);
    std::thread::sleep(PAUSE);
    let mut doors: Vec<_> = users_at.iter().map(|member| Connection::open(member.http())).collect();
    loop {
        for door in &mut doors {
            // Users are answered by stable.
            let before = fleet.green.failures();
            door.get("/");
            if fleet.green.failures() == before {
                continue;
            }
            let failed_at = fleet.green.failed_at();
            if let Some(last) = watchers.last(0.0, PAUSE) {
                fleet.in_step();
                return last.saturating_duration_since(failed_at);
            }
        }
    }
}

/// All users are at one member: from the failure that decides to its table, as the history has it. `None` where a tick was
/// first, which knows of no deciding failure.
fn alone(fleet: &Fleet, with_etcd: bool) -> Option<Duration> {
    let member = &fleet.members[0];
    let id = start_rollout(member, MOST);
    Watchers::of(&fleet.members).all(99.0);
    let stopped = || (0..fleet.cluster.members.len()).filter(|_| !with_etcd);
    stopped().for_each(|number| fleet.cluster.stop(number));
    let mut door = Connection::open(member.http());
    let until = Instant::now() + Duration::from_secs(20);
    while member.weight("green") != 0.0 {
        assert!(Instant::now() < until, "it is never aborted");
        door.get("/");
    }
    stopped().for_each(|number| fleet.cluster.go_on(number));
    fleet.in_step();
    let mut row = None;
    super::harness::eventually("the row is written", || {
        let rows = member.history();
        row = rows.into_iter().find(|row| row["action"] == "aborted" && row["rollout"] == id.as_str());
        row.is_some()
    });
    row?["figures"]["reaction_ms"].as_f64().map(|ms| Duration::from_secs_f64(ms / 1000.0))
}
