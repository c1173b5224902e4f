//! The control plane: one task that owns all state that changes.
//!
//! Commands, health events, ticks and adverse outcomes are its inputs; a published table, the journal
//! and a snapshot for readers are its outputs. What is decided is decided in [`crate::core`]; this
//! module carries it out, in the order that keeps a crash at any moment safe.

mod checks;
pub mod command;
mod commands;
mod controller;
mod coverage;
mod gateway;
mod grouping;
mod handover;
mod jobs;
pub mod journal;
mod limits;
mod links;
mod live;
mod lives;
mod log;
mod maintenance;
mod mirroring;
mod notices;
mod publish;
mod recovery;
mod reload;
mod sampling;
mod saving;
mod shown;
mod signals;
mod upstreams;
pub mod view;
mod watching;

pub use controller::{Parts, Running, start};
pub use handover::Handover;
