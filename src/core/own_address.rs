//! Where this process listens itself: an upstream there would send every request back here, without end.
//!
//! It knows sockets of this process only. A loop by way of others is ended by the mark that requests carry.

use super::upstream_address::UpstreamAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Whether an address is one of this machine.
pub type IsLocal = fn(IpAddr) -> bool;

/// The sockets of this process that take requests.
#[derive(Clone, Debug)]
pub struct OwnAddresses {
    sockets: Arc<[OwnSocket]>,
    is_local: IsLocal,
}

#[derive(Debug)]
struct OwnSocket {
    name: String,
    address: SocketAddr,
    /// Whether `[::]` takes IPv4, too.
    both_families: bool,
}

impl OwnAddresses {
    pub fn new(
        listeners: impl IntoIterator<Item = SocketAddr>,
        admin: SocketAddr,
        is_local: IsLocal,
    ) -> Self {
        let listener =
            |address| OwnSocket { name: format!("the listener {address}"), address, both_families: false };
        let admin =
            OwnSocket { name: format!("the admin API on {admin}"), address: admin, both_families: true };
        let sockets = listeners.into_iter().map(listener).chain([admin]).collect();
        OwnAddresses { sockets, is_local }
    }

    /// Which of them a connection to an address would reach.
    pub fn at(&self, to: UpstreamAddress) -> Option<&str> {
        let to = to.ip()?;
        self.sockets.iter().find(|socket| socket.takes(to, self.is_local)).map(|socket| &*socket.name)
    }

    /// Whether one of them has this port, whatever its address.
    pub fn has_port(&self, port: u16) -> bool {
        port != 0 && self.sockets.iter().any(|socket| socket.address.port() == port)
    }
}

impl OwnSocket {
    fn takes(&self, to: SocketAddr, is_local: IsLocal) -> bool {
        if to.port() != self.address.port() || to.port() == 0 {
            return false;
        }
        let to = match to.ip().to_canonical() {
            // The system takes "any" for "here".
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let own = self.address.ip().to_canonical();
        if !own.is_unspecified() {
            return own == to;
        }
        let same_family = own.is_ipv4() == to.is_ipv4() || (own.is_ipv6() && self.both_families);
        same_family && is_local(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listener: &str) -> OwnAddresses {
        let here = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 1]);
        let address = |text: &str| text.parse().expect("an address");
        OwnAddresses::new([address(listener)], address("[::]:9900"), here)
    }

    #[test]
    fn what_comes_back_here_is_known() {
        for (listener, to, expected) in [
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", true),
            ("10.0.0.1:80", "10.0.0.2:80", false),
            ("10.0.0.1:80", "10.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "10.0.0.1:80", true),
            ("0.0.0.0:80", "10.0.0.2:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:80", false),
            ("[::]:80", "[::]:80", true),
            ("10.0.0.1:80", "127.0.0.1:9900", true),
            ("10.0.0.1:80", "[::1]:9900", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let found = own(listener).at(to.parse().expect("an address")).is_some();
            assert_eq!(found, expected, "{to} with {listener}");
        }
    }
}
