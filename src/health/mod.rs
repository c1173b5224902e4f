//! Active checks of upstreams, and the addresses behind their names.
//!
//! This module only looks and tells the controller; what a result means is decided there.

mod probe;
mod resolve;
mod targets;

pub use targets::{Target, Targets, watch};
