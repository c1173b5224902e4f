//! How requests and answers pass to and from the upstreams of a pool.

use http::HeaderValue;
use std::time::Duration;

/// What is held for an upstream's sake while a client is slow, in bytes of one request; 0 holds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Bodies up to this size are taken in whole before an upstream is chosen.
    pub request: usize,
    /// So much of an answer is taken from an upstream before its client takes it.
    pub response: usize,
}

/// The `Host` of requests to an upstream, where `headers` do not say another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostSent {
    /// What the client asked for.
    #[default]
    Client,
    /// The upstream's name or address as configured, with its port where that is not the usual one.
    Upstream,
    Named(HeaderValue),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two reads, the first byte of the answer included.
    pub read: Duration,
    /// How long it may take no byte of a request; an answer is still waited for then, as long as `read`.
    pub write: Duration,
}

/// When an upstream is taken out for failing real traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passive {
    /// 0 switches it off.
    pub max_fails: u32,
    /// Both the stretch in which failures count and the time out.
    pub fail_timeout: Duration,
}
