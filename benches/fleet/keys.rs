//! All instances are asked for a rollout by one key, at the same moment.

use super::options::Options;
use super::report::Report;
use super::site::{Fleet, HALF, abort};
use std::collections::BTreeSet;
use std::sync::Barrier;

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        let fleet = Fleet::start(count);
        let runs = options.runs(100);
        let others: usize = (0..runs).map(|run| started(&fleet, run) - 1).sum();
        let what = format!("one key at all at once, {runs} times: rollouts too many");
        report.figure(&what, count, (others as f64, "rollouts"), 0.0);
    }
}

/// How many rollouts have begun.
fn started(fleet: &Fleet, run: usize) -> usize {
    let key = format!("Idempotency-Key: deploy-{run}\r\n");
    let together = Barrier::new(fleet.members.len());
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let ask = |member: &super::harness::Pointsman| {
            together.wait();
            let answer = member.call_with("POST", "/v1/services/web/rollouts", &key, HALF);
            assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text());
            answer.json()["id"].as_str().expect("an id").to_owned()
        };
        let asked: Vec<_> = fleet.members.iter().map(|member| scope.spawn(move || ask(member))).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let id = ids.first().expect("an id");
    let listed = fleet.members[0].get("/v1/services/web/rollouts?limit=500").json();
    let begun = listed["rollouts"].as_array().map(Vec::len).unwrap_or_default();
    abort(&fleet.members[run % fleet.members.len()], id);
    fleet.in_step();
    ids.len().max(begun - run.min(begun - 1))
}
