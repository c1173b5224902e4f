//! As a service of the system: word to its manager, limits, and the files that are shipped for it.

use super::harness::{Connection, Nginx, Pointsman, blue_green, eventually, get};
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
