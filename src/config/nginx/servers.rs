//! `server` blocks: by which names and addresses each is reached.
//!
//! nginx chooses the server by address, then by Host; the default server of an address takes what no
//! other names. What each gets for routes is up to [`super::reach`].

use super::Import;
use super::patterns::translated;
use super::scope::Scope;
use super::tree::{Directive, Place};

/// A server as nginx sees it.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub place: Place,
    /// `None` for a part of a configuration that has locations only.
    pub directive: Option<&'a Directive>,
    pub scope: Scope<'a>,
    pub listens: Vec<Listen<'a>>,
    /// As Pointsman has them; empty where nginx knows none.
    pub names: Vec<String>,
    /// It has names of kinds that cannot be expressed.
    pub has_odd_names: bool,
    /// All its names are of such kinds.
    pub is_unnamable: bool,
}

/// One address of a server.
#[derive(Debug)]
pub(super) struct Listen<'a> {
    pub directive: Option<&'a Directive>,
    pub address: String,
    pub tls: bool,
    pub http2: bool,
    /// Explicitly, or because it is the first one there.
    pub is_default: bool,
    pub proxy_protocol: bool,
    /// Another address takes this one in: who may reach it is not told by the address any more.
    pub folded: Option<Folded>,
}

/// What an address was that another one takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// Only for clients on the same machine.
    Loopback,
    Other,
}

impl<'a> Import<'a> {
    pub(super) fn servers(&mut self) -> Vec<Server<'a>> {
        let block = self.http.block();
        let mut servers = Vec::new();
        for directive in
            block.iter().filter(|directive| directive.name == "server" && directive.block.is_some())
        {
            self.ledger.carried(directive);
            let scope = self.http.within(directive.block());
            servers.push(self.server_of(Some(directive), directive.place.clone(), scope));
        }
        if servers.is_empty()
            && let Some(location) = block.iter().find(|directive| directive.name == "location")
        {
            servers.push(self.server_of(None, location.place.clone(), self.http.clone()));
        }
        self.fold_addresses(&mut servers);
        choose_defaults(&mut servers);
        servers
    }

    fn server_of(&self, directive: Option<&'a Directive>, place: Place, scope: Scope<'a>) -> Server<'a> {
        let own = |name: &'static str| scope.block().iter().filter(move |directive| directive.name == name);
        let mut listens: Vec<Listen<'a>> = own("listen").flat_map(|listen| self.listen(listen)).collect();
        if own("listen").next().is_none() {
            let address = "0.0.0.0:80".to_owned();
            listens.push(Listen {
                directive: None,
                address,
                tls: false,
                http2: false,
                is_default: false,
                proxy_protocol: false,
                folded: None,
            });
        }
        if let Some(ssl) = scope.last("ssl") {
            listens.iter_mut().for_each(|listen| listen.tls |= ssl.is_on());
            self.ledger.carried(ssl);
        }
        if let Some(http2) = scope.last("http2") {
            listens.iter_mut().for_each(|listen| listen.http2 |= http2.is_on());
            self.ledger.carried(http2);
        }
        let mut names = Vec::new();
        let mut odd = 0;
        for line in own("server_name") {
            self.ledger.carried(line);
            for name in &line.args {
                match host_names(name) {
                    Ok(more) => names.extend(more),
                    Err(why) => {
                        odd += 1;
                        self.ledger.missing(line, &format!("{name}: {why}"));
                    }
                }
            }
        }
        names.dedup();
        let is_unnamable = odd > 0 && names.is_empty();
        Server { place, directive, scope, listens, names, has_odd_names: odd > 0, is_unnamable }
    }

    fn listen(&self, line: &'a Directive) -> Vec<Listen<'a>> {
        let Some(address) = address(line.arg(0)) else {
            self.ledger.missing(line, "only addresses with a port; listen on one, or on the address itself");
            return Vec::new();
        };
        let has = |option: &str| line.args.iter().skip(1).any(|arg| arg == option);
        self.ledger.carried(line);
        for option in line.args.iter().skip(1) {
            let harmless = ["backlog=", "rcvbuf=", "sndbuf=", "so_keepalive=", "fastopen=", "ipv6only="];
            match option.as_str() {
                "ssl" | "http2" | "default_server" | "default" | "proxy_protocol" => {}
                "deferred" | "reuseport" | "bind" => {
                    self.ledger.noted(line, &format!("{option} is not needed"))
                }
                "quic" => self.ledger.missing(line, "there is no HTTP/3; the address is served over TCP"),
                other if harmless.iter().any(|start| other.starts_with(start)) => {}
                other => self.ledger.missing(line, &format!("{other} has no counterpart")),
            }
        }
        let both = has("ipv6only=off") && address.starts_with("[::]:");
        let v4 = both.then(|| address.replace("[::]", "0.0.0.0"));
        let listen = |address| Listen {
            directive: Some(line),
            address,
            tls: has("ssl"),
            http2: has("http2"),
            is_default: has("default_server") || has("default"),
            proxy_protocol: has("proxy_protocol"),
            folded: None,
        };
        std::iter::once(address).chain(v4).map(listen).collect()
    }

    /// An address on a port that is listened on at all addresses becomes those.
    fn fold_addresses(&self, servers: &mut [Server<'a>]) {
        let all: Vec<String> =
            servers.iter().flat_map(|s| s.listens.iter().map(|l| l.address.clone())).collect();
        for listen in servers.iter_mut().flat_map(|server| &mut server.listens) {
            let Some((host, port)) = listen.address.rsplit_once(':') else { continue };
            let wide = format!("{}:{port}", if host.starts_with('[') { "[::]" } else { "0.0.0.0" });
            if listen.address != wide && all.contains(&wide) {
                let is_loopback = host.starts_with("127.") || host == "[::1]";
                listen.folded = Some(if is_loopback { Folded::Loopback } else { Folded::Other });
                if let Some(line) = listen.directive {
                    let who = if is_loopback { "only for clients on this machine" } else { "denied" };
                    let why = format!(
                        "{wide} takes it in, where servers are told apart by Host only, so the routes of this server are {who}"
                    );
                    self.ledger.missing(line, &why);
                }
                listen.address = wide;
            }
        }
        for server in servers {
            let mut seen: Vec<String> = Vec::new();
            server.listens.sort_by_key(|listen| listen.folded.is_some());
            server.listens.retain(|listen| {
                let fresh = !seen.contains(&listen.address);
                seen.push(listen.address.clone());
                fresh
            });
        }
    }
}

fn choose_defaults(servers: &mut [Server<'_>]) {
    let mut addresses: Vec<String> = Vec::new();
    for listen in servers.iter().flat_map(|server| &server.listens) {
        if !addresses.contains(&listen.address) {
            addresses.push(listen.address.clone());
        }
    }
    for address in addresses {
        let mut there = servers
            .iter_mut()
            .flat_map(|s| &mut s.listens)
            .filter(|l| l.address == address && l.folded.is_none())
            .collect::<Vec<_>>();
        let first = there.iter().position(|listen| listen.is_default).unwrap_or(0);
        there.iter_mut().enumerate().for_each(|(index, listen)| listen.is_default = index == first);
    }
}

/// `80`, `*:80`, `10.0.0.1`, `[::]:80`, `localhost:80` as an address with a port.
fn address(text: &str) -> Option<String> {
    let text = text.replace("localhost", "127.0.0.1");
    let text = text.strip_prefix("*:").map_or(text.clone(), |port| format!("0.0.0.0:{port}"));
    let whole = match text.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) if text.starts_with('[') && text.ends_with(']') => format!("{text}:80"),
        Err(_) if !text.contains(':') => format!("{text}:80"),
        Err(_) => text,
    };
    whole.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

/// Hosts by a pattern.
fn pattern(name: &str) -> Result<String, &'static str> {
    let found = translated(name.trim_start_matches('~'));
    match found.is_exact {
        true => Ok(format!("~{}", found.pattern)),
        false => Err("its regex has what only PCRE knows"),
    }
}

/// The hosts that a server name stands for; none for one that no request has.
fn host_names(name: &str) -> Result<Vec<String>, &'static str> {
    let lower = name.to_ascii_lowercase();
    let legal = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c))
    };
    match lower.as_str() {
        "" | "_" => Ok(Vec::new()),
        text if text.starts_with('~') => pattern(name).map(|pattern| vec![pattern]),
        text if text.starts_with('$') => Err("write the name itself"),
        text if text.starts_with('.') && legal(&text[1..]) => {
            Ok(vec![text[1..].to_owned(), format!("*{text}")])
        }
        text if text.strip_prefix("*.").is_some_and(legal) => Ok(vec![lower]),
        text if text.strip_suffix(".*").is_some_and(legal) => Ok(vec![lower]),
        // Names such as `--` or `!` are a habit for servers that nothing should reach.
        text if text.chars().all(|c| !c.is_alphanumeric()) => Ok(Vec::new()),
        text if legal(text) => Ok(vec![lower]),
        _ => Err("a host is a name, or *.name; list the names"),
    }
}
