//! From a worker's thread to the file.

use super::*;
use std::path::{Path, PathBuf};

fn log_to(path: &Path) -> (AccessLog, Guard) {
    let settings = settings::AccessLog { path: Some(path.to_owned()), format: LogFormat::Json };
    AccessLog::open(&settings, Clock::start()).expect("opened")
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("access.log");
    (dir, path)
}

/// A worker that logs so many requests, and ends.
fn worker(log: &AccessLog, name: &str, requests: u32) {
    let (log, name) = (log.clone(), name.to_owned());
    let run = move || {
        for n in 0..requests {
            log.log(&Entry { uri: format!("/{name}/{n}").as_bytes(), status: 200, ..Entry::default() });
        }
    };
    std::thread::spawn(run).join().expect("a worker");
}

/// The targets of a log's lines, each of which has to be whole.
fn targets(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.map(|line| line["uri"].as_str().expect("a target").to_owned()).collect()
}

#[test]
fn every_line_is_written_by_the_end() {
    for requests in [1, 100, 5000] {
        let (_dir, path) = file();
        let (log, guard) = log_to(&path);
        worker(&log, "a", requests);
        worker(&log, "b", requests);
        drop(guard);
        let expected: Vec<String> =
            ["a", "b"].iter().flat_map(|name| (0..requests).map(move |n| format!("/{name}/{n}"))).collect();
        assert_eq!((targets(&path), log.dropped()), (expected, 0));
    }
}

#[test]
fn a_rotation_loses_no_line() {
    let (_dir, path) = file();
    let rotated = path.with_extension("1");
    let (log, guard) = log_to(&path);
    worker(&log, "before", 1000);
    std::fs::rename(&path, &rotated).expect("renamed");
    log.reopen();
    worker(&log, "after", 1000);
    drop(guard);
    let (old, new) = (targets(&rotated), targets(&path));
    assert_eq!((old.len() + new.len(), log.dropped()), (2000, 0));
    assert!(!old.iter().any(|target| target.starts_with("/after")), "the new file is used from then on");
}

#[tokio::test]
async fn a_line_comes_by_itself() {
    let (_dir, path) = file();
    let (log, _guard) = log_to(&path);
    tokio::spawn(hand_over_in_time());
    for round in 1..4 {
        log.log(&Entry { uri: b"/alone", status: 200, ..Entry::default() });
        while targets(&path).len() < round {
            tokio::time::sleep(AGE / 10).await;
        }
    }
}

#[test]
fn a_full_disk_drops_and_counts() {
    let (log, guard) = log_to(Path::new("/dev/full"));
    worker(&log, "lost", 2000);
    drop(guard);
    assert_eq!(log.dropped(), 2000);
}

#[test]
fn a_writer_that_is_behind_bounds_what_waits() {
    let (_dir, path) = file();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    // Both ends, so that opening does not wait; nobody reads before all has been logged.
    let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("a pipe");
    let (log, guard) = log_to(&path);
    let lines = |bytes: usize| (bytes / 4096) as u32;
    let (behind, uri) = (log.clone(), vec![b'x'; 4096]);
    let (all, ended) = (lines(2 * MOST_WAITING * BATCH_BYTES), std::sync::mpsc::channel());
    let run = move || {
        (0..all).for_each(|_| behind.log(&Entry { uri: &uri, ..Entry::default() }));
        let _ = ended.0.send(());
    };
    let worker = std::thread::spawn(run);
    ended.1.recv().expect("it does not wait");
    let dropped = log.dropped();
    assert!(dropped > u64::from(all) / 4, "{dropped} of {all}");
    let reader = std::thread::spawn(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(pipe));
        lines.take(all as usize - dropped as usize).filter(|line| line.is_ok()).count() as u64
    });
    worker.join().expect("a worker");
    drop(guard);
    assert_eq!(reader.join().expect("a reader") + log.dropped(), u64::from(all));
}
