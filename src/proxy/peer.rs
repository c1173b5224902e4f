//! How pingora is to reach an upstream: by the settings of its pool.

use super::gate::Gate;
use crate::core::settings::Timeouts;
use crate::core::table::{Pool, Upstream};
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::ALPN;

/// Requests at a time over one HTTP/2 connection to an upstream.
const H2_STREAMS: usize = 100;

impl Gate {
    pub(super) fn peer(&self, pool: &Pool, upstream: &Upstream, timeouts: Timeouts) -> HttpPeer {
        // Without a name, pingora would not verify what it connects to.
        let name = pool.tls.as_ref().map_or("", |tls| tls.name_for(&upstream.label)).to_owned();
        let mut peer = HttpPeer::new(upstream.address, pool.tls.is_some(), name);
        peer.group_key = u64::from(pool.arm.0);
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(timeouts.read);
        peer.options.write_timeout = Some(timeouts.write);
        peer.options.idle_timeout = Some(pool.keepalive);
        if pool.http2 {
            peer.options.alpn = ALPN::H2;
            peer.options.max_h2_streams = H2_STREAMS;
        }
        if let Some(tls) = &pool.tls {
            // Otherwise the handshake has as long once more.
            peer.options.total_connection_timeout = Some(timeouts.connect);
            self.keyring.keys(tls).apply(&mut peer);
        }
        peer
    }
}
