//! What is to be watched, and the tasks that do it.

use super::{probe, resolve};
use crate::control::command::Controller;
use crate::core::settings::{self, Config, UpstreamHost};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

/// One upstream to be watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub service: Arc<str>,
    pub pool: Arc<str>,
    pub upstream: Arc<str>,
    pub host: UpstreamHost,
    pub health: Option<settings::Health>,
}

/// All of them, by service, pool and upstream.
pub type Targets = BTreeMap<(Arc<str>, Arc<str>, Arc<str>), Target>;

impl Target {
    /// The upstreams of a configuration that have a check or a name.
    pub fn all(config: &Config) -> Targets {
        let mut targets = Targets::new();
        for service in config.services.values() {
            for pool in service.pools.values() {
                for upstream in &pool.upstreams {
                    let target = Target {
                        service: service.name.clone(),
                        pool: pool.name.clone(),
                        upstream: upstream.address.clone(),
                        host: upstream.host.clone(),
                        health: pool.health.clone(),
                    };
                    let watched = target.health.is_some() || matches!(target.host, UpstreamHost::Name { .. });
                    if watched {
                        let key = (target.service.clone(), target.pool.clone(), target.upstream.clone());
                        targets.insert(key, target);
                    }
                }
            }
        }
        targets
    }
}

/// Watches the targets of the newest configuration until the channel closes or the controller stops.
/// Tasks of targets that stay the same go on undisturbed.
pub async fn watch(controller: Controller, mut configs: Receiver<Arc<Config>>) {
    let mut running: HashMap<_, (Target, Tasks)> = HashMap::new();
    loop {
        let targets = Target::all(&configs.borrow_and_update());
        running.retain(|key, (target, _)| targets.get(key) == Some(target));
        for (key, target) in targets {
            running.entry(key).or_insert_with(|| (target.clone(), Tasks::start(&controller, target)));
        }
        if configs.changed().await.is_err() {
            return;
        }
    }
}

/// The tasks of one target; they end when this is dropped.
struct Tasks(JoinHandle<()>);

impl Tasks {
    fn start(controller: &Controller, target: Target) -> Self {
        let controller = controller.clone();
        Tasks(tokio::spawn(async move {
            match target.host.clone() {
                UpstreamHost::Address(address) => probe::run(controller, target, address).await,
                UpstreamHost::Name { host, port } => resolve::run(controller, target, host, port).await,
            }
        }))
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One check task for each address; those of addresses that are gone end.
#[derive(Default)]
pub(super) struct Probes(HashMap<SocketAddr, Tasks>);

impl Probes {
    pub(super) fn follow(&mut self, controller: &Controller, target: &Target, addresses: &[SocketAddr]) {
        self.0.retain(|address, _| addresses.contains(address));
        for address in addresses {
            self.0.entry(*address).or_insert_with(|| {
                let (controller, target, address) = (controller.clone(), target.clone(), *address);
                Tasks(tokio::spawn(async move { probe::run(controller, target, address).await }))
            });
        }
    }
}
