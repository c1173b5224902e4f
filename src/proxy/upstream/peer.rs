//! How pingora is to reach an upstream: by the settings of its pool.

use super::keyring::Keyring;
use crate::core::settings::Timeouts;
use crate::core::table::{Pool, Upstream};
use crate::core::upstream_address::UpstreamAddress;
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::ALPN;
use pingora_error::Result;
use std::time::Duration;

/// Requests at a time over one HTTP/2 connection to an upstream.
const H2_STREAMS: usize = 100;
/// Keeps connections apart, beside the number of the arm: those that no other request uses up, and those of
/// HTTP/2 whose requests must not be repeated, or have answers that last.
const ALONE: u64 = 1 << 32;
/// How long a connection is kept that no other request can find.
const UNKEPT: Duration = Duration::from_millis(1);
const UNREPEATABLE: u64 = 1 << 33;

/// What sets a request apart from others to the same upstream.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct PeerNeeds {
    pub timeouts: Timeouts,
    pub is_alone: bool,
    /// Whether it may be repeated, and its answer ends.
    pub is_repeatable: bool,
}

/// Has the peer reached over a fresh connection that no other request uses up; `draw` is random.
pub(in crate::proxy) fn set_alone(peer: &mut HttpPeer, draw: u64) {
    peer.group_key |= draw | ALONE;
    peer.options.max_h2_streams = 1;
    peer.options.idle_timeout = Some(UNKEPT);
}

/// How pingora reaches an upstream of this pool; `draw` is random.
///
/// # Errors
/// None that occurs: paths are legal.
pub(in crate::proxy) fn peer(
    keyring: &Keyring,
    pool: &Pool,
    upstream: &Upstream,
    needs: PeerNeeds,
    draw: u64,
) -> Result<HttpPeer> {
    let timeouts = needs.timeouts;
    // Without a name, pingora would not verify what it connects to.
    let name = pool.tls.as_ref().map_or("", |tls| tls.name_for(&upstream.label)).to_owned();
    let mut peer = match &upstream.address {
        UpstreamAddress::Ip(address) => HttpPeer::new(address, pool.tls.is_some(), name),
        UpstreamAddress::Unix(path) => {
            HttpPeer::new_uds(path.as_path().to_str().unwrap_or_default(), pool.tls.is_some(), name)?
        }
    };
    peer.group_key = u64::from(pool.arm.0);
    peer.options.connection_timeout = Some(timeouts.connect);
    peer.options.read_timeout = Some(timeouts.read);
    peer.options.write_timeout = Some(timeouts.write);
    peer.options.idle_timeout = Some(pool.keepalive);
    if pool.http2 {
        peer.options.alpn = ALPN::H2;
        peer.options.max_h2_streams = H2_STREAMS;
        if !needs.is_repeatable {
            peer.group_key |= UNREPEATABLE;
        }
    }
    if needs.is_alone {
        set_alone(&mut peer, draw);
    }
    if let Some(tls) = &pool.tls {
        // Otherwise the handshake has as long once more.
        peer.options.total_connection_timeout = Some(timeouts.connect);
        keyring.keys(tls).apply(&mut peer);
    }
    Ok(peer)
}
