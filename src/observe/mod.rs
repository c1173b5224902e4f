//! What is seen of the traffic: clock, shards, wake-ups, Prometheus, access log.
//!
//! Workers write, others read: recording never waits for a reader.

pub mod access_log;
pub mod activity;
mod cell;
mod clients;
pub mod clock;
pub mod metrics;
pub mod recalls;
pub mod recorder;
pub mod samples;
pub mod shard;
mod starts;
pub mod streams;
pub mod wake;
mod whole_answers;
pub mod witnesses;
