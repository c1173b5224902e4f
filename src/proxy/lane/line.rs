//! What a connection's requests begin with.

use super::worker::Worker;
use crate::proxy::exchange::{Attempts, Delivery, Inbound, InboundBody, Request, RoutePlan};
use crate::proxy::headers::forward;
use crate::proxy::listen::bound::Bound;
use crate::proxy::wire::spelling::Spelling;
use http::HeaderValue;
use pingora_http::RequestHeader;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::sync::watch;

/// What the connections of a listener are served with, on one worker.
#[derive(Clone)]
pub(super) struct Line {
    pub listener: Arc<Bound>,
    /// The listener's place among all.
    pub place: usize,
    pub worker: Arc<Worker>,
    /// Says that each answer is the last of its connection.
    pub shutdown: watch::Receiver<bool>,
    /// Says, later, that connections without a request end.
    pub closing: watch::Receiver<bool>,
}

/// Whom a connection is with.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    address: IpAddr,
    /// The same as upstreams learn it.
    text: HeaderValue,
}

impl Peer {
    pub(super) fn new(address: IpAddr) -> Self {
        Peer { address, text: forward::address_value(address.to_canonical()) }
    }
}

/// A request that begins.
pub(super) fn request(line: &Line, peer: &Peer, head: RequestHeader, started_us: u64) -> Box<Request> {
    let worker = &line.worker;
    Box::new(Request {
        head,
        inbound: Inbound {
            listener: line.listener.clone(),
            place: line.place,
            peer: peer.address,
            peer_text: peer.text.clone(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            is_nameless: false,
            believed: false,
            own_id: [b'0'; 32],
            trace: None,
            started_us,
            spelling: Spelling::default(),
            target: None,
            refused: None,
            user: None,
            is_proven: false,
            expects: false,
            body: InboundBody::default(),
        },
        plan: RoutePlan::new(worker.shared.table.load_full()),
        attempts: Attempts::new(worker.registry.clone()),
        delivery: Delivery::new(),
    })
}
