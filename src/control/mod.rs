//! The control plane: one task that owns all state that changes.
//!
//! Commands, health events, ticks and adverse outcomes are its inputs; a published table, the journal
//! and a snapshot for readers are its outputs. What is decided is decided in [`crate::core`]; this
//! module carries it out, in the order that keeps a crash at any moment safe.
//!
//! | who | does what |
//! |---|---|
//! | `service` | the controller of one service: `pools`, `watch`, `saver` and `jobs`, each with one owner; what they want done is put out as values (`output`) |
//! | `controller` | the task: gives inputs to services, and is the one interpreter of their outputs |
//! | `facts` | a service to be read: `shown`, `checks`, `history`, `notices`, `coverage`, `log` and `publisher` make of it what others see |
//! | `sets` | what keeps the services of one rollout together, after every input |
//! | `publisher`, `snapshots`, `rounds`, `maintenance`, `reload`, `handover` | the task's own parts: the table, views, who is looked at when, switches, new configurations, whose the state is |
//! | `start`, `recovery` | the task at its start, and what each service comes back as |
//! | `effects`, `journal` | where outputs go |
//!
//! An arrow between two files points one way only; `tests/it/house.rs` refuses circles.

mod answer;
mod answers;
mod checks;
pub mod command;
mod commands;
mod controller;
mod coverage;
mod effects;
mod facts;
mod failed;
pub mod fleet;
mod gateway;
mod grouping;
mod handover;
mod history;
mod jobs;
pub mod journal;
mod limits;
mod links;
mod log;
mod maintenance;
mod mirrored;
mod notices;
mod output;
mod own_limits;
mod pools;
mod publisher;
mod recovery;
mod registered;
mod reload;
mod rounds;
mod saver;
mod service;
mod services;
mod sets;
mod shown;
#[cfg(test)]
mod simulation;
mod snapshots;
mod start;
mod stretches;
mod upstreams;
pub mod view;
mod watch;

pub use handover::Handover;
pub use start::{Parts, Running, start};
