//! The pure core: what is decided, never how it is carried out.
//!
//! No I/O, no clock, no randomness: `now` and random draws come in as arguments. Points in time are
//! [`Duration`](std::time::Duration)s since the process started, on a clock that never steps.

pub mod balance;
pub mod choice;
pub mod client;
pub mod cohort;
pub mod compression;
pub mod counter;
pub mod duration;
pub mod event;
pub mod evidence;
pub mod failed_attempt;
pub mod failure_statuses;
pub mod fields;
pub mod group;
pub mod hash;
pub mod headers;
pub mod health;
pub mod hex;
pub mod kind_counts;
pub mod latency;
pub mod leave;
pub mod limit;
pub mod maintenance;
pub mod memory;
pub mod mirror;
pub mod notice;
pub mod outcome;
pub mod own_address;
pub mod own_limit;
pub mod passive;
pub mod policy;
pub mod ramp;
pub mod recall;
pub mod replay;
pub mod retention;
pub mod rollout;
pub mod route;
pub mod rule;
pub mod secret;
pub mod service;
pub mod settings;
pub mod shield;
pub mod signal;
pub mod svg;
pub mod table;
pub mod template;
pub mod tester;
pub mod text;
pub mod trace;
pub mod upstream_address;
pub mod verdict;
pub mod warm_up;
pub mod weight;
pub mod window;
