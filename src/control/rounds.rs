//! Which services are looked at, and when: those on which something has begun or gone wrong, at the bell; those that
//! want frequent looks, often; all that are awake, a few times a second.

use super::links::Links;
use super::service::ServiceController;
use super::services::Services;
use crate::observe::activity::Seen;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks while a rollout runs, and while none does.
const WATCHFUL: Duration = Duration::from_millis(25);
const CALM: Duration = Duration::from_millis(250);
/// Services that are looked at in each quarter of a second although nothing has begun on them.
const LOOKED_AT: usize = 16;
/// How often the past is looked through for what is kept no longer, and the first time after a start.
const FORGET: Duration = Duration::from_secs(600);
const FORGET_FIRST: Duration = Duration::from_secs(5);
/// After a bell that brought nothing against a candidate, so long it is not listened to: a stable pool
/// that fails every request must not keep this thread busy.
const DEAF: Duration = Duration::from_millis(1);

/// The controller's calendar.
#[derive(Debug)]
pub(super) struct Rounds {
    next_tick: Duration,
    /// When all that are awake are looked at next, not only those that want frequent looks.
    all_at: Duration,
    /// What has been noticed of the traffic, and when that was looked for last.
    seen: Seen,
    roused_at: Duration,
    deaf_until: Duration,
    /// When the past is looked through next.
    forget_at: Duration,
}

impl Default for Rounds {
    fn default() -> Self {
        Rounds {
            next_tick: Duration::ZERO,
            all_at: Duration::ZERO,
            seen: Seen::default(),
            roused_at: Duration::ZERO,
            deaf_until: Duration::ZERO,
            forget_at: FORGET_FIRST,
        }
    }
}

impl Rounds {
    /// Whether the bell is not listened to.
    pub(super) fn is_deaf(&self, now: Duration) -> bool {
        now < self.deaf_until
    }

    /// How long nothing is to be done, if no input comes; `show_at` is when something is to be shown.
    pub(super) fn pause(&self, now: Duration, show_at: Option<Duration>) -> Duration {
        let tick = show_at.map_or(self.next_tick, |show_at| self.next_tick.min(show_at));
        let until = if self.is_deaf(now) { tick.min(self.deaf_until) } else { tick };
        until.saturating_sub(now)
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next_tick
    }

    /// A rollout that has just begun is looked at soon.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.next_tick = self.next_tick.min(now + WATCHFUL);
    }

    /// The round is over; whether something is going on that wants frequent looks.
    pub(super) fn end(&mut self, now: Duration, watchful: bool) {
        self.next_tick = now + if watchful { WATCHFUL } else { CALM };
    }

    /// The bell has been answered; whether it brought anything against a candidate.
    pub(super) fn heard(&mut self, now: Duration, worse: bool) {
        if !worse {
            self.deaf_until = now + DEAF;
        }
    }

    /// Wakes the services on which something has begun or gone wrong; which these are.
    pub(super) fn rouse(&mut self, now: Duration, services: &mut Services, links: &Links) -> Vec<Arc<str>> {
        let quiet_until = std::mem::replace(&mut self.roused_at, now);
        let mut roused = BTreeSet::new();
        for (arm, name) in links.recorder.news(&mut self.seen) {
            if let Some(service) = services.rouse(&name) {
                service.pools.moves(arm, quiet_until);
                roused.insert(name);
            }
        }
        roused.into_iter().collect()
    }

    /// The services that are to be looked at now.
    pub(super) fn due(&mut self, now: Duration, services: &mut Services, links: &Links) -> Vec<Arc<str>> {
        let roused = self.rouse(now, services, links);
        let all = now >= self.all_at;
        let awake = services.awake().filter(|service| all || service.is_watchful());
        let name = |service: &ServiceController| service.pools.settings.name.clone();
        let mut due: BTreeSet<_> = awake.map(name).chain(roused).collect();
        if all {
            self.all_at = now + CALM;
            due.extend(services.turn(LOOKED_AT));
        }
        for name in &due {
            services.touch(name);
        }
        due.into_iter().collect()
    }

    /// Whether the past is to be looked through now, as it is from time to time.
    pub(super) fn forgets(&mut self, now: Duration) -> bool {
        let is_due = now >= self.forget_at;
        if is_due {
            self.forget_at = now + FORGET;
        }
        is_due
    }
}
