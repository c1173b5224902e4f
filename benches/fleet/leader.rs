//! How soon another instance leads, and whether one that was stopped writes anything once it goes on.

use super::harness::eventually;
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, start_rollout};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The leader is stopped for so long: twice its lease.
const STOPPED: Duration = Duration::from_secs(10);
/// A rollout that goes on while the leader changes.
const STEPS: &str = r#"{"to": "green", "strategy": "canary", "steps": [{"weight": 10, "hold": "1s"},
    {"weight": 20, "hold": "1s"}, {"weight": 30, "hold": "1s"}, {"weight": 40, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let mut fleet = Fleet::start(count);
        let runs = options.runs(3).min(5);
        let killed: Vec<Duration> = (0..runs).map(|_| killed(&mut fleet)).collect();
        report.longest("leader killed, until another leads", count, &killed, 6.5);
        let ended: Vec<Duration> = (0..runs).map(|_| ended(&mut fleet)).collect();
        report.longest("leader ended by SIGTERM, until another leads", count, &ended, 0.5);
        stopped(&fleet, report);
    }
}

fn killed(fleet: &mut Fleet) -> Duration {
    let leader = fleet.leader();
    let since = Instant::now();
    let dir = fleet.members.remove(leader).kill();
    let took = until_another_leads(fleet, leader, 0, since);
    fleet.members.insert(leader, Fleet::again(dir));
    fleet.in_step();
    took
}

fn ended(fleet: &mut Fleet) -> Duration {
    let leader = fleet.leader();
    let since = Instant::now();
    fleet.members[leader].signal("TERM");
    let took = until_another_leads(fleet, leader, usize::from(leader == 0), since);
    let mut former = fleet.members.remove(leader);
    let status = former.first_ended();
    assert!(status.success(), "{status}");
    fleet.members.insert(leader, Fleet::again(former.kill()));
    fleet.in_step();
    took
}

/// As a member that is there says; `other` is its number among those that are left.
fn until_another_leads(fleet: &Fleet, former: usize, other: usize, since: Instant) -> Duration {
    eventually("another leads", || fleet.leader_at(other).is_some_and(|leader| leader != former));
    since.elapsed()
}

/// In the midst of a rollout.
fn stopped(fleet: &Fleet, report: &mut Report) {
    let (count, leader) = (fleet.members.len(), fleet.leader());
    let id = start_rollout(&fleet.members[0], STEPS);
    eventually("it has begun", || fleet.members[leader].weight("green") >= 10.0);
    let since = Instant::now();
    fleet.members[leader].signal("STOP");
    let took = until_another_leads(fleet, leader, usize::from(leader == 0), since);
    report.longest("leader stopped, until another leads", count, &[took], 6.5);
    std::thread::sleep(STOPPED.saturating_sub(since.elapsed()));
    fleet.members[leader].signal("CONT");
    eventually("all have the last step", || {
        fleet.members.iter().all(|member| member.weight("green") == 40.0)
    });
    fleet.in_step();
    let mut twice = 0;
    for member in &fleet.members {
        let rows = member.history();
        let rows: Vec<_> = rows.iter().filter(|row| row["rollout"] == id.as_str()).collect();
        let texts: BTreeSet<_> = rows.iter().map(|row| row["text"].to_string()).collect();
        twice += rows.len() - texts.len();
    }
    report.figure("and went on after 10 s: transitions written twice", count, (twice as f64, "rows"), 0.0);
    super::site::abort(&fleet.members[0], &id);
    fleet.in_step();
}
