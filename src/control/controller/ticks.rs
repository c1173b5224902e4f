//! Which services are looked at, and when: those on which something has begun or gone wrong, at the bell; those that
//! want frequent looks, often; all that are awake, a few times a second.

use super::super::live::Live;
use super::Task;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks while a rollout runs, and while none does.
pub(super) const WATCHFUL: Duration = Duration::from_millis(25);
const CALM: Duration = Duration::from_millis(250);
/// Services that are looked at in each quarter of a second although nothing has begun on them.
const LOOKED_AT: usize = 16;
/// How often the past is looked through for what is kept no longer, and the first time after a start.
const FORGET: Duration = Duration::from_secs(600);
pub(super) const FORGET_FIRST: Duration = Duration::from_secs(5);
/// After a bell that brought nothing against a candidate, so long it is not listened to: a stable pool
/// that fails every request must not keep this thread busy.
const DEAF: Duration = Duration::from_millis(1);

impl Task {
    pub(super) fn rung(&mut self, rung_us: u64) {
        let now = self.links.clock.now();
        let mut worse = false;
        let roused = self.rouse(now);
        self.lives.each(&roused, |live| {
            live.observe_pools(now, &self.links);
            worse |= live.judge(&self.links, Some(rung_us));
        });
        if !worse {
            self.deaf_until = now + DEAF;
        }
    }

    /// Wakes the services on which something has begun or gone wrong; which these are.
    fn rouse(&mut self, now: Duration) -> Vec<Arc<str>> {
        let quiet_until = std::mem::replace(&mut self.roused_at, now);
        let mut roused = BTreeSet::new();
        for (arm, service) in self.links.recorder.news(&mut self.seen) {
            if let Some(live) = self.lives.rouse(&service) {
                live.moves(arm, quiet_until);
                roused.insert(service);
            }
        }
        roused.into_iter().collect()
    }

    pub(super) fn tick(&mut self) {
        let now = self.links.clock.now();
        if now < self.next_tick {
            return;
        }
        if now >= self.sampled_at + Duration::from_secs(1) {
            self.sampled_at = now;
            self.tell_own_limits(now);
        }
        let due = self.due(now);
        let is_ours = self.custody.is_ours();
        self.lives.each(&due, |live| {
            live.observe_pools(now, &self.links);
            if is_ours {
                live.judge(&self.links, None);
                live.report_progress(&self.links);
            }
        });
        for difference in self.links.recorder.differences.take() {
            let service = self.links.recorder.service(difference.arm).filter(|_| is_ours);
            if let Some(live) = service.and_then(|service| self.lives.touch(&service)) {
                live.differed(difference.arm, &difference.text, &self.links);
            }
        }
        if is_ours {
            self.end_maintenance();
            self.forget(now);
        }
        let watchful = !is_ours || self.lives.awake().any(Live::is_watchful);
        self.next_tick = now + if watchful { WATCHFUL } else { CALM };
    }

    /// The services that are to be looked at now.
    fn due(&mut self, now: Duration) -> Vec<Arc<str>> {
        let roused = self.rouse(now);
        let all = now >= self.all_at;
        let awake = self.lives.awake().filter(|live| all || live.is_watchful());
        let mut due: BTreeSet<_> = awake.map(|live| live.settings.name.clone()).chain(roused).collect();
        if all {
            self.all_at = now + CALM;
            due.extend(self.lives.turn(LOOKED_AT));
        }
        for name in &due {
            self.lives.touch(name);
        }
        due.into_iter().collect()
    }

    /// Lets go of what is kept no longer, from time to time.
    fn forget(&mut self, now: Duration) {
        if now < self.forget_at {
            return;
        }
        self.forget_at = now + FORGET;
        let gone = self.links.forget();
        if !gone.is_empty() {
            for live in self.lives.touch_all() {
                live.keys.retain(|_, started| !gone.contains(&started.id));
            }
        }
    }
}
