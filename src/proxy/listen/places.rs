//! How many descriptors clients and upstreams may take, of those that the process may open.
//!
//! The others are kept back for checks, the admin API, the state and logs. Clients have at most so many; beyond them
//! they wait until somebody leaves. Upstreams have what clients leave, and at least what is kept back for them: beyond
//! that a request is answered 503 without a try, which no pool is charged for.

use crate::core::mirror::{Place, UnderWay};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Connections of clients, over all listeners.
    pub clients: u32,
    /// Those and the connections to upstreams that are in use.
    pub together: u32,
    /// Idle connections to upstreams that one worker keeps, and those of its mirror.
    pub kept: usize,
    pub kept_by_mirror: usize,
}

/// The places of one process.
#[derive(Debug)]
pub struct Places {
    shares: Shares,
    clients: Arc<Semaphore>,
    upstreams: Arc<UnderWay>,
}

impl Places {
    pub fn new(shares: Shares) -> Self {
        let clients = Arc::new(Semaphore::new(shares.clients as usize));
        Places { shares, clients, upstreams: Arc::default() }
    }

    pub(in crate::proxy) fn shares(&self) -> Shares {
        self.shares
    }

    /// A place for a client, if one is free.
    pub(in crate::proxy) fn client(&self) -> Option<OwnedSemaphorePermit> {
        self.clients.clone().try_acquire_owned().ok()
    }

    /// Waits until one is free.
    pub(in crate::proxy) async fn next_client(&self) -> Option<OwnedSemaphorePermit> {
        self.clients.clone().acquire_owned().await.ok()
    }

    /// A place for a connection to an upstream.
    pub(in crate::proxy) fn upstream(&self) -> Option<Place> {
        let open = (self.shares.clients as usize).saturating_sub(self.clients.available_permits());
        let left = self.shares.together.saturating_sub(u32::try_from(open).unwrap_or(u32::MAX));
        self.upstreams.enter(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_have_what_clients_leave() {
        let places = Places::new(Shares { clients: 3, together: 5, kept: 1, kept_by_mirror: 1 });
        let clients: Vec<_> = (0..5).map(|_| places.client()).collect();
        assert_eq!(clients.iter().flatten().count(), 3);
        let upstreams: Vec<_> = (0..5).map(|_| places.upstream()).collect();
        assert_eq!(upstreams.iter().flatten().count(), 2);
        drop(clients);
        assert_eq!((0..5).map(|_| places.upstream()).collect::<Vec<_>>().iter().flatten().count(), 3);
        drop(upstreams);
        assert!(places.client().is_some() && places.upstream().is_some());
    }
}
