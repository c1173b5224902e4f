//! An attempt that failed, or that its client gave up, in the words that people find it by elsewhere.

/// What was asked, of whom, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When it was known, µs on the process clock.
    pub at_us: u64,
    /// As the upstream and the access log have it.
    pub request_id: String,
    /// The method and the shape of the path, such as `GET /users/*`.
    pub request: String,
    /// The status of its answer; 0 where there was none.
    pub status: u16,
    /// `abandoned`, or the label of [`Reason`](super::outcome::Reason).
    pub outcome: &'static str,
    /// As in the configuration; empty where no upstream could take the request.
    pub upstream: String,
}
