//! The answer of a request, on its way to the client.

use super::Original;
use crate::observe::access_log::Cut;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::encoder::Encoder;
use std::time::Duration;

/// What is known of the answer.
pub(in crate::proxy) struct Delivery {
    /// Its status, 0 before any of it has been sent, and the bytes of the body so far.
    pub status: u16,
    pub sent: u64,
    /// Whether the client's connection may serve another request after it.
    pub keeps: bool,
    /// How long the body of the request may be silent, and how many bytes a second it has to bring (0: any).
    pub pace: (Duration, u64),
    /// Whether the answer has no body, whatever the upstream sends.
    pub is_bodiless: bool,
    /// What the answer's body goes through.
    pub encoder: Option<Box<Encoder>>,
    /// The head of an upstream's answer that is not shown.
    pub unshown: Option<Box<AnswerHead>>,
    /// What is kept of it, to be compared with that of its copy.
    pub original: Option<Box<Original>>,
    /// Time until the connection, the head and the end of the last attempt's answer, µs.
    pub connect_us: Option<u64>,
    pub head_us: Option<u64>,
    pub response_us: Option<u64>,
    /// How long in all the client has not taken what was sent to it, µs.
    pub untaken_us: u64,
    /// Whether the head of the answer was waited for in vain.
    pub is_late: bool,
    /// What cut the request short, where that is known already.
    pub cut: Option<Cut>,
    /// Whether its line of the access log is still to be written.
    pub is_unlogged: bool,
}

impl Delivery {
    pub(in crate::proxy) fn new() -> Self {
        Delivery {
            status: 0,
            sent: 0,
            keeps: true,
            pace: (Duration::MAX, 0),
            is_bodiless: false,
            encoder: None,
            unshown: None,
            original: None,
            connect_us: None,
            head_us: None,
            response_us: None,
            untaken_us: 0,
            is_late: false,
            cut: None,
            is_unlogged: false,
        }
    }

    /// Whether the client has been sent any of the final answer.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        self.status > 0
    }
}
