//! Pointsman: a front load balancer that deploys safely by itself.
//!
//! This file is the map. Two flows run through the crate:
//!
//! * **Request** ([`proxy`]): listener → route → pool → upstream → answer → outcome → access log.
//!   It reads one immutable [`core::table::Table`] and writes plain counters ([`observe`]).
//! * **Control** ([`control`]): outcomes → window and evidence → policy → verdict → rollout → a new
//!   table. One task owns all state that changes; it is the only writer of the table.
//!
//! The two meet at the table and the recorder only: `proxy` never imports `control`.
//!
//! | module | holds | may use |
//! |---|---|---|
//! | [`core`] | pools, weights, cohorts, balance, routes, outcome, window, evidence, policy, rollout, fleet; pure | std, small pure crates |
//! | [`observe`] | shards, Prometheus collector, access log | core |
//! | [`tls`] | certificates: reading, choice by name, exchange while they are served, ordering by ACME; the client's side | core, observe |
//! | [`proxy`] | the data plane: listeners, requests from their head to the end of their answer, counting | core, observe, tls |
//! | [`control`] | the controller task, commands, journal, recovery | core, observe |
//! | [`health`] | active checks, name resolution, smoke tests, hooks, scraped signals | core, control's commands, tls |
//! | [`docker`] | containers as upstreams, by their labels | core, control's commands, observe |
//! | [`notify`] | chat, webhooks and GitHub, out of the outbox | core, control's journal, observe, tls |
//! | [`otlp`] | spans of sampled requests, sent to a collector | core, observe |
//! | [`fleet`] | several instances as one, over etcd: its client, sessions, the task that has them | core, control's commands, control's fleet, control's journal, observe, tls |
//! | [`config`] | what was typed → what is meant; validation; the import of nginx's | core |
//! | [`admin`] | HTTP API, dashboard | core, control's commands, control's fleet, control's views, control's journal, observe, tls |
//! | [`cli`] | client commands over the admin API; `import`; `replay` | core, config, admin's shapes, control's commands, control's views, observe's clock |
//! | [`app`] | the composition root, and the demo | all |
//!
//! `tests/it/house.rs` reads this table and holds it against the `use` lines of `src/`.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod docker;
pub mod fleet;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod notify;
pub mod observe;
pub mod otlp;
pub mod proxy;
pub mod tls;
