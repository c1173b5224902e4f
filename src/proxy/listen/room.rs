//! How many clients may be connected, and what their connections may hold: over all listeners, and all workers.
//!
//! What a connection holds is estimated by what it speaks, and entered when it comes: the system's figures follow
//! too late to keep a flood out. Requests under way are counted by each worker ([`seats`](super::seats)).

use crate::core::own_limit::OwnLimit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What is held by a connection that waits for a request: in the clear, by TLS, and what HTTP/2 adds.
pub(in crate::proxy) const PLAIN_BYTES: u64 = 4 << 10;
pub(in crate::proxy) const TLS_BYTES: u64 = 14 << 10;
pub(in crate::proxy) const HTTP2_BYTES: u64 = 14 << 10;
/// What is held by a request under way, beside bodies.
pub(in crate::proxy) const REQUEST_BYTES: u64 = 16 << 10;

/// The room for clients of one process.
#[derive(Debug)]
pub(in crate::proxy) struct Room {
    clients: AtomicU32,
    most: Arc<AtomicU32>,
    bytes: AtomicU64,
    most_bytes: AtomicU64,
    /// Rung when somebody leaves.
    freed: Notify,
}

impl Room {
    pub(in crate::proxy) fn new(most: u32, most_bytes: u64) -> Arc<Self> {
        Arc::new(Room {
            clients: AtomicU32::new(0),
            most: Arc::new(AtomicU32::new(most)),
            bytes: AtomicU64::new(0),
            most_bytes: AtomicU64::new(most_bytes),
            freed: Notify::new(),
        })
    }

    /// Other limits, from now on; who is connected stays.
    pub(in crate::proxy) fn set(&self, most: u32, most_bytes: u64) {
        self.most.store(most, SeqCst);
        self.most_bytes.store(most_bytes, SeqCst);
        self.freed.notify_waiters();
    }

    /// How many are connected.
    pub(in crate::proxy) fn clients(&self) -> u32 {
        self.clients.load(SeqCst)
    }

    /// How many may be.
    pub(in crate::proxy) fn most(&self) -> Arc<AtomicU32> {
        self.most.clone()
    }

    /// A place for a connection of so many bytes, beside requests that hold so many.
    ///
    /// # Errors
    /// What there is too little of. Memory is enough for one, whatever the limit.
    pub(in crate::proxy) fn enter(
        self: &Arc<Self>,
        bytes: u64,
        by_requests: u64,
    ) -> Result<Occupied, OwnLimit> {
        let (most, most_bytes) = (self.most.load(SeqCst), self.most_bytes.load(SeqCst));
        let one_more = |clients: u32| clients.checked_add(1).filter(|sum| *sum <= most);
        if self.clients.fetch_update(SeqCst, SeqCst, one_more).is_err() {
            return Err(OwnLimit::Connections);
        }
        let more = |held: u64| {
            let sum = held.saturating_add(bytes);
            (held == 0 || sum.saturating_add(by_requests) <= most_bytes).then_some(sum)
        };
        if self.bytes.fetch_update(SeqCst, SeqCst, more).is_err() {
            self.clients.fetch_sub(1, SeqCst);
            return Err(OwnLimit::Memory);
        }
        Ok(Occupied { room: self.clone(), bytes })
    }

    /// Ends when somebody has left since the call, or limits are others.
    pub(in crate::proxy) fn change(&self) -> Notified<'_> {
        self.freed.notified()
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Occupied {
    room: Arc<Room>,
    bytes: u64,
}

impl Occupied {
    /// The connection holds more, whether or not there is room for it.
    pub(in crate::proxy) fn grow(&mut self, more: u64) {
        self.bytes = self.bytes.saturating_add(more);
        self.room.bytes.fetch_add(more, SeqCst);
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, SeqCst);
        self.room.clients.fetch_sub(1, SeqCst);
        self.room.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_clients_nor_their_memory_are_more_than_there_may_be() {
        let room = Room::new(3, 100);
        let first = room.enter(60, 0).expect("there is room");
        assert_eq!(room.enter(60, 0).map(drop), Err(OwnLimit::Memory));
        assert_eq!(room.enter(30, 11).map(drop), Err(OwnLimit::Memory), "beside requests");
        let others = [room.enter(20, 20), room.enter(20, 0)].map(|place| place.expect("there is room"));
        assert_eq!(room.enter(0, 0).map(drop), Err(OwnLimit::Connections));
        drop(others);
        assert_eq!((room.clients(), room.bytes.load(SeqCst)), (1, 60));
        drop(first);
        assert!(room.enter(1000, 1000).is_ok(), "one is always let in");
        assert_eq!((room.clients(), room.bytes.load(SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_hears_of_those_who_leave_and_of_other_limits() {
        let room = Room::new(1, 100);
        let mut first = room.enter(10, 0).expect("there is room");
        first.grow(90);
        let change = room.change();
        drop(first);
        change.await;
        let (one, change) = (room.enter(1, 0), room.change());
        room.set(2, 2);
        change.await;
        assert!(one.is_ok() && room.enter(2, 0).is_err() && room.enter(1, 0).is_ok());
    }
}
