//! One worker's side of the data plane: what its requests need, and nobody else's.

use super::passwords::PasswordDoor;
use crate::core::balance::mix;
use crate::core::memory::MemoryAccount;
use crate::core::table::Table;
use crate::observe::access_log::{AccessLog, SpanLog};
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use crate::proxy::headers::hops::HopMark;
use crate::proxy::listen::bound::Bound;
use crate::proxy::listen::places::Places;
use crate::proxy::listen::seats::{Seats, ServedNow};
use crate::proxy::measure::log_entry::Logger;
use crate::proxy::measure::meter::Meter;
use crate::proxy::measure::mirror::{self, MirrorTools};
use crate::proxy::upstream::connect::TlsConfigs;
use crate::proxy::upstream::keyring::Keyring;
use crate::proxy::upstream::registry::AttemptRegistry;
use crate::tls::Challenges;
use arc_swap::ArcSwap;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all workers share.
pub struct Shared {
    /// Written by the controller alone.
    pub table: Arc<ArcSwap<Table>>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub access_log: Option<AccessLog>,
    /// Where sampled requests go, where they go anywhere.
    pub spans: Option<SpanLog>,
    pub clock: Clock,
    pub listeners: Vec<Arc<Bound>>,
    /// How many descriptors clients and upstreams may take, and what connections of clients may hold.
    pub places: Places,
    /// Which connections are idle, and which worker has how many.
    pub seats: Arc<Seats>,
    /// What bodies and unread answers hold.
    pub memory: Arc<MemoryAccount>,
    /// What requests to upstreams are marked with.
    pub hop_mark: HopMark,
    /// Where passwords are verified.
    pub passwords: PasswordDoor,
    /// What authorities ask for while a certificate is ordered.
    pub challenges: Arc<Challenges>,
    /// Seed of the workers' random numbers.
    pub seed: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// One worker's side of the data plane.
pub(super) struct Worker {
    index: usize,
    pub shared: Arc<Shared>,
    pub meter: Meter,
    pub registry: Arc<AttemptRegistry>,
    pub tls: TlsConfigs,
    pub keyring: Keyring,
    /// Connections of HTTP/2 to upstreams.
    pub connector: Arc<Connector>,
    /// Sends mirrored requests.
    sender: mirror::Sender,
    /// The access log, where there is one.
    pub log: Option<AccessLog>,
    /// State of the worker's random numbers (SplitMix64); only its own thread draws.
    random: AtomicU64,
}

impl Worker {
    pub(super) fn new(index: usize, shared: &Arc<Shared>, registry: Arc<AttemptRegistry>) -> Self {
        let shares = shared.places.shares();
        let meter = Meter {
            worker: index,
            shard: shared.recorder.shard(index),
            recorder: shared.recorder.clone(),
            wake: shared.wake.clone(),
            clock: shared.clock,
        };
        Worker {
            index,
            shared: shared.clone(),
            meter,
            registry,
            tls: TlsConfigs::default(),
            keyring: Keyring::default(),
            connector: Arc::new(Connector::new(Some(ConnectorOptions::new(shares.kept)))),
            sender: mirror::sender(shares.kept_by_mirror),
            log: shared.access_log.clone(),
            random: AtomicU64::new(shared.seed.wrapping_add((index as u64) << 32)),
        }
    }

    /// A request is under way, until it is dropped.
    pub(super) fn request(&self) -> Option<ServedNow<'_>> {
        self.shared.seats.request(self.index)
    }

    /// A random number.
    pub(super) fn draw(&self) -> u64 {
        let next = self.random.load(Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.store(next, Ordering::Relaxed);
        mix(next)
    }

    /// Where the lines of requests go.
    pub(super) fn lines(&self) -> (Option<&AccessLog>, Option<&SpanLog>) {
        (self.log.as_ref(), self.shared.spans.as_ref())
    }

    /// Writes the lines of connections that never made a request.
    pub(super) fn logger(&self) -> Option<Logger> {
        self.log.as_ref().map(|log| Logger::new(log, self.shared.clock))
    }

    /// What copies are sent with.
    pub(super) fn mirroring(&self) -> MirrorTools<'_> {
        MirrorTools {
            meter: &self.meter,
            sender: &self.sender,
            places: &self.shared.places,
            hop_mark: &self.shared.hop_mark,
            keyring: &self.keyring,
        }
    }
}
