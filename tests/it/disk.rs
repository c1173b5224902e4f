//! The disk of the state store is full: really, on a small one of its own.

mod docker;

use super::harness::{Load, Origin, Pointsman, Printed, Reaction, eventually, whole};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use tempfile::TempDir;

/// Bytes of the disk.
const SIZE: usize = 2 << 20;
/// Set in a user namespace of our own.
const INSIDE: &str = "POINTSMAN_TEST_INSIDE";

/// A small disk, mounted on a directory; unmounted when dropped.
struct Disk {
    dir: TempDir,
    by_sudo: bool,
}

impl Disk {
    /// Runs a test, by its name, on a disk of its own. Mounting is for root; others are root in a user
    /// namespace, where the system lets them.
    #[track_caller]
    fn with(name: &str, test: fn(&Disk)) {
        let mut said = Vec::new();
        match Disk::mount(false).or_else(|why| {
            said.push(why);
            Disk::mount(true)
        }) {
            Ok(disk) => return test(&disk),
            Err(why) => said.push(why),
        }
        if std::env::var_os(INSIDE).is_none() {
            let this = std::env::current_exe().expect("a path");
            let mut inside = Command::new("unshare");
            inside.arg("-rm").arg(this).args(["--exact", &format!("disk::{name}"), "--nocapture"]);
            let mount = ["-rm", "mount", "-t", "tmpfs", "pointsman-test", "/mnt"];
            if Command::new("unshare").args(mount).status().is_ok_and(|status| status.success()) {
                assert!(inside.env(INSIDE, "1").status().expect("unshare").success(), "see above");
                return;
            }
        }
        panic!(
            "no disk can be mounted; run as root, with sudo, or allow user namespaces: {}",
            said.join("; ")
        );
    }

    fn mount(by_sudo: bool) -> Result<Disk, String> {
        let dir = TempDir::new().expect("a directory");
        let mut command = rooted(by_sudo, "mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={SIZE},mode=1777"), "pointsman-test"]);
        let output = command.arg(dir.path()).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(Disk { dir, by_sudo }),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).expect("a file");
        for piece in [4096, 1] {
            while file.write_all(&vec![1; piece]).is_ok() {}
        }
        let free = std::fs::write(self.path().join("more"), [1]);
        assert!(free.is_err(), "the disk is full");
        let _ = std::fs::remove_file(self.path().join("more"));
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it.
        let _ = rooted(self.by_sudo, "umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn rooted(by_sudo: bool, program: &str) -> Command {
    if !by_sudo {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn config(disk: &Disk, origins: [&Origin; 3]) -> String {
    let [blue, green, red] = origins.map(|origin| origin.address);
    format!(
        "[server]\nstate_dir = \"{}\"\nthreads = 2\ngrace = \"5s\"\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.pools.red]\nupstreams = [\"{red}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 5, hold = \"1h\" }}, {{ weight = 100 }}]\n\
         bake = \"0s\"\nmin_attempts = 0\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        disk.state().display()
    )
}

/// Weights and roles.
fn essence(pointsman: &Pointsman) -> Vec<Value> {
    let view = pointsman.web();
    let weights = ["blue", "green", "red"].map(|pool| view["pools"][pool]["weight"].clone());
    weights.into_iter().chain([view["stable"].clone(), view["previous"].clone()]).collect()
}

#[track_caller]
fn refused(pointsman: &Pointsman, path: &str, body: &str) {
    let before = essence(pointsman);
    let answer = pointsman.call("POST", path, body);
    assert_eq!(answer.status, 503, "{path}: {}", answer.text());
    assert!(answer.text().contains("the disk is full"), "{path}: {}", answer.text());
    assert_eq!(essence(pointsman), before, "{path}: nothing has changed");
}

/// Asks SQLite itself.
fn whole_store(disk: &Disk) {
    let store = rusqlite::Connection::open(disk.state().join("state.db")).expect("a store");
    let check: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(check, "ok");
}

#[test]
fn on_a_full_disk_aborts_work_promotions_are_refused_and_it_recovers() {
    Disk::with("on_a_full_disk_aborts_work_promotions_are_refused_and_it_recovers", aborts);
}

fn aborts(disk: &Disk) {
    let [blue, green, red] = ["blue", "green", "red"].map(Origin::named);
    let pointsman = Pointsman::start(&config(disk, [&blue, &green, &red]));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "red"}"#);
    eventually("it shifts", || pointsman.weight("red") == 5.0);
    disk.fill();
    refused(&pointsman, &format!("/v1/services/web/rollouts/{id}/promote"), "");
    refused(&pointsman, &format!("/v1/services/web/rollouts/{id}/pause"), "");

    let since = Instant::now();
    red.react(|_| Reaction::Answer(500, "broken".into()));
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted");
    assert_eq!(pointsman.weight("red"), 0.0);
    println!("full disk: aborted {:.0?} after the candidate turned bad", since.elapsed());
    eventually("what was on its way has been answered", || {
        pointsman.web()["pools"]["red"]["upstreams"][0]["in_flight"] == 0
    });
    let asked = red.requests();
    refused(&pointsman, "/v1/services/web/flip", r#"{"to": "green"}"#);
    refused(&pointsman, "/v1/services/web/rollouts", r#"{"to": "green"}"#);
    let good = load.good();
    eventually("the load goes on", || load.good() > good + 200);
    assert_eq!(red.requests(), asked, "none goes to the candidate");
    drop(load);

    // Nothing of the abort is in the store; the mark is.
    let pointsman = pointsman.kill_and_restart();
    let path = format!("/v1/services/web/rollouts/{id}");
    assert_eq!(pointsman.get(&path).json()["outcome"], "aborted");
    assert_eq!((pointsman.weight("red"), pointsman.weight("blue")), (0.0, 100.0));
    refused(&pointsman, "/v1/services/web/flip", r#"{"to": "green"}"#);
    assert!(!pointsman.history().iter().any(|row| row["action"] == "aborted"), "not written yet");

    disk.free();
    let row = pointsman.row("aborted");
    assert_eq!(row["rollout"], id.as_str());
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    let (status, dir) = pointsman.terminate();
    assert!(status.success());
    whole_store(disk);
    let pointsman = Pointsman::start_in(dir);
    assert_eq!(pointsman.web()["stable"], "green");
    assert_eq!(pointsman.get(&path).json()["outcome"], "aborted");
}

#[test]
fn on_a_full_disk_a_step_waits_says_why_and_goes_on_with_space() {
    Disk::with("on_a_full_disk_a_step_waits_says_why_and_goes_on_with_space", step);
}

fn step(disk: &Disk) {
    let [blue, green, red] = ["blue", "green", "red"].map(Origin::named);
    let text = config(disk, [&blue, &green, &red]).replace("hold = \"1h\"", "hold = \"500ms\"");
    let pointsman = Pointsman::start(&text.replace("min_attempts = 0", "min_attempts = 0\ngate = true"));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let waits = |pointsman: &Pointsman| pointsman.web()["rollout"]["waits_for"] == "approval";
    eventually("it waits", || waits(&pointsman));
    let resume = format!("/v1/services/web/rollouts/{id}/resume");
    assert_eq!(pointsman.call("POST", &resume, "").status, 200);
    eventually("it shifts", || pointsman.weight("green") == 5.0);
    disk.fill();
    eventually("the view says why", || {
        pointsman.web()["rollout"]["reason"].as_str().is_some_and(|why| why.contains("the disk is full"))
    });
    assert_eq!(pointsman.weight("green"), 5.0);
    let tries = || pointsman.log().matches("the state store cannot write").count();
    let (before, since) = (tries(), Instant::now());
    eventually("it tries again", || tries() >= before + 2);
    assert!(since.elapsed().as_secs_f64() > 0.9, "not in a hurry: {:?}", since.elapsed());
    disk.free();
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    let rows = pointsman.history();
    let steps = rows.iter().filter(|row| row["action"] == "step").count();
    assert_eq!(steps, 2, "each was written once");
    drop(pointsman);
    whole_store(disk);
}

#[test]
fn a_first_start_on_a_full_disk_says_so_and_spoils_nothing() {
    Disk::with("a_first_start_on_a_full_disk_says_so_and_spoils_nothing", first_start);
}

fn first_start(disk: &Disk) {
    let [blue, green, red] = ["blue", "green", "red"].map(Origin::named);
    let text = config(disk, [&blue, &green, &red]);
    disk.fill();
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(&text)).expect("a file");
    let printed = Printed::of(&["run", "--config", "pointsman.toml"], dir.path());
    assert_eq!(printed.code, 1, "{}", printed.err);
    println!("first start on a full disk: {}", printed.err.trim());
    let says = printed.err.contains("the disk is full") || printed.err.contains("No space left on device");
    assert!(says && !printed.err.contains("damaged"), "{}", printed.err);
    disk.free();
    let pointsman = Pointsman::start_in(dir);
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    drop(pointsman);
    whole_store(disk);
}

#[test]
fn on_a_full_disk_a_hook_is_not_asked_over_and_over() {
    Disk::with("on_a_full_disk_a_hook_is_not_asked_over_and_over", hook);
}

fn hook(disk: &Disk) {
    let [blue, green, red] = ["blue", "green", "red"].map(Origin::named);
    let open = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = open.clone();
    let hook = Origin::new(move |_| {
        let open = gate.1.wait_while(gate.0.lock().expect("no panic"), |open| !*open);
        drop(open.expect("no panic"));
        Reaction::ok("")
    });
    let hooks = format!("hooks = [{{ at = \"before-shifting\", url = \"http://{}/\" }}]\n", hook.address);
    let text = config(disk, [&blue, &green, &red]).replace("bake =", &(hooks + "bake ="));
    let pointsman = Pointsman::start(&text.replace("hold = \"1h\"", "hold = \"0s\""));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("the hook is asked", || hook.requests() == 1);
    disk.fill();
    *open.0.lock().expect("no panic") = true;
    open.1.notify_all();
    let tries = || pointsman.log().matches("the state store cannot write").count();
    eventually("its answer cannot be written", || tries() >= 3);
    assert_eq!((hook.requests(), pointsman.weight("green")), (1, 0.0));
    disk.free();
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    assert_eq!(hook.requests(), 1, "its answer was kept");
}

#[test]
fn a_disk_that_was_full_costs_one_torn_line_of_the_log() {
    Disk::with("a_disk_that_was_full_costs_one_torn_line_of_the_log", log);
}

fn log(disk: &Disk) {
    let origin = Origin::named("blue");
    let path = disk.path().join("access.log");
    let pointsman = Pointsman::start(&format!(
        "[access_log]\npath = \"{}\"\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        path.display(),
        origin.address
    ));
    let load = Load::start(pointsman.http(), 4);
    eventually("there are lines", || path.metadata().is_ok_and(|log| log.len() > 0));
    disk.fill();
    eventually("lines are lost", || pointsman.log().contains("the access log cannot be written"));
    disk.free();
    eventually("it goes on", || pointsman.log().contains("the access log is written again"));
    let good = load.good();
    eventually("there are more lines", || load.good() > good + 200);
    let (good, ..) = load.stop();
    let metrics = pointsman.get("/metrics").text();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("pointsman_access_log_dropped_total "));
    let dropped: u64 = dropped.and_then(|count| count.parse().ok()).expect("a count");
    let (status, _dir) = pointsman.terminate();
    assert!(status.success());
    let text = std::fs::read_to_string(&path).expect("a log");
    let (whole, torn): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(torn.len() <= 1, "{torn:?}");
    assert_eq!(whole.len() as u64 + dropped, good);
}
