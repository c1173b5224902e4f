//! Who may come in: `allow`, `deny`, and what cannot be asked here.

use super::Import;
use super::ledger::Level;
use super::scope::Scope;
use super::tree::Directive;

/// Whom a route serves.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Nobody: what protected it was not carried over.
    pub is_closed: bool,
    /// Nobody, as nginx has it.
    pub is_denied: bool,
}

/// What asks for credentials; the argument that switches it off.
const CREDENTIALS: [&str; 5] =
    ["auth_basic", "auth_request", "auth_jwt", "secure_link", "access_by_lua_block"];

impl<'a> Import<'a> {
    pub(super) fn clients(&self, scope: &Scope<'a>) -> Clients {
        let mut clients = Clients::default();
        let mut everybody_else = true;
        for line in scope.any(&["allow", "deny"]) {
            if !everybody_else {
                self.ledger.noted(line, "never reached: the line before is for all");
                continue;
            }
            self.ledger.carried(line);
            match (line.name.as_str(), line.arg(0)) {
                ("allow", "all") => {
                    // The rest is let in: the exceptions before it are what counts.
                    clients.allow.clear();
                    return self.closed(scope, clients);
                }
                (_, "all") => everybody_else = false,
                (name, network) => self.network(line, name, network, &mut clients),
            }
        }
        if everybody_else {
            clients.allow.clear();
        } else if clients.allow.is_empty() {
            // `deny all` alone.
            return Clients { is_denied: true, ..Clients::default() };
        }
        self.closed(scope, clients)
    }

    fn network(&self, line: &'a Directive, name: &str, network: &str, clients: &mut Clients) {
        let legal = network.parse::<ipnet::IpNet>().is_ok() || network.parse::<std::net::IpAddr>().is_ok();
        match (legal, name) {
            (false, _) => {
                self.ledger.missing(line, "write the network itself, such as 10.0.0.0/8");
                clients.is_closed |= name == "deny";
            }
            (true, "allow") => clients.allow.push(network.to_owned()),
            (true, _) => {
                if !clients.allow.is_empty() {
                    self.ledger.noted(line, "it goes before the allow lines above it");
                }
                clients.deny.push(network.to_owned());
            }
        }
    }

    /// Credentials that nginx asked for.
    fn closed(&self, scope: &Scope<'a>, mut clients: Clients) -> Clients {
        for name in CREDENTIALS {
            let Some(line) = scope.last(name).filter(|line| line.arg(0) != "off") else { continue };
            self.ledger.missing(line, "Pointsman checks no credentials, so its routes are denied; protect them in the application, then open them");
            clients.is_closed = true;
        }
        if let Some(limit) = scope.own("limit_except") {
            self.ledger.whole(
                limit,
                Level::Missing,
                "methods are not told apart, so its route is denied; do it in the application, then open it",
            );
            clients.is_closed = true;
        }
        clients
    }
}
