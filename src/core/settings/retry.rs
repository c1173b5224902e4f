//! Which failed attempts of a request are followed by another one on its pool.

use crate::core::failure_statuses::FailureStatuses;
use std::time::Duration;

/// How often, after what, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that one request may make on its pool, the first included.
    pub tries: u8,
    /// Whether one follows an attempt without an answer of HTTP: no connection, a break, nonsense.
    pub on_error: bool,
    /// Whether one follows an attempt that took too long to connect, to take the request or to answer.
    pub on_timeout: bool,
    /// Answers that give way to another upstream's, where there is one.
    pub statuses: Option<Box<FailureStatuses>>,
    /// In which attempts begin, from the first one on; `None` is any time.
    pub timeout: Option<Duration>,
    /// Whether requests are repeated that may be carried out twice then (POST).
    pub repeats_unsafe: bool,
}

impl Retry {
    /// After no answer, of what may be repeated.
    pub fn of(tries: u8) -> Self {
        Retry {
            tries,
            on_error: true,
            on_timeout: true,
            statuses: None,
            timeout: None,
            repeats_unsafe: false,
        }
    }

    /// Whether an answer gives way to another upstream's.
    #[inline]
    pub fn is_on(&self, status: u16) -> bool {
        self.statuses.as_ref().is_some_and(|statuses| statuses.has(status))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry::of(2)
    }
}
