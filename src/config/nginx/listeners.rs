//! Addresses → `[[listeners]]`. What nginx sets by server and Pointsman by listener is taken from the
//! default server of the address.

use super::Import;
use super::scope::Scope;
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
            underscores: self.underscores(first),
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

    /// Whether fields with an underscore in their name pass.
    fn underscores(&self, server: &Server<'a>) -> bool {
        let on = |name: &str, value: &str| {
            let line = server.scope.last(name).filter(|line| line.arg(0) == value);
            line.iter().for_each(|line| self.ledger.carried(line));
            line.is_some()
        };
        on("underscores_in_headers", "on") | on("ignore_invalid_headers", "off")
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
        self.ledger.noted(line, "as one size for the whole head, all lines together");
        let (count, each) = line.arg(0).parse::<u64>().ok().zip(size(line.arg(1)))?;
        Some(count.checked_mul(each)?.clamp(1024, 1 << 20))
    }

    fn trusted(&self, servers: &[&Server<'a>]) -> Vec<String> {
        let mut networks: Vec<String> = Vec::new();
        for scope in servers.iter().map(|server| &server.scope) {
            let is_read = self.real_ip(scope);
            for line in scope.all("set_real_ip_from").iter().filter(|line| !is_network(line.arg(0))) {
                self.ledger.missing(line, "write the network itself, such as 10.0.0.0/8");
            }
            for text in proxies(scope).into_iter().filter(|_| is_read) {
                if !networks.contains(&text) {
                    networks.push(text);
                }
            }
        }
        networks
    }

    /// Whether the field that nginx takes clients from is one that is read here.
    fn real_ip(&self, scope: &Scope<'a>) -> bool {
        let from = scope.all("set_real_ip_from");
        let header = scope.last("real_ip_header");
        let recursive = scope.last("real_ip_recursive");
        let name = header.map_or("x-real-ip".to_owned(), |line| line.arg(0).to_ascii_lowercase());
        let is_read = matches!(name.as_str(), "x-forwarded-for" | "proxy_protocol");
        for line in from.iter().copied().chain(header) {
            match is_read {
                true => self.ledger.carried(line),
                false => self.ledger.missing(
                    line,
                    &format!("clients are taken from X-Forwarded-For or the PROXY protocol, not from {name}: the proxy in front counts as the client; have it set one of them, then name it in trusted_proxies"),
                ),
            }
        }
        let is_recursive = recursive.is_some_and(Directive::is_on);
        if is_read && !is_recursive && name == "x-forwarded-for" {
            let why = "the client is the last address that is none of trusted_proxies, as with real_ip_recursive on; nginx takes the last one here";
            from.iter().copied().chain(recursive).for_each(|line| self.ledger.noted(line, why));
        } else {
            recursive.iter().for_each(|line| self.ledger.carried(line));
        }
        is_read
    }

    /// Why the client in a place is not the one that nginx sees there.
    pub(super) fn unknown_clients(&self, server: &Server<'a>, scope: &Scope<'a>) -> Option<String> {
        let header =
            scope.last("real_ip_header").map_or("x-real-ip", |line| line.arg(0)).to_ascii_lowercase();
        let proxies = proxies(scope);
        let by_protocol = !proxies.is_empty() && header == "proxy_protocol";
        if !proxies.is_empty() && !by_protocol && header != "x-forwarded-for" {
            return Some(format!("who the client is stands in {header}, which is not read"));
        }
        if header == "x-forwarded-for"
            && !proxies.is_empty()
            && !scope.last("real_ip_recursive").is_some_and(Directive::is_on)
        {
            return Some("a client behind two trusted proxies is another one than nginx's without real_ip_recursive on".to_owned());
        }
        let differs = |listener: &&Listener| {
            let is_here = server.listens.iter().any(|listen| listen.address == listener.address);
            is_here && (listener.trusted_proxies != proxies || listener.proxy_protocol != by_protocol)
        };
        self.site.listeners.iter().find(differs).map(|listener| {
            format!("on {} other proxies are believed than set_real_ip_from says here", listener.address)
        })
    }
}

/// The proxies that are believed in a place, as far as they are written as networks.
fn proxies(scope: &Scope<'_>) -> Vec<String> {
    let all = scope.all("set_real_ip_from").into_iter().map(|line| line.arg(0));
    all.filter(|text| is_network(text)).map(str::to_owned).collect()
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
}
