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

mod decide;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod headers;
mod lane;
mod listen;
mod measure;
mod own;
mod upstream;
mod wire;

pub use headers::hops::HopMark;
pub use lane::worker::{Shared, Workers};
pub use listen::bound::{Bound, ListenError};
pub use listen::places::{Places, Shares};
