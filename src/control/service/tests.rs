//! When a service is looked at, and when it can be left alone.

use super::*;
use crate::control::journal::Recovered;
use crate::control::pools::LivePool;
use crate::control::recovery;
use crate::core::client::ClientKey;
use crate::core::outcome::{Outcome, SlowLimits, Thresholds};
use crate::observe::activity::Seen;

const CONFIG: &str = "[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
    [[routes]]\nservice = \"web\"\n[services.web]\nstable = \"blue\"\n\
    [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n\
    [services.web.pools.green]\nupstreams = [\"127.0.0.1:2\"]\n";

const SECOND: Duration = Duration::from_secs(1);

fn recovered(links: &Links) -> ServiceController {
    let settings = &links.config.services["web"];
    recovery::service(settings, 0, &Recovered::default(), links).expect("a service").0
}

/// Nothing is left to be done, or to be written.
fn settle(live: &mut ServiceController) {
    live.outputs = Outputs::default();
    live.saver = Saver::new("web".into(), live.state().clone());
}

fn blue(live: &ServiceController) -> &LivePool {
    live.pools.get("blue").expect("a pool")
}

#[test]
fn a_service_sleeps_until_something_begins_and_again_once_its_window_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let links = Links::for_tests(CONFIG, dir.path());
    let mut live = recovered(&links);
    let state = live.state().clone();
    settle(&mut live);
    live.pools.observe(SECOND, &state, &links);
    assert!(live.is_asleep(), "nobody asks for it");
    let (arm, shard) = (blue(&live).arm, links.recorder.shard(0));
    let mut seen = Seen::default();
    let started = shard.start(arm, 10_000_000, ClientKey::NAMELESS);
    for (arm, _) in links.recorder.news(&mut seen) {
        live.pools.moves(arm, SECOND * 10);
    }
    assert!(
        !live.is_asleep() && blue(&live).is_moving && !live.pools.get("green").expect("a pool").is_moving
    );
    let mut at = SECOND * 11;
    let mut look = |live: &mut ServiceController, seconds: u32| {
        for _ in 0..seconds {
            live.pools.observe(at, &state, &links);
            at += SECOND;
        }
    };
    look(&mut live, 100);
    assert!(!live.is_asleep(), "the request is under way");
    shard.answered(arm, started, 110_000_000, (Outcome::Success, 200), &Thresholds::default());
    look(&mut live, 1);
    assert!(!blue(&live).is_moving && !live.is_asleep(), "the window shows it");
    assert_eq!(blue(&live).shown_figures(&SlowLimits::default(), &links).requests, 1);
    look(&mut live, 60);
    assert_eq!(blue(&live).shown_figures(&SlowLimits::default(), &links).requests, 0);
    assert!(live.is_asleep());
}

#[test]
fn what_is_counted_right_after_a_sample_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let links = Links::for_tests(CONFIG, dir.path());
    let mut live = recovered(&links);
    let state = live.state().clone();
    let (arm, shard) = (blue(&live).arm, links.recorder.shard(0));
    let mut at = blue(&live).begun + SECOND / 10;
    let started = shard.start(arm, at.as_micros() as u64, ClientKey::NAMELESS);
    shard.answered(arm, started, at.as_micros() as u64, (Outcome::Success, 200), &Thresholds::default());
    for _ in 0..5 {
        live.pools.observe(at, &state, &links);
        assert_eq!(blue(&live).shown_figures(&SlowLimits::default(), &links).requests, 1);
        at += SECOND;
    }
    assert!(!blue(&live).is_moving);
}

#[test]
fn a_service_with_something_under_way_on_its_upstreams_is_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let links = Links::for_tests(CONFIG, dir.path());
    let mut live = recovered(&links);
    let state = live.state().clone();
    settle(&mut live);
    live.pools.observe(SECOND, &state, &links);
    let (built, _) = blue(&live).upstreams.build(&live.pools.settings.pools["blue"]);
    let stream = built[0].live.clone().enter();
    assert!(!live.is_asleep(), "a stream is open");
    drop(stream);
    assert!(live.is_asleep());
    live.outputs.watch();
    assert!(!live.is_asleep());
}
