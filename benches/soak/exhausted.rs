//! No file descriptors left for clients, and then again: the same process serves as before.

use super::harness::{Nginx, Pointsman, blue_green, eventually, get};
use super::watched::Watched;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What the process may have open.
const LIMIT: usize = 200;

pub(super) fn run() {
    let nginx = Nginx::start(&["blue", "green"]);
    let dir = TempDir::new().expect("a directory");
    let text = "[server]\nstate_dir = \"state\"\nthreads = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                [[listeners]]\naddress = \"127.0.0.1:0\"\n[[routes]]\nservice = \"web\"\n"
        .to_owned()
        + &blue_green(nginx.addresses[0], nginx.addresses[1]);
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("a file");
    let limit = format!("--nofile={LIMIT}:{LIMIT}");
    let mut command = Command::new("prlimit");
    command.args([&limit, env!("CARGO_BIN_EXE_pointsman")]);
    let pointsman = Pointsman::start_by(&mut command, dir);
    let mut watched = Watched::new(pointsman.pid());
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    let before = watched.sample();
    for round in 1..=3 {
        let held: Vec<TcpStream> = (0..LIMIT * 2)
            .map(|_| TcpStream::connect(pointsman.http()).expect("the kernel accepts"))
            .collect();
        eventually("clients wait, and the admin API says so", || waiting(&pointsman.get("/metrics").text()));
        let most = watched.sample().descriptors;
        assert!(most < LIMIT as f64, "{most} of {LIMIT}: none is kept back");
        let meanwhile = answered(pointsman.http());
        drop(held);
        eventually("it serves again", || answered(pointsman.http()));
        eventually("descriptors are given back", || {
            watched.sample().descriptors <= before.descriptors + 20.0
        });
        let now = watched.sample();
        println!(
            "exhausted, round {round}: {} connections against {LIMIT} descriptors, a new client meanwhile {}; afterwards \
             {:.0} open ({:.0} before), RSS {:.0} KiB ({:.0} before)",
            LIMIT * 2,
            if meanwhile { "was served" } else { "waited in vain" },
            now.descriptors,
            before.descriptors,
            now.rss_kib,
            before.rss_kib
        );
    }
    assert!(pointsman.is_ours(pointsman.pid()), "the same process");
}

/// Whether a client that waits a quarter of a second gets its answer.
fn answered(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_millis(250)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// Whether a client had to wait for a place.
fn waiting(metrics: &str) -> bool {
    let counts = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("pointsman_own_limit_total{limit=\"connections\"} "));
    counts.filter_map(|count| count.parse::<f64>().ok()).any(|count| count > 0.0)
}
