//! Addresses → `[[listeners]]`. What nginx sets by server and Pointsman by listener is taken from the
//! default server of the address.

use super::Import;
use super::servers::Server;
use super::site::Listener;
use super::tree::Directive;
use super::values::{size, stretch};

/// Where a balancer is that nobody has named.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"];

impl<'a> Import<'a> {
    pub(super) fn listeners(&mut self, servers: &[Server<'a>]) {
        let mut addresses: Vec<&str> = Vec::new();
        for listen in servers.iter().flat_map(|server| &server.listens) {
            if !addresses.contains(&listen.address.as_str()) {
                addresses.push(&listen.address);
            }
        }
        for address in addresses {
            let on = |server: &&Server<'a>| server.listens.iter().any(|listen| listen.address == *address);
            let is_default = |server: &&Server<'a>| {
                server.listens.iter().any(|listen| listen.address == *address && listen.is_default)
            };
            let mut there: Vec<&Server<'a>> = servers.iter().filter(on).collect();
            there.sort_by_key(|server| !is_default(server));
            let listener = self.listener(address, &there);
            self.site.listeners.extend(listener);
        }
    }

    fn listener(&self, address: &str, servers: &[&Server<'a>]) -> Option<Listener> {
        let first = servers.first()?;
        let here =
            || servers.iter().flat_map(|server| &server.listens).filter(|listen| listen.address == address);
        let tls = if here().any(|listen| listen.tls) {
            Some(self.tls(servers, here().any(|listen| listen.http2))?)
        } else {
            None
        };
        let seconds = |name: &str| self.setting(servers, name, stretch);
        let count = |text: &str| text.parse().ok().filter(|count| (1..=1 << 31).contains(count));
        let requests = self.setting(servers, "keepalive_requests", count);
        // 0 keeps no connection: one request on each.
        let kept = first.scope.last("keepalive_timeout").is_none_or(|line| line.arg(0).parse() != Ok(0));
        if !kept {
            let lines = servers.iter().filter_map(|server| server.scope.last("keepalive_timeout"));
            lines.for_each(|line| self.ledger.carried(line));
        }
        let mut listener = Listener {
            from: first.place.clone(),
            address: address.to_owned(),
            h2c: tls.is_none() && here().any(|listen| listen.http2),
            proxy_protocol: here().any(|listen| listen.proxy_protocol),
            trusted_proxies: self.trusted(servers),
            header_timeout: seconds("client_header_timeout"),
            body_timeout: seconds("client_body_timeout"),
            write_timeout: seconds("send_timeout"),
            keepalive: if kept { seconds("keepalive_timeout") } else { None },
            body: 0,
            header_size: self.header_size(servers),
            requests: if kept { requests } else { Some(1) },
            tls,
        };
        if listener.proxy_protocol && listener.trusted_proxies.is_empty() {
            listener.trusted_proxies = PRIVATE.map(str::to_owned).to_vec();
            let why = "the PROXY protocol is taken from trusted_proxies only: private networks, until you name the balancers";
            for line in here().filter(|listen| listen.proxy_protocol).filter_map(|listen| listen.directive) {
                self.ledger.noted(line, why);
            }
        }
        Some(listener)
    }

    /// What the default server says; the others must say the same.
    fn setting<T: PartialEq>(
        &self,
        servers: &[&Server<'a>],
        name: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let first = servers.first()?.scope.last(name);
        for line in servers.iter().filter_map(|server| server.scope.last(name)) {
            let same = first.is_some_and(|first| first.arg(0) == line.arg(0));
            match (same, read(line.arg(0)).is_some()) {
                (true, true) => self.ledger.carried(line),
                (_, false) => self.ledger.missing(line, "the listener has no such value; its default holds"),
                (false, _) => self.ledger.noted(line, "set by listener: that of the default server holds"),
            }
        }
        read(first?.arg(0))
    }

    /// `large_client_header_buffers 4 8k`: all of them.
    fn header_size(&self, servers: &[&Server<'a>]) -> Option<u64> {
        let line = servers.first()?.scope.last("large_client_header_buffers")?;
        self.ledger.carried(line);
        let (count, each) = line.arg(0).parse::<u64>().ok().zip(size(line.arg(1)))?;
        Some(count.checked_mul(each)?.clamp(1024, 1 << 20))
    }

    fn trusted(&self, servers: &[&Server<'a>]) -> Vec<String> {
        let mut networks: Vec<String> = Vec::new();
        for scope in servers.iter().map(|server| &server.scope) {
            for line in scope.all("set_real_ip_from") {
                let text = line.arg(0);
                if text.parse::<ipnet::IpNet>().is_err() && text.parse::<std::net::IpAddr>().is_err() {
                    self.ledger.missing(line, "write the network itself, such as 10.0.0.0/8");
                    continue;
                }
                self.ledger.carried(line);
                if !networks.iter().any(|known| known == text) {
                    networks.push(text.to_owned());
                }
            }
            let lines = [scope.last("real_ip_header"), scope.last("real_ip_recursive")];
            lines.into_iter().flatten().for_each(|line| self.real_ip(line));
        }
        networks
    }

    fn real_ip(&self, line: &'a Directive) {
        let value = line.arg(0).to_ascii_lowercase();
        match (line.name.as_str(), value.as_str()) {
            ("real_ip_header", "x-forwarded-for" | "proxy_protocol") | ("real_ip_recursive", "on") => self.ledger.carried(line),
            ("real_ip_header", _) => self.ledger.missing(line, "clients are taken from X-Forwarded-For or the PROXY protocol; have the proxy before set one of them"),
            _ => self.ledger.noted(line, "the last address that is none of trusted_proxies is the client, as with on"),
        }
    }
}
