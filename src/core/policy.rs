use std::time::Duration;

/// The limits a candidate must keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub name: String,
    pub mode: Mode,
    /// False aborts tolerated within `horizon` attempts.
    pub alpha: f64,
    pub horizon: u64,
    /// The plain rule's stretch and least sample (`mode = "window"` only).
    pub window: Duration,
    pub min_sample: u64,
    pub limits: Vec<Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The sequential test of `evidence`.
    Evidence,
    /// The plain rule: the rate in the window against the limit.
    Window,
}

/// One metric with its levels; at least one of the two is set.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// Shares of attempts that may fail (0–1, exclusive).
    ErrorRate { warning: Option<f64>, critical: Option<f64> },
    /// `quantile` (0–1) of the attempts must be answered within the time.
    Latency { quantile: f64, warning: Option<Duration>, critical: Option<Duration> },
}
