//! How many requests the connections of one worker to its upstreams have carried.
//!
//! Pingora keeps no such count, and a connection that it hands out is known by its socket only. Sockets are
//! small numbers that the system gives out again, so a table by socket does; a fresh connection starts anew.
//! In a process with more sockets than places, two connections may share a count, and close a little early.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

const PLACES: usize = 4096;

/// Only its own worker counts.
pub(in crate::proxy) struct Uses(Box<[AtomicU16]>);

impl Default for Uses {
    fn default() -> Self {
        Uses((0..PLACES).map(|_| AtomicU16::new(0)).collect())
    }
}

impl Uses {
    /// Counts a request on a connection; how many it has carried, this one included.
    pub(in crate::proxy) fn count(&self, socket: RawFd, reused: bool) -> u16 {
        let Some(place) = self.0.get(socket as usize % PLACES) else { return 0 };
        let before = if reused { place.load(Relaxed) } else { 0 };
        let count = before.saturating_add(1);
        place.store(count, Relaxed);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_connection_starts_anew() {
        let uses = Uses::default();
        assert_eq!((uses.count(7, false), uses.count(7, true), uses.count(8, false)), (1, 2, 1));
        assert_eq!((uses.count(7, true), uses.count(7, false)), (3, 1));
        assert_eq!(uses.count(-1, true), 1, "no number is out of place");
    }
}
