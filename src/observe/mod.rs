//! What is seen of the traffic: clock, shards, Prometheus, access log.

pub mod clock;
