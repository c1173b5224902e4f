//! What is known of a request when its pool is chosen.

use crate::core::settings::Listener;
use crate::proxy::exchange::Request;
use std::net::IpAddr;
use std::time::Duration;

/// What is known of a request when its pool is chosen.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct Asked<'a> {
    pub request: &'a Request,
    /// In its plain form.
    pub path: &'a str,
    pub client: IpAddr,
    /// Whether what the peer says of the client counts.
    pub believed: bool,
    pub listener: &'a Listener,
    pub now: Duration,
    /// Random, and no other request's.
    pub draw: u64,
}
