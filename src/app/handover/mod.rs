//! An upgrade: a new process of ours takes over from this one, and no request notices.
//!
//! The old process starts the new binary with one end of a socket pair as its standard input. Over it
//! go the listening sockets, and these words, in this order:
//!
//! 1. new → old `prepared`: the configuration is sound, every address, certificate and log is open.
//! 2. old → new `released`: nothing is decided any more, all is written, the state store is closed. Only
//!    now does the new one open it: the state never has two owners.
//! 3. new → old `ready`: it has recovered the state, knows its upstreams and accepts.
//! 4. old → new `yours`: the old one stops accepting, finishes what it has and ends.
//!
//! Both listen on the same sockets, so at every moment somebody accepts; until `ready` the old workers
//! serve by their last table. Until then the old process can go back: it ends the new one, waits until it
//! is gone, and takes the state back. A new process that ends early, says `failed` or is too late is
//! ended so.

mod predecessor;
mod successor;
mod upgrades;
mod wire;

pub(super) use predecessor::Predecessor;
pub(super) use successor::{Own, Upgrader, binary};
pub(super) use upgrades::Upgrades;

use serde::{Deserialize, Serialize};

/// One word between the two; a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "say")]
enum Said {
    /// So many sockets follow, with these names.
    Sockets {
        names: Vec<String>,
    },
    Prepared,
    Released,
    Ready {
        version: String,
    },
    Failed {
        reason: String,
    },
    Yours,
}

/// The name of a listener's socket: by the address as configured, whose port may be 0.
pub(super) fn listener_name(address: std::net::SocketAddr) -> String {
    format!("listener {address}")
}

pub(super) const ADMIN_NAME: &str = "admin";
