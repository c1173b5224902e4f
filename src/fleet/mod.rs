//! Several instances that act as one, over a store that they share.
//!
//! [`etcd`] is the client of that store, [`session`] one instance's part in it, and `task` brings both together with what
//! [`crate::core::fleet`] decides and with the controller, which shows it.

mod convert;
pub mod etcd;
mod sealed;
pub mod session;
mod start;
mod task;

pub use start::{FleetFault, FleetRunning, FleetStart};
