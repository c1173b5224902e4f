//! What a line of the access log is made of.

use crate::core::outcome::Outcome;
use std::net::IpAddr;

/// One request, as it is logged. It borrows from the request, which it does not outlive.
#[derive(Clone, Debug, Default)]
pub struct Entry<'a> {
    pub client: Option<IpAddr>,
    pub method: &'a str,
    pub host: &'a [u8],
    pub uri: &'a [u8],
    pub version: http::Version,
    /// 0 where the client was gone before an answer began.
    pub status: u16,
    pub bytes_sent: u64,
    /// When its head had arrived, µs on the process clock.
    pub started_us: u64,
    /// From the end of the head to the end of the answer, µs.
    pub request_us: u64,
    /// Time to a connection, to the head of the answer and to its end, of the last attempt, µs.
    pub connect_us: Option<u64>,
    pub head_us: Option<u64>,
    pub response_us: Option<u64>,
    pub service: Option<&'a str>,
    pub pool: Option<&'a str>,
    /// What the pool was chosen by.
    pub by: Option<&'static str>,
    pub upstream: Option<&'a str>,
    pub attempts: u8,
    /// The outcome of the last attempt, and those before it.
    pub last: Option<Attempted<'a>>,
    pub earlier: Vec<Attempted<'a>>,
    /// Why it ended before its answer did, or without one, if it did.
    pub ended: Option<Cut>,
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub request_id: &'a [u8],
    /// 32 hexadecimal digits, where requests are traced.
    pub trace_id: Option<&'a [u8; 32]>,
    pub forwarded_for: &'a [u8],
    /// Who the client says it is, on a route that asks; empty elsewhere.
    pub user: &'a [u8],
}

/// What cut a request short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its head, or its body, did not arrive in time.
    SlowHead,
    SlowBody,
    /// The head of the answer did not.
    LateAnswer,
    /// The client left, or took nothing of the answer for too long.
    ClientLeft,
    ClientStalled,
    /// The upstream broke an answer that had begun.
    UpstreamBroke,
    /// It was a long stream, and its pool or upstream had to be left.
    LeaveOrder,
    /// The process ended, or its grace was over.
    Shutdown,
    /// Its HTTP/2 connection was ended for a flood of control frames.
    Flood,
    /// There were too many requests on its HTTP/2 connection.
    RefusedStream,
}

impl Cut {
    pub fn label(self) -> &'static str {
        match self {
            Cut::SlowHead => "slow_head",
            Cut::SlowBody => "slow_body",
            Cut::LateAnswer => "late_answer",
            Cut::ClientLeft => "client_left",
            Cut::ClientStalled => "client_stalled",
            Cut::UpstreamBroke => "upstream_broke",
            Cut::LeaveOrder => "leave_order",
            Cut::Shutdown => "shutdown",
            Cut::Flood => "flood",
            Cut::RefusedStream => "refused_stream",
        }
    }
}

/// The outcome of one attempt: what a policy decides on, and so all that a replay needs.
#[derive(Clone, Debug)]
pub struct Attempted<'a> {
    pub pool: Option<&'a str>,
    /// Absent where none could take the request.
    pub upstream: Option<&'a str>,
    /// By which its span differs from those of the request's others; 0 where none was made.
    pub number: u8,
    /// Of its answer, 0 without one; and that of gRPC, where it is one.
    pub status: u16,
    pub grpc: Option<u8>,
    pub outcome: Outcome,
    /// Whether it is no evidence: its upstream warmed up, or its route is not measured.
    pub is_aside: bool,
    /// When it began, from the request's start, and how long it took from there until its outcome was
    /// known, and until its answer broke, µs.
    pub began_us: u64,
    pub took_us: u64,
    pub broke_us: Option<u64>,
    /// How long its answer took to its last byte, or until its client left, without the time that the client made it
    /// wait, µs.
    pub whole_us: Option<u64>,
    pub cut_us: Option<u64>,
}
