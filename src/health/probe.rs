//! The active checks: one of every address, now and then.

use super::check::Check;
use super::exchange::Failed;
use super::resolve::{Found, Resolver};
use super::targets::{self, Place, Work, begin, rounds};
use crate::control::command::{Controller, Input, LookUp};
use crate::core::settings::{Config, Health, Pool, Service, Upstream, UpstreamHost, UpstreamTls};
use crate::core::upstream_address::UpstreamAddress;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep};

/// Checks the upstreams of the newest configuration, and tells what their names resolve to, until the
/// channel closes or the controller stops. Checks that stay the same go on undisturbed.
pub async fn watch(controller: Controller, configs: Receiver<Arc<Config>>, resolver: Resolver) {
    targets::follow::<Probe>(controller, configs, resolver).await;
}

/// How often, and for how long, an upstream is checked that has only begun: it may be starting, and a deployment waits for
/// it.
const EAGER: Duration = Duration::from_millis(200);
const EAGER_FOR: Duration = Duration::from_secs(15);

/// Whether the next check is made at once: until the first ones have passed in a row that it takes to be up.
struct Eagerness {
    since: Instant,
    /// Not longer than the interval.
    pause: Duration,
    missing: u32,
    rise: u32,
}

impl Eagerness {
    fn new(health: &Health) -> Self {
        let rise = if health.is_rare() { 0 } else { health.rise };
        Eagerness { since: begin(), pause: EAGER.min(health.interval), missing: rise, rise }
    }

    /// The pause before the next check, unless that has its time.
    fn pause(&mut self, passed: bool) -> Option<Duration> {
        if self.missing == 0 {
            return None;
        }
        self.missing = if passed { self.missing - 1 } else { self.rise };
        let is_over = self.missing == 0 || self.since.elapsed() > EAGER_FOR;
        self.missing = if is_over { 0 } else { self.missing };
        (!is_over).then_some(self.pause)
    }
}

/// The check of one upstream.
#[derive(Clone, Debug, PartialEq)]
struct Probe {
    /// A name without a check is looked up all the same.
    health: Option<Health>,
    tls: Option<Arc<UpstreamTls>>,
}

impl Work for Probe {
    fn wanted(_: &Service, pool: &Pool, upstream: &Upstream) -> Option<Self> {
        let watched = pool.health.is_some() || matches!(upstream.host, UpstreamHost::Name { .. });
        watched.then(|| Probe { health: pool.health.clone(), tls: pool.tls.clone() })
    }

    async fn run(self, controller: Controller, place: Place, address: UpstreamAddress) {
        let Some(health) = self.health else { return };
        let mut rounds = rounds(&place, address, health.interval);
        if health.is_rare() {
            rounds.tick().await;
        }
        let mut eagerness = Eagerness::new(&health);
        let check = Check::new(health, &place.upstream, self.tls.as_deref());
        loop {
            let began = begin();
            let result = match check.passes(address).await {
                Err(Failed::Ours(limit)) => {
                    // It says nothing about the upstream.
                    if !controller.tell(Input::OwnLimit { limit }).await {
                        return;
                    }
                    rounds.tick().await;
                    continue;
                }
                Err(Failed::Theirs(why)) => Err(why),
                Ok(()) => Ok(()),
            };
            let pause = eagerness.pause(result.is_ok());
            let Place { service, pool, upstream } = place.clone();
            if !controller.tell(Input::Health { service, pool, upstream, address, began, result }).await {
                return;
            }
            match pause {
                Some(pause) => sleep(pause).await,
                None => drop(rounds.tick().await),
            }
        }
    }

    async fn resolved(
        &self,
        controller: &Controller,
        place: &Place,
        found: &Found,
        again: Arc<LookUp>,
    ) -> bool {
        let Place { service, pool, upstream } = place.clone();
        controller.tell(Input::Resolved { service, pool, upstream, result: found.clone(), again }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_upstream_is_checked_often_until_it_is_up_or_late() {
        let health = Health { rise: 2, interval: Duration::from_secs(2), ..Health::connect(false) };
        let mut eagerness = Eagerness::new(&health);
        let pauses: Vec<bool> =
            [false, true, false, true, true, false, true].map(|ok| eagerness.pause(ok).is_some()).into();
        assert_eq!(pauses, [true, true, true, true, false, false, false]);
        let mut eagerness = Eagerness::new(&health);
        assert_eq!(eagerness.pause(false), Some(EAGER));
        tokio::time::advance(EAGER_FOR + EAGER).await;
        assert_eq!([eagerness.pause(false), eagerness.pause(false)], [None, None]);
        let often = Health { interval: Duration::from_millis(20), ..health };
        assert_eq!(Eagerness::new(&often).pause(false), Some(Duration::from_millis(20)));
    }
}
