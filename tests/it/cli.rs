//! The command line, as people and CI jobs type it.

use super::harness::{Load, Nginx, Origin, Pointsman, Printed, Reaction, eventually, get};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn config(blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 5, hold = \"100ms\" }}, {{ weight = 100 }}]\n\
         bake = \"100ms\"\nmin_attempts = 10\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n"
    )
}

#[test]
fn wait_says_why_nothing_moves() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    green.react(|_| Reaction::Answer(302, String::new()));
    let config = format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         health = {{ path = \"/health\", interval = \"50ms\" }}\n",
        blue.address, green.address
    );
    let pointsman = Pointsman::start(&config);
    let printed = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--wait", "--timeout", "2s"]);
    assert_eq!(printed.code, 4, "{}", printed.err);
    let check = "waiting until the candidate is healthy";
    for line in [check.to_owned(), "goes on: waiting until".to_owned(), "status 302".to_owned()] {
        assert!(printed.err.contains(&line), "{line}: {}", printed.err);
    }
    let told = printed.err.lines().filter(|line| line.starts_with("waiting")).count();
    assert!(told <= 2, "once, and again when the reason changes: {}", printed.err);
}

#[test]
fn wait_exits_0_promoted_3_aborted_and_4_timed_out() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::named("green");
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address));
    let load = Load::start(pointsman.http(), 4);
    let good = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--version", "v2", "--wait"]);
    assert_eq!(good.code, 0, "{good:?}");
    let actions: Vec<_> = good.out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!((actions.first(), actions.last()), (Some(&"started"), Some(&"promoted")), "{}", good.out);
    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);

    green.react(|_| Reaction::Answer(500, "broken".into()));
    let bad = pointsman.cli(&["rollout", "start", "web", "--to", "green", "--wait"]);
    assert_eq!(bad.code, 3, "{bad:?}");
    assert!(
        bad.out.lines().last().is_some_and(|line| line.contains("aborted") && line.contains("error rate"))
    );

    green.react(|_| Reaction::ok("green"));
    let json = ["rollout", "start", "web", "--to", "green", "--output", "json"];
    load.stop();
    let slow = pointsman.cli(&[&json[..], &["--wait", "--timeout", "300ms"]].concat());
    assert_eq!(slow.code, 4, "{slow:?}");
    let first = slow.out.lines().next().expect("a line");
    assert_eq!(serde_json::from_str::<serde_json::Value>(first).expect("JSON")["action"], "started");
    assert!(pointsman.web()["candidate"].is_string(), "the rollout goes on");
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    assert_eq!(pointsman.cli(&["rollout", "watch", "web"]).code, 3, "it has ended so");
}

#[test]
fn every_command_does_its_job() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1]));
    let ok = |args: &[&str]| {
        let printed = pointsman.cli(args);
        assert_eq!(printed.code, 0, "{args:?}: {printed:?}");
        printed.out
    };
    assert!(ok(&["weights", "web", "blue=90", "green=10%"]).contains("green 10 %"));
    assert!(ok(&["status"]).contains("web  stable blue"));
    assert!(ok(&["flip", "web", "--to", "green"]).contains("stable green"));
    assert!(ok(&["rollback", "web"]).contains("stable blue"));
    let green = nginx.addresses[1].to_string();
    assert!(ok(&["drain", "web", "green", &green]).contains("draining"));
    assert!(!ok(&["ready", "web", "green", &green]).contains("draining"));
    let history = ok(&["history", "web", "--limit", "3"]);
    assert_eq!(history.lines().count(), 3);
    assert!(history.lines().next().is_some_and(|line| line.contains("ready")), "newest first: {history}");
    ok(&["rollout", "start", "web", "--to", "green"]);
    assert!(ok(&["rollout", "status", "web"]).contains("canary blue to green"));
    assert!(ok(&["rollout", "pause", "web"]).contains("paused"));
    ok(&["rollout", "resume", "web"]);
    assert!(ok(&["rollout", "promote", "web"]).contains("promoted"));
    assert!(ok(&["reload"]).contains("nothing has changed"));
    let status: serde_json::Value =
        serde_json::from_str(&ok(&["status", "web", "--output", "json"])).expect("JSON");
    assert_eq!(status[0]["stable"], "green");
}

#[test]
fn status_is_the_verification_and_exits_0_only_if_all_holds() {
    let origin = Origin::named("blue");
    let second = Origin::named("blue too");
    let pointsman = Pointsman::start(&format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\", \"{}\"]\ntimeouts = {{ read = \"100ms\" }}\n\
         tries = 1\npassive = {{ max_fails = 0 }}\n\
         health = {{ path = \"/health\", interval = \"20ms\", timeout = \"5s\", fall = 2 }}\n\
         [services.web.pools.green]\nupstreams = [\"127.0.0.1:1\"]\nhealth = {{ path = \"/\" }}\n\
         [policies.default]\nerror_rate = {{ critical = \"20%\" }}\nwindow = \"2s\"\n",
        origin.address, second.address
    ));
    let status = || pointsman.cli(&["status", "web"]);
    let shows = |printed: &Printed, lines: &[&str]| lines.iter().all(|line| printed.out.contains(line));
    let all = ["✓ health ", "✓ errors ", "✓ timeouts ", "✓ running "];
    eventually("all is well; a pool without traffic does not count", || {
        let printed = status();
        printed.code == 0 && shows(&printed, &all)
    });
    origin.react(|request| if request.path() == "/health" { Reaction::ok("") } else { Reaction::Hang });
    eventually("a timeout is seen", || get(pointsman.http(), "/").status == 504);
    eventually("it is told", || {
        let printed = status();
        printed.code == 1 && shows(&printed, &["✗ timeouts 1", "✓ health", "✓ running"])
    });
    origin.react(|request| {
        if request.path() == "/health" { Reaction::ok("") } else { Reaction::Answer(500, "no".into()) }
    });
    for _ in 0..10 {
        get(pointsman.http(), "/");
    }
    let printed = status();
    assert!(printed.code == 1 && shows(&printed, &["✗ errors", "the limit is 20 %"]), "{}", printed.out);
    origin.react(|request| {
        Reaction::Answer(if request.path() == "/health" { 503 } else { 200 }, String::new())
    });
    eventually("the window has passed, and a check fails", || {
        let printed = status();
        let says = ["✗ health ", "status 503", "✓ errors ", "✓ timeouts ", "✗ running ", "is down"];
        printed.code == 1 && shows(&printed, &says)
    });
    let label = origin.address.to_string();
    assert_eq!(pointsman.cli(&["drain", "web", "blue", &label]).code, 0);
    eventually("what is drained on purpose does not count", || {
        let printed = status();
        printed.code == 0 && shows(&printed, &["the one upstream with traffic is ready"])
    });
    let json = pointsman.web();
    let names: Vec<_> =
        json["checks"].as_array().expect("checks").iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, ["health", "errors", "timeouts", "running"]);
}

#[test]
fn a_drain_waits_until_nothing_is_in_flight() {
    let [one, two] = ["one", "two"].map(Origin::named);
    let pointsman = Pointsman::start(&format!(
        "[services.web.pools.blue]\nupstreams = [\"{}\", \"{}\"]\nhealth = false\n",
        one.address, two.address
    ));
    let label = one.address.to_string();
    let idle = pointsman.cli(&["drain", "web", "blue", &label, "--wait"]);
    assert_eq!((idle.code, idle.out), (0, format!("{label} of blue: 0 in flight\n")), "nothing was");
    assert_eq!(pointsman.cli(&["ready", "web", "blue", &label]).code, 0);

    let let_go = Arc::new(AtomicBool::new(false));
    let waits = let_go.clone();
    one.react(move |_| {
        eventually("it may answer", || waits.load(Ordering::SeqCst));
        Reaction::ok("late")
    });
    let http = pointsman.http();
    let before = one.requests();
    let client = std::thread::spawn(move || {
        std::iter::repeat_with(|| get(http, "/").text()).find(|text| text == "late").expect("endless")
    });
    eventually("a request is in flight", || one.requests() > before);
    let args = ["drain", "web", "blue", &label, "--wait", "--output", "json"];
    let timed_out = pointsman.cli(&[&args[..], &["--timeout", "300ms"]].concat());
    assert_eq!(timed_out.code, 4, "{timed_out:?}");
    assert!(timed_out.err.contains("1 in flight, and it stays drained"), "{timed_out:?}");
    let line: serde_json::Value =
        serde_json::from_str(timed_out.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["in_flight"], &line["upstream"]), (&1.into(), &label.as_str().into()));

    let waiting = std::thread::spawn(move || {
        let printed = pointsman.cli(&["drain", "web", "blue", &label, "--wait", "--timeout", "1m"]);
        (pointsman, printed)
    });
    assert!(!waiting.is_finished(), "a request is in flight");
    let_go.store(true, Ordering::SeqCst);
    let (pointsman, printed) = waiting.join().expect("no panic");
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.out.ends_with("of blue: 0 in flight\n"), "{printed:?}");
    assert_eq!(client.join().expect("no panic"), "late", "it was answered");
    let wrong = pointsman.cli(&["drain", "web", "blue", "127.0.0.1:9", "--timeout", "1m"]);
    assert_eq!(wrong.code, 2, "--timeout needs --wait: {wrong:?}");
}

#[test]
fn a_deploy_takes_the_idle_pool_and_a_second_run_of_it_the_same_rollout() {
    let origins = ["v1", "none", "v2", "v3"].map(Origin::named);
    let [blue, green, v2, v3] = origins.each_ref().map(|origin| origin.address.to_string());
    let pointsman = Pointsman::start(&format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nstrategy = \"blue-green\"\nmin_attempts = 0\nbake = \"0s\"\n"
    ));
    assert_eq!(pointsman.cli(&["idle", "web"]).out, "green\n");
    let deploy = |version: &str, address: &str| {
        let args = ["deploy", "web", "--upstreams", address, "--version", version, "--wait"];
        pointsman.cli(&[&args[..], &["--idempotency-key", version]].concat())
    };
    let first = deploy("2", &v2);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.err.starts_with("green of web has the new upstreams"), "{first:?}");
    assert_eq!(
        (get(pointsman.http(), "/").text(), pointsman.cli(&["idle", "web"]).out),
        ("v2".into(), "blue\n".into())
    );
    let again = deploy("2", &v2);
    assert_eq!(again.code, 0, "the same rollout, and blue is left alone: {again:?}");
    assert_eq!(pointsman.web()["pools"]["blue"]["upstreams"][0]["address"], blue.as_str());
    let wrong = pointsman.cli(&["deploy", "web", "--upstreams", &v3, &v2]);
    assert!(wrong.code == 1 && wrong.err.contains("is an upstream of green already"), "{wrong:?}");
    let third = deploy("3", &v3);
    assert_eq!((third.code, get(pointsman.http(), "/").text()), (0, "v3".into()), "{third:?}");
    let named = pointsman.cli(&["rollout", "start", "web", "--to", "idle", "--dry-run"]);
    assert!(named.code == 0 && named.out.contains("blue to green"), "{named:?}");
    let busy = pointsman.cli(&["deploy", "web", "--upstreams", &green]);
    assert!(busy.code == 1 && busy.err.contains("`pointsman rollout abort web` ends it"), "{busy:?}");
}

fn without_colours(shown: &str) -> String {
    ["\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m"]
        .iter()
        .fold(shown.to_owned(), |text, code| text.replace(code, ""))
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1]));
    let load = Load::start(pointsman.http(), 2);
    for columns in [40, 80, 120] {
        let version = "a-version-with-a-name-that-is-longer-than-most-are";
        let start = format!("rollout start web --to green --version {version} --wait");
        for args in [&*start, "status web", "rollout status web", "history web", "rollback web"] {
            let shown = without_colours(&pointsman.on_terminal(columns, args));
            assert!(shown.contains("green"), "{args}: {shown}");
            // What is drawn over begins again.
            let lines = shown.split('\n').flat_map(|line| line.split("\x1b[2K"));
            let wide =
                lines.filter(|line| line.chars().count() > columns && line.trim().contains(' ')).count();
            assert_eq!(wide, 0, "{columns} columns, {args}:\n{shown}");
        }
    }
    drop(load);
}

#[test]
fn errors_say_what_to_do() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1]));
    let fails = |args: &[&str], code: i32, says: &str| {
        let printed = pointsman.cli(args);
        assert_eq!(printed.code, code, "{args:?}: {printed:?}");
        assert!(printed.err.contains(says), "{args:?}: {}", printed.err);
        assert!(printed.out.is_empty(), "{args:?}: {}", printed.out);
    };
    fails(&["weights", "web", "blue=50"], 1, "sum to 50");
    fails(&["weights", "web", "blue"], 2, "POOL=PERCENT");
    fails(&["weights", "web", "blue=50", "blue=50"], 1, "twice");
    fails(&["flip", "web", "--to", "red"], 1, "there are blue, green");
    fails(&["status", "nope"], 1, "there is no service nope");
    fails(&["rollout", "status", "web"], 1, "no rollout");
    fails(&["rollout", "start", "web", "--to", "green", "--timeout", "soon", "--wait"], 2, "soon");
    fails(&["status", "--admin", "http://127.0.0.1:1"], 1, "is pointsman running there?");
    fails(&["status", "--admin", "nonsense"], 1, "http://127.0.0.1:9900");
    fails(&["status", "--admin", &format!("http://{}", nginx.addresses[0])], 1, "is not the admin API");
    fails(&["frobnicate"], 2, "unrecognized subcommand");
}

#[test]
fn a_token_is_made_with_the_line_that_admits_it() {
    let printed = Printed::of(
        &["token", "new", "--name", "ci", "--role", "deploy", "--output", "json"],
        Path::new("/"),
    );
    let new: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    let (token, hash) = (new["token"].as_str().expect("a token"), new["sha256"].as_str().expect("a hash"));
    let nginx = Nginx::start(&["blue", "green"]);
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = \"{hash}\" }}]\n"
    );
    let pointsman = Pointsman::start(&(admin + &config(nginx.addresses[0], nginx.addresses[1])));
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green", "--token", token]).code, 0);
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "blue", "--token", "pm_other"]).code, 1);
    let text = Printed::of(&["token", "new", "--name", "ci", "--role", "read"], Path::new("/"));
    assert!(text.out.contains("sha256 = \""), "{}", text.out);
    assert_eq!(Printed::of(&["token", "new", "--name", "a b", "--role", "read"], Path::new("/")).code, 1);
    assert_eq!(Printed::of(&["token", "new", "--name", "ci", "--role", "god"], Path::new("/")).code, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1]));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["status", "--watch", "--admin", &format!("http://{}", pointsman.admin)])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary");
    drop(child.stdout.take());
    let mut ended = None;
    let mut to = ["green", "blue"].into_iter().cycle();
    eventually("it ends", || {
        pointsman.cli(&["flip", "web", "--to", to.next().expect("endless")]);
        ended = child.try_wait().expect("a state");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn check_tells_every_fault_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "[server]\nstate_dir = \"state\"\nthreds = 4\n\n[[listeners]]\naddress = \"nowhere\"\n\n\
                [[routes]]\nservice = \"wb\"\n\n[services.web]\nstable = \"blue\"\n\n\
                [services.web.pools.blue]\nupstreams = []\n";
    std::fs::write(dir.path().join("bad.toml"), text).expect("a file");
    for command in ["check", "run"] {
        let printed = Printed::of(&[command, "--config", "bad.toml"], dir.path());
        assert_eq!(printed.code, 1);
        for says in ["bad.toml:3:", "threds", "bad.toml:6:", "bad.toml:9:", "wb", "bad.toml:14:"] {
            assert!(printed.err.contains(says), "{command}: {says} is not in\n{}", printed.err);
        }
    }
    let missing = Printed::of(&["check", "--config", "none.toml"], dir.path());
    assert!(missing.code == 1 && missing.err.contains("none.toml"), "{}", missing.err);
    std::fs::write(dir.path().join("torn.toml"), "[server\n").expect("a file");
    let torn = Printed::of(&["check", "--config", "torn.toml"], dir.path());
    assert!(torn.code == 1 && torn.err.contains("torn.toml:1:"), "{}", torn.err);
    let tls = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = { certificates = [{ cert = \"a.pem\", key = \"a.key\" }] }\n\
               [[routes]]\nservice = \"web\"\n[services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n";
    std::fs::write(dir.path().join("tls.toml"), tls).expect("a file");
    let tls = Printed::of(&["check", "--config", "tls.toml"], dir.path());
    assert!(tls.code == 1 && tls.err.contains("a.pem"), "{}", tls.err);
}

#[test]
fn check_tells_programs_what_it_finds() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"0.0.0.0/0\"]\n[[routes]]\nservice = \"web\"\n\
                [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n";
    let check = |text: &str| {
        std::fs::write(dir.path().join("p.toml"), text).expect("a file");
        let printed = Printed::of(&["check", "--config", "p.toml", "--output", "json"], dir.path());
        let found: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
        (printed.code, found, printed.err)
    };
    let (code, found, err) = check(&site.replace("trusted_proxies = [\"0.0.0.0/0\"]\n", ""));
    assert_eq!((code, &found, err.as_str()), (0, &serde_json::json!([]), ""));
    let (code, found, _) = check(site);
    assert_eq!(code, 0, "warnings refuse nothing");
    assert_eq!(
        (&found[0]["severity"], &found[0]["path"]),
        (&"warning".into(), &"listeners[0].trusted_proxies[0]".into())
    );
    let (code, found, err) = check(&format!("{site}[services.web.rollout]\nbake = 5\nhold = \"1m\"\n"));
    assert_eq!((code, err.as_str()), (1, ""));
    let expected = serde_json::json!([
        { "severity": "fault", "path": "services.web.rollout.bake", "line": 9, "column": 8,
          "message": "is an integer where a string is expected; write: bake = \"1h\"", "example": "bake = \"1h\"" },
        { "severity": "fault", "path": "services.web.rollout.hold", "line": 10, "column": 1,
          "message": found[1]["message"] },
    ]);
    assert_eq!(found, expected);
    assert!(found[1]["message"].as_str().is_some_and(|text| text.starts_with("unknown key; ")), "{found}");
}

#[test]
fn the_schema_is_printed() {
    let printed = Printed::of(&["schema"], std::path::Path::new("/"));
    let schema: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    let threads = &schema["properties"]["server"]["properties"]["threads"];
    assert_eq!(
        (&threads["type"], &threads["maximum"], &threads["default"]),
        (&"integer".into(), &256.into(), &0.into())
    );
}
