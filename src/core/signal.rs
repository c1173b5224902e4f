//! Signals: numbers that an application says of itself, such as its database connections.
//!
//! A signal is scraped from the upstreams of a pool and held against a warning and a critical level.
//! Where a value stands in an answer is said by a [`Locator`].

mod find;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod parse;

use std::sync::Arc;
use std::time::Duration;

/// One number to be scraped, and its levels; at least one of the two is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Its name in reasons, views and metrics: `database_connections`.
    pub name: Arc<str>,
    /// The path of the endpoint on the upstream.
    pub from: String,
    pub at: Locator,
    /// A value at or above it holds.
    pub warning: Option<f64>,
    /// A value at or above it fails.
    pub critical: Option<f64>,
    pub interval: Duration,
    pub timeout: Duration,
    /// Values in a row that it takes to believe a level.
    pub count: u32,
}

/// Where a value stands in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// RFC 6901, in a JSON answer: `/database_connections`.
    Pointer(String),
    /// A sample of the Prometheus text format: its name, and labels it must have.
    Sample { name: String, labels: Vec<(String, String)> },
}
