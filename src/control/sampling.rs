//! When a service is looked at, and when it can be left alone.
//!
//! What is counted of its pools is read while requests are under way, and as long as the window still shows some.
//! After that time alone changes nothing: the service sleeps until something begins on it.

use super::links::Links;
use super::live::{Live, LivePool};
use crate::core::kind_counts::KindCounts;
use crate::core::outcome::ArmId;
use crate::core::window::Figures;
use std::sync::Arc;
use std::time::Duration;

/// Time between two samples of the figures.
const SAMPLE: Duration = Duration::from_secs(1);

/// When a service is sampled first: not a thousand of them at the same time.
pub(super) fn first(slot: usize) -> Duration {
    SAMPLE * (slot % 4) as u32 / 4
}

impl Live {
    /// Something has begun or gone wrong on an arm of it, and nothing had until `quiet_until`.
    pub(super) fn moves(&mut self, arm: ArmId, quiet_until: Duration) {
        let is_its = |pool: &&mut LivePool| pool.arm == arm;
        if let Some(pool) = self.pools.values_mut().find(is_its).filter(|pool| !pool.is_moving) {
            pool.window.hold(quiet_until);
            pool.is_moving = true;
        }
    }

    /// Whether time alone changes nothing of it.
    pub(super) fn is_asleep(&self) -> bool {
        let rests = |(name, pool): (&Arc<str>, &LivePool)| {
            let slow_start = self.settings.pools.get(name).map(|settings| settings.slow_start);
            !pool.is_moving && pool.window.is_still() && pool.upstreams.rest(slow_start.unwrap_or_default())
        };
        let is_done = !self.todo.is_pending() && self.saving.is_all_written() && self.jobs.are_done();
        is_done && !self.is_watchful() && self.pools.iter().all(rests)
    }

    /// Takes in ejections and, once a second, the figures.
    pub(super) fn observe_pools(&mut self, now: Duration, links: &Links) {
        let mut changed = false;
        for (name, pool) in &mut self.pools {
            if let Some(settings) = self.settings.pools.get(name) {
                changed |= pool.upstreams.observe(settings, now);
            }
        }
        if changed {
            self.upstreams_changed();
        }
        if now >= self.sample_at {
            self.sample_at = now + SAMPLE;
            self.sample(now, links);
        }
    }

    fn sample(&mut self, now: Duration, links: &Links) {
        let slow = self.slow_limits(links);
        for pool in self.pools.values_mut() {
            if !pool.is_moving {
                pool.window.hold(now);
                continue;
            }
            let totals = links.recorder.totals(pool.arm, links.clock.now_us(), &slow);
            let is_taken = pool.window.push(now, &totals);
            pool.yardstick.push(now, || KindCounts::from(&totals));
            // What is under way may come to a good end, which nobody says.
            pool.is_moving = totals.in_flight > 0 || !is_taken;
        }
        self.turn_groups(now, links);
        self.expect_signals(links);
    }

    /// The figures of a pool over its window, as far as has been noticed.
    pub(super) fn shown_figures(&self, pool: &LivePool, links: &Links) -> Figures {
        match pool.is_moving {
            true => self.figures(pool, links),
            false => pool.window.held_figures(links.clock.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::journal::Recovered;
    use crate::control::recovery;
    use crate::core::client::ClientKey;
    use crate::core::outcome::{Outcome, Thresholds};
    use crate::observe::activity::Seen;

    const CONFIG: &str = "[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
        [[routes]]\nservice = \"web\"\n[services.web]\nstable = \"blue\"\n\
        [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n\
        [services.web.pools.green]\nupstreams = [\"127.0.0.1:2\"]\n";

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_service_sleeps_until_something_begins_and_again_once_its_window_is_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let links = Links::for_tests(CONFIG, dir.path());
        let settings = &links.config.services["web"];
        let mut live = recovery::live(settings, 0, &Recovered::default(), &links).expect("a service");
        (live.todo, live.saving) = Default::default();
        live.observe_pools(SECOND, &links);
        assert!(live.is_asleep(), "nobody asks for it");
        let (arm, shard) = (live.pools["blue"].arm, links.recorder.shard(0));
        let mut seen = Seen::default();
        let started = shard.start(arm, 10_000_000, ClientKey::NAMELESS);
        for (arm, _) in links.recorder.news(&mut seen) {
            live.moves(arm, SECOND * 10);
        }
        assert!(!live.is_asleep() && live.pools["blue"].is_moving && !live.pools["green"].is_moving);
        let mut at = SECOND * 11;
        let mut look = |live: &mut Live, seconds: u32| {
            for _ in 0..seconds {
                live.observe_pools(at, &links);
                at += SECOND;
            }
        };
        look(&mut live, 100);
        assert!(!live.is_asleep(), "the request is under way");
        shard.answered(arm, started, 110_000_000, (Outcome::Success, 200), &Thresholds::default());
        look(&mut live, 1);
        assert!(!live.pools["blue"].is_moving && !live.is_asleep(), "the window shows it");
        assert_eq!(live.shown_figures(&live.pools["blue"], &links).requests, 1);
        look(&mut live, 60);
        assert_eq!(live.shown_figures(&live.pools["blue"], &links).requests, 0);
        assert!(live.is_asleep());
    }

    #[test]
    fn what_is_counted_right_after_a_sample_is_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let links = Links::for_tests(CONFIG, dir.path());
        let settings = &links.config.services["web"];
        let mut live = recovery::live(settings, 0, &Recovered::default(), &links).expect("a service");
        let (arm, shard) = (live.pools["blue"].arm, links.recorder.shard(0));
        let mut at = live.pools["blue"].begun + SECOND / 10;
        let started = shard.start(arm, at.as_micros() as u64, ClientKey::NAMELESS);
        shard.answered(arm, started, at.as_micros() as u64, (Outcome::Success, 200), &Thresholds::default());
        for _ in 0..5 {
            live.observe_pools(at, &links);
            assert_eq!(live.shown_figures(&live.pools["blue"], &links).requests, 1);
            at += SECOND;
        }
        assert!(!live.pools["blue"].is_moving);
    }

    #[test]
    fn a_service_with_something_under_way_on_its_upstreams_is_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let links = Links::for_tests(CONFIG, dir.path());
        let settings = &links.config.services["web"];
        let mut live = recovery::live(settings, 0, &Recovered::default(), &links).expect("a service");
        (live.todo, live.saving) = Default::default();
        live.observe_pools(SECOND, &links);
        let (built, _) = live.pools["blue"].upstreams.build(&settings.pools["blue"]);
        let stream = built[0].live.clone().enter();
        assert!(!live.is_asleep(), "a stream is open");
        drop(stream);
        assert!(live.is_asleep());
        live.todo.watch = true;
        assert!(!live.is_asleep());
    }
}
