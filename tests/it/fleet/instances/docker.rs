//! `[docker]` at members with a Docker each: the containers are each member's own, weights and rollouts are the fleet's.

use super::{ENV, Site, all_have, all_say, in_step, leader, rollout};
use crate::harness::{Docker, Origin, Pointsman, eventually, get, whole};
use std::process::Command;
use tempfile::TempDir;

/// A file for all members: the socket lies in the folder that each runs in.
const MORE: &str = "[docker]\nsocket = \"/proc/self/cwd/docker.sock\"\n\
    [services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\nsteps = [{ weight = 100 }]\n";

fn member(site: &Site, name: &str, docker: &Docker) -> Pointsman {
    let (blue, green) = (site.blue.address.to_string(), site.green.address.to_string());
    let check = "health = { path = \"/health\", interval = \"20ms\", timeout = \"1s\" }";
    let config = site
        .config(name, &site.cluster.endpoints())
        .replace(&format!("upstreams = [\"{blue}\"]"), check)
        .replace(&format!("upstreams = [\"{green}\"]"), check);
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(&config)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.current_dir(docker.socket().parent().expect("a folder")).envs(ENV);
    Pointsman::start_by(&mut command, dir)
}

#[test]
fn each_member_serves_by_its_own_containers_and_a_rollout_waits_for_all() {
    let site = Site { more: MORE.to_owned(), ..Site::new() };
    let dockers = [Docker::start(), Docker::start()];
    let [blue_1, blue_2, green_1, green_2] = ["blue-1", "blue-2", "green-1", "green-2"].map(Origin::named);
    dockers[0].runs("aa", "web-blue", "blue", blue_1.address);
    dockers[1].runs("bb", "web-blue", "blue", blue_2.address);
    let (one, two) = (member(&site, "edge-1", &dockers[0]), member(&site, "edge-2", &dockers[1]));
    let all = [&one, &two];
    in_step(&all);
    let served = |member: &Pointsman| get(member.http(), "/").text();
    eventually("each serves its own", || served(&one) == "blue-1" && served(&two) == "blue-2");
    dockers[0].runs("ca", "web-green", "green", green_1.address);
    let ready = |member: &Pointsman| member.web()["pools"]["green"]["upstreams"][0]["state"] == "ready";
    eventually("the new version is up on one machine", || ready(&one));
    let id = one.start_rollout("{\"strategy\": \"canary\", \"to\": \"green\"}");
    eventually("it is seen at the other", || rollout(&two, &id)["phase"] == "preparing");
    assert_eq!((one.weight("green"), two.weight("green")), (0.0, 0.0), "it waits for the other machine");
    dockers[1].runs("cb", "web-green", "green", green_2.address);
    all_say(&all, &id, "promoted");
    all_have(&all, 100.0);
    eventually("each serves its own", || served(&one) == "green-1" && served(&two) == "green-2");
    // Another leader sees other containers; nothing moves by that.
    assert_eq!(leader(&site), "edge-1");
    drop(one);
    eventually("the other leads", || leader(&site) == "edge-2");
    eventually("it has written its containers", || {
        two.history()
            .iter()
            .any(|row| row["actor"] == "docker" && row["text"].to_string().contains("web-green"))
    });
    assert_eq!((two.weight("green"), &*served(&two)), (100.0, "green-2"));
}
