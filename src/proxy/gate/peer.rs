//! Where an attempt goes: the upstream, and how it is spoken to.

use super::super::plan;
use super::super::request::Request;
use super::Gate;
use crate::core::settings::Timeouts;
use crate::core::table::{Pool, Upstream};
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::ALPN;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;

/// Requests at a time over one HTTP/2 connection to an upstream.
const H2_STREAMS: usize = 100;

impl Gate {
    /// Begins an attempt on an upstream of the request's pool, or of stable where the shield sends it on.
    ///
    /// # Errors
    /// 503 when no upstream can take it.
    pub(super) fn next_peer(&self, session: &Session, request: &mut Request) -> Result<Box<HttpPeer>> {
        let table = request.table.clone();
        loop {
            let pool = request.target.and_then(|target| target.pool(&table));
            let Some(pool) = pool else { return Error::e_explain(ErrorType::HTTPStatus(503), "no pool") };
            let header = session.req_header();
            let chosen = plan::upstream(pool, header, request.client, self.draw() as u32, request.tried);
            if let Some((index, upstream)) =
                chosen.and_then(|index| Some((index, pool.upstreams.get(index)?)))
            {
                self.begin(pool, index, request);
                return Ok(self.peer(pool, upstream, request));
            }
            if request.attempts_here() > 0 {
                break;
            }
            self.charge_unavailable(pool, request);
            // Once: stable has no stable to go to.
            if !self.shield(session, request, true) {
                break;
            }
        }
        Error::e_explain(ErrorType::HTTPStatus(503), "no upstream is ready")
    }

    fn peer(&self, pool: &Pool, upstream: &Upstream, request: &Request) -> Box<HttpPeer> {
        let timeouts = request.timeouts(pool);
        if let Some(connection) = &request.connection {
            connection.signals.await_answer(timeouts.read);
        }
        peer(pool, upstream, timeouts)
    }
}

/// How an upstream is spoken to.
pub(in crate::proxy) fn peer(pool: &Pool, upstream: &Upstream, timeouts: Timeouts) -> Box<HttpPeer> {
    let Timeouts { connect, read, write } = timeouts;
    let mut peer = HttpPeer::new(upstream.address, false, String::new());
    peer.group_key = u64::from(pool.arm.0);
    peer.options.connection_timeout = Some(connect);
    peer.options.read_timeout = Some(read);
    peer.options.write_timeout = Some(write);
    peer.options.idle_timeout = Some(pool.keepalive);
    if pool.http2 {
        peer.options.alpn = ALPN::H2;
        peer.options.max_h2_streams = H2_STREAMS;
    }
    Box::new(peer)
}
