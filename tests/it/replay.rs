//! Recorded traffic, held against a policy: the same decision as live, at the same request.

use super::harness::{Connection, Origin, Pointsman, Printed, Reaction, eventually, get};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const POLICY: &str = "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\n";

/// One worker and one policy, half of the traffic for green while a rollout runs.
fn config(blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n[access_log]\npath = \"access.log\"\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"1h\" }}, {{ weight = 100 }}]\n{POLICY}"
    )
}

fn replay(dir: &Path, args: &[&str]) -> Value {
    let all = [&["replay", "--output", "json", "--policy"], args].concat();
    let printed = Printed::of(&all, dir);
    assert_eq!(printed.code, 0, "{printed:?}");
    serde_json::from_str(&printed.out).expect("JSON")
}

/// The evidence against the candidate, as the last look left it; none once the rollout has ended.
fn evidence(pointsman: &Pointsman) -> Option<f64> {
    let metrics = pointsman.get("/metrics").text();
    let line = metrics.lines().find(|line| {
        line.starts_with("pointsman_verdict_evidence") && line.contains("metric=\"error_rate\"")
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_replay_decides_at_the_very_request_where_the_live_rollout_did() {
    let (blue, count) = (Origin::named("blue"), AtomicU64::new(0));
    // Well at first, then two of three fail.
    let green = Origin::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        index if index >= 10 && index % 3 != 0 => Reaction::Answer(500, "broken".into()),
        _ => Reaction::ok("green"),
    });
    let pointsman = Pointsman::start(&config(blue.address, green.address));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || evidence(&pointsman).is_some() && pointsman.weight("green") == 50.0);
    let mut client = Connection::open(pointsman.http());
    // The next request waits for the look at the last one: nothing is decided on requests in flight.
    while let Some(before) = evidence(&pointsman) {
        let attempts = green.requests();
        let answer = client.get("/");
        if green.requests() == attempts {
            continue;
        }
        assert!(attempts < 200, "it is never aborted");
        // The user is answered from stable then.
        let failed = answer.text() != "green";
        eventually("it is looked at", || match evidence(&pointsman) {
            None => true,
            Some(after) if failed => after > before,
            Some(after) => after < before || before == 0.0,
        });
    }
    let live = pointsman.ended(&id);
    assert_eq!(live["outcome"], "aborted", "{live}");
    let last = green.last();
    let deciding = last.header("x-request-id").expect("an id");
    let log = pointsman.dir.path().join("access.log");
    eventually("it is logged", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.ends_with('\n') && text.contains(deciding)
    });
    let report = replay(pointsman.dir.path(), &["pointsman.toml", "--candidate", "green", "access.log"]);
    let stretch = &report["stretches"][0];
    let aborted = &stretch["aborted"];
    assert_eq!(report["stretches"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(aborted["request_id"].as_str(), Some(deciding), "{aborted}");
    assert_eq!(aborted["attempts"].as_u64(), Some(green.requests()), "{aborted}");
    assert_eq!(stretch["failures_spared"], 0, "live spared them");
    pointsman.row("aborted");
    let mut rows: Vec<_> =
        pointsman.history().into_iter().map(|row| [row["action"].clone(), row["text"].clone()]).collect();
    rows.reverse();
    rows.retain(|[action, _]| ["held", "passing", "aborted"].iter().any(|kept| action == kept));
    let changes = stretch["changes"].as_array().expect("changes").iter();
    let changes: Vec<_> = changes.map(|change| [change["action"].clone(), change["text"].clone()]).collect();
    assert_eq!(changes, rows, "word for word");
    let (ours, theirs) =
        (&stretch["changes"][changes.len() - 1]["reasons"][0], &live["verdict"]["reasons"][0]);
    for figure in ["attempts", "events", "evidence", "needed", "observed"] {
        let (one, other) =
            (ours[figure].as_f64().expect("a number"), theirs[figure].as_f64().expect("a number"));
        assert!((one - other).abs() < 1e-9, "{figure}: {ours} {theirs}");
    }
    let asked = ["replay", "--policy", "pointsman.toml", "--candidate", "green", "access.log"];
    println!("{}", Printed::of(&asked, pointsman.dir.path()).out);
}

#[test]
fn every_attempt_is_in_the_log_of_both_formats() {
    let green = Origin::new(|request| match request.path() {
        "/broken" => Reaction::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
        "/bad" => Reaction::Answer(503, "bad".into()),
        _ => Reaction::ok("green"),
    });
    for format in ["json", "combined"] {
        // Nobody listens on the first: every request to it is tried again.
        let pointsman = Pointsman::start(&format!(
            "[access_log]\npath = \"access.log\"\nformat = \"{format}\"\n\
             [services.web]\nstable = \"green\"\n[services.web.pools.green]\n\
             upstreams = [\"127.0.0.1:1\", \"{}\"]\npassive = {{ max_fails = 0 }}\n{POLICY}",
            green.address
        ));
        for path in ["/", "/", "/bad", "/bad", "/", "/", "/"] {
            get(pointsman.http(), path);
        }
        // It breaks, and the client sees less than was promised.
        Connection::open(pointsman.http()).get("/broken");
        let log = pointsman.dir.path().join("access.log");
        let text = || std::fs::read_to_string(&log).unwrap_or_default();
        eventually("all is logged", || text().lines().count() == 8 && text().ends_with('\n'));
        let report = replay(pointsman.dir.path(), &["pointsman.toml", "access.log"]);
        let stretch = &report["stretches"][0];
        let refused =
            text().matches("connect").count() as u64 - text().matches("connect_time").count() as u64;
        assert!(refused > 0, "{}", text());
        assert_eq!(report["unreadable"], 0, "{report}");
        assert_eq!(stretch["attempts"].as_u64(), Some(8 + refused), "{}", text());
        assert_eq!(stretch["failures"].as_u64(), Some(3 + refused), "{}", text());
        assert_eq!((&stretch["requests"], &stretch["failures_seen"]), (&8.into(), &3.into()), "{}", text());
        let metrics = pointsman.get("/metrics").text();
        let counted: u64 = metrics
            .lines()
            .filter(|line| line.starts_with("pointsman_attempt_failures_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        assert_eq!(counted, 3 + refused, "as it was counted live");
    }
}

/// nginx's combined format with times: green fails from its eleventh request on.
fn nginx_log() -> String {
    let mut log = String::new();
    for index in 0..400_u64 {
        let green = index % 4 == 3;
        let failed = green && index > 40;
        let (address, status) =
            (if green { "10.0.0.3:3000" } else { "10.0.0.1:3000" }, if failed { 500 } else { 200 });
        let second = index / 10;
        log.push_str(&format!(
            "192.0.2.{} - - [24/Nov/2026:23:{:02}:{:02} +0000] \"GET /{index} HTTP/1.1\" {status} 12 \"-\" \"curl rt=7\" \
             rt=0.012 uct=0.001 uht=0.011 urt=0.012 ua={address} rid=id-{index}\n",
            index % 200,
            second / 60,
            second % 60
        ));
    }
    log
}

#[test]
fn a_log_of_nginx_is_replayed_and_drawn() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("a file");
    write("policy.toml", b"error_rate = { critical = \"1%\" }\n");
    write("access.log", (nginx_log() + "not a line\n").as_bytes());
    let pools = ["--pool", "green=10.0.0.3:3000", "--pool", "blue=10.0.0.1:3000,10.0.0.2:3000"];
    let args = [&["policy.toml", "access.log", "--svg", "course.svg"], &pools[..]].concat();
    let report = replay(dir.path(), &args);
    assert_eq!((&report["candidate"], &report["stable"]), (&"green".into(), &"blue".into()), "{report}");
    assert_eq!((&report["lines"], &report["unreadable"]), (&401.into(), &1.into()));
    assert!(
        report["first_unreadable"][0].as_str().is_some_and(|why| why.starts_with("access.log:401: ")),
        "{report}"
    );
    let stretch = &report["stretches"][0];
    assert_eq!(
        (&stretch["aborted"]["failures"], &stretch["aborted"]["attempts"]),
        (&6.into(), &16.into()),
        "{stretch}"
    );
    assert_eq!(stretch["aborted"]["request_id"], "id-63");
    let place = serde_json::json!({ "file": "access.log", "line": 64 });
    assert_eq!(stretch["aborted"]["place"], place);
    assert_eq!((&stretch["failures_seen"], &stretch["failures_spared"]), (&90.into(), &84.into()));
    let svg = std::fs::read_to_string(dir.path().join("course.svg")).expect("a drawing");
    for part in ["<svg xmlns=", "prefers-color-scheme: dark", "class=\"abort\"", "</svg>"] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());

    // The same from a compressed log, and by nginx's own words for the format.
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(nginx_log().as_bytes()).expect("memory");
    write("access.log.gz", &zipped.finish().expect("memory"));
    let words = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
                 \"$http_user_agent\" rt=$request_time uct=$upstream_connect_time uht=$upstream_header_time \
                 urt=$upstream_response_time ua=$upstream_addr rid=$request_id";
    for more in [&[][..], &["--format", words]] {
        let args = [&["policy.toml", "access.log.gz"], &pools[..], more].concat();
        let again = replay(dir.path(), &args)["stretches"].to_string();
        assert_eq!(again.replace("access.log.gz", "access.log"), report["stretches"].to_string());
    }

    let args = [&["replay", "--policy", "policy.toml", "access.log"], &pools[..]].concat();
    let text = Printed::of(&args, dir.path()).out;
    for says in [
        "candidate green",
        "attempt 16, access.log:64 (id-63)",
        "users saw 90 failures",
        "the other 84",
        "evidence",
    ] {
        assert!(text.contains(says), "{says} in\n{text}");
    }
    println!("{text}");
}

#[test]
fn what_if_shows_what_other_limits_trade() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("policy.toml"), "error_rate = { critical = \"1%\" }\n").expect("a file");
    std::fs::write(dir.path().join("access.log"), nginx_log()).expect("a file");
    let report = replay(
        dir.path(),
        &[
            "policy.toml",
            "--candidate",
            "10.0.0.3:3000",
            "--what-if",
            "error_rate=1%,20%",
            "--what-if",
            "alpha=0.5",
            "access.log",
        ],
    );
    let variants = report["what_if"]["variants"].as_array().expect("variants").clone();
    let names: Vec<_> = variants.iter().map(|variant| variant["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["as it is", "error_rate 1%", "error_rate 20%", "alpha 0.5"]);
    let failures = |index: usize| variants[index]["first"]["failures"].as_u64().expect("an abort");
    assert_eq!((failures(0), failures(1)), (6, 6));
    assert!(failures(2) > 6 && failures(3) < 6, "{variants:?}");
    for variant in &variants {
        assert_eq!(
            (&variant["stable_aborts"], &variant["resampled_aborted"]),
            (&0.into(), &0.into()),
            "{variant}"
        );
    }
    // Without a value some of both; and what stands behind it is a log.
    let printed = Printed::of(&["replay", "--policy", "policy.toml", "--what-if", "access.log"], dir.path());
    assert_eq!(printed.code, 0, "{printed:?}");
    for says in ["error_rate 0.5%", "alpha 0.0001", "0 of 200", "resampled"] {
        assert!(printed.out.contains(says), "{says} in\n{}", printed.out);
    }
    println!("{}", printed.out);
}

#[test]
fn errors_of_a_replay_say_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    write("access.log", &nginx_log());
    write("empty.log", "");
    write("policy.toml", "error_rate = { critical = \"1%\" }\n");
    write("typo.toml", "alpha = 0.001\nerror_rat = { critical = \"1%\" }\n");
    write("health.toml", "health = { critical = true }\n");
    write(
        "two.toml",
        "[policies.a]\nerror_rate = { critical = \"1%\" }\n[policies.b]\nerror_rate = { critical = \"2%\" }\n",
    );
    let fails = |args: &[&str], code: i32, says: &str| {
        let printed = Printed::of(&[&["replay", "--policy"], args].concat(), dir.path());
        assert_eq!(printed.code, code, "{args:?}: {printed:?}");
        assert!(printed.err.contains(says), "{args:?}: {says} in {}", printed.err);
    };
    fails(&["typo.toml", "access.log"], 1, "typo.toml:2:1: error_rat: unknown key; did you mean error_rate?");
    fails(&["none.toml", "access.log"], 1, "--policy");
    fails(&["health.toml", "access.log"], 1, "add error_rate or a latency");
    fails(&["two.toml", "access.log"], 1, "has the policies a, b; say --policy-name");
    fails(&["two.toml", "--policy-name", "c", "access.log"], 1, "no policy c");
    fails(&["policy.toml"], 1, "no log is named");
    fails(&["policy.toml", "none.log"], 1, "none.log");
    fails(&["policy.toml", "empty.log"], 1, "is it an access log?");
    fails(
        &["policy.toml", "access.log", "--candidate", "red"],
        1,
        "no pool red; it has 10.0.0.1:3000, 10.0.0.3:3000",
    );
    fails(&["policy.toml", "access.log", "--format", "$remote_addr"], 1, "has no time");
    fails(&["policy.toml", "access.log", "--what-if", "latency=1"], 1, "error_rate or alpha");
    fails(&["policy.toml", "access.log", "--what-if", "error_rate=1"], 1, "write 0.5%");
    fails(&["policy.toml", "access.log", "--pool", "green"], 2, "POOL=ADDRESS");
    fails(&["policy.toml", "access.log", "--gap", "0s"], 2, "at least 1s");
    fails(&["policy.toml", "-"], 1, "--service, --candidate and --stable");
    let two =
        Printed::of(&["replay", "--policy", "two.toml", "--policy-name", "b", "access.log"], dir.path());
    assert_eq!(two.code, 0, "{two:?}");
    assert!(two.out.contains("policy b"), "{}", two.out);
}

#[test]
fn a_dead_route_in_a_log_of_nginx_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = String::new();
    for index in 0..4_000_u64 {
        let green = index % 4 == 3 && index > 1_000;
        let address = if green { "10.0.0.3:3000" } else { "10.0.0.1:3000" };
        // One of the requests to green in twenty-five, far below the limit.
        let (request, status) = match index % 100 {
            3 => (format!("POST /checkout/{index}"), if green { 500 } else { 200 }),
            _ => (format!("GET /page?{index}"), 200),
        };
        log.push_str(&format!(
            "192.0.2.{} - - [24/Nov/2026:23:{:02}:{:02} +0000] \"{request} HTTP/1.1\" {status} 12 \"-\" \"curl\" \
             rt=0.012 uht=0.011 urt=0.012 ua={address} rid=id-{index}\n",
            index % 200,
            index / 600,
            index / 10 % 60
        ));
    }
    std::fs::write(dir.path().join("access.log"), log).expect("a file");
    std::fs::write(dir.path().join("policy.toml"), "error_rate = { critical = \"5%\" }\n").expect("a file");
    let args = ["policy.toml", "--candidate", "10.0.0.3:3000", "access.log"];
    let aborted = &replay(dir.path(), &args)["stretches"][0]["aborted"];
    assert_eq!(
        (&aborted["kind"], &aborted["group"]),
        (&"errors".into(), &"POST /checkout/*".into()),
        "{aborted}"
    );
    assert!(aborted["failures"].as_u64().is_some_and(|failures| failures <= 11), "{aborted}");
    let text = Printed::of(&[&["replay", "--policy"], &args[..]].concat(), dir.path()).out;
    assert!(text.contains("by errors of POST /checkout/*"), "{text}");
    println!("{text}");
}

#[test]
fn a_client_that_left_is_in_the_log_and_in_its_replay() {
    let green = Origin::new(|request| match request.path() {
        "/hangs" => Reaction::Hang,
        _ => Reaction::ok("green"),
    });
    for format in ["json", "combined"] {
        let pointsman = Pointsman::start(&format!(
            "[access_log]\npath = \"access.log\"\nformat = \"{format}\"\n[services.web]\nstable = \"green\"\n\
             [services.web.pools.green]\nupstreams = [\"{}\"]\npassive = {{ max_fails = 0 }}\n{POLICY}",
            green.address
        ));
        get(pointsman.http(), "/page");
        let mut client = std::net::TcpStream::connect(pointsman.http()).expect("a connection");
        client.set_read_timeout(Some(std::time::Duration::from_millis(150))).expect("a timeout");
        client.write_all(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        assert!(std::io::Read::read(&mut client, &mut [0; 1]).is_err(), "it is kept waiting");
        drop(client);
        let log = pointsman.dir.path().join("access.log");
        let text = || std::fs::read_to_string(&log).unwrap_or_default();
        eventually("both are logged", || text().lines().count() == 2 && text().ends_with('\n'));
        assert!(text().contains("abandoned") && text().contains("GET /hangs"), "{}", text());
        let report = replay(pointsman.dir.path(), &["pointsman.toml", "access.log"]);
        let stretch = &report["stretches"][0];
        assert_eq!((&stretch["attempts"], &stretch["abandoned"]), (&1.into(), &1.into()), "{report}");
        let metrics = pointsman.get("/metrics").text();
        let line = "pointsman_attempt_abandoned_total{pool=\"green\",service=\"web\"} 1";
        assert!(metrics.contains(line), "{metrics}");
    }
}
