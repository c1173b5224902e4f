//! As a service of the system: word to its manager, limits, and the files that are shipped for it.

use super::harness::{Connection, Nginx, Pointsman, Printed, blue_green, eventually, get};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A service manager that writes down what it is told.
struct Manager {
    dir: TempDir,
    told: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn start() -> Self {
        let dir = TempDir::new().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Until the test is over: the thread ends with the process.
            while let Ok(count) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                heard.lock().expect("no panic").push(text);
            }
        });
        Manager { dir, told }
    }

    fn address(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    /// The first line of each word, without those that it still lives.
    fn told(&self) -> Vec<String> {
        let told = self.told.lock().expect("no panic");
        let first = told.iter().filter_map(|text| text.lines().next());
        first.filter(|line| *line != "WATCHDOG=1").map(str::to_owned).collect()
    }

    fn whole(&self) -> String {
        self.told.lock().expect("no panic").join("\n")
    }
}

#[test]
fn the_service_manager_is_told_everything_in_order() {
    let nginx = Nginx::start(&["blue", "green"]);
    let manager = Manager::start();
    let variables = [("NOTIFY_SOCKET", manager.address()), ("WATCHDOG_USEC", "600000".to_owned())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = blue_green(nginx.addresses[0], nginx.addresses[1]);
    let mut pointsman = Pointsman::start_told(&text, &variables);
    eventually("it is ready", || manager.told() == ["READY=1"]);
    eventually("it says that it lives", || manager.whole().matches("WATCHDOG=1").count() >= 3);
    pointsman.signal("HUP");
    eventually("it has reloaded", || manager.told() == ["READY=1", "RELOADING=1", "READY=1"]);
    let since = manager.whole();
    let since = since.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(since.parse::<u64>().is_ok_and(|us| us > 0), "{since}");
    assert_eq!(pointsman.upgrade().code, 0);
    let main = format!("MAINPID={}", pointsman.pid());
    eventually("the new one is ready", || manager.told()[3..] == [main.as_str(), "READY=1"]);
    assert!(pointsman.first_ended().success());
    let lives = manager.whole().matches("WATCHDOG=1").count();
    eventually("the new one lives", || manager.whole().matches("WATCHDOG=1").count() >= lives + 2);
    pointsman.signal("TERM");
    eventually("it stops", || manager.told()[5..] == ["STOPPING=1"]);
}

#[test]
fn without_a_service_manager_that_listens_it_serves_all_the_same() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = blue_green(nginx.addresses[0], nginx.addresses[1]);
    let pointsman = Pointsman::start_told(&text, &[("NOTIFY_SOCKET", "@nobody/there")]);
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    eventually("it says so", || pointsman.log().contains("the service manager cannot be told"));
}

#[test]
fn the_limit_of_file_descriptors_is_raised_to_the_hard_one() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pointsman.pid())).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the line");
    let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert!(pointsman.log().contains(&format!("file descriptors: {} may be open", numbers[0])));
}

#[test]
fn before_a_stop_it_is_not_ready_but_serves_for_the_drain_delay() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = "[server]\nstate_dir = \"state\"\nthreads = 1\ndrain_delay = \"1s\"\n".to_owned()
        + &blue_green(nginx.addresses[0], nginx.addresses[1]);
    let pointsman = Pointsman::start(&text);
    assert_eq!(pointsman.cli(&["healthcheck", "--ready"]).code, 0);
    let (http, admin) = (pointsman.http(), pointsman.admin);
    let stopping = std::thread::spawn(move || pointsman.terminate());
    let ready = || Connection::try_open(admin).map_or(0, |mut open| open.get("/readyz").status);
    eventually("it is not ready", || ready() == 503);
    assert_eq!(get(http, "/").text(), "blue", "a new connection is served");
    let checked = Pointsman::cli_at(admin, &["healthcheck", "--ready"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.out.contains("the process is stopping"), "{checked:?}");
    assert_eq!(Pointsman::cli_at(admin, &["healthcheck"]).code, 0, "but it lives");
    let (status, _) = stopping.join().expect("an end");
    assert!(status.success(), "{status}");
    assert!(Connection::try_open(http).is_err());
    assert_eq!(Pointsman::cli_at(admin, &["healthcheck"]).code, 1);
}

fn shipped(file: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `pointsman` with these words and `--help`: each command and flag must be known.
#[track_caller]
fn is_known(words: &[&str]) {
    let mut known = words.to_vec();
    known.push("--help");
    let printed = Printed::of(&known, std::path::Path::new("/"));
    assert_eq!(printed.code, 0, "{words:?}: {}", printed.err);
}

#[test]
fn the_systemd_unit_uses_what_there_is() {
    let unit = shipped("conf/pointsman.service");
    let commands: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart").and_then(|line| line.split_once('=')))
        .map(|(_, command)| command.split_whitespace().collect::<Vec<_>>())
        .collect();
    assert_eq!(commands.len(), 2);
    for command in &commands {
        assert_eq!(command[0], "/usr/local/bin/pointsman");
        is_known(&command[1..]);
    }
    for line in [
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "KillMode=mixed",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StateDirectory=pointsman",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
    // The default grace, with room.
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time");
    assert!(stop.parse::<u64>().is_ok_and(|seconds| seconds > 25), "{stop}");
}

#[test]
fn the_container_uses_what_there_is() {
    let file = shipped("conf/docker/Dockerfile");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for line in file.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let from = line.split_whitespace().nth(1).expect("a source");
        assert!(root.join(from).exists(), "{line}");
    }
    let words = |line: &str| -> Vec<String> {
        let list = line.get(line.find('[').expect("a list")..).expect("a list");
        serde_json::from_str(list).expect("the exec form, which needs no shell")
    };
    let line = |start: &str| file.lines().find(|line| line.starts_with(start)).expect("the line");
    let entry = words(line("ENTRYPOINT"));
    assert_eq!(entry, ["/usr/local/bin/pointsman"]);
    is_known(&words(line("CMD")).iter().map(String::as_str).collect::<Vec<_>>());
    let check = words(line("HEALTHCHECK"));
    assert_eq!(check[..1], entry[..]);
    is_known(&[&check[1]]);
    assert!(line("USER").split_whitespace().nth(1).is_some_and(|user| user != "0" && user != "root"));
    let compose = shipped("conf/docker/compose.yml");
    for part in [
        "dockerfile: conf/docker/Dockerfile",
        "read_only: true",
        "cap_drop: [ALL]",
        "cap_add: [NET_BIND_SERVICE]",
        "test: [\"CMD\", \"/usr/local/bin/pointsman\", \"healthcheck\"]",
        "./pointsman.toml:/etc/pointsman/pointsman.toml:ro",
        "state:/var/lib/pointsman",
    ] {
        assert!(compose.contains(part), "{part}");
    }
    // The versions of the configuration are the containers beside it, and its state is the volume.
    let config = shipped("conf/docker/pointsman.toml");
    for name in ["blue", "green"] {
        assert!(config.contains(&format!("\"{name}:3000\"")) && compose.contains(&format!("\n  {name}:\n")));
    }
    assert!(
        config.contains("state_dir = \"/var/lib/pointsman\"") && file.contains("VOLUME /var/lib/pointsman")
    );
    let ignored = shipped(".dockerignore");
    assert!(ignored.lines().any(|line| line == "target"));
    assert!(!ignored.lines().any(|line| ["src", "conf", "benches", "tests"].contains(&line)));
}
