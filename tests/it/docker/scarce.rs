//! `[docker]` where this process has no descriptors left, or Docker cannot say which containers there are.

use super::super::harness::{Docker, Load, Origin, Pointsman, eventually};
use super::{becomes, config};
use std::process::Command;

/// The soft limit of its open files; the hard one stays, so that no root is needed to raise it again.
fn limit(pointsman: &Pointsman, descriptors: u64) {
    let pid = pointsman.pid().to_string();
    let limit = format!("--nofile={descriptors}:");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(status.expect("prlimit is there").success());
}

/// Requests of clients, without checks.
fn served(origin: &Origin) -> usize {
    origin.all().iter().filter(|request| request.path() != "/health").count()
}

/// Three origins, of which the first two run as containers and are ready.
fn two_of_three() -> (Docker, Pointsman, [Origin; 3]) {
    let docker = Docker::start();
    let origins = ["first", "second", "third"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", origins[0].address);
    docker.runs("bb", "web-2", "blue", origins[1].address);
    let pointsman = Pointsman::start(&config(&docker, ""));
    becomes(&pointsman, "blue", "aa ready, bb ready");
    (docker, pointsman, origins)
}

/// What ends is taken out all the same, and all is in step once there are descriptors again.
#[test]
fn without_descriptors_events_are_followed_and_what_was_missed_is_caught_up() {
    let (docker, pointsman, [first, second, third]) = two_of_three();
    // One client: its worker has a connection to either, and needs no other.
    let load = Load::start(pointsman.http(), 1);
    eventually("both serve", || served(&first).min(served(&second)) > 100);
    limit(&pointsman, 3);
    docker.runs("cc", "web-3", "blue", third.address);
    eventually("it says why", || pointsman.log().contains("Docker does not list its containers"));
    docker.kill("bb", "15");
    let before = load.good();
    eventually("requests under way end", || load.good() > before + 100);
    let (before, of_second) = (load.good(), served(&second));
    eventually("requests go on", || load.good() > before + 500);
    assert_eq!(served(&second), of_second, "the signal was heard");
    limit(&pointsman, 4096);
    docker.dies("bb");
    docker.is_removed("bb");
    becomes(&pointsman, "blue", "aa ready, cc ready");
    eventually("all is well", || pointsman.get("/v1/instance").json()["docker"]["down"].is_null());
    let (good, failed, broken) = load.stop();
    println!("no descriptors: {good} requests served, {failed} failed, {broken} broken");
    assert_eq!((failed, broken), (0, 0));
}

/// `docker ps` hangs or fails while a container does, and events come: a known way of its daemon to be half there.
#[test]
fn where_containers_cannot_be_listed_their_signals_drain_them() {
    let (docker, pointsman, [_first, _second, third]) = two_of_three();
    docker.lists(false);
    docker.runs("cc", "web-3", "blue", third.address);
    let down = || pointsman.get("/v1/instance").json()["docker"]["down"].clone();
    eventually("it is said", || down().is_string());
    docker.kill("bb", "15");
    becomes(&pointsman, "blue", "aa ready, bb draining");
    docker.dies("bb");
    becomes(&pointsman, "blue", "aa ready");
    assert!(down().as_str().is_some_and(|why| why.contains("500")), "{}", down());
    assert!(pointsman.get("/metrics").text().contains("pointsman_docker_up 0"));
    docker.lists(true);
    becomes(&pointsman, "blue", "aa ready, cc ready");
    eventually("all is well", || down().is_null());
    docker.kill("cc", "15");
    becomes(&pointsman, "blue", "aa ready, cc draining");
}
