//! What is asked of upstreams beside traffic, and of others before a rollout goes on: active checks, the
//! addresses behind names, signals, smoke tests and hooks.
//!
//! This module only looks and tells the controller; what a result means is decided there.

mod check;
mod exchange;
mod expected;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grpc;
mod hook;
mod jobs;
mod probe;
mod resolve;
pub mod signals;
mod smoke;
mod targets;
mod transport;

pub use jobs::work;
pub use probe::watch;
pub use resolve::Resolver;
