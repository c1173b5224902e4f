//! How many requests a bad candidate fails before it is off at all instances, whose users are spread over them.

use super::harness::eventually;
use super::load::Load;
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, HALF, start_rollout};

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let fleet = Fleet::start(count);
        let load = Load::start(&fleet.doors());
        for (what, per_mille, must) in [
            ("always failing: failures until off", 1000, (8, Some(10))),
            ("10 % failing: failures until off", 100, (20, None)),
        ] {
            let runs = options.runs(50);
            let failures: Vec<u64> = (0..runs).map(|run| until_off(&fleet, per_mille, run % count)).collect();
            report.counts(what, count, &failures, must);
        }
        load.stop();
    }
}

/// One rollout, asked of this member.
fn until_off(fleet: &Fleet, per_mille: u64, asked: usize) -> u64 {
    fleet.green.fail(per_mille);
    let before = fleet.green.failures();
    let member = &fleet.members[asked];
    let id = start_rollout(member, HALF);
    let ended = member.ended(&id);
    assert_eq!(ended["outcome"], "aborted", "{ended}");
    eventually("it is off at all", || fleet.members.iter().all(|member| member.weight("green") == 0.0));
    fleet.in_step();
    fleet.green.failures() - before
}
