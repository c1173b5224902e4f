//! The active checks: one of every address, now and then.

use super::check::Check;
use super::exchange::Failed;
use super::resolve::{Found, Resolver};
use super::targets::{self, Place, Work, begin, rounds};
use crate::control::command::{Controller, Input, LookUp};
use crate::core::settings::{Config, Health, Pool, Service, Upstream, UpstreamHost, UpstreamTls};
use crate::core::upstream_address::UpstreamAddress;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

/// Checks the upstreams of the newest configuration, and tells what their names resolve to, until the
/// channel closes or the controller stops. Checks that stay the same go on undisturbed.
pub async fn watch(controller: Controller, configs: Receiver<Arc<Config>>, resolver: Resolver) {
    targets::follow::<Probe>(controller, configs, resolver).await;
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
            let Place { service, pool, upstream } = place.clone();
            if !controller.tell(Input::Health { service, pool, upstream, address, began, result }).await {
                return;
            }
            rounds.tick().await;
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
