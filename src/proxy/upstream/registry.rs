//! The attempts of one worker by their upstream connection, so that those which wait for a frozen or
//! aborted upstream can be taken back ([`Recall`]).
//!
//! An attempt is ended by the end of its connection, which works for both protocols. A connection of HTTP/1 carries
//! one request, so it is shut down when its request may be sent once more and has no answer yet. A
//! connection of HTTP/2 carries many: it is shut down once nothing else is on it, which is why requests that
//! must not be repeated have connections of their own there. An answer under way is never cut.
//!
//! Entering and leaving are a few loads and stores on the worker's own table, by socket; only a recall looks
//! at all of it. Sockets are small numbers that the system gives out again: each connection has a turn of its
//! own, and before one is shut down its peer is compared with what was entered.

use crate::core::hash::{FixedHash, Purpose};
use crate::core::outcome::ArmId;
use crate::core::recall::Recall;
use crate::core::upstream_address::{SocketPath, UpstreamAddress};
use crate::observe::recalls::RecallReceiver;
use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Places are made in chunks, up to a million sockets; attempts on others are not taken back.
const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

/// Only its own worker writes to it.
#[derive(Debug)]
pub(in crate::proxy) struct AttemptRegistry {
    chunks: Box<[OnceLock<Box<[Carrier]>>]>,
    /// The revision of the latest recall; requests planned before it look at the recalls when they have their
    /// connection, since they may have been on their way to it.
    latest: AtomicU64,
    recalls: Mutex<VecDeque<Recall>>,
}

/// Recalls that are kept for requests which are still connecting.
const REMEMBERED: usize = 64;

/// One connection to an upstream.
#[derive(Debug, Default)]
struct Carrier {
    arm: AtomicU32,
    /// Of the upstream's address.
    address: AtomicU64,
    /// Of the table that the oldest of what waits on it was planned on.
    revision: AtomicU64,
    /// Which of the connections that this socket has been.
    turn: AtomicU32,
    /// Attempts that wait for an answer and may be taken back, and all others.
    waiting: AtomicU32,
    others: AtomicU32,
    /// Whether it ends once nothing else is on it.
    is_recalled: AtomicBool,
    /// The turn that was ended last; the first is 1.
    ended: AtomicU32,
}

/// An attempt's place in the registry.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct RegistryPlace {
    socket: RawFd,
    turn: u32,
    is_waiting: bool,
}

impl Default for AttemptRegistry {
    fn default() -> Self {
        AttemptRegistry {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            latest: AtomicU64::new(0),
            recalls: Mutex::default(),
        }
    }
}

impl AttemptRegistry {
    /// An attempt on an upstream, planned on the table of `revision`, has its connection, which `is_fresh` or
    /// kept from before; `hash` is that of the upstream. `may_return` says that it can be taken back while it waits.
    pub(in crate::proxy) fn enter(
        &self,
        socket: RawFd,
        is_fresh: bool,
        (arm, hash): (ArmId, u64),
        revision: u64,
        may_return: bool,
    ) -> Option<RegistryPlace> {
        let carrier = self.carrier(socket)?;
        if is_fresh {
            carrier.turn.store(carrier.turn.load(Relaxed).wrapping_add(1), Relaxed);
            carrier.waiting.store(0, Relaxed);
            carrier.others.store(0, Relaxed);
        }
        carrier.arm.store(u32::from(arm.0), Relaxed);
        carrier.address.store(hash, Relaxed);
        if carrier.waiting.load(Relaxed) == 0 {
            carrier.revision.store(revision, Relaxed);
        }
        // Whoever sends it requests again means it to serve.
        carrier.is_recalled.store(false, Relaxed);
        carrier.count(may_return, 1);
        Some(RegistryPlace { socket, turn: carrier.turn.load(Relaxed), is_waiting: may_return })
    }

    /// The attempt cannot be taken back any more: it has an answer, or too much of its body has gone.
    pub(in crate::proxy) fn settle(&self, place: &mut RegistryPlace) {
        if !std::mem::replace(&mut place.is_waiting, false) {
            return;
        }
        if let Some(carrier) = self.of(*place) {
            carrier.count(true, -1);
            carrier.count(false, 1);
        }
    }

    /// The attempt is over; whether its connection was ended to take it back.
    pub(in crate::proxy) fn leave(&self, place: RegistryPlace) -> bool {
        if let Some(carrier) = self.of(place) {
            carrier.count(place.is_waiting, -1);
            carrier.end_if_free(place.socket);
        }
        // Its socket may be another connection's by now.
        let ended = self.carrier(place.socket).map(|carrier| carrier.ended.load(Relaxed));
        place.is_waiting && ended == Some(place.turn)
    }

    /// Whether a request that was planned on the table of `revision` is no longer to go to this upstream.
    pub(in crate::proxy) fn is_recalled(&self, arm: ArmId, upstream: UpstreamAddress, revision: u64) -> bool {
        if self.latest.load(Relaxed) <= revision {
            return false;
        }
        let recalls = self.recalls.lock().unwrap_or_else(PoisonError::into_inner);
        recalls.iter().any(|recall| recall.is_for(arm, upstream, revision))
    }

    /// Takes back what waits, where it is named.
    fn recall(&self, recalls: &[Recall]) {
        self.remember(recalls);
        let chunks = self.chunks.iter().enumerate().filter_map(|(index, chunk)| Some((index, chunk.get()?)));
        for (chunk, carriers) in chunks {
            for (index, carrier) in carriers.iter().enumerate() {
                if carrier.waiting.load(Relaxed) == 0 || !recalls.iter().any(|recall| carrier.is_of(recall)) {
                    continue;
                }
                carrier.is_recalled.store(true, Relaxed);
                carrier.end_if_free((chunk * CHUNK + index) as RawFd);
            }
        }
    }

    fn remember(&self, fresh: &[Recall]) {
        let mut recalls = self.recalls.lock().unwrap_or_else(PoisonError::into_inner);
        recalls.extend(fresh);
        let surplus = recalls.len().saturating_sub(REMEMBERED);
        recalls.drain(..surplus);
        let latest = recalls.iter().map(|recall| recall.revision).max();
        self.latest.store(latest.unwrap_or_default(), Relaxed);
    }

    fn of(&self, place: RegistryPlace) -> Option<&Carrier> {
        self.carrier(place.socket).filter(|carrier| carrier.turn.load(Relaxed) == place.turn)
    }

    fn carrier(&self, socket: RawFd) -> Option<&Carrier> {
        let socket = usize::try_from(socket).ok()?;
        let chunk = self.chunks.get(socket / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| Carrier::default()).collect()).get(socket % CHUNK)
    }
}

impl Carrier {
    fn count(&self, waiting: bool, change: i32) {
        let counter = if waiting { &self.waiting } else { &self.others };
        counter.store(counter.load(Relaxed).saturating_add_signed(change), Relaxed);
    }

    /// Whether a recall is for it: what was planned on a later table is meant to be there.
    fn is_of(&self, recall: &Recall) -> bool {
        self.arm.load(Relaxed) == u32::from(recall.arm.0)
            && self.revision.load(Relaxed) < recall.revision
            && recall.upstream.is_none_or(|upstream| self.address.load(Relaxed) == digest(upstream))
    }

    /// Shuts the connection down if it was recalled and only what may be taken back is on it.
    fn end_if_free(&self, socket: RawFd) {
        let is_free = self.others.load(Relaxed) == 0 && self.waiting.load(Relaxed) > 0;
        if !self.is_recalled.load(Relaxed) || !is_free || peer(socket) != Some(self.address.load(Relaxed)) {
            return;
        }
        self.is_recalled.store(false, Relaxed);
        self.ended.store(self.turn.load(Relaxed), Relaxed);
        // It may have been closed by the other side just now.
        if let Err(error) = shutdown(socket, Shutdown::Both) {
            tracing::debug!("a recalled attempt's connection was not shut down: {error}");
        }
    }
}

/// Whom a socket is connected to.
fn peer(socket: RawFd) -> Option<u64> {
    let peer: SockaddrStorage = getpeername(socket).ok()?;
    let v4 = peer.as_sockaddr_in().map(|peer| SocketAddr::from((peer.ip(), peer.port())));
    let ip = v4.or_else(|| peer.as_sockaddr_in6().map(|peer| SocketAddr::from((peer.ip(), peer.port()))));
    let path = || SocketPath::of_bytes(peer.as_unix_addr()?.path()?.as_os_str().as_bytes());
    ip.map(UpstreamAddress::Ip).or_else(|| path().map(UpstreamAddress::Unix)).map(digest)
}

/// As a table has it of its upstreams.
fn digest(address: UpstreamAddress) -> u64 {
    FixedHash::of(Purpose::Upstream).upstream(address).finish()
}

/// Carries recalls out, until the process ends. To be run by the worker whose registry it is.
pub(in crate::proxy) async fn obey(mut recalls: RecallReceiver, registry: Arc<AttemptRegistry>) {
    while let Some(recalls) = recalls.next().await {
        registry.recall(&recalls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    const GREEN: ArmId = ArmId(7);

    /// A connection, and what its upstream sees of it.
    fn connection() -> (TcpStream, TcpStream, UpstreamAddress) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ours = TcpStream::connect(address).expect("a connection");
        let theirs = listener.accept().expect("accepted").0;
        theirs.set_nonblocking(true).expect("a socket");
        (ours, theirs, address.into())
    }

    fn is_open(theirs: &mut TcpStream) -> bool {
        theirs.read(&mut [0; 1]).is_err()
    }

    fn all() -> [Recall; 1] {
        [Recall { arm: GREEN, upstream: None, revision: 3 }]
    }

    #[test]
    fn what_waits_is_taken_back_and_what_does_not_is_left() {
        let registry = AttemptRegistry::default();
        let (ours, mut theirs, address) = connection();
        let socket = ours.as_raw_fd();
        let mut place = registry.enter(socket, true, (GREEN, digest(address)), 2, true).expect("a place");
        registry.recall(&[Recall { arm: ArmId(8), upstream: None, revision: 2 }]);
        registry.recall(&[Recall {
            arm: GREEN,
            upstream: Some(SocketAddr::from(([127, 0, 0, 1], 1)).into()),
            revision: 2,
        }]);
        assert!(is_open(&mut theirs), "others were named");
        registry.settle(&mut place);
        registry.recall(&all());
        assert!(is_open(&mut theirs), "it has an answer");
        assert!(!registry.leave(place));
        let place = registry.enter(socket, false, (GREEN, digest(address)), 2, false).expect("a place");
        registry.recall(&all());
        assert!(!registry.leave(place) && is_open(&mut theirs), "it must not be repeated");
        let place = registry.enter(socket, false, (GREEN, digest(address)), 2, true).expect("a place");
        registry.recall(&[Recall { arm: GREEN, upstream: Some(address), revision: 4 }]);
        assert!(!is_open(&mut theirs));
        assert!(registry.leave(place), "it is told why");
        assert!(registry.is_recalled(GREEN, address, 3) && !registry.is_recalled(GREEN, address, 4));
    }

    #[test]
    fn what_was_planned_on_the_table_of_the_recall_is_meant_to_be_there() {
        let registry = AttemptRegistry::default();
        let (ours, mut theirs, address) = connection();
        let place =
            registry.enter(ours.as_raw_fd(), true, (GREEN, digest(address)), 3, true).expect("a place");
        registry.recall(&all());
        assert!(is_open(&mut theirs), "a tester looks at what was aborted");
        assert!(!registry.leave(place));
    }

    #[test]
    fn a_shared_connection_ends_when_the_last_answer_on_it_has() {
        let registry = AttemptRegistry::default();
        let (ours, mut theirs, address) = connection();
        let socket = ours.as_raw_fd();
        let waits = registry.enter(socket, true, (GREEN, digest(address)), 2, true).expect("a place");
        let mut answered = registry.enter(socket, false, (GREEN, digest(address)), 2, true).expect("a place");
        registry.settle(&mut answered);
        registry.recall(&all());
        assert!(is_open(&mut theirs), "an answer is under way");
        assert!(!registry.leave(answered));
        assert!(!is_open(&mut theirs));
        let fresh = registry.enter(socket, true, (GREEN, digest(address)), 2, true).expect("a place");
        assert!(registry.leave(waits), "though its socket is another connection's by now");
        assert!(!registry.leave(fresh));
    }

    #[test]
    fn a_socket_that_is_somebody_elses_by_now_is_left_alone() {
        let registry = AttemptRegistry::default();
        let (ours, _theirs, address) = connection();
        let socket = ours.as_raw_fd();
        let old = registry.enter(socket, true, (GREEN, digest(address)), 2, true).expect("a place");
        let new = registry.enter(socket, true, (GREEN, digest(address)), 2, false).expect("a place");
        assert!(!registry.leave(old), "the connection of its turn is gone");
        assert!(!registry.leave(new));
        let (other, mut theirs, _) = connection();
        let place =
            registry.enter(other.as_raw_fd(), true, (GREEN, digest(address)), 2, true).expect("a place");
        registry.recall(&all());
        assert!(is_open(&mut theirs), "it is connected to somebody else");
        assert!(!registry.leave(place));
        assert!(registry.enter(-1, true, (GREEN, digest(address)), 2, true).is_none());
    }
}
