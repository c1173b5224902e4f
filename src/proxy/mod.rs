//! The data plane: the pingora adapter.
//!
//! Listener → connection → route → pool → upstream → answer → outcome. The callbacks of pingora
//! ([`gate`]) decide nothing themselves: what to do with a request is said by [`plan`], with an answer
//! by [`reply`], after a failure by [`retry`]; these are plain functions, so that another lane than
//! pingora-proxy can call them too.
//!
//! Every worker is one thread with its own event loop, its own shard of counters and its own
//! connections to the upstreams: nothing is shared on the way of a request but the table (read only)
//! and the upstreams' in-flight counts.

mod admission;
mod answer;
mod challenge;
mod charge;
mod choice;
mod chunks;
mod client_stream;
mod compress;
mod connection;
mod connection_end;
mod error_page;
mod files;
mod follow;
mod forward;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gate;
mod gather;
mod head;
mod hops;
mod hsts;
mod http2;
mod inner;
mod keyring;
mod lasting;
mod limits;
mod listen;
mod log_entry;
mod mirror;
mod peer;
mod places;
mod plan;
mod proxy_protocol;
mod recall;
mod refuse;
mod registry;
mod reply;
mod request;
mod retry;
mod rewrite;
mod shield;
mod shortage;
mod sound;
mod tidy;
mod uses;
mod worker;

pub use hops::HopMark;
pub use listen::{Bound, ListenError};
pub use places::{Places, Shares};
pub use worker::{Shared, Workers};
