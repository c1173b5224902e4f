//! Where the spans of sampled requests are sent.

use super::Trust;
use http::HeaderMap;
use std::time::Duration;

/// A collector of OpenTelemetry. How many requests are sampled is part of [`crate::core::trace::Tracing`].
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The whole address, with its path.
    pub endpoint: String,
    /// What each request to it carries beside its body.
    pub headers: HeaderMap,
    /// The name of the service that the spans are of.
    pub service: String,
    /// How long the collector may take to answer.
    pub timeout: Duration,
    pub trust: Trust,
}
