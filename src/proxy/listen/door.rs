//! The connections of one listener, over all workers, and those of them that linger.

use crate::core::limit::counts::Counts;
use crate::core::settings::Listener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// Clients that can have connections at a time and be told apart.
const CLIENTS: usize = 65536;

/// The connections of one listener, over all workers.
#[derive(Debug)]
pub(in crate::proxy) struct Door {
    pub(super) open: Arc<AtomicU32>,
    /// TLS handshakes that failed, or took too long.
    pub(super) failed_handshakes: Arc<AtomicU64>,
    /// Those of them that linger and have not been asked for their place.
    lingering: AtomicU32,
    /// Rung once for each place that is needed.
    needed: Notify,
    /// `None` where clients are not limited.
    pub(super) clients: Option<Arc<Counts>>,
}

impl Door {
    pub(in crate::proxy) fn new(settings: &Listener) -> Self {
        let clients = (settings.connections_per_client > 0).then(|| Arc::new(Counts::new(CLIENTS)));
        Door { clients, ..Door::unlimited() }
    }

    pub(in crate::proxy) fn unlimited() -> Self {
        Door {
            open: Arc::default(),
            failed_handshakes: Arc::default(),
            lingering: AtomicU32::new(0),
            needed: Notify::new(),
            clients: None,
        }
    }

    /// Counts a TLS handshake that failed.
    pub(in crate::proxy) fn handshake_failed(&self) {
        self.failed_handshakes.fetch_add(1, Relaxed);
    }

    /// A connection has served its last request, and lingers for as long as this is kept.
    pub(in crate::proxy) fn linger(&self) -> Lingering<'_> {
        self.lingering.fetch_add(1, Relaxed);
        Lingering { door: self, gives_way: AtomicBool::new(false) }
    }

    /// Takes the place of a connection that lingers, if there is one: it ends at once.
    pub(in crate::proxy) fn take_place(&self) -> bool {
        let one_less = |count: u32| count.checked_sub(1);
        let taken = self.lingering.fetch_update(Relaxed, Relaxed, one_less).is_ok();
        if taken {
            self.needed.notify_one();
        }
        taken
    }
}

/// A connection that lingers.
#[derive(Debug)]
pub(in crate::proxy) struct Lingering<'a> {
    door: &'a Door,
    gives_way: AtomicBool,
}

impl Lingering<'_> {
    /// Ends when another connection needs the place.
    pub(in crate::proxy) async fn is_needed(&self) {
        self.door.needed.notified().await;
        self.gives_way.store(true, Relaxed);
    }
}

impl Drop for Lingering<'_> {
    fn drop(&mut self) {
        // Whoever asked for the place has taken it off the count.
        if !self.gives_way.load(Relaxed) {
            let one_less = |count: u32| count.checked_sub(1);
            // None is left where others asked for all places at the same time.
            let _ = self.door.lingering.fetch_update(Relaxed, Relaxed, one_less);
        }
    }
}
