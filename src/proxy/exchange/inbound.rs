//! Who sent a request, and what has come of it.

use crate::core::memory::{Lease, MemoryAccount};
use crate::core::trace::TraceContext;
use crate::proxy::listen::bound::Bound;
use crate::proxy::wire::holding::{self, HeldMemory};
use crate::proxy::wire::refused::RefusedHead;
use crate::proxy::wire::spelling::Spelling;
use http::HeaderValue;
use std::net::IpAddr;
use std::sync::Arc;

/// The client's side of a request.
pub(in crate::proxy) struct Inbound {
    pub listener: Arc<Bound>,
    /// The listener's place among all.
    pub place: usize,
    /// Whom the connection is with, or whom its PROXY header names.
    pub peer: IpAddr,
    /// The same as upstreams learn it.
    pub peer_text: HeaderValue,
    /// The real client: the peer, or whom a trusted proxy names.
    pub client: IpAddr,
    /// Whether that is nobody in particular: a trusted proxy sent it, and names nobody that can be read.
    pub is_nameless: bool,
    /// Whether the peer is a trusted proxy, whose word on the client counts.
    pub believed: bool,
    /// What the request is called where no trusted proxy has named it: 32 hexadecimal digits.
    pub own_id: [u8; 32],
    /// The trace that it belongs to, where requests are traced.
    pub trace: Option<TraceContext>,
    /// When its head had arrived, µs on the process clock.
    pub started_us: u64,
    /// How its names were spelled (HTTP/1).
    pub spelling: Spelling,
    /// The path and the query that came, where other words stand for them in its head.
    pub target: Option<Box<[u8]>>,
    /// What is wrong with its head, if anything is.
    pub refused: Option<Box<RefusedHead>>,
    /// Who its client says it is, on a route that asks.
    pub user: Option<Box<str>>,
    /// Whether it has shown the password of that name.
    pub is_proven: bool,
    /// Whether its client waits to be told to send the body.
    pub expects: bool,
    pub body: InboundBody,
}

/// Bytes of a body that are kept, so that it can be sent again.
const REPLAYED_BYTES: usize = 64 << 10;
/// The same while memory is short; and what is not entered as held.
const SMALL_BYTES: usize = 4 << 10;

/// The body of a request, as far as it has come.
#[derive(Debug, Default)]
pub(in crate::proxy) struct InboundBody {
    /// Whether all of it has come.
    pub is_whole: bool,
    /// Whether there was one at all.
    pub is_empty: bool,
    /// Bytes that have come.
    pub read: u64,
    replay: Vec<u8>,
    is_truncated: bool,
    /// What the replay is counted by, where it may be larger than that of any request.
    lease: Option<Lease>,
    held: HeldMemory,
}

impl InboundBody {
    /// A piece has come.
    pub(in crate::proxy) fn came(&mut self, piece: &[u8]) {
        self.read += piece.len() as u64;
        if self.is_truncated {
            return;
        }
        let bytes = self.replay.len() + piece.len();
        if bytes > REPLAYED_BYTES || bytes > SMALL_BYTES && holding::is_full() {
            self.is_truncated = true;
            self.forget();
        } else {
            self.replay.extend_from_slice(piece);
            if bytes > SMALL_BYTES {
                self.held.settle(bytes);
            }
        }
    }

    /// Whether so many more bytes can be taken in, beyond what is kept of any request.
    pub(in crate::proxy) fn has_room(&mut self, more: usize, account: &Arc<MemoryAccount>) -> bool {
        let needed = self.replay.len() + more;
        let covered = self.lease.as_ref().map_or(0, Lease::bytes);
        if needed <= covered {
            return true;
        }
        let size = needed.max(covered * 2).max(self.replay.capacity());
        let has_room = match &mut self.lease {
            Some(lease) => lease.try_cover(size),
            None => {
                self.lease = account.try_reserve(size);
                self.lease.is_some()
            }
        };
        if has_room {
            self.replay.reserve_exact(size - self.replay.len());
        }
        has_room
    }

    /// A piece has come that is kept, whatever comes after it.
    pub(in crate::proxy) fn keep(&mut self, piece: &[u8]) {
        self.read += piece.len() as u64;
        self.replay.extend_from_slice(piece);
    }

    /// It will not be sent again.
    pub(in crate::proxy) fn forget(&mut self) {
        (self.replay, self.lease) = (Vec::new(), None);
        self.held.settle(0);
    }

    /// It does not go on.
    pub(in crate::proxy) fn leave_out(&mut self) {
        *self = InboundBody { is_whole: true, is_empty: true, read: self.read, ..InboundBody::default() };
    }

    /// Whether all that has come can be sent once more.
    pub(in crate::proxy) fn is_replayable(&self) -> bool {
        !self.is_truncated
    }

    /// What has come.
    pub(in crate::proxy) fn replay(&self) -> &[u8] {
        &self.replay
    }
}
