//! The data plane: one request after the other, from its head to the end of its answer.
//!
//! | room | holds | may use |
//! |---|---|---|
//! | [`wire`] | bytes ↔ messages, both sides: heads, bodies, deadlines, gathered writes; the guard of HTTP/2 | – |
//! | [`listen`] | listeners, admission and its limits, PROXY protocol, the close in stages | wire |
//! | [`upstream`] | connections kept by a worker, connecting, TLS, the exchange with an upstream | wire |
//! | [`exchange`] | one request as data, in four parts with one owner each | listen, upstream, wire |
//! | [`headers`] | tidy, claims, forwarded, rewriting, hop-by-hop, soundness, cookies, HSTS, compression's negotiation | exchange, listen, wire |
//! | [`decide`] | pure: route following, pool choice, limits, refusals, outcomes, retries | exchange, headers, wire |
//! | [`own`] | answers made here, as values: error pages, files, redirects, challenges | decide, exchange, headers, listen, wire |
//! | [`measure`] | one meter for traffic and mirror, charging, the mirror, the log's entry | decide, exchange, headers, listen, upstream, wire |
//! | [`lane`] | who drives an exchange: clients of HTTP/1 and HTTP/2, upstreams of both | all |
//!
//! `docs/request.md` tells a request file by file; `tests/it/house.rs` holds this table against the `use` lines,
//! and refuses circles.
//!
//! Every worker is one thread with its own event loop, its own shard of counters and its own
//! connections to the upstreams: nothing is shared on the way of a request but the table (read only)
//! and the upstreams' in-flight counts.

#![warn(clippy::indexing_slicing)]

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
pub use lane::passwords::PasswordDoor;
pub use lane::worker::Shared;
pub use lane::workers::Workers;
pub use listen::bound::{Bound, ListenError};
pub use listen::places::{Places, Shares};
pub use listen::seats::Seats;
