//! The warm-up of upstreams: what a version does at first is no evidence, and what it does for ever is.

use super::traffic::Traffic;
use super::{ERRORS, PATIENCE, Run, config};
use crate::harness::{Origin, Reaction};
use std::sync::atomic::{AtomicU64, Ordering};

/// A rollout to a version whose first so many answers are failures, with these keys.
fn run(keys: &str, [blue, green]: [&Origin; 2]) -> Run {
    let config = config(blue, green, "500ms", ERRORS);
    let config = config.replace("min_attempts = 50\n", &format!("min_attempts = 50\n{keys}\n"));
    let config = config.replace("[services.web]\n", "[services.web]\nshield = false\n");
    Run::start(&config, |pointsman| Traffic::plain(pointsman.http(), PATIENCE))
}

fn cold(answers: u64) -> Origin {
    let served = AtomicU64::new(0);
    Origin::new(move |_| match served.fetch_add(1, Ordering::SeqCst) < answers {
        true => Reaction::Answer(500, "still cold".into()),
        false => Reaction::ok("green"),
    })
}

const WARMUP: &str = "warmup = { requests = 100, for = \"1h\" }";

#[test]
fn the_first_answers_of_an_upstream_are_no_evidence() {
    let (blue, green) = (Origin::named("blue"), cold(60));
    let run = run(WARMUP, [&blue, &green]);
    let (outcome, view) = run.ended("the first 60 answers fail, in a warm-up of 100");
    assert_eq!(outcome, "promoted", "{view:#}");
    let window = run.pointsman.web()["pools"]["green"]["window"].clone();
    // Two workers that meet the last one at the same time both count theirs.
    let is_about_all = |warming: Option<u64>| warming.is_some_and(|warming| (100..=101).contains(&warming));
    assert!(is_about_all(window["warming"].as_u64()) && window["failures"] == 0, "{window:#}");
    let metrics = run.pointsman.get("/metrics").text();
    for pool in ["blue", "green"] {
        let line = format!("pointsman_attempts_warming_total{{pool=\"{pool}\",service=\"web\"}} ");
        let count = metrics.split(&line).nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        assert!(is_about_all(count), "both arms alike: {metrics}");
    }
}

#[test]
fn without_a_warm_up_they_are() {
    let (blue, green) = (Origin::named("blue"), cold(60));
    assert_eq!(run("", [&blue, &green]).ended("the same, without a warm-up").0, "aborted");
}

#[test]
fn a_version_that_never_answers_well_is_aborted_after_its_warm_up() {
    for keys in [WARMUP, "warmup = { requests = 1000000, for = \"300ms\" }"] {
        let (blue, green) = (Origin::named("blue"), cold(u64::MAX));
        let (outcome, view) = run(keys, [&blue, &green]).ended(keys);
        assert_eq!(outcome, "aborted", "{view:#}");
    }
}
