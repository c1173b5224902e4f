//! The wall clock steps by an hour, forth and back: no hold ends early for it, and none stalls.

use super::harness::{Origin, Pointsman, Reaction, eventually, whole};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const HOLD: Duration = Duration::from_millis(1500);
/// What a hold may take longer on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

/// Debian's library that fakes a process's clock; here the wall clock only.
fn library() -> PathBuf {
    let dirs = std::fs::read_dir("/usr/lib").expect("a directory").filter_map(Result::ok);
    let found = dirs.map(|dir| dir.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
    found.expect("faketime is installed: make setup-test")
}

/// A pointsman whose wall clock a test sets.
struct Faked {
    pointsman: Pointsman,
    offset: PathBuf,
}

impl Faked {
    fn start(config: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
        let offset = dir.path().join("offset");
        step(&offset, "+0");
        let [library, file] = [library(), offset.clone()].map(|path| path.display().to_string());
        let env = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            // Monotonic clocks are left alone; the file is read at every look.
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_NO_CACHE", "1"),
        ];
        Faked { pointsman: Pointsman::start_with(dir, &env), offset }
    }

    /// Sets the wall clock off by so many seconds.
    fn step(&self, offset: &str) {
        step(&self.offset, offset);
    }

    /// Hours that a row of history is off the true time.
    fn hours_off(row: &Value) -> f64 {
        let at: jiff::Timestamp = row["at"].as_str().expect("a time").parse().expect("RFC 3339");
        (at.duration_since(jiff::Timestamp::now()).as_secs_f64() / 3600.0 * 10.0).round() / 10.0
    }

    /// The newest row whose text begins so.
    fn row(&self, text: &str) -> Value {
        let mut found = None;
        eventually(text, || {
            let of = |row: &Value| row["text"].as_str().is_some_and(|t| t.starts_with(text));
            found = self.pointsman.history().into_iter().find(of);
            found.is_some()
        });
        found.expect("found")
    }

    /// Waits for a weight of green; how long that took since then.
    fn reaches(&self, weight: f64, since: Instant) -> Duration {
        eventually("the next step", || self.pointsman.weight("green") == weight);
        since.elapsed()
    }
}

/// As a whole: a reader never meets half a file.
fn step(file: &Path, offset: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, offset).expect("a file");
    std::fs::rename(&new, file).expect("renamed");
}

fn config(blue: &Origin, green: &Origin, rollout: &str, more: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\nmin_attempts = 0\n{rollout}\n{more}",
        blue.address, green.address
    )
}

#[test]
fn a_step_of_the_wall_clock_ends_no_hold_early_and_stops_none() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let rollout = "steps = [{ weight = 5, hold = \"1500ms\" }, { weight = 25, hold = \"1500ms\", gate = true }, \
                   { weight = 100, hold = \"1500ms\" }]\nbake = \"1500ms\"";
    let faked = Faked::start(&config(&blue, &green, rollout, ""));
    let pointsman = &faked.pointsman;
    let mut held = Vec::new();
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    faked.reaches(5.0, Instant::now());
    assert_eq!(Faked::hours_off(&faked.row("step 1 of 3")), 0.0);

    // The hold has begun before the step was seen, and not before this.
    let mut begun = Instant::now();
    faked.step("+3600");
    held.push(("+1 h in step 1", faked.reaches(25.0, begun)));
    assert_eq!(Faked::hours_off(&faked.row("step 2 of 3")), 1.0, "the step of the clock reached the process");

    begun = Instant::now();
    faked.step("-3600");
    eventually("it stands at the gate", || pointsman.web()["rollout"]["waits_for"] == "approval");
    held.push(("-2 h in step 2", begun.elapsed()));
    assert_eq!(Faked::hours_off(&faked.row("waits for approval")), -1.0, "and the one back");

    faked.step("+3600");
    faked.step("-3600");
    faked.step("+0");
    assert_eq!(
        pointsman.web()["rollout"]["waits_for"],
        "approval",
        "a gate waits for somebody, not for a time"
    );
    begun = Instant::now();
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/resume"), "").status, 200);
    faked.reaches(100.0, begun);
    faked.step("-3600");
    eventually("it bakes", || pointsman.web()["rollout"]["phase"] == "baking");
    held.push(("-1 h in step 3", begun.elapsed()));
    begun = Instant::now();
    faked.step("+3600");
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    held.push(("+2 h in the bake", begun.elapsed()));
    for (what, took) in &held {
        println!("{what}: a hold of {HOLD:?} took {took:.2?}");
        // What was seen of its beginning came a little after it.
        assert!(*took > HOLD - Duration::from_millis(500) && *took < HOLD + SLACK, "{what}: {took:?}");
    }
}

#[test]
fn a_step_of_the_wall_clock_keeps_no_notice_back() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let down = Origin::new(|_| Reaction::Answer(503, "not now".into()));
    let notify = format!(
        "[[notify]]\nkind = \"webhook\"\nurl = \"http://{}/\"\non = [\"started\", \"aborted\"]\n",
        down.address
    );
    let rollout = "steps = [{ weight = 5, hold = \"1h\" }, { weight = 100 }]";
    let faked = Faked::start(&config(&blue, &green, rollout, &notify));
    let pointsman = &faked.pointsman;
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it has been tried, and put off", || down.requests() >= 1);
    // What comes in during the pause makes it look again.
    faked.step("-3600");
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    let (tried, since) = (down.requests(), Instant::now());
    eventually("it is tried again soon", || down.requests() > tried);
    println!("-1 h with a notice put off: tried again after {:.2?}", since.elapsed());
    assert_eq!(Faked::hours_off(&faked.row("aborted by")), -1.0, "the step of the clock reached the process");
    let taken = Arc::new(Mutex::new(Vec::new()));
    let list = taken.clone();
    down.react(move |request| {
        let kind = request.header("x-pointsman-event").expect("a kind").to_owned();
        list.lock().expect("no panic").push(kind);
        Reaction::ok("")
    });
    faked.step("+3600");
    eventually("all of it arrives", || taken.lock().expect("no panic").len() >= 2);
    assert_eq!(*taken.lock().expect("no panic"), ["started", "aborted"]);
}
