//! A new configuration while it runs, and a quiet end.

use super::harness::{
    Connection, Load, Nginx, Origin, Pointsman, Reaction, blue_green as config, eventually, get, wrk,
};
use std::time::Duration;

#[test]
fn a_reload_under_load_keeps_the_live_weights_and_fails_nothing() {
    let nginx = Nginx::start(&["blue", "green", "new"]);
    let [blue, green, new] = [0, 1, 2].map(|index| nginx.addresses[index]);
    let pointsman = Pointsman::start(&config(blue, green));
    let load = Load::start(pointsman.http(), 8);
    assert_eq!(pointsman.cli(&["weights", "web", "blue=30", "green=70"]).code, 0);
    let extended = config(blue, green)
        + &format!("[services.web.pools.red]\nupstreams = [\"{new}\"]\n")
        + &format!("[services.api]\n[services.api.pools.one]\nupstreams = [\"{new}\"]\n")
        + "[policies.strict]\nerror_rate = { critical = \"0.1%\" }\n"
        + "[[routes]]\nservice = \"web\"\n[[routes]]\npath = \"/api\"\nservice = \"api\"\n";
    pointsman.configure(&extended);
    let report = pointsman.call("POST", "/v1/reload", "");
    assert_eq!(report.status, 200, "{}", report.text());
    let changed = report.json()["changed"].to_string();
    for path in ["routes", "services.api", "services.web.pools.red", "policies.strict"] {
        assert!(changed.contains(path), "{path} is not in {changed}");
    }
    assert_eq!(report.json()["needs_restart"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        (pointsman.weight("blue"), pointsman.weight("green"), pointsman.weight("red")),
        (30.0, 70.0, 0.0)
    );
    assert_eq!(get(pointsman.http(), "/api/x").text(), "new");
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "red"]).code, 0);
    eventually("the new pool serves", || get(pointsman.http(), "/").text() == "new");
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

#[test]
fn two_hundred_reloads_under_full_load_fail_nothing() {
    let nginx = Nginx::start(&["blue", "green", "new"]);
    let [blue, green, new] = [0, 1, 2].map(|index| nginx.addresses[index]);
    let pointsman = Pointsman::start(&config(blue, green));
    let load = Load::start(pointsman.http(), 8);
    let wrk = wrk(pointsman.http(), 16, 300);
    for reload in 0..200 {
        let added =
            format!("[services.web.pools.red]\nupstreams = [\"{new}\"]\n[[routes]]\nservice = \"web\"\n");
        let text = config(if reload % 4 < 2 { blue } else { new }, green);
        pointsman.configure(&if reload % 2 == 0 { text + &added } else { text });
        let report = pointsman.call("POST", "/v1/reload", "");
        assert_eq!(report.status, 200, "{}", report.text());
        assert_ne!(report.json()["changed"].as_array().map(Vec::len), Some(0), "each changes something");
        let good = load.good();
        eventually("it serves", || load.good() > good + 20);
    }
    let seen = wrk.stop();
    let (good, failed, broken) = load.stop();
    println!("200 reloads; wrk: {seen:?}; own clients: {good} good, {failed} failed, {broken} broken");
    assert_eq!((failed, broken, seen.failed, seen.socket_errors), (0, 0, 0, 0));
}

#[test]
fn what_must_not_go_is_refused_and_nothing_changes() {
    let nginx = Nginx::start(&["blue", "green"]);
    let [blue, green] = [0, 1].map(|index| nginx.addresses[index]);
    let pointsman = Pointsman::start(&config(blue, green));
    assert_eq!(pointsman.cli(&["weights", "web", "blue=30", "green=70"]).code, 0);
    let before = pointsman.web();
    pointsman.configure(&format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{blue}\"]\n"
    ));
    let refused = pointsman.call("POST", "/v1/reload", "");
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("pool green still has 70 % of the traffic"), "{}", refused.text());
    pointsman.configure("[services.web]\nstabel = \"blue\"\n[services.web.pools.blue]\nupstreams = [7]\n");
    let broken = pointsman.call("POST", "/v1/reload", "");
    assert_eq!(broken.status, 422);
    assert_eq!(broken.json()["errors"].as_array().map(Vec::len), Some(2), "{}", broken.text());
    assert!(broken.text().contains("pointsman.toml:"), "{}", broken.text());
    let cli = pointsman.cli(&["reload"]);
    assert!(cli.code == 1 && cli.err.contains("stabel"), "{}", cli.err);
    assert_eq!(pointsman.web()["pools"]["green"]["weight"], before["pools"]["green"]["weight"]);
    assert_eq!(get(pointsman.http(), "/").status, 200);
}

#[test]
fn a_reload_says_what_needs_a_restart_until_it_comes() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = config(nginx.addresses[0], nginx.addresses[1]);
    let pointsman = Pointsman::start(&text);
    let other = "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"9s\"\n\
                 [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n";
    pointsman.configure(&(other.to_owned() + &text));
    for _ in 0..2 {
        let report = pointsman.call("POST", "/v1/reload", "").json();
        let restart = report["needs_restart"].to_string();
        for path in ["listeners", "server.threads", "server.grace"] {
            assert!(restart.contains(path), "{path} is not in {restart}");
        }
    }
    let cli = pointsman.cli(&["reload"]);
    assert!(cli.out.contains("takes effect at the next start: listeners"), "{}", cli.out);
}

#[test]
fn sighup_reloads_too() {
    let nginx = Nginx::start(&["blue", "green", "new"]);
    let [blue, green, new] = [0, 1, 2].map(|index| nginx.addresses[index]);
    let pointsman = Pointsman::start(&config(blue, green));
    pointsman.configure(&config(new, green));
    pointsman.signal("HUP");
    eventually("the new upstream serves", || get(pointsman.http(), "/").text() == "new");
    pointsman.configure("[services.web]\nstabel = \"blue\"\n");
    pointsman.signal("HUP");
    eventually("the fault is in the log", || pointsman.log().contains("stabel"));
    assert_eq!(get(pointsman.http(), "/").text(), "new");
}

#[test]
fn a_rollout_survives_a_reload_and_a_changed_policy_counts_at_once() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|request| {
        let fails = request.header("x-fail").is_some();
        if fails { Reaction::Answer(500, "broken".into()) } else { Reaction::ok("green") }
    });
    let with = |critical: &str| {
        config(nginx.addresses[0], green.address)
            .replace("stable = \"blue\"\n", "stable = \"blue\"\npolicy = \"p\"\n")
            + "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\n"
            + &format!("[policies.p]\nerror_rate = {{ critical = \"{critical}\" }}\n")
    };
    let pointsman = Pointsman::start(&with("40%"));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let mut connection = Connection::open(pointsman.http());
    let mut fail = || connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Fail: 1\r\n\r\n").status;
    let mut well = Connection::open(pointsman.http());
    // A tenth fails, which is within 40 %.
    for request in 0..200 {
        if request % 10 == 0 {
            fail()
        } else {
            well.get("/").status
        };
    }
    assert!(pointsman.web()["rollout"]["outcome"].is_null());
    pointsman.configure(&with("1%"));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    assert_eq!(pointsman.weight("green"), 50.0, "the rollout goes on");
    for _ in 0..200 {
        fail();
    }
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
}

#[test]
fn sigterm_lets_requests_finish_and_ends_at_once_when_idle() {
    let blue = Origin::new(|request| match request.path() {
        "/slow" => Reaction::Late(Duration::from_millis(700), 200, "slow".into()),
        _ => Reaction::ok("blue"),
    });
    let pointsman = Pointsman::start(&config(blue.address, blue.address));
    let (http, admin) = (pointsman.http(), pointsman.admin);
    let mut idle = Connection::open(http);
    assert_eq!(idle.get("/").status, 200);
    let slow = std::thread::spawn(move || get(http, "/slow"));
    eventually("it is in flight", || blue.requests() == 2);
    let watcher = std::thread::spawn(move || {
        let mut seen = 0;
        // Until the admin is gone.
        while let Ok(mut connection) = Connection::try_open(admin) {
            let status = connection.get("/readyz").status;
            if status == 0 {
                break;
            }
            seen = seen.max(status);
        }
        seen
    });
    let (status, _) = pointsman.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(slow.join().expect("an answer").text(), "slow", "in flight at the signal");
    assert!(idle.is_closed());
    assert_eq!(watcher.join().expect("a status"), 503, "not ready while stopping");
}

#[test]
fn grace_bounds_the_wait() {
    let blue = Origin::new(|_| Reaction::Hang);
    let server = "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"300ms\"\n";
    let pointsman = Pointsman::start(&(server.to_owned() + &config(blue.address, blue.address)));
    let mut hanging = Connection::open(pointsman.http());
    hanging.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    eventually("it is in flight", || blue.requests() == 1);
    // The read timeout of 60 s would outlast the patience of this test.
    let (status, _) = pointsman.terminate();
    assert!(status.success(), "{status}");
    assert!(hanging.is_closed());
}
