//! What can go wrong: a store that is gone for a while, wiped or stopped; processes that are stopped, or replaced.

use super::{Site, all_have, all_say, flip, in_step, leader, weights};
use crate::harness::{Load, Pointsman, eventually};
use std::time::Instant;

#[test]
fn a_wiped_store_moves_no_weights() {
    let mut site = Site::new();
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    let set = all[0].call("PUT", "/v1/services/web/weights", r#"{"blue": 70, "green": 30}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    all_have(&all, 30.0);
    site.cluster.wipe(0);
    site.cluster.restart(0);
    eventually("the store has it again", || {
        assert_eq!(weights(&all), [30.0; 2]);
        let set = all[1].call("PUT", "/v1/services/web/weights", r#"{"blue": 60, "green": 40}"#);
        set.status == 200
    });
    all_have(&all, 40.0);
    in_step(&all);
}

#[test]
fn nobody_notices_that_the_store_is_gone_for_a_while() {
    let mut site = Site::new();
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    flip(all[0], "green");
    all_have(&all, 100.0);
    let loads: Vec<Load> = all.iter().map(|member| Load::start(member.http(), 2)).collect();
    site.cluster.kill(0);
    let good = loads[0].good();
    eventually("they serve on", || loads[0].good() > good + 2_000);
    assert!(all.iter().all(|member| super::is_ready(member)));
    site.cluster.restart(0);
    let since = Instant::now();
    eventually("changes are taken again", || {
        all[1].call("PUT", "/v1/services/web/weights", r#"{"blue": 50, "green": 50}"#).status == 200
    });
    all_have(&all, 50.0);
    println!("etcd is back: in step after {:?}", since.elapsed());
    for load in loads {
        let (_, failed, broken) = load.stop();
        assert_eq!((failed, broken), (0, 0));
    }
}

/// Whatever it had decided before counts no more.
#[test]
fn a_leader_that_was_stopped_writes_nothing_when_it_goes_on() {
    let mut site = Site::new();
    site.more = "[services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\n".to_owned();
    let members = site.members(2);
    let name = leader(&site);
    let number: usize = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
    let (stopped, other) = (&members[number - 1], &members[2 - number]);
    let body = r#"{"to": "green", "strategy": "canary",
        "steps": [{"weight": 10, "hold": "4s"}, {"weight": 100, "hold": "0s"}]}"#;
    let id = other.start_rollout(body);
    all_have(&[stopped, other], 10.0);
    stopped.signal("STOP");
    eventually("the other one leads", || leader(&site) != name);
    let answer = other.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    stopped.signal("CONT");
    all_say(&[stopped, other], &id, "aborted");
    in_step(&[stopped, other]);
    assert_eq!(weights(&[stopped, other]), [0.0; 2]);
}

#[test]
fn an_upgrade_hands_the_members_part_over() {
    let site = Site::new();
    let mut members = site.members(2);
    let set = members[0].call("PUT", "/v1/services/web/weights", r#"{"blue": 70, "green": 30}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    let load = Load::start(members[0].http(), 2);
    let upgraded = members[0].upgrade();
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    let since = Instant::now();
    eventually("the new process takes changes", || {
        members[0].call("PUT", "/v1/services/web/weights", r#"{"blue": 80, "green": 20}"#).status == 200
    });
    println!("upgraded: changes are taken after {:?}", since.elapsed());
    all_have(&[&members[0], &members[1]], 20.0);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}
