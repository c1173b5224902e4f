//! All of etcd is gone for a while, under load and in the midst of a rollout.

use super::harness::eventually;
use super::load::Load;
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, abort, start_rollout};
use std::time::{Duration, Instant};

/// It would go on each second.
const STEPS: &str = r#"{"to": "green", "strategy": "canary", "steps": [{"weight": 10, "hold": "1s"},
    {"weight": 20, "hold": "2s"}, {"weight": 100, "hold": "0s"}]}"#;

pub(super) fn run(options: &Options, report: &mut Report) {
    let count = options.largest();
    let mut fleet = Fleet::start(count);
    let load = Load::start(&fleet.doors());
    let id = start_rollout(&fleet.members[0], STEPS);
    let have = |fleet: &Fleet, green: f64| fleet.members.iter().all(|member| member.weight("green") == green);
    eventually("it has begun", || have(&fleet, 10.0));
    let etcd = fleet.cluster.members.len();
    (0..etcd).for_each(|number| fleet.cluster.kill(number));
    let until = Instant::now() + options.outage;
    // What was under way when it went may have taken effect.
    std::thread::sleep(Duration::from_secs(1));
    let shown: Vec<f64> = fleet.members.iter().map(|member| member.weight("green")).collect();
    let mut advances = 0;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(500));
        let now = fleet.members.iter().map(|member| member.weight("green"));
        advances += now.zip(&shown).filter(|(now, then)| now != *then).count();
    }
    let since = Instant::now();
    abort(&fleet.members[1], &id);
    assert_eq!(fleet.members[1].weight("green"), 0.0, "a local abort");
    let aborted = since.elapsed();
    let since = Instant::now();
    (0..etcd).for_each(|number| fleet.cluster.restart(number));
    fleet.etcd_leader();
    let led = Instant::now();
    eventually("it is aborted everywhere", || have(&fleet, 0.0));
    fleet.in_step();
    let in_step = led.elapsed();
    let (requests, failed) = load.stop();
    let what = format!("etcd gone for {} s, {requests} requests: failed ones", options.outage.as_secs());
    report.figure(&what, count, (failed as f64, "requests"), 0.0);
    report.figure("advances meanwhile", count, (f64::from(u32::from(advances > 0)), "advances"), 0.0);
    report.longest("an abort meanwhile, at the member asked", count, &[aborted], 0.1);
    report.longest("aborted and in step everywhere, once etcd has a leader", count, &[in_step], 2.0);
    println!("  {:.2} s after its three members were started", since.elapsed().as_secs_f64());
}
