//! A new process takes over while requests go on: all of it, or nothing of it.

use super::harness::{
    Connection, Load, Nginx, Origin, Pointsman, Reaction, blue_green, eventually, get, median, wrk,
};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The pid that the state directory says it belongs to.
fn owner(pointsman: &Pointsman) -> u32 {
    let text = std::fs::read_to_string(pointsman.dir.path().join("state/lock")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[track_caller]
fn upgraded(pointsman: &mut Pointsman) -> Value {
    let printed = pointsman.upgrade();
    assert_eq!(printed.code, 0, "{}", printed.err);
    serde_json::from_str(&printed.out).expect("JSON")
}

#[test]
fn twenty_upgrades_under_full_load_fail_nothing() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    assert_eq!(pointsman.cli(&["weights", "web", "blue=30", "green=70"]).code, 0);
    let load = Load::start(pointsman.http(), 8);
    let wrk = wrk(pointsman.http(), 16, 300);
    let mut took = Vec::new();
    for _ in 0..20 {
        let before = pointsman.pid();
        let report = upgraded(&mut pointsman);
        took.push(report["took_ms"].as_u64().expect("a time"));
        assert_ne!(pointsman.pid(), before);
        assert_eq!(owner(&pointsman), pointsman.pid(), "the state is the new one's");
        assert_eq!((pointsman.weight("blue"), pointsman.weight("green")), (30.0, 70.0));
        let good = load.good();
        eventually("the new one serves", || load.good() > good + 500);
    }
    let seen = wrk.stop();
    let (good, failed, broken) = load.stop();
    println!(
        "20 upgrades, {} ms each (median; longest {}); wrk: {seen:?}; own clients: {good} good, {failed} failed, \
         {broken} broken",
        median(&took),
        took.iter().max().expect("some")
    );
    assert!(pointsman.first_ended().success());
    assert_eq!((failed, broken, seen.failed, seen.socket_errors), (0, 0, 0, 0));
}

#[test]
fn an_upgrade_brings_what_needs_a_restart() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = blue_green(nginx.addresses[0], nginx.addresses[1]);
    let mut pointsman = Pointsman::start(&text);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let added = free.local_addr().expect("an address");
    drop(free);
    pointsman.configure(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"{added}\"\n{text}"
    ));
    let report = upgraded(&mut pointsman);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(get(pointsman.http(), "/").text(), "blue", "the listener that was handed over");
    assert_eq!(get(added, "/").text(), "blue", "and the new one");
    assert!(pointsman.first_ended().success());
    assert_eq!(get(pointsman.http(), "/").text(), "blue", "without the old one, too");
}

#[test]
fn a_broken_configuration_is_refused_and_nothing_changes() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = blue_green(nginx.addresses[0], nginx.addresses[1]);
    let mut pointsman = Pointsman::start(&text);
    let before = (pointsman.pid(), pointsman.web()["revision"].clone());
    pointsman.configure("[services.web]\nstabel = \"blue\"\n");
    let printed = pointsman.upgrade();
    assert_eq!(printed.code, 1);
    assert!(printed.err.contains("everything goes on as before"), "{}", printed.err);
    assert!(printed.err.contains("stabel"), "it says why: {}", printed.err);
    pointsman.configure(
        &text.replace("[services.web]\n", "[[listeners]]\naddress = \"192.0.2.1:80\"\n[services.web]\n"),
    );
    let printed = pointsman.upgrade();
    assert!(printed.code == 1 && printed.err.contains("cannot listen on 192.0.2.1:80"), "{}", printed.err);
    assert_eq!((owner(&pointsman), pointsman.web()["revision"].clone()), before);
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green"]).code, 0, "and it still decides");
    assert_eq!(get(pointsman.http(), "/").text(), "green");
}

#[test]
fn a_new_binary_that_ends_at_once_or_is_none_leaves_the_old_one_at_work() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = Pointsman::start_replaceable(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let load = Load::start(pointsman.http(), 4);
    for (script, why) in [
        ("exit 1", "ended before it was ready (exit status: 1)"),
        ("kill -9 $$", "ended before it was ready (signal: 9"),
        ("echo nonsense >&0; exec tail -f /dev/null", "says what is not understood"),
    ] {
        pointsman.replace_binary(Some(script));
        let printed = pointsman.upgrade();
        assert!(printed.code == 1 && printed.err.contains(why), "{script}: {}", printed.err);
    }
    std::fs::remove_file(pointsman.dir.path().join("pointsman")).expect("removed");
    let printed = pointsman.upgrade();
    assert!(printed.code == 1 && printed.err.contains("cannot be started"), "{}", printed.err);
    pointsman.replace_binary(None);
    upgraded(&mut pointsman);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

#[test]
fn new_processes_that_are_killed_right_after_their_start_change_nothing() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = Pointsman::start_replaceable(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let load = Load::start(pointsman.http(), 4);
    let (old, file) = (pointsman.pid(), pointsman.dir.path().join("pid"));
    let real = env!("CARGO_BIN_EXE_pointsman");
    pointsman.replace_binary(Some(&format!(
        "echo $$ > {0}.new; mv {0}.new {0}; kill -STOP $$; exec {real} \"$@\"",
        file.display()
    )));
    for round in 0..10 {
        let admin = pointsman.admin;
        let upgrade = std::thread::spawn(move || Pointsman::cli_at(admin, &["upgrade"]));
        eventually("the new one is there", || file.exists());
        let new = std::fs::read_to_string(&file).expect("a pid").trim().to_owned();
        std::fs::remove_file(&file).expect("removed");
        let state = || std::fs::read_to_string(format!("/proc/{new}/stat")).unwrap_or_default();
        eventually("it has stopped itself", || state().contains(") T "));
        let kill = format!("kill -CONT {new}; kill -9 {new}");
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().expect("sh").success());
        let printed = upgrade.join().expect("an end");
        assert!(printed.code == 1 && printed.err.contains("(signal: 9"), "round {round}: {printed:?}");
        let to = if round % 2 == 0 { "green" } else { "blue" };
        assert_eq!(pointsman.cli(&["flip", "web", "--to", to]).code, 0);
        assert_eq!((owner(&pointsman), get(pointsman.http(), "/").text().as_str()), (old, to));
    }
    pointsman.replace_binary(None);
    upgraded(&mut pointsman);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

/// A pool whose only upstream was registered and never answers its check: a start waits for it.
fn slow_to_know(pointsman: &Pointsman, silent: &Origin) {
    let set = format!("{{\"upstreams\": [\"{}\"]}}", silent.address);
    let put = pointsman.call("PUT", "/v1/services/web/pools/green/upstreams", &set);
    assert_eq!(put.status, 200, "{}", put.text());
}

fn with_check(blue: SocketAddr, green: SocketAddr) -> String {
    blue_green(blue, green) + "health = { path = \"/\", timeout = \"20s\" }\n"
}

#[test]
fn a_new_process_that_is_killed_with_the_state_in_its_hands_loses_it_to_the_old_one() {
    let nginx = Nginx::start(&["blue", "red"]);
    let silent = Origin::new(|_| Reaction::Hang);
    let text = with_check(nginx.addresses[0], silent.address)
        + &format!("[services.web.pools.red]\nupstreams = [\"{}\"]\n", nginx.addresses[1]);
    let pointsman = Pointsman::start(&text);
    slow_to_know(&pointsman, &silent);
    let load = Load::start(pointsman.http(), 4);
    let old = pointsman.pid();
    let admin = pointsman.admin;
    let upgrade = std::thread::spawn(move || Pointsman::cli_at(admin, &["upgrade"]));
    eventually("the new one has the state", || owner(&pointsman) != old && owner(&pointsman) != 0);
    // What is asked for in this moment waits for whoever will have the state.
    let asked = std::thread::spawn(move || Pointsman::cli_at(admin, &["flip", "web", "--to", "red"]));
    let new = owner(&pointsman);
    let killed = std::process::Command::new("kill").args(["-9", &new.to_string()]).status();
    assert!(killed.expect("kill").success());
    let printed = upgrade.join().expect("an end");
    assert!(printed.code == 1 && printed.err.contains("(signal: 9"), "{printed:?}");
    let flip = asked.join().expect("an end");
    assert_eq!(flip.code, 0, "{}", flip.err);
    assert_eq!((owner(&pointsman), pointsman.web()["stable"].as_str()), (old, Some("red")));
    assert_eq!(get(pointsman.http(), "/").text(), "red");
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    let again = pointsman.kill_and_restart();
    assert_eq!(again.web()["stable"], "red", "it was durable");
}

#[test]
fn a_state_that_cannot_be_taken_back_is_tried_again_and_requests_go_on() {
    let nginx = Nginx::start(&["blue", "red"]);
    let silent = Origin::new(|_| Reaction::Hang);
    let text = with_check(nginx.addresses[0], silent.address)
        + &format!("[services.web.pools.red]\nupstreams = [\"{}\"]\n", nginx.addresses[1]);
    let pointsman = Pointsman::start(&text);
    slow_to_know(&pointsman, &silent);
    let load = Load::start(pointsman.http(), 4);
    let (old, admin) = (pointsman.pid(), pointsman.admin);
    let upgrade = std::thread::spawn(move || Pointsman::cli_at(admin, &["upgrade"]));
    eventually("the new one has the state", || owner(&pointsman) != old && owner(&pointsman) != 0);
    limit_files(old, "1");
    let killed = std::process::Command::new("kill").args(["-9", &owner(&pointsman).to_string()]).status();
    assert!(killed.expect("kill").success());
    let printed = upgrade.join().expect("an end");
    assert!(printed.code == 1 && printed.err.contains("stand still"), "{printed:?}");
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    limit_files(old, "unlimited");
    // What is asked for waits until the state is back.
    let flip = pointsman.cli(&["flip", "web", "--to", "red"]);
    assert_eq!(flip.code, 0, "{}", flip.err);
    assert_eq!((owner(&pointsman), get(pointsman.http(), "/").text().as_str()), (old, "red"));
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

/// With 1, every write of the process fails, as on a full disk.
fn limit_files(pid: u32, to: &str) {
    let arguments = ["--pid", &pid.to_string(), &format!("--fsize={to}:")];
    let limited = std::process::Command::new("prlimit").args(arguments).status();
    assert!(limited.expect("prlimit").success());
}

#[test]
fn what_cannot_be_written_is_not_handed_over() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = blue_green(nginx.addresses[0], nginx.addresses[1])
        + "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\n";
    let mut pointsman = Pointsman::start(&text);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let old = pointsman.pid();
    limit_files(old, "1");
    let printed = pointsman.upgrade();
    assert!(printed.code == 1 && printed.err.contains("the state store cannot write"), "{}", printed.err);
    assert_eq!((owner(&pointsman), pointsman.weight("green")), (old, 50.0));
    limit_files(old, "unlimited");
    upgraded(&mut pointsman);
    assert_eq!(pointsman.weight("green"), 50.0);
    assert!(pointsman.web()["rollout"]["outcome"].is_null(), "it goes on");
}

#[test]
fn a_stop_in_the_middle_of_an_upgrade_stops_both() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start_replaceable(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let pid = pointsman.dir.path().join("pid");
    pointsman.replace_binary(Some(&format!("echo $$ > {}; exec tail -f /dev/null", pid.display())));
    let admin = pointsman.admin;
    let upgrade = std::thread::spawn(move || Pointsman::cli_at(admin, &["upgrade"]));
    let hanging = || std::fs::read_to_string(&pid).unwrap_or_default().trim().to_owned();
    eventually("the new one hangs", || !hanging().is_empty());
    let second = pointsman.call("POST", "/v1/upgrade", "");
    assert_eq!(second.status, 409, "{}", second.text());
    let hanging = hanging();
    let (status, _dir) = pointsman.terminate();
    assert!(status.success(), "{status}");
    assert!(!std::path::Path::new(&format!("/proc/{hanging}/cmdline")).exists(), "it is gone, too");
    assert_eq!(upgrade.join().expect("an end").code, 1);
}

#[test]
fn a_rollout_goes_on_in_the_new_process_and_ci_waits_on() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::named("green");
    let text = blue_green(nginx.addresses[0], green.address)
        .replace("stable = \"blue\"\n", "stable = \"blue\"\npolicy = \"p\"\n")
        + "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\n"
        + "[policies.p]\nerror_rate = { critical = \"1%\" }\n";
    let mut pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let admin = pointsman.admin;
    let ci = std::thread::spawn(move || {
        Pointsman::cli_at(admin, &["rollout", "start", "web", "--to", "green", "--wait"])
    });
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let id = pointsman.web()["rollout"]["id"].clone();
    for _ in 0..3 {
        upgraded(&mut pointsman);
        assert_eq!((pointsman.web()["rollout"]["id"].clone(), pointsman.weight("green")), (id.clone(), 50.0));
    }
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    let load = Load::start(pointsman.http(), 4);
    green.react(|_| Reaction::Answer(500, "broken".into()));
    let view = pointsman.ended(id.as_str().expect("an id"));
    assert_eq!(view["outcome"], "aborted", "the new process watches: {view}");
    assert_eq!(pointsman.weight("green"), 0.0);
    let printed = ci.join().expect("an end");
    assert_eq!(printed.code, 3, "{}{}", printed.out, printed.err);
    drop(load);
}

#[test]
fn a_websocket_and_a_slow_download_outlive_an_upgrade() {
    let blue = Origin::new(|request| match request.path() {
        "/ws" => Reaction::Upgrade,
        _ => Reaction::Echo,
    });
    let mut pointsman = Pointsman::start(&blue_green(blue.address, blue.address));
    let mut socket = Connection::open(pointsman.http());
    let hello = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(socket.send(hello).status, 101);
    let mut slow = Connection::open(pointsman.http());
    slow.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").expect("written");
    assert_eq!(slow.head().expect("a head").status, 200);
    assert_eq!(slow.chunk().expect("a piece"), b"abc");
    let mut idle = Connection::open(pointsman.http());
    assert_eq!(idle.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").text(), "x");
    let old = pointsman.pid();
    upgraded(&mut pointsman);
    eventually("an idle client is answered and asked to move", || {
        let answer = idle.send(b"POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny");
        assert_eq!(answer.text(), "y");
        answer.header("connection") == Some("close")
    });
    for text in [b"one", b"two"] {
        socket.write(text).expect("written");
        let mut back = [0; 3];
        std::io::Read::read_exact(&mut socket.reader, &mut back).expect("echoed");
        assert_eq!(&back, text);
    }
    slow.write(b"def").expect("written");
    assert_eq!(slow.chunk().expect("a piece"), b"def");
    assert_eq!(slow.chunk().expect("the end"), b"");
    assert!(pointsman.is_ours(old), "the old one is still at it");
    socket.reader.get_mut().shutdown(std::net::Shutdown::Both).expect("closed");
    drop(slow);
    assert!(pointsman.first_ended().success());
}

/// curl, many requests on one connection: how many, and what came that is no 200 over HTTP/2.
fn many(port: u16) -> (usize, Vec<String>) {
    let url = format!("https://127.0.0.1:{port}/[1-200]");
    let args =
        ["-sk", "--http2", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code} %{http_version}\n"];
    let output = std::process::Command::new("curl").args(args).arg(&url).output().expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut wrong: Vec<_> = text.lines().filter(|line| *line != "200 2").map(str::to_owned).collect();
    if !output.status.success() {
        wrong.push(format!("curl: {}", output.status));
    }
    (text.lines().count(), wrong)
}

#[test]
fn http2_clients_move_over_without_an_error() {
    let nginx = Nginx::start(&["blue", "green"]);
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["one.example".to_owned()]).expect("a certificate");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let files = format!("{{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display());
    let mut pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{files}] }}\n{}",
        blue_green(nginx.addresses[0], nginx.addresses[1])
    ));
    let port = pointsman.http().port();
    let stop = Arc::new(AtomicBool::new(false));
    let clients = [(); 3].map(|()| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let (mut requests, mut wrong) = (0, Vec::new());
            while !stop.load(Ordering::SeqCst) {
                let (more, faults) = many(port);
                requests += more;
                wrong.extend(faults);
            }
            (requests, wrong)
        })
    });
    for _ in 0..5 {
        let served = served(&pointsman);
        eventually("clients are at it", || self::served(&pointsman) > served + 100.0);
        upgraded(&mut pointsman);
        eventually("also in the new one", || self::served(&pointsman) > 100.0);
    }
    stop.store(true, Ordering::SeqCst);
    let seen = clients.map(|client| client.join().expect("a client panicked"));
    let requests: usize = seen.iter().map(|(requests, _)| requests).sum();
    let wrong: Vec<_> = seen.iter().flat_map(|(_, wrong)| wrong).collect();
    println!("5 upgrades, {requests} requests over HTTP/2 with TLS, {} of them wrong", wrong.len());
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Requests that the process has sent to upstreams.
fn served(pointsman: &Pointsman) -> f64 {
    pointsman.get("/api/metrics").json()["http_requests_total"].as_f64().expect("a number")
}

#[test]
fn sigusr2_upgrades_too() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let old = pointsman.pid();
    pointsman.signal("USR2");
    assert!(pointsman.first_ended().success());
    let new = owner(&pointsman);
    assert_ne!(new, old);
    pointsman.succeeded_by(new);
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
}

#[test]
fn taking_over_from_nobody_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let printed = super::harness::Printed::of(&["run", "--take-over", "--config", "p.toml"], dir.path());
    assert_eq!(printed.code, 1);
    assert!(printed.err.contains("--take-over is for `pointsman upgrade`"), "{}", printed.err);
}
