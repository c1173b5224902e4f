//! By which hosts and listeners the routes of a server are reached.
//!
//! Those of the default server of an address have no hosts. Every other server gets a route for all paths
//! of its hosts, so that what it does not know never falls to the default server. A server whose addresses
//! all went is left out, and so is one that no request can name.

use super::Import;
use super::lead::Spot;
use super::ledger::Level;
use super::locations::Kind;
use super::servers::{Listen, Server};
use super::tree::Directive;

/// A redirect by `if` in a server: of a host, or of all that came in without TLS.
struct Move<'a> {
    host: Option<String>,
    answer: &'a Directive,
}

impl<'a> Import<'a> {
    /// The routes of a server.
    pub(super) fn server(&mut self, server: &Server<'a>) {
        let moves = self.moves(server);
        let upgrades = moves.iter().any(|moved| moved.host.is_none());
        let mut is_reached = false;
        for (is_default, is_plain) in [(true, true), (true, false), (false, true), (false, false)] {
            let here = |listen: &&Listen<'a>| {
                let exists = self.site.listeners.iter().any(|listener| listener.address == listen.address);
                exists && listen.is_default == is_default && (upgrades && !listen.tls) == is_plain
            };
            let group = server.listens.iter().filter(here);
            let addresses: Vec<String> = group.map(|listen| listen.address.clone()).collect();
            if !addresses.is_empty() {
                is_reached |= self.group(server, &moves, &addresses, is_default, is_plain);
            }
        }
        if !is_reached {
            self.out_of_reach(server);
        }
    }

    /// The routes of a server at addresses where it is, or is not, the default one, and everything is, or
    /// is not, redirected. Whether any request comes there.
    fn group(
        &mut self,
        server: &Server<'a>,
        moves: &[Move<'a>],
        addresses: &[String],
        is_default: bool,
        is_plain: bool,
    ) -> bool {
        let everywhere = self.site.listeners.iter().all(|listener| addresses.contains(&listener.address));
        let listeners = if everywhere { &[] } else { addresses };
        if !is_default && server.names.is_empty() {
            return false;
        }
        for moved in moves.iter().filter(|moved| is_plain || moved.host.is_some()) {
            let hosts = match &moved.host {
                Some(host) => vec![host.clone()],
                None if is_default => Vec::new(),
                None => server.names.clone(),
            };
            self.moved(server, moved.answer, hosts, listeners);
        }
        if is_plain {
            // All of it is answered by the redirect.
            return true;
        }
        let is_moved = |name: &&String| moves.iter().any(|moved| moved.host.as_ref() == Some(*name));
        let names: Vec<String> = server.names.iter().filter(|name| !is_moved(name)).cloned().collect();
        if is_default {
            self.routes(server, &[], listeners);
        }
        if !names.is_empty() && (!is_default || self.is_shadowed(server)) {
            self.routes(server, &names, listeners);
        }
        true
    }

    fn moves(&self, server: &Server<'a>) -> Vec<Move<'a>> {
        let mut moves = Vec::new();
        for line in server.scope.block().iter().filter(|directive| directive.name == "if") {
            let condition = line.args.join(" ");
            let condition = condition.trim_start_matches('(').trim_end_matches(')').trim();
            let [answer] = line.block() else { continue };
            let is_redirect = answer.name == "return" && answer.arg(0).starts_with('3');
            let is_name = |name: &&str| server.names.iter().any(|known| known == name);
            let host = condition.strip_prefix("$host = ").filter(is_name);
            let schemes = ["$scheme = http", "$scheme != https", "$https =", "$https != on"];
            if is_redirect && (host.is_some() || schemes.contains(&condition)) {
                self.ledger.carried(line);
                moves.push(Move { host: host.map(str::to_owned), answer });
            }
        }
        moves
    }

    fn moved(
        &mut self,
        server: &Server<'a>,
        answer: &'a Directive,
        hosts: Vec<String>,
        listeners: &[String],
    ) {
        let kind = Kind::Prefix("/".into());
        let spot = Spot { directive: Some(answer), scope: server.scope.clone(), kind };
        let lead = self.answered(server, answer);
        let route = self.plain_route(server, &spot, hosts, listeners, lead);
        self.site.routes.push(route);
    }

    /// Whether a wildcard of another server would take requests for a name of this one.
    fn is_shadowed(&self, server: &Server<'a>) -> bool {
        let wildcards = self.http.block().iter().filter(|d| d.name == "server").flat_map(Directive::block);
        let mut wildcards = wildcards.filter(|d| d.name == "server_name").flat_map(|d| &d.args);
        wildcards.any(|wild| {
            let suffix = wild.strip_prefix('*').or_else(|| wild.starts_with('.').then_some(wild.as_str()));
            suffix.is_some_and(|suffix| {
                server.names.iter().any(|name| name.ends_with(suffix) && !name.starts_with('*'))
            })
        })
    }

    fn out_of_reach(&self, server: &Server<'a>) {
        let Some(directive) = server.directive else { return };
        let (level, why) = if server.is_unnamable {
            (Level::Missing, "left out: none of its server's names can be expressed; list the names in hosts")
        } else if server.names.is_empty() && server.listens.iter().all(|listen| !listen.is_default) {
            (Level::Noted, "left out: it has no name, and another server is the default on its addresses")
        } else {
            (Level::Missing, "left out: nothing is left of the addresses that its server listens on")
        };
        self.ledger.whole(directive, level, why);
    }
}
