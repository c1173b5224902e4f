//! Pointsman as its users meet it: the real binary, real sockets, real origins, real clients.
//!
//! Everything binds loopback with a port of the system's choice, and is stopped by its own id.

#![allow(unreachable_pub, reason = "one binary: `pub` says what the harness offers to the tests")]
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at once, read the clock and print its figures"
)]

mod harness;

mod admin;
mod alerts;
mod balance;
mod ci;
mod cli;
mod clock;
mod disk;
mod events;
mod house;
mod listeners;
mod maintenance;
mod notify;
mod policy;
mod proxy;
mod reload;
mod restarts;
mod rollout;
mod runbook;
mod service;
mod split;
mod state;
mod upgrade;
mod upstreams;
