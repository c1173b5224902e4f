//! Docker's containers as upstreams.
//!
//! A container says by its labels which pool of which service it belongs to. This module follows which containers there
//! are and tells the controller; weights, routes and roles stay with the API and the file.
//!
//! * The stream of events is opened first and the containers are listed then, so that nothing is missed in between.
//!   Both happen again whenever the stream breaks.
//! * While Docker does not answer, everything stays as it is: a container is gone only when Docker says so.
//! * A signal that ends a process takes its container out of new requests before it stops listening.

mod container;
mod engine;
mod events;
mod place;
mod roster;
mod signal;
mod watch;

pub use watch::watch;
