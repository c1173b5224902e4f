//! Who leads: one advances and promotes, and another goes on after it.

use super::{Site, again, all_have, all_say, common, in_step, leader, rollout};
use crate::harness::{Network, Pointsman, Relay, eventually};
use serde_json::Value;
use std::time::Instant;

const SHORT: &str = r#"{"to": "green", "version": "v2", "strategy": "canary",
    "steps": [{"weight": 20, "hold": "300ms"}, {"weight": 60, "hold": "300ms"}, {"weight": 100, "hold": "0s"}]}"#;
const EAGER: &str = "[services.web.rollout]\nmin_attempts = 0\nbake = \"300ms\"\n";

fn eager() -> Site {
    Site { more: EAGER.to_owned(), ..Site::new() }
}

#[test]
fn a_rollout_that_was_asked_of_anybody_is_promoted_at_all_once() {
    let site = eager();
    let members = site.members(3);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[2].start_rollout(SHORT);
    all_say(&all, &id, "promoted");
    in_step(&all);
    for member in &all {
        let web = member.web();
        assert_eq!((web["stable"].as_str(), web["previous"].as_str()), (Some("green"), Some("blue")));
    }
    assert_eq!(super::weights(&all), [100.0; 3]);
    eventually("one history, each row once", || {
        let rows: Vec<Vec<String>> = all.iter().map(|member| common(member)).collect();
        let promoted = |rows: &Vec<String>| rows.iter().filter(|row| row.contains("the bake passed")).count();
        rows.windows(2).all(|pair| pair[0] == pair[1]) && promoted(&rows[0]) == 1
    });
    let shown = rollout(all[0], &id);
    assert_eq!(shown["outcome"], "promoted", "{shown}");
}

#[test]
fn another_goes_on_where_the_leader_was_killed() {
    let site = eager();
    let mut members = site.members(3);
    let steps = r#"{"to": "green", "strategy": "canary",
        "steps": [{"weight": 20, "hold": "3s"}, {"weight": 100, "hold": "0s"}]}"#;
    let id = members[0].start_rollout(steps);
    all_have(&members.iter().collect::<Vec<_>>(), 20.0);
    let name = leader(&site);
    let number: usize = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
    let dead = members.remove(number - 1).kill();
    let since = Instant::now();
    eventually("another leads", || leader(&site) != name);
    println!("kill -9 of the leader: another leads after {:?}, of a lease of 2 s", since.elapsed());
    let rest: Vec<&Pointsman> = members.iter().collect();
    eventually("it holds while one is missing", || {
        rest.iter()
            .any(|member| rollout(member, &id)["verdict"].to_string().contains("has not been heard of"))
    });
    assert_eq!(super::weights(&rest), [20.0; 2]);
    let back = again(dead);
    let all = [&[&back], &rest[..]].concat();
    all_say(&all, &id, "promoted");
    assert_eq!(super::weights(&all), [100.0; 3]);
}

#[test]
fn who_is_told_to_stop_gives_the_lead_up_at_once() {
    let site = eager();
    let mut members = site.members(2);
    let name = leader(&site);
    let number: usize = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
    let one = members.remove(number - 1);
    let since = Instant::now();
    let (status, dir) = std::thread::scope(|scope| {
        let ended = scope.spawn(|| one.terminate());
        eventually("another leads", || leader(&site) != name);
        println!("SIGTERM: another leads after {:?}", since.elapsed());
        ended.join().expect("it ends")
    });
    assert!(status.success());
    let back = again(dir);
    in_step(&[&back, &members[0]]);
}

#[test]
fn nothing_goes_on_while_one_is_missing() {
    let site = eager();
    let relay = Relay::to(site.cluster.members[0].client);
    let (one, far) = (site.member("edge-1"), site.member_by("edge-2", &relay));
    in_step(&[&one, &far]);
    relay.set(Network::Silent);
    eventually("one leads", || leader(&site) == "edge-1");
    let id = one.start_rollout(SHORT);
    let says = |what: &str| rollout(&one, &id).to_string().contains(what);
    eventually("it says whom it waits for", || says("edge-2 has not been heard of"));
    assert_eq!(one.weight("green"), 0.0);
    relay.set(Network::Whole);
    all_say(&[&one, &far], &id, "promoted");
}

#[test]
fn one_key_starts_one_rollout_wherever_it_is_asked() {
    let site = Site::new();
    let members = site.members(3);
    let body = r#"{"to": "green", "strategy": "canary", "steps": [{"weight": 10, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;
    for round in 0..5 {
        let key = format!("Idempotency-Key: deploy-{round}\r\n");
        let ids: Vec<Value> = std::thread::scope(|scope| {
            let ask = |member: &Pointsman| {
                let answer = member.call_with("POST", "/v1/services/web/rollouts", &key, body);
                assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text());
                answer.json()["id"].clone()
            };
            let asked: Vec<_> = members.iter().map(|member| scope.spawn(move || ask(member))).collect();
            asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        let id = ids[0].as_str().expect("an id");
        let answer = members[1].call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        all_say(&members.iter().collect::<Vec<_>>(), id, "aborted");
        in_step(&members.iter().collect::<Vec<_>>());
    }
}
