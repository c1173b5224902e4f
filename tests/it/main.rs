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

mod access;
mod access_log;
mod acme;
mod admin;
mod alerts;
mod answers;
mod balance;
mod buffer;
mod ci;
mod cli;
mod clock;
mod cohorts;
mod compression;
mod conformance;
mod dashboard;
mod deadlines;
mod demo;
mod disk;
mod docker;
mod documents;
mod events;
mod fields;
mod fleet;
mod grpc;
mod harm;
mod health_checks;
mod hostile;
mod house;
mod limits;
mod listeners;
mod maintenance;
mod metrics;
mod mirror;
mod notify;
mod observability;
mod openapi;
mod otlp;
mod packages;
mod paths;
mod policy;
mod proxy;
mod proxy_protocol;
mod reload;
mod replay;
mod restarts;
mod retries;
mod rollout;
mod room;
mod routes;
mod runbook;
mod service;
mod sets;
mod shield;
mod split;
mod state;
mod streams;
mod tallow;
mod tls;
mod trace;
mod typed;
mod unix_sockets;
mod upgrade;
mod upstream_tls;
mod upstreams;
mod values;
mod verdict;
