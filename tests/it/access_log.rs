//! What is promised of the access log: every request has its line, at once, and whatever becomes of the process.

use super::harness::{Load, Nginx, Pointsman, blue_green, eventually, get};
use std::path::Path;

fn config(nginx: &Nginx, log: &str) -> String {
    format!("[access_log]\npath = \"{log}\"\n{}", blue_green(nginx.addresses[0], nginx.addresses[1]))
}

/// How many lines a file has, all of them whole.
fn lines(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "the end of {}", file.display());
    let is_whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    let whole = text.lines().filter(is_whole).count();
    assert_eq!(whole, text.lines().count(), "lines of {}", file.display());
    whole as u64
}

/// How many lines a file has while it is written.
fn lines_so_far(file: &Path) -> u64 {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn dropped(pointsman: &Pointsman) -> u64 {
    let text = pointsman.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("pointsman_access_log_dropped_total "));
    line.and_then(|count| count.parse().ok()).expect("a count")
}

#[test]
fn a_line_of_the_log_needs_no_other_request() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx, "access.log"));
    let log = pointsman.dir.path().join("access.log");
    for request in 1..=3 {
        assert_eq!(get(pointsman.http(), "/").status, 200);
        eventually("its line is there", || lines_so_far(&log) == request);
    }
    // What the writer has got stays, whatever becomes of the process.
    let dir = pointsman.kill();
    assert_eq!(lines(&dir.path().join("access.log")), 3);
}

#[test]
fn the_log_has_every_request_after_sigterm() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx, "access.log"));
    let load = Load::start(pointsman.http(), 4);
    eventually("there is some load", || load.good() > 2000);
    let (good, failed, broken) = load.stop();
    let (status, dir) = pointsman.terminate();
    assert!(status.success());
    assert_eq!((lines(&dir.path().join("access.log")), failed, broken), (good, 0, 0));
}

#[test]
fn rotations_of_the_log_under_load_lose_no_line() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx, "access.log"));
    let log = pointsman.dir.path().join("access.log");
    let load = Load::start(pointsman.http(), 4);
    let rotated: Vec<_> = (0..10).map(|n| log.with_extension(n.to_string())).collect();
    for file in &rotated {
        let good = load.good();
        eventually("some lines are written", || lines_so_far(&log) > 0 && load.good() > good + 100);
        std::fs::rename(&log, file).expect("renamed");
        pointsman.signal("USR1");
        eventually("the new file is used", || log.exists());
    }
    let (good, failed, broken) = load.stop();
    let (_, dir) = pointsman.terminate();
    let written = rotated.iter().map(|file| lines(file)).sum::<u64>();
    assert_eq!((written + lines(&dir.path().join("access.log")), failed, broken), (good, 0, 0));
}

#[test]
fn an_upgrade_loses_no_line_of_the_log() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = Pointsman::start(&config(&nginx, "access.log"));
    let load = Load::start(pointsman.http(), 4);
    for _ in 0..3 {
        let good = load.good();
        assert_eq!(pointsman.upgrade().code, 0);
        eventually("the new one serves", || load.good() > good + 200);
    }
    let (good, failed, broken) = load.stop();
    let (_, dir) = pointsman.terminate();
    let log = dir.path().join("access.log");
    eventually("the last of the old ones has ended", || lines_so_far(&log) >= good);
    assert_eq!((lines(&log), failed, broken), (good, 0, 0));
}

#[test]
fn a_full_disk_of_the_log_costs_lines_alone_and_all_are_counted() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx, "/dev/full"));
    let load = Load::start(pointsman.http(), 4);
    eventually("there is some load", || load.good() > 2000);
    let (good, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    eventually("they are counted", || dropped(&pointsman) == good);
}
