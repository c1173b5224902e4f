//! Number 20: the state is for us alone, is whole in one file at every stop, and where it is damaged or
//! lost, that is said, and what is safe is served.

use crate::harness::{Nginx, Pointsman, Printed, eventually};
use rusqlite::Connection as Database;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn config(blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.pools.red]\nupstreams = [\"{blue}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 30, hold = \"1h\" }}, {{ weight = 100 }}]\n"
    )
}

/// One whose stable pool is green, by a flip, and not blue, as the file says.
fn flipped() -> (Nginx, Pointsman) {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1]));
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    (nginx, pointsman)
}

fn rolling_out(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "red"}"#);
    eventually("it shifts", || pointsman.weight("red") == 30.0);
    id
}

fn state(dir: &TempDir) -> PathBuf {
    dir.path().join("state")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
}

/// It serves green alone, runs no rollout, and says what happened.
#[track_caller]
fn is_degraded(pointsman: &Pointsman, why: &str) {
    let web = pointsman.web();
    let (stable, green) = (&web["stable"], pointsman.weight("green"));
    let ready = pointsman.get("/readyz");
    println!("n20 {why}: stable {stable} at {green} %; /readyz {} {}", ready.status, ready.text());
    assert_eq!((stable.as_str(), green), (Some("green"), 100.0), "{web}");
    assert!(web["candidate"].is_null(), "{web}");
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("degraded")));
    assert!(ready.text().contains(why), "{why} is not in {}", ready.text());
    assert!(pointsman.log().contains("started degraded"), "{}", pointsman.log());
    let text = pointsman.row("recovered")["text"].to_string();
    assert!(text.contains("degraded") && text.contains(why), "{text}");
    assert_eq!(crate::harness::get(pointsman.http(), "/").status, 200, "it serves");
    assert_eq!(pointsman.cli(&["healthcheck", "--ready"]).code, 0);
}

fn aside(dir: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(state(dir)).expect("a directory").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("damaged")).collect()
}

#[test]
fn nobody_else_can_read_the_state() {
    let (_nginx, pointsman) = flipped();
    let dir = state(&pointsman.dir);
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir).expect("a directory").flatten().collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in &files {
        assert_eq!(mode(&file.path()), 0o600, "{file:?}");
    }
    // As an older version, or a copy, left them.
    let work = pointsman.kill();
    std::fs::create_dir(dir.join("acme")).expect("made");
    std::fs::write(dir.join("acme/account.json"), "{}").expect("written");
    for file in std::fs::read_dir(&dir).expect("a directory").flatten() {
        set_mode(&file.path(), if file.path().is_dir() { 0o755 } else { 0o644 });
    }
    set_mode(&dir.join("acme/account.json"), 0o644);
    set_mode(&dir, 0o755);
    let pointsman = Pointsman::start_in(work);
    assert_eq!((mode(&dir), mode(&dir.join("state.db")), mode(&dir.join("secret"))), (0o700, 0o600, 0o600));
    assert_eq!((mode(&dir.join("acme")), mode(&dir.join("acme/account.json"))), (0o700, 0o600));
    assert!(pointsman.log().contains("others could open it"), "{}", pointsman.log());
    assert_eq!(pointsman.get("/readyz").json()["status"], "ok");
}

/// It might be `/tmp`.
#[test]
fn a_directory_with_other_files_is_left_open_and_that_is_told() {
    let nginx = Nginx::start(&["blue", "green"]);
    let dir = TempDir::new().expect("a directory");
    std::fs::create_dir(state(&dir)).expect("made");
    std::fs::write(state(&dir).join("notes.txt"), "mine").expect("written");
    set_mode(&state(&dir), 0o755);
    set_mode(&state(&dir).join("notes.txt"), 0o644);
    let text = crate::harness::whole(&config(nginx.addresses[0], nginx.addresses[1]));
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("written");
    let pointsman = Pointsman::start_in(dir);
    let dir = state(&pointsman.dir);
    assert_eq!((mode(&dir), mode(&dir.join("notes.txt"))), (0o755, 0o644));
    assert_eq!(mode(&dir.join("state.db")), 0o600);
    assert!(pointsman.log().contains("a directory of its own"), "{}", pointsman.log());
}

#[test]
fn one_file_is_the_state_after_every_stop() {
    let (_nginx, mut pointsman) = flipped();
    let log = state(&pointsman.dir).join("state.db-wal");
    let before = std::fs::metadata(&log).map_or(0, |log| log.len());
    assert!(before > 0, "there is something to write together");
    let printed = pointsman.upgrade();
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert_eq!(pointsman.web()["stable"], "green");
    let pid = pointsman.pid();
    pointsman.signal("TERM");
    eventually("it ends", || !pointsman.is_ours(pid));
    let after = std::fs::metadata(&log).map_or(0, |log| log.len());
    println!("n20 write-ahead log: {before} bytes while it runs, {after} after SIGTERM");
    assert_eq!(after, 0);
    let copy = TempDir::new().expect("a directory");
    std::fs::copy(state(&pointsman.dir).join("state.db"), copy.path().join("state.db")).expect("copied");
    let alone = Database::open(copy.path().join("state.db")).expect("a database");
    let text: String = alone
        .query_row("SELECT state FROM services WHERE name = 'web'", [], |row| row.get(0))
        .expect("the state");
    let stored: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(stored["state"]["stable"], "green");
}

#[test]
fn a_damaged_store_is_kept_aside_and_the_last_stable_pool_serves() {
    for what in ["header", "pages", "short"] {
        let (_nginx, pointsman) = flipped();
        rolling_out(&pointsman);
        let (_, dir) = pointsman.terminate();
        let path = state(&dir).join("state.db");
        let mut bytes = std::fs::read(&path).expect("a file");
        match what {
            "header" => bytes[..100].fill(0xEE),
            "pages" => bytes[4096..].fill(0xEE),
            _ => bytes.truncate(5000),
        }
        std::fs::write(&path, bytes).expect("written");
        let pointsman = Pointsman::start_in(dir);
        is_degraded(&pointsman, "was damaged");
        assert!(!aside(&pointsman.dir).is_empty(), "{what}");
        // It works, and a restart is none to speak of.
        assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#).status, 200);
        let pointsman = pointsman.kill_and_restart();
        assert_eq!(pointsman.web()["stable"], "blue");
        assert_eq!(pointsman.get("/readyz").json()["status"], "ok");
    }
}

#[test]
fn a_lost_store_is_noticed() {
    for emptied in [false, true] {
        let (_nginx, pointsman) = flipped();
        rolling_out(&pointsman);
        let dir = pointsman.kill();
        for part in ["state.db", "state.db-wal", "state.db-shm"] {
            let path = state(&dir).join(part);
            let _ = if emptied { std::fs::write(path, "") } else { std::fs::remove_file(path) };
        }
        is_degraded(&Pointsman::start_in(dir), "is gone");
    }
}

#[test]
fn a_lost_or_damaged_log_is_noticed_and_nothing_old_is_served() {
    for damage in ["gone", "empty", "garbled"] {
        let (_nginx, pointsman) = flipped();
        // What follows is in the log alone.
        let dir = pointsman.terminate().1;
        let pointsman = Pointsman::start_in(dir);
        assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#).status, 200);
        assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
        rolling_out(&pointsman);
        let dir = pointsman.kill();
        let log = state(&dir).join("state.db-wal");
        match damage {
            "gone" => std::fs::remove_file(&log).expect("removed"),
            "empty" => std::fs::write(&log, "").expect("written"),
            _ => {
                let mut bytes = std::fs::read(&log).expect("a log");
                bytes[60] ^= 0xFF;
                std::fs::write(&log, bytes).expect("written");
            }
        }
        let pointsman = Pointsman::start_in(dir);
        is_degraded(&pointsman, "write-ahead log was lost or damaged");
        assert_eq!(aside(&pointsman.dir).len(), usize::from(damage == "garbled"), "{damage}");
    }
}

#[test]
fn without_the_marks_no_rollout_goes_on() {
    for damage in ["gone", "short", "torn"] {
        let (_nginx, pointsman) = flipped();
        let id = rolling_out(&pointsman);
        let dir = pointsman.kill();
        let marks = state(&dir).join("aborts");
        match damage {
            "gone" => std::fs::remove_file(&marks).expect("removed"),
            "short" => std::fs::write(&marks, "x").expect("written"),
            _ => {
                let mut bytes = std::fs::read(&marks).expect("marks");
                bytes[..20].fill(7);
                std::fs::write(&marks, bytes).expect("written");
            }
        }
        let pointsman = Pointsman::start_in(dir);
        let view = pointsman.ended(&id);
        assert_eq!(view["outcome"], "aborted", "{damage}: {view}");
        assert_eq!((pointsman.weight("green"), pointsman.weight("red")), (100.0, 0.0));
        let ready = pointsman.get("/readyz");
        assert_eq!(ready.json()["status"], "degraded", "{damage}: {}", ready.text());
    }
}

#[test]
fn a_lost_or_damaged_secret_is_told() {
    for damaged in [false, true] {
        let (_nginx, pointsman) = flipped();
        let (_, dir) = pointsman.terminate();
        let secret = state(&dir).join("secret");
        if damaged {
            std::fs::write(&secret, [0xFF; 40]).expect("written");
        } else {
            std::fs::remove_file(&secret).expect("removed");
        }
        let pointsman = Pointsman::start_in(dir);
        let ready = pointsman.get("/readyz");
        assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("degraded")));
        assert!(ready.text().contains("users are assigned again"), "{}", ready.text());
        assert_eq!(pointsman.web()["stable"], "green", "the state is whole");
        assert_eq!(aside(&pointsman.dir).len(), usize::from(damaged));
        assert_eq!(mode(&secret), 0o600);
        assert_eq!(pointsman.kill_and_restart().get("/readyz").json()["status"], "ok");
    }
}

/// What stands in a sound database is looked at, too.
/// What is changed in a stored state, in words and in deed.
type Tampering = (&'static str, fn(&mut Value));

#[test]
fn weights_and_roles_that_cannot_be_are_not_served() {
    let changes: [Tampering; 6] = [
        ("sum to 130 %", |state| state["weights"]["blue"] = 3000.into()),
        ("sum to 0 %", |state| state["weights"]["green"] = 0.into()),
        ("cannot be read", |state| state["weights"]["blue"] = (-3000).into()),
        ("cannot be read", |state| state["weights"]["green"] = 20_000.into()),
        ("which is stable", |state| state["stable"] = "purple".into()),
        ("cannot be read", |state| *state = "nothing".into()),
    ];
    for (why, change) in changes {
        let (_nginx, pointsman) = flipped();
        let (_, dir) = pointsman.terminate();
        tamper(&dir, change);
        is_degraded(&Pointsman::start_in(dir), why);
    }
}

#[test]
fn a_rollout_that_cannot_be_does_not_go_on() {
    let changes: [Tampering; 3] = [
        ("goes from blue", |state| state["rollout"]["from"] = "blue".into()),
        ("is not among its pools", |state| state["rollout"]["to"] = "purple".into()),
        ("while a rollout to red runs", |state| {
            (state["weights"]["blue"], state["weights"]["red"]) = (3000.into(), 0.into());
        }),
    ];
    for (why, change) in changes {
        let (_nginx, pointsman) = flipped();
        rolling_out(&pointsman);
        let (_, dir) = pointsman.terminate();
        tamper(&dir, change);
        is_degraded(&Pointsman::start_in(dir), why);
    }
}

fn tamper(dir: &TempDir, change: fn(&mut Value)) {
    let database = Database::open(state(dir).join("state.db")).expect("a database");
    let query = "SELECT state FROM services WHERE name = 'web'";
    let text: String = database.query_row(query, [], |row| row.get(0)).expect("a state");
    let mut stored: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut stored["state"]);
    database
        .execute("UPDATE services SET state = ?1 WHERE name = 'web'", [stored.to_string()])
        .expect("written");
}

/// Who deletes the file of the lock does not get two processes for it.
#[test]
fn a_second_process_is_refused_even_without_the_file_of_the_lock() {
    let (_nginx, pointsman) = flipped();
    std::fs::remove_file(state(&pointsman.dir).join("lock")).expect("removed");
    let second = Printed::of(&["run", "--config", "pointsman.toml"], pointsman.dir.path());
    assert_eq!(second.code, 1);
    assert!(second.err.contains("in use by another process"), "{}", second.err);
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#).status, 200);
}

/// A disk that cannot be written when the process starts: what is stored is served, changes are refused.
#[test]
fn a_read_only_directory_serves_what_is_stored() {
    let (_nginx, pointsman) = flipped();
    let (_, dir) = pointsman.terminate();
    let mount = format!("mount --bind {0} {0} && mount -o remount,ro,bind {0}", state(&dir).display());
    let mut command = Command::new("unshare");
    let namespace: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-rm"] };
    command.args(namespace).args(["sh", "-c", &format!("{mount} && exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_pointsman"));
    let pointsman = Pointsman::start_by(&mut command, dir);
    let ready = pointsman.get("/readyz");
    println!("n20 read-only at the start: /readyz {} {}", ready.status, ready.text());
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("degraded")));
    assert!(ready.text().contains("no change can be made"), "{}", ready.text());
    assert_eq!(pointsman.web()["stable"], "green");
    assert_eq!(crate::harness::get(pointsman.http(), "/").status, 200);
    let flip = pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "blue"}"#);
    assert_eq!(flip.status, 503, "{}", flip.text());
    assert!(flip.text().contains("restart once it can be written"), "{}", flip.text());
}

/// Where nothing was ever stored there is nothing to serve by: a clear error.
#[test]
fn a_first_start_that_cannot_write_fails_and_says_why() {
    let nginx = Nginx::start(&["blue", "green"]);
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("file"), "").expect("written");
    let text = crate::harness::whole(&config(nginx.addresses[0], nginx.addresses[1]));
    let text = text.replace("state_dir = \"state\"", "state_dir = \"file/state\"");
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("written");
    let printed = Printed::of(&["run", "--config", "pointsman.toml"], dir.path());
    assert_eq!(printed.code, 1);
    assert!(
        printed.err.contains("the state directory") && printed.err.contains("file/state"),
        "{}",
        printed.err
    );
}
