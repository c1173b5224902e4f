//! What upstreams are asked beside traffic: active checks and smoke tests.

use super::UpstreamTls;
use crate::core::pattern::Pattern;
use bytes::Bytes;
use http::{HeaderMap, Method};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The active check of every upstream of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub kind: CheckKind,
    /// Another port of the same host, where checks are answered.
    pub port: Option<u16>,
    /// Over HTTP/2; a connection by TLS agrees on it, too.
    pub http2: bool,
    /// By the TLS of the pool, where it has any.
    pub tls: bool,
    pub interval: Duration,
    /// How long the whole answer may take.
    pub timeout: Duration,
    pub rise: u32,
    pub fall: u32,
    /// Nobody has asked for this check: an upstream is believed to be up until it has failed `fall` times in a row.
    pub is_default: bool,
}

/// What a check asks of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// To accept a connection, and to agree on TLS where the check speaks it.
    Connect,
    /// For an answer to a request.
    Http(HttpCheck),
    /// For its status, by `grpc.health.v1.Health/Check`.
    Grpc(GrpcCheck),
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    pub method: Method,
    pub path: String,
    /// The Host header sent; the address that is asked when absent.
    pub host: Option<String>,
    /// Sent beside those that every check has, or in their place.
    pub headers: HeaderMap,
    pub expect: Statuses,
    /// What must be found in the beginning of the body.
    pub matches: Option<Pattern>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GrpcCheck {
    /// The service whose status is asked for; empty for the server as a whole.
    pub service: String,
    /// The authority sent; the address that is asked when absent.
    pub host: Option<String>,
    /// Metadata.
    pub headers: HeaderMap,
}

/// One request of the smoke tests.
#[derive(Clone, Debug, PartialEq)]
pub struct SmokeTest {
    pub method: Method,
    pub path: String,
    /// The Host header sent; the upstream's address when absent.
    pub host: Option<String>,
    /// Sent beside those that every test has, or in their place.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub expect: Statuses,
    /// What must be found in the beginning of the body.
    pub matches: Option<Pattern>,
    /// How long the whole answer may take.
    pub timeout: Duration,
    /// Over HTTP/2, and by TLS; the pool says so, once it is known which.
    pub http2: bool,
    pub tls: Option<Arc<UpstreamTls>>,
}

/// Statuses that are as expected: ranges, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Box<[(u16, u16)]>);

impl Health {
    /// Whether an upstream accepts connections, every two seconds.
    pub fn connect(http2: bool) -> Self {
        Health {
            kind: CheckKind::Connect,
            port: None,
            http2,
            tls: true,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 3,
            is_default: false,
        }
    }

    /// Whether it is one of so many that nobody has asked for that even the first is made in turn.
    pub fn is_rare(&self) -> bool {
        self.is_default && self.interval > Health::connect(self.http2).interval
    }

    /// The path that is asked for.
    pub fn path(&self) -> Option<&str> {
        match &self.kind {
            CheckKind::Http(check) => Some(&check.path),
            CheckKind::Connect | CheckKind::Grpc(_) => None,
        }
    }

    /// The host that is asked for, where it is not the upstream's address.
    pub fn host(&self) -> Option<&str> {
        match &self.kind {
            CheckKind::Http(HttpCheck { host, .. }) | CheckKind::Grpc(GrpcCheck { host, .. }) => {
                host.as_deref()
            }
            CheckKind::Connect => None,
        }
    }
}

impl Statuses {
    pub fn new(ranges: impl Into<Box<[(u16, u16)]>>) -> Self {
        Statuses(ranges.into())
    }

    /// Every 2xx: a redirect says nothing of what it leads to.
    pub fn success() -> Self {
        Statuses::new([(200, 299)])
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&status))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            match low == high {
                true => write!(f, "{between}{low}")?,
                false => write!(f, "{between}{low}-{high}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ranges_with_both_ends() {
        let statuses = Statuses::new([(200, 299), (304, 304)]);
        assert_eq!(statuses.to_string(), "200-299, 304");
        let found: Vec<_> = [199, 200, 299, 300, 304].map(|status| statuses.contains(status)).into();
        assert_eq!(found, [false, true, true, false, true]);
        assert!(!Statuses::success().contains(302));
    }
}
