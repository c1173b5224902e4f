//! What can go wrong: a store that is gone for a while, wiped or stopped; processes that are stopped, or replaced.

use super::{Site, all_have, all_say, flip, in_step, leader, rollout, weights};
use crate::harness::{EtcdCluster, Load, Pointsman, eventually};
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

/// A store without room takes no tombstone, but a delete.
#[test]
fn an_abort_passes_where_the_store_is_full() {
    let mut site = Site::new();
    site.cluster = EtcdCluster::start_with(1, None, &["--quota-backend-bytes", "1048576"]);
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[0].start_rollout(
        r#"{"to": "green", "strategy": "canary", "steps": [{"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#,
    );
    all_have(&all, 50.0);
    let value = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "x".repeat(60_000));
    let mut number = 0;
    eventually("it is full", || {
        number += 1;
        let body = serde_json::json!({ "key": key(&format!("../other/{number}")), "value": value });
        site.cluster.asked("/v3/kv/put", &body).to_string().contains("space exceeded")
    });
    let answer = all[1].call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    all_have(&all, 0.0);
    all_say(&all, &id, "aborted");
    let refused = all[0].call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#);
    assert!(matches!(refused.status, 503 | 409), "{}", refused.text());
}

/// A key of the fleet, for the gateway.
fn key(rest: &str) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("pointsman/{rest}"))
}

#[test]
fn a_document_that_is_damaged_or_deleted_changes_nothing_in_effect() {
    let site = Site::new();
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    flip(all[0], "green");
    all_have(&all, 100.0);
    let value = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "no JSON");
    let put = serde_json::json!({ "key": key("services/web"), "value": value });
    site.cluster.gateway("/v3/kv/put", &put);
    eventually("it is said", || {
        let refused = all[1].call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#);
        refused.status == 503 && refused.text().contains("services/web cannot be read")
    });
    assert_eq!(weights(&all), [100.0; 2]);
    // The remedy: without it, each member puts back what it has.
    site.cluster.gateway("/v3/kv/deleterange", &serde_json::json!({ "key": key("services/web") }));
    eventually("changes are taken again", || {
        assert_eq!(all[0].weight("green"), 100.0);
        all[1].call("PUT", "/v1/services/web/weights", r#"{"blue": 5, "green": 95}"#).status == 200
    });
    all_have(&all, 95.0);

    // Somebody deletes the whole of it.
    let end = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "pointsman0");
    let range = serde_json::json!({ "key": key(""), "range_end": end });
    site.cluster.gateway("/v3/kv/deleterange", &range);
    eventually("the fleet is there again", || {
        assert_eq!(weights(&all), [95.0; 2]);
        all[0].call("PUT", "/v1/services/web/weights", r#"{"blue": 50, "green": 50}"#).status == 200
    });
    all_have(&all, 50.0);
    in_step(&all);
}

#[test]
fn one_with_another_configuration_or_secret_holds_or_stays_outside() {
    let mut site = Site::new();
    site.more = "[services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\n".to_owned();
    let one = site.member("edge-1");
    eventually("it leads", || super::is_ready(&one) && leader(&site) == "edge-1");
    let endpoints = site.cluster.endpoints();
    let other = site.config("edge-2", &endpoints).replace("\"1%\"", "\"2%\"");
    let other = Pointsman::start_told(&other, &super::ENV);
    in_step(&[&one, &other]);
    let id = one.start_rollout(
        r#"{"to": "green", "strategy": "canary", "steps": [{"weight": 10, "hold": "0s"}, {"weight": 100, "hold": "0s"}]}"#,
    );
    eventually("it says why it holds", || {
        rollout(&one, &id).to_string().contains("edge-2 has another configuration")
    });
    assert_eq!(weights(&[&one, &other]), [0.0; 2]);
    // The other one is given the same.
    other.configure(&site.config("edge-2", &endpoints));
    let reloaded = other.call("POST", "/v1/reload", "");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    all_say(&[&one, &other], &id, "promoted");

    let stranger = "another-secret-that-is-long-enough-to-be-one";
    let stranger = Pointsman::start_told(&site.config("edge-3", &endpoints), &[("FLEET_SECRET", stranger)]);
    all_have(&[&stranger], 100.0);
    let refused = stranger.call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#);
    assert!(refused.status == 503 && refused.text().contains("another secret"), "{}", refused.text());
}
