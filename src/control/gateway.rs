//! The way from the public side to the admin API: a service of the table that no configuration names.
//!
//! Only a route with `admin = "maintenance"` leads here, and such a route matches one exact path; so
//! nothing else of the admin API can be reached. It is never under maintenance itself, is in no view,
//! and has counters of its own, so that it is charged to no pool.

use super::links::Links;
use crate::core::balance::{Balance, Balancer};
use crate::core::choice::Choice;
use crate::core::failure_statuses::FailureStatuses;
use crate::core::outcome::{ArmId, Thresholds};
use crate::core::settings::{ADMIN_SERVICE, Buffer, Forwarded, HostSent, Retry, Timeouts};
use crate::core::table::{Pool, Service, Upstream, UpstreamLive};
use crate::core::weight::{BasisPoints, Picker};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Gateway {
    address: SocketAddr,
    arm: ArmId,
    live: Arc<UpstreamLive>,
}

impl Gateway {
    /// `None` once there are no counters left.
    pub(super) fn to(admin: SocketAddr, links: &Links) -> Option<Self> {
        let ip = match admin.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let arm = links.recorder.arm(ADMIN_SERVICE, ADMIN_SERVICE)?;
        Some(Gateway { address: SocketAddr::new(ip, admin.port()), arm, live: Arc::default() })
    }

    pub(super) fn service(&self) -> Service {
        let mut upstream = Upstream::new(self.address.to_string().into(), self.address, 1);
        upstream.live = self.live.clone();
        let upstreams: Box<[Upstream]> = [upstream].into();
        let second = Duration::from_secs(1);
        let pool = Pool {
            name: ADMIN_SERVICE.into(),
            arm: self.arm,
            forwarded: Forwarded::default(),
            host: HostSent::Client,
            era_us: 0,
            warm_up: None,
            weight: BasisPoints::FULL,
            close_streams: None,
            thresholds: Thresholds::default(),
            failures: FailureStatuses::default(),
            timeouts: Timeouts { connect: second, read: second * 30, write: second * 30 },
            // Below the admin API's own patience with idle connections.
            keepalive: second * 4,
            retry: Retry::of(1),
            requests_per_connection: 0,
            keepalive_connections: 0,
            http2: false,
            buffer: Buffer::default(),
            accel: false,
            is_quarantined: false,
            takes_over: false,
            tls: None,
            balancer: Balancer::new(Balance::RoundRobin, &upstreams, Arc::default()),
            upstreams,
        };
        Service {
            name: ADMIN_SERVICE.into(),
            maintenance: None,
            picker: Picker::new(&[BasisPoints::FULL]),
            shielding: None,
            choice: Choice::default(),
            mirroring: None,
            groups: None,
            pools: [pool].into(),
        }
    }
}
