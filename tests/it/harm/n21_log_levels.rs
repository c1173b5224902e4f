//! The process's log: what takes users away from a version is a warning with its rollout and its pool, nothing
//! stands there as done before it is, and it can be read by machines.

use super::super::harness::{Load, Origin, Pointsman, Reaction, eventually, whole};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

fn config(blue: &Origin, green: &Origin, more: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\nlog = \"json\"\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         health = {{ path = \"/health\", interval = \"50ms\", rise = 1, fall = 2 }}\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"50ms\" }}, {{ weight = 100 }}]\n\
         min_attempts = 5\nbake = \"50ms\"\n{more}\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        blue.address, green.address
    )
}

/// The lines, each of which must be an object with level and message.
fn lines(pointsman: &Pointsman) -> Vec<Value> {
    let log = pointsman.log();
    let line = |text: &str| {
        let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        line
    };
    log.lines().map(line).collect()
}

/// Waits for a line with this in its message; the line.
#[track_caller]
fn line(pointsman: &Pointsman, part: &str) -> Value {
    let mut found = None;
    eventually(part, || {
        found =
            lines(pointsman).into_iter().find(|l| l["message"].as_str().is_some_and(|m| m.contains(part)));
        found.is_some()
    });
    let found = found.expect("found");
    println!("{found}");
    found
}

#[track_caller]
fn is(line: &Value, level: &str, rollout: Option<&str>, pool: &str) {
    assert_eq!(line["level"], level, "{line}");
    assert_eq!((line["rollout"].as_str(), line["pool"].as_str()), (rollout, Some(pool)), "{line}");
    assert_eq!(line["service"], "web", "{line}");
}

#[test]
fn aborts_and_pools_that_go_down_are_warnings_with_rollout_and_pool() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(&blue, &green, ""));
    let load = Load::start(pointsman.http(), 2);
    green.react(|request| match request.path() {
        "/health" => Reaction::ok("well"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    is(&line(&pointsman, "error rate"), "WARN", Some(&id), "green");
    is(&line(&pointsman, "started by"), "INFO", Some(&id), "green");
    green.react(|_| Reaction::Answer(503, "gone".into()));
    is(&line(&pointsman, "of green is down: GET "), "WARN", None, "green");
    is(&line(&pointsman, "the pool is down"), "WARN", None, "green");
    green.react(|_| Reaction::ok("green"));
    is(&line(&pointsman, "the pool is up"), "INFO", None, "green");
    drop(load);
}

/// A version that fails once all users are on it.
#[test]
fn a_promotion_that_turns_out_bad_is_a_warning() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let after = "after = { watch = \"1m\", rollback = true }";
    let pointsman = Pointsman::start(&config(&blue, &green, after));
    let load = Load::start(pointsman.http(), 2);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    is(&line(&pointsman, "all steps and the bake passed"), "INFO", Some(&id), "green");
    green.react(|request| match request.path() {
        "/health" => Reaction::ok("well"),
        _ => Reaction::Answer(500, "broken".into()),
    });
    let back = line(&pointsman, "back to");
    is(&back, "WARN", Some(&id), "green");
    drop(load);
}

/// The state cannot be written: what was asked for did not happen, and the log must not say that it did.
#[test]
fn nothing_stands_there_as_done_before_it_is() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(&config(&blue, &green, ""))).expect("a file");
    // No file grows beyond so many KiB: the store takes the first state, and not much more.
    let binary = env!("CARGO_BIN_EXE_pointsman");
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -f 1000; trap '' XFSZ; exec {binary} \"$@\""), "sh"]);
    let pointsman = Pointsman::start_by(&mut limited, dir);
    let set = |blue: u32| {
        let body = format!("{{\"blue\": {blue}, \"green\": {}}}", 100 - blue);
        pointsman.call("PUT", "/v1/services/web/weights", &body).status
    };
    let mut good = 0;
    let refused = (1..2000).map(|n| n % 99 + 1).find(|blue| {
        let status = set(*blue);
        good += u32::from(status == 200);
        status != 200
    });
    let refused = refused.expect("the store is full before that");
    let warning = line(&pointsman, "the state cannot be written");
    let text = pointsman.log();
    let said = text.matches("weights set by").count();
    println!("{good} changes of weights were made, the log tells {said}; refused: blue {refused} %");
    assert_eq!(said as u32, good, "one more is told than was made");
    assert_eq!(warning["level"], "WARN", "{warning}");
}

#[test]
fn the_variable_overrides_the_file_and_both_say_what_is_wrong() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let text = config(&blue, &green, "");
    let pointsman = Pointsman::start_told(&text, &[("POINTSMAN_LOG_FORMAT", "text")]);
    assert!(!pointsman.log().starts_with('{'), "{}", pointsman.log());
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("p.toml"), whole(&text.replace("\"json\"", "\"xml\""))).expect("a file");
    let checked = super::super::harness::Printed::of(&["check", "--config", "p.toml"], dir.path());
    assert_eq!(checked.code, 1);
    assert!(checked.err.contains("server.log") && checked.err.contains("text, json"), "{}", checked.err);
}
