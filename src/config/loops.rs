//! Pools that lead back to this proxy itself: refused, since a request there would never end.
//!
//! A name is looked up only where its port is one of ours, and for a little while: nothing else could lead here, and a
//! check has to work where names do not resolve.

use crate::core::own_address::{IsLocal, OwnAddresses};
use crate::core::settings::{Admin, Upstream, UpstreamHost};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

/// The longest that a look-up may hold up a check.
const LOOK_UP: Duration = Duration::from_secs(3);

/// What may be asked of the machine that a configuration is read on.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    is_local: IsLocal,
    look_up: fn(&str, u16) -> Vec<SocketAddr>,
    has_ipv6: fn() -> bool,
}

impl Surroundings {
    pub(super) const THIS_MACHINE: Surroundings =
        Surroundings { is_local, look_up, has_ipv6: || can_bind(Ipv6Addr::UNSPECIFIED.into()) };
    /// Nothing: for texts that are only parsed.
    pub(super) const NONE: Surroundings = Surroundings {
        is_local: |address| address.is_loopback(),
        look_up: |_, _| Vec::new(),
        has_ipv6: || true,
    };

    #[cfg(test)]
    pub(super) const WITHOUT_IPV6: Surroundings = Surroundings { has_ipv6: || false, ..Surroundings::NONE };

    /// Whether addresses of IPv6 can be listened on; without it, what means all addresses means those of IPv4.
    pub(super) fn has_ipv6(self) -> bool {
        (self.has_ipv6)()
    }
}

/// The addresses of this proxy, as configured.
pub(super) struct Loops {
    own: OwnAddresses,
    surroundings: Surroundings,
}

impl Loops {
    pub(super) fn new(listeners: &[SocketAddr], admin: Option<&Admin>, surroundings: Surroundings) -> Self {
        // One without an address cannot be reached.
        let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let admin = admin.map_or(none, |admin| admin.listen);
        let own = OwnAddresses::new(listeners.iter().copied(), admin, surroundings.is_local);
        Loops { own, surroundings }
    }

    /// Why an upstream is refused, if it is.
    pub(super) fn back(&self, upstream: &Upstream) -> Option<String> {
        let found = match &upstream.host {
            UpstreamHost::Address(address) => vec![*address],
            UpstreamHost::Name { host, port } if self.own.has_port(*port) => {
                (self.surroundings.look_up)(host, *port).into_iter().map(Into::into).collect()
            }
            UpstreamHost::Name { .. } => Vec::new(),
        };
        let back = found.into_iter().find_map(|address| Some((address, self.own.at(address)?)));
        back.map(|(address, own)| {
            let typed = &upstream.address;
            let name = if address.to_string() == **typed { String::new() } else { format!(" ({address})") };
            format!("{typed}{name} is {own} of this proxy itself, so a request would never end; name the application")
        })
    }
}

/// Whether an address is one of this machine.
pub fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || is_its_own_source(address) || (can_bind(address) && !binds_anything(address))
}

/// The way to an address of this machine begins there, but for further addresses of one network.
fn is_its_own_source(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A datagram socket's connection sends nothing.
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

fn can_bind(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether the system lets a socket have addresses that are not its own, as machines with floating ones do.
fn binds_anything(address: IpAddr) -> bool {
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
    setting.map_or(true, |setting| setting.trim() != "0")
}

fn look_up(host: &str, port: u16) -> Vec<SocketAddr> {
    let (found, answer) = mpsc::channel();
    let host = host.to_owned();
    std::thread::spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        // Nobody waits any more where it took too long.
        let _ = found.send(addresses);
    });
    answer.recv_timeout(LOOK_UP).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_alone_is_read_without_asking_anybody() {
        let text = |upstream: &str| {
            format!(
                "[[listeners]]\naddress = \"0.0.0.0:80\"\n[[routes]]\nservice = \"web\"\n\
                 [services.web.pools.blue]\nupstreams = [{{ address = \"{upstream}\" }}]\n"
            )
        };
        let read =
            |upstream| crate::config::parse(&text(upstream), "a.toml", &|_| None, std::path::Path::new("/"));
        assert!(read("localhost:80").is_ok());
        let told = read("127.0.0.1:80").expect_err("a loop").to_string();
        assert!(
            told.contains("a.toml:6:14: services.web.pools.blue.upstreams[0]: 127.0.0.1:80 is the listener"),
            "{told}"
        );
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        for (address, expected) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("192.0.2.1", false)]
        {
            assert_eq!(is_local(address.parse().expect("an address")), expected, "{address}");
        }
    }
}
