//! The limits of the process, as the configuration and the system have them, and how a reload changes them.

use super::descriptors::{self, Demand};
use super::memory::{self, Budget};
use crate::core::memory::MemoryAccount;
use crate::core::settings::{Config, ProcessLimits};
use crate::observe::metrics::{ClientCounts, ListenerCounts};
use crate::proxy::{Places, Shared};
use std::sync::Arc;

/// Changes the limits while the process serves.
#[derive(Debug)]
pub(super) struct InForce {
    shared: Arc<Shared>,
    /// What was found at the start: later, clients and upstreams have descriptors open.
    demand: Demand,
}

/// The places and the account that a start begins with.
pub(super) fn of(config: &Config) -> (Places, Arc<MemoryAccount>, Demand) {
    let demand = Demand::of(config);
    let shares = descriptors::shares(&demand, config.limits.connections);
    let Budget { connections, bodies } = memory::budget(&config.limits);
    (Places::new(shares, connections), Arc::new(MemoryAccount::new(bodies)), demand)
}

/// What metrics show of clients.
pub(super) fn counts(shared: &Arc<Shared>) -> ClientCounts {
    let listeners = shared.listeners.iter().map(|bound| ListenerCounts {
        address: bound.address.to_string(),
        open: bound.connections(),
        failed_handshakes: bound.failed_handshakes(),
    });
    let (most, memory) = (shared.places.most_clients(), shared.memory.clone());
    ClientCounts { listeners: listeners.collect(), most, memory }
}

impl InForce {
    pub(super) fn new(shared: Arc<Shared>, demand: Demand) -> Self {
        InForce { shared, demand }
    }

    /// Who is connected stays, and what is held; what comes next goes by these.
    pub(super) fn apply(&self, limits: &ProcessLimits) {
        let shares = descriptors::shares(&self.demand, limits.connections);
        let Budget { connections, bodies } = memory::budget(limits);
        self.shared.places.limit(shares.clients, connections);
        self.shared.memory.set_limit(bodies);
    }
}
