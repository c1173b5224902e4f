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
        let source = source_of(servers);
        let mut listener = Listener {
            from: first.place.clone(),
            address: address.to_owned(),
            h2c: tls.is_none() && here().any(|listen| listen.http2),
            underscores: self.underscores(first),
            proxy_protocol: here().any(|listen| listen.proxy_protocol),
            trusted_proxies: self.trusted(servers, &source),
            client_header: source.header().map(str::to_owned),
            is_last_hop: source.is_last_hop(),
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

    fn trusted(&self, servers: &[&Server<'a>], source: &ClientSource) -> Vec<String> {
        let mut networks: Vec<String> = Vec::new();
        for scope in servers.iter().map(|server| &server.scope) {
            let is_read = self.real_ip(scope, source);
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

    /// Whether nginx takes clients from where the listener does.
    fn real_ip(&self, scope: &Scope<'a>, source: &ClientSource) -> bool {
        let is_read = ClientSource::of(scope) == *source;
        let lines = scope.all("set_real_ip_from").into_iter();
        for line in lines.chain(scope.last("real_ip_header")).chain(scope.last("real_ip_recursive")) {
            match is_read {
                true => self.ledger.carried(line),
                false => self.ledger.missing(
                    line,
                    &format!("clients are taken from {} for the whole listener, as the first server with set_real_ip_from has it", source.name),
                ),
            }
        }
        is_read
    }

    /// Why the client in a place is not the one that nginx sees there.
    pub(super) fn unknown_clients(&self, server: &Server<'a>, scope: &Scope<'a>) -> Option<String> {
        let (proxies, source) = (proxies(scope), ClientSource::of(scope));
        let by_protocol = !proxies.is_empty() && source.is_protocol();
        let differs = |listener: &&Listener| {
            let is_here = server.listens.iter().any(|listen| listen.address == listener.address);
            let is_same_field = listener.client_header.as_deref() == source.header()
                && listener.is_last_hop == source.is_last_hop();
            is_here
                && (listener.trusted_proxies != proxies
                    || listener.proxy_protocol != by_protocol
                    || !(proxies.is_empty() || is_same_field))
        };
        self.site.listeners.iter().find(differs).map(|listener| {
            format!("on {} other proxies are believed than set_real_ip_from says here", listener.address)
        })
    }
}

/// Where nginx learns who the client is, from proxies that it believes.
#[derive(Debug, PartialEq)]
struct ClientSource {
    /// In lower case.
    name: String,
    is_recursive: bool,
}

impl ClientSource {
    fn of(scope: &Scope<'_>) -> Self {
        let name = scope.last("real_ip_header").map_or("x-real-ip", |line| line.arg(0)).to_ascii_lowercase();
        let is_recursive = scope.last("real_ip_recursive").is_some_and(Directive::is_on);
        ClientSource { name, is_recursive }
    }

    fn is_protocol(&self) -> bool {
        self.name == "proxy_protocol"
    }

    /// Where it is not the field that is read anyway.
    fn header(&self) -> Option<&str> {
        let is_other = !self.is_protocol() && self.name != "x-forwarded-for";
        Some(self.name.as_str()).filter(|name| is_other && http::HeaderName::try_from(*name).is_ok())
    }

    fn is_last_hop(&self) -> bool {
        !self.is_recursive && !self.is_protocol()
    }
}

/// Of the servers of a listener, the first that believes anybody.
fn source_of(servers: &[&Server<'_>]) -> ClientSource {
    let believes = |server: &&&Server<'_>| !server.scope.all("set_real_ip_from").is_empty();
    let first = servers.iter().find(believes).or(servers.first());
    first.map_or(ClientSource { name: String::new(), is_recursive: false }, |server| {
        ClientSource::of(&server.scope)
    })
}

/// The proxies that are believed in a place, as far as they are written as networks.
fn proxies(scope: &Scope<'_>) -> Vec<String> {
    let all = scope.all("set_real_ip_from").into_iter().map(|line| line.arg(0));
    all.filter(|text| is_network(text)).map(str::to_owned).collect()
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
}
