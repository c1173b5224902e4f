//! Who may come in: `allow`, `deny`, and what cannot be asked here.

use super::Import;
use super::credentials::{Authorize, BasicAuth};
use super::ledger::DENIED;
use super::scope::Scope;
use super::servers::Server;
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

impl Access {
    fn is_asking(&self) -> bool {
        self.basic_auth.is_some() || self.authorize.is_some()
    }
}

impl Clients {
    /// Leaves in only those who are let in by others, too.
    pub(super) fn meet(&mut self, others: Clients) {
        let is_open = |clients: &Clients| clients.allow.is_empty() && clients.deny.is_empty();
        self.is_denied |= others.is_denied;
        // Two lists have no list for what they have in common.
        let differ = (&self.allow, &self.deny) != (&others.allow, &others.deny);
        self.is_closed |= others.is_closed || (differ && !is_open(self) && !is_open(&others));
        if is_open(self) {
            (self.allow, self.deny) = (others.allow, others.deny);
        }
    }
}

/// Whom a route asks, and what it asks.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub basic_auth: Option<BasicAuth>,
    pub authorize: Option<Authorize>,
    pub satisfy_any: bool,
    /// Nobody comes in, as nginx has it.
    pub is_denied: bool,
    /// Nobody comes in, since it cannot be expressed.
    pub is_closed: bool,
}

impl<'a> Import<'a> {
    /// Of the place that a request reaches, and of the one whose content answers.
    pub(super) fn access(&mut self, here: &Scope<'a>, there: &Scope<'a>, clients: &Clients) -> Access {
        let mut access = Access { is_denied: clients.is_denied, ..Access::default() };
        let (own, other) = (self.basic_auth(here), self.basic_auth(there));
        access.is_closed |= own.is_some() && other.is_some() && own != other;
        access.basic_auth = own.or(other);
        let (own, other) = (self.authorize(here), self.authorize(there));
        access.is_closed |= own.is_err() || other.is_err();
        let (own, other) = (own.unwrap_or_default(), other.unwrap_or_default());
        access.is_closed |= own.is_some() && other.is_some() && own != other;
        access.authorize = own.or(other);
        let any = self.is_any_enough(here);
        access.is_closed |= any != self.is_any_enough(there) && access.is_asking();
        if any && access.is_asking() {
            // Where no address is let in, the password alone is left.
            access.is_denied = false;
            let asks_two = access.basic_auth.is_some() && access.authorize.is_some();
            access.satisfy_any = !clients.allow.is_empty() || asks_two;
            // Others than those would come in without a password.
            access.is_closed |= !clients.deny.is_empty();
        }
        access
    }
    pub(super) fn clients(&self, server: &Server<'a>, scope: &Scope<'a>) -> Clients {
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
                    everybody_else = true;
                    break;
                }
                (_, "all") => everybody_else = false,
                (_, "unix:") => {
                    self.ledger.noted(line, "there are no listeners on sockets of the file system")
                }
                (name, network) => self.network(line, name, network, &mut clients),
            }
        }
        if everybody_else {
            clients.allow.clear();
        } else if clients.allow.is_empty() {
            // `deny all` alone.
            return Clients { is_denied: true, ..Clients::default() };
        }
        let lists = clients.allow.iter().chain(&clients.deny).count();
        if let Some(why) = self.unknown_clients(server, scope).filter(|_| lists > 0) {
            for line in scope.any(&["allow", "deny"]) {
                self.ledger.mark(line, DENIED, &format!("{why}, so its routes are denied"));
            }
            clients.is_closed = true;
        }
        clients
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
}
