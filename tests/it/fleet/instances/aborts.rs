//! Aborts: any member's is in effect there at once, and everywhere soon after, etcd up or not.

use super::{Site, all_have, all_say, common, in_step, rollout};
use crate::harness::{Load, Network, Origin, Pointsman, Reaction, Relay, eventually};
use std::time::Instant;

/// Half of the traffic, for as long as nobody ends it.
const HALF: &str = r#"{"to": "green", "version": "v2", "strategy": "canary",
    "steps": [{"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;

fn failing() -> Origin {
    Origin::new(|_| Reaction::Answer(500, "broken".to_owned()))
}

fn abort(member: &Pointsman, id: &str) {
    let answer = member.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn an_operators_abort_is_one_everywhere() {
    let site = Site::new();
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[1].start_rollout(HALF);
    all_have(&all, 50.0);
    abort(all[2], &id);
    assert_eq!(all[2].weight("green"), 0.0);
    println!("an abort is at all three {:?} after its answer", all_have(&all, 0.0));
    all_say(&all, &id, "aborted");
    in_step(&all);
    eventually("one row of the abort", || {
        let rows: Vec<Vec<String>> = all.iter().map(|member| common(member)).collect();
        rows.windows(2).all(|pair| pair[0] == pair[1])
            && rows[0].iter().filter(|row| row.contains("aborted by")).count() == 1
    });
    // What has been aborted is barred at all of them.
    let refused = all[0].call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#);
    assert_eq!(refused.status, 409, "{}", refused.text());
}

#[test]
fn what_one_sees_of_a_candidate_ends_it_for_all() {
    let site = Site::of(failing());
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[0].start_rollout(HALF);
    all_have(&all, 50.0);
    // Only one of them has users.
    let load = Load::start(all[2].http(), 4);
    all_say(&all, &id, "aborted");
    let (_, failed, broken) = load.stop();
    assert_eq!(broken, 0);
    println!("all failing, users at one of three: {failed} failures until the abort");
    assert_eq!(super::weights(&all), [0.0; 3]);
    let why = rollout(all[0], &id)["reason"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("error rate"), "{why}");
}

/// It aborts what it knows is bad, and the others hear of it once they can.
#[test]
fn one_that_is_cut_off_aborts_for_itself_and_then_for_all() {
    let site = Site::new();
    let relay = Relay::to(site.cluster.members[0].client);
    let (one, far) = (site.member("edge-1"), site.member_by("edge-2", &relay));
    in_step(&[&one, &far]);
    let id = one.start_rollout(HALF);
    all_have(&[&one, &far], 50.0);
    relay.set(Network::Silent);
    let began = Instant::now();
    abort(&far, &id);
    let took = began.elapsed();
    assert_eq!(far.weight("green"), 0.0);
    assert_eq!(one.weight("green"), 50.0, "it cannot know yet");
    println!("cut off: an abort is answered after {took:?}");
    // Not by a restart either.
    relay.set(Network::Whole);
    let healed = Instant::now();
    all_have(&[&one, &far], 0.0);
    println!("healed: aborted everywhere after {:?}", healed.elapsed());
    all_say(&[&one, &far], &id, "aborted");
    in_step(&[&one, &far]);
}

#[test]
fn an_abort_without_etcd_outlives_the_process() {
    let mut site = Site::new();
    let member = site.member("edge-1");
    eventually("it is ready", || super::is_ready(&member));
    let id = member.start_rollout(HALF);
    all_have(&[&member], 50.0);
    site.cluster.kill(0);
    abort(&member, &id);
    // At once: what has been answered is kept.
    let member = super::again(member.kill());
    assert_eq!(member.weight("green"), 0.0);
    site.cluster.restart(0);
    let other = site.member("edge-2");
    all_say(&[&member, &other], &id, "aborted");
    in_step(&[&member, &other]);
    assert_eq!(super::weights(&[&member, &other]), [0.0; 2]);
}
