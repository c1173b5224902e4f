//! How many descriptors clients and upstreams may take, of those that the process may open.
//!
//! The others are kept back for checks, the admin API, the state and logs. Clients have at most so many; beyond them
//! they wait until somebody leaves ([`room`](super::room)). Upstreams have what clients leave, and at least what is kept
//! back for them: beyond that a request is answered 503 without a try, which no pool is charged for.

use super::room::Room;
use crate::core::mirror::{Place, UnderWay};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

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
    pub(in crate::proxy) room: Arc<Room>,
    upstreams: Arc<UnderWay>,
}

impl Places {
    /// `connection_bytes` is what connections of clients may hold, beside bodies.
    pub fn new(shares: Shares, connection_bytes: u64) -> Self {
        Places { shares, room: Room::new(shares.clients, connection_bytes), upstreams: Arc::default() }
    }

    /// Other limits for clients, from now on.
    pub fn limit(&self, clients: u32, connection_bytes: u64) {
        self.room.set(clients, connection_bytes);
    }

    /// How many clients may be connected.
    pub fn most_clients(&self) -> Arc<AtomicU32> {
        self.room.most()
    }

    /// How many clients are connected.
    pub(in crate::proxy) fn clients(&self) -> u32 {
        self.room.clients()
    }

    pub(in crate::proxy) fn shares(&self) -> Shares {
        self.shares
    }

    /// A place for a connection to an upstream.
    pub(in crate::proxy) fn upstream(&self) -> Option<Place> {
        let left = self.shares.together.saturating_sub(self.room.clients());
        self.upstreams.enter(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_have_what_clients_leave() {
        let places = Places::new(Shares { clients: 3, together: 5, kept: 1, kept_by_mirror: 1 }, 1000);
        let clients: Vec<_> = (0..5).map(|_| places.room.enter(1, 0).ok()).collect();
        assert_eq!(clients.iter().flatten().count(), 3);
        let upstreams: Vec<_> = (0..5).map(|_| places.upstream()).collect();
        assert_eq!(upstreams.iter().flatten().count(), 2);
        drop(clients);
        assert_eq!((0..5).map(|_| places.upstream()).collect::<Vec<_>>().iter().flatten().count(), 3);
        drop(upstreams);
        assert!(places.room.enter(1, 0).is_ok() && places.upstream().is_some());
    }
}
