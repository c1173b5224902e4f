//! What all share beside weights: one verdict, maintenance, registered upstreams.

use super::{Site, all_have, all_say, in_step, rollout, weights};
use crate::harness::{Load, Origin, Pointsman, Reaction, eventually, median};

const HALF: &str = r#"{"to": "green", "strategy": "canary",
    "steps": [{"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;

/// Each alone would need as many failures as one does.
#[test]
fn a_candidate_that_fails_everywhere_ends_after_as_many_failures_as_at_one() {
    let site = Site::of(Origin::new(|_| Reaction::Answer(500, "broken".to_owned())));
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let mut failures = Vec::new();
    for _ in 0..5 {
        let id = all[0].start_rollout(HALF);
        all_have(&all, 50.0);
        let mut failed = 0_u64;
        eventually("it is aborted", || {
            let statuses = all.iter().map(|member| crate::harness::get(member.http(), "/").status);
            failed += statuses.filter(|status| *status == 500).count() as u64;
            all.iter().all(|member| rollout(member, &id)["phase"] == "aborted")
        });
        failures.push(failed);
        assert_eq!(weights(&all), [0.0; 3]);
        in_step(&all);
    }
    println!("always failing, users at all three: failures until the abort: {failures:?}");
    assert!(median(&failures) <= 12, "{failures:?}");
}

/// One failure in ten: too few at each of them alone, for long.
#[test]
fn what_is_little_at_each_is_enough_at_all() {
    let count = std::sync::atomic::AtomicU64::new(0);
    let site =
        Site::of(Origin::new(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 {
            0 => Reaction::Answer(500, "broken".to_owned()),
            _ => Reaction::ok("green"),
        }));
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[1].start_rollout(HALF);
    all_have(&all, 50.0);
    let loads: Vec<Load> = all.iter().map(|member| Load::start(member.http(), 1)).collect();
    all_say(&all, &id, "aborted");
    let failed: u64 = loads.into_iter().map(|load| load.stop().1).sum();
    println!("one in ten, users at all three: {failed} failures until the abort");
    let why = rollout(all[0], &id)["reason"].to_string();
    assert!(why.contains("error rate"), "{why}");
}

#[test]
fn maintenance_is_one_for_all() {
    let site = Site::new();
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let switch = |member: &Pointsman, body: &str| {
        let answer = member.call("PUT", "/v1/maintenance", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let is_on = |member: &Pointsman| crate::harness::get(member.http(), "/").status == 503;
    switch(all[0], r#"{"status": "maintenance", "duration_minutes": 30}"#);
    assert!(is_on(all[0]));
    eventually("it is on everywhere", || all.iter().all(|member| is_on(member)));
    let late = site.member("edge-4");
    eventually("it is on at a newcomer", || is_on(&late));
    switch(all[2], r#"{"status": "operational"}"#);
    eventually("it is over everywhere", || all.iter().all(|member| !is_on(member)) && !is_on(&late));
    eventually("one history of it", || {
        let rows = super::common(all[1]);
        rows.iter().filter(|row| row.contains("maintenance")).count() == 2 && rows == super::common(&late)
    });
}

#[test]
fn registered_upstreams_are_so_at_all() {
    let site = Site::new();
    let other = Origin::named("other");
    let members = site.members(2);
    let body = format!("{{\"upstreams\": [\"{}\"]}}", other.address);
    let answer = members[0].call("PUT", "/v1/services/web/pools/green/upstreams", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let has = |member: &Pointsman| {
        member.web()["pools"]["green"]["upstreams"][0]["address"] == other.address.to_string()
            && member.web()["pools"]["green"]["upstreams"][0]["state"] == "ready"
    };
    eventually("both have it", || members.iter().all(has));
    super::flip(&members[1], "green");
    let served = |member: &Pointsman| crate::harness::get(member.http(), "/").text() == "other";
    eventually("both lead there", || members.iter().all(served));
}
