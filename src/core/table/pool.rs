//! One version's set of upstreams, as the data plane reads it.

use super::upstream::Upstream;
use crate::core::balance::Balancer;
use crate::core::failure_statuses::FailureStatuses;
use crate::core::outcome::{ArmId, Thresholds};
use crate::core::settings::{self, Timeouts, UpstreamTls};
use crate::core::warm_up::WarmUp;
use crate::core::weight::BasisPoints;
use std::sync::Arc;
use std::time::Duration;

/// One version's upstreams, and how they are used.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    /// Where its outcomes are counted.
    pub arm: ArmId,
    /// What its upstreams learn of clients.
    pub forwarded: settings::Forwarded,
    /// The `Host` that they are asked for.
    pub host: settings::HostSent,
    /// Since when they are those of the version it has now, µs on the process clock.
    pub era_us: u64,
    /// What of each upstream is no evidence yet.
    pub warm_up: Option<WarmUp>,
    /// Its share of the traffic, whether or not it is up.
    pub weight: BasisPoints,
    /// What its policy counts attempts by, and which answers are failures.
    pub thresholds: Thresholds,
    pub failures: FailureStatuses,
    pub timeouts: Timeouts,
    /// How long an idle connection to an upstream is kept.
    pub keepalive: Duration,
    pub retry: settings::Retry,
    /// Requests over one connection to an upstream; 0 is no limit.
    pub requests_per_connection: u16,
    /// Connections to one upstream that are kept; 0 is no limit.
    pub keepalive_connections: u32,
    /// Whether its upstreams speak HTTP/2.
    pub http2: bool,
    pub buffer: settings::Buffer,
    /// Whether its answers may name a place of this site that is shown in their place (`X-Accel-Redirect`).
    pub accel: bool,
    /// Whether its version was aborted, taken back or rolled back: rules pass it over.
    pub is_quarantined: bool,
    /// Whether it may serve what could not be sent to another pool.
    pub takes_over: bool,
    /// By when long streams have left it once it has no weight, if they must.
    pub close_streams: Option<Duration>,
    /// `None`: they are spoken to in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    pub balancer: Balancer,
    pub upstreams: Box<[Upstream]>,
}

impl Pool {
    /// Whether an upstream of it is ready.
    pub fn is_ready(&self) -> bool {
        self.upstreams.iter().any(Upstream::is_ready)
    }

    /// One that does nothing special.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, upstreams: Box<[Upstream]>) -> Self {
        let second = Duration::from_secs(1);
        Pool {
            name: name.into(),
            arm: ArmId(0),
            forwarded: settings::Forwarded::default(),
            host: settings::HostSent::Client,
            era_us: 0,
            warm_up: None,
            weight: BasisPoints::FULL,
            thresholds: Thresholds::default(),
            failures: FailureStatuses::default(),
            timeouts: Timeouts { connect: second, read: second, write: second },
            keepalive: second,
            retry: settings::Retry::of(1),
            requests_per_connection: 0,
            keepalive_connections: 0,
            http2: false,
            buffer: settings::Buffer::default(),
            accel: false,
            is_quarantined: false,
            takes_over: true,
            close_streams: None,
            tls: None,
            balancer: Balancer::new(crate::core::balance::Balance::RoundRobin, &upstreams, Arc::default()),
            upstreams,
        }
    }
}
