//! The same with a real daemon, where one starts.

use super::super::harness::{Dockerd, Load, Pointsman, eventually, get};
use super::CHECK;
use serde_json::Value;

fn names(pointsman: &Pointsman, pool: &str) -> String {
    let view = pointsman.web();
    let upstreams = view["pools"][pool]["upstreams"].as_array().expect("upstreams").clone();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let all: Vec<String> =
        upstreams.iter().map(|of| format!("{} {}", text(of, "address"), text(of, "state"))).collect();
    all.join(", ")
}

#[track_caller]
fn becomes(pointsman: &Pointsman, pool: &str, expected: &str) {
    eventually(&format!("{pool} is {expected:?}"), || names(pointsman, pool) == expected);
}

#[track_caller]
fn goes_on(load: &Load) {
    let before = load.good();
    eventually("requests go on", || load.good() > before + 200);
}

#[test]
fn containers_of_a_real_daemon_come_move_and_go() {
    let Some(mut dockerd) = Dockerd::start() else { return };
    dockerd.run("web-1", "blue", "true");
    let config = format!(
        "[docker]\nsocket = \"{}\"\n[services.web.pools.blue]\n{}",
        dockerd.socket().display(),
        CHECK.replace("/health", "/")
    );
    let pointsman = Pointsman::start(&config);
    becomes(&pointsman, "blue", "web-1:3000 ready");
    assert_eq!(get(pointsman.http(), "/").text(), "web-1\n");
    let load = Load::start(pointsman.http(), 8);

    // It listens once its file is there.
    dockerd.run("web-2", "blue", "until [ -e /ready ]; do sleep 0.05; done");
    becomes(&pointsman, "blue", "web-1:3000 ready, web-2:3000 down");
    goes_on(&load);
    dockerd.does(&["exec", "web-2", "/bin/mkdir", "/ready"]);
    becomes(&pointsman, "blue", "web-1:3000 ready, web-2:3000 ready");
    goes_on(&load);

    dockerd.does(&["stop", "web-1"]);
    becomes(&pointsman, "blue", "web-2:3000 ready");
    goes_on(&load);

    // Another container gets its address meanwhile: the same name is elsewhere then.
    let resolved = || pointsman.web()["pools"]["blue"]["upstreams"].as_array().cloned().unwrap_or_default();
    let before = resolved();
    dockerd.run("between", "blue", "true");
    dockerd.does(&["start", "web-1"]);
    becomes(&pointsman, "blue", "between:3000 ready, web-1:3000 ready, web-2:3000 ready");
    assert_eq!(resolved()[2]["resolved"], before[0]["resolved"]);
    goes_on(&load);
    dockerd.does(&["stop", "between"]);
    becomes(&pointsman, "blue", "web-1:3000 ready, web-2:3000 ready");

    // The daemon is gone, and a container ends meanwhile.
    dockerd.ends();
    let down = || pointsman.get("/v1/instance").json()["docker"]["down"].is_string();
    eventually("it is known to be down", down);
    goes_on(&load);
    assert_eq!(names(&pointsman, "blue"), "web-1:3000 ready, web-2:3000 ready");
    dockerd.comes_back();
    eventually("it is followed again", || !down());
    dockerd.does(&["stop", "web-1"]);
    becomes(&pointsman, "blue", "web-2:3000 ready");
    goes_on(&load);

    let (good, failed, broken) = load.stop();
    println!("a real daemon: {good} requests, {failed} failed, {broken} broken");
    assert_eq!((failed, broken), (0, 0));
}
