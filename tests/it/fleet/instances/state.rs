//! One state: what is changed at one member is so at all, and stays so over restarts, with and without etcd.

use super::{Site, again, all_have, common, flip, in_step, is_ready};
use crate::harness::{Network, Pointsman, Relay, eventually};
use std::process::Command;
use std::time::Duration;

#[test]
fn a_change_at_one_is_in_effect_at_all() {
    let site = Site::new();
    let members = site.members(3);
    let [one, two, three] = &members[..] else { panic!("three") };
    flip(one, "green");
    assert_eq!(one.weight("green"), 100.0, "it is answered once it is so");
    println!("a flip is at all three {:?} after its answer", all_have(&[one, two, three], 100.0));
    let weights = two.call("PUT", "/v1/services/web/weights", r#"{"blue": 75, "green": 25}"#);
    assert_eq!(weights.status, 200, "{}", weights.text());
    all_have(&[one, two, three], 25.0);

    // One revision for all.
    in_step(&[one, two, three]);
    let seen = one.web()["revision"].as_u64().expect("a revision");
    let body = r#"{"blue": 50, "green": 50}"#;
    let asked = |member: &Pointsman, revision| {
        member.call_with("PUT", "/v1/services/web/weights", &format!("If-Match: \"{revision}\"\r\n"), body)
    };
    assert_eq!(asked(two, seen - 1).status, 412);
    assert_eq!(asked(three, seen).status, 200);
    all_have(&[one, two, three], 50.0);
    assert_eq!(asked(one, seen).status, 412);

    // One history.
    eventually("the histories are the same", || {
        let of = common(one);
        of.len() == 3 && of == common(two) && of == common(three)
    });
    let other = site.member("edge-4");
    in_step(&[one, &other]);
    assert_eq!(other.weight("green"), 50.0);
    eventually("it has the history", || common(&other) == common(one));
}

#[test]
fn who_comes_back_has_what_the_fleet_has() {
    let site = Site::new();
    let mut members = site.members(2);
    let (two, one) = (members.pop().expect("two"), members.pop().expect("one"));
    flip(&one, "green");
    all_have(&[&one, &two], 100.0);
    let dir = two.kill();
    flip(&one, "blue");
    let two = again(dir);
    assert_eq!(two.weight("green"), 0.0, "its first table has it");
    in_step(&[&one, &two]);
    eventually("it takes changes once its old lease is gone", || {
        two.call("PUT", "/v1/services/web/weights", r#"{"blue": 90, "green": 10}"#).status == 200
    });
    all_have(&[&one, &two], 10.0);
}

#[test]
fn without_etcd_a_start_gives_candidates_nothing() {
    let mut site = Site::new();
    let member = site.member("edge-1");
    eventually("it is ready", || is_ready(&member));
    let weights = member.call("PUT", "/v1/services/web/weights", r#"{"blue": 60, "green": 40}"#);
    assert_eq!(weights.status, 200, "{}", weights.text());
    site.cluster.kill(0);
    let refused = member.call("PUT", "/v1/services/web/weights", r#"{"blue": 50, "green": 50}"#);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("fleet's store"), "{}", refused.text());
    assert!(is_ready(&member), "losing etcd makes nobody unready");
    assert_eq!(member.weight("green"), 40.0);

    let member = again(member.kill());
    assert!(is_ready(&member), "what it knows is enough to serve");
    assert_eq!(member.weight("green"), 0.0);
    let newcomer = site.member("edge-2");
    assert_eq!(newcomer.get("/readyz").status, 503);
    assert!(newcomer.get("/readyz").text().contains("not heard"), "{}", newcomer.get("/readyz").text());
    site.cluster.restart(0);
    all_have(&[&member, &newcomer], 40.0);
    eventually("both are ready", || is_ready(&member) && is_ready(&newcomer));
}

#[test]
fn one_that_is_cut_off_serves_on_and_catches_up() {
    let site = Site::new();
    let relay = Relay::to(site.cluster.members[0].client);
    let (one, far) = (site.member("edge-1"), site.member_by("edge-2", &relay));
    in_step(&[&one, &far]);
    relay.set(Network::Silent);
    flip(&one, "green");
    let refused = far.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(far.weight("green"), 0.0);
    relay.set(Network::Whole);
    all_have(&[&far], 100.0);
    in_step(&[&one, &far]);
}

#[test]
fn two_processes_cannot_have_one_name() {
    let site = Site::new();
    let one = site.member("edge-1");
    eventually("it is ready", || is_ready(&one));
    let dir = tempfile::TempDir::new().expect("a directory");
    let text = crate::harness::whole(&site.config("edge-1", &site.cluster.endpoints()));
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(["run", "--config"]).arg(dir.path().join("pointsman.toml")).envs(super::ENV);
    let since = std::time::Instant::now();
    let printed = crate::harness::run(&mut command);
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.err.contains("another process is the member edge-1"), "{printed:?}");
    assert!(since.elapsed() > Duration::from_secs(2));
    flip(&one, "green");
}
