//! By which hosts and listeners the routes of a server are reached.
//!
//! Those of the default server of an address have no hosts. Every other server gets a route for all paths
//! of its hosts, so that what it does not know never falls to the default server. A server whose addresses
//! all went is left out, and so is one that no request can name.

use super::Import;
use super::bindings::Bindings;
use super::conditions::{HostTest, condition};
use super::ledger::Level;
use super::locations::Kind;
use super::safeguards::guarded;
use super::servers::{Folded, Listen, Server};
use super::site::{Lead, Route};
use super::spot::Spot;
use super::tree::Directive;

/// An answer by `if` in a server: to some hosts, or to all that came in without TLS.
struct Move<'a> {
    /// `None`: to all that came in without TLS.
    test: Option<HostTest>,
    answer: &'a Directive,
}

/// What becomes of hosts that no server names, at the addresses where a server is the default one.
enum Others<'a> {
    Served,
    Answered(&'a Directive),
    /// They may be those of a name that cannot be expressed.
    Denied,
}

/// Addresses at which a server is reached in the same way.
#[derive(PartialEq)]
struct Reach {
    is_default: bool,
    /// Everything there is redirected.
    is_plain: bool,
    /// Another server there has names that cannot be expressed.
    has_odd: bool,
    folded: Option<Folded>,
    /// Names that an earlier server has there.
    lost: Vec<String>,
}

impl<'a> Import<'a> {
    /// The routes of a server.
    pub(super) fn server(&mut self, server: &Server<'a>, all: &[Server<'a>]) {
        let moves = self.moves(server);
        let upgrades = moves.iter().any(|moved| moved.test.is_none());
        let mut groups: Vec<(Reach, Vec<String>)> = Vec::new();
        for listen in &server.listens {
            let exists = self.site.listeners.iter().any(|listener| listener.address == listen.address);
            let reach = reach(server, listen, all, upgrades);
            if !exists || (!reach.is_default && server.names.is_empty()) {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == reach) {
                Some((_, addresses)) => addresses.push(listen.address.clone()),
                None => groups.push((reach, vec![listen.address.clone()])),
            }
        }
        if groups.is_empty() {
            return self.out_of_reach(server);
        }
        self.spots = self.spots(server);
        groups.sort_by_key(|(reach, _)| (!reach.is_default, !reach.is_plain));
        for (reach, addresses) in groups {
            let first = self.site.routes.len();
            self.group(server, all, &moves, &addresses, &reach);
            if let Some(folded) = reach.folded {
                self.site.routes.iter_mut().skip(first).for_each(|route| fold(route, folded));
            }
        }
    }

    /// The routes of a server at addresses where it is reached in the same way.
    fn group(
        &mut self,
        server: &Server<'a>,
        all: &[Server<'a>],
        moves: &[Move<'a>],
        addresses: &[String],
        reach: &Reach,
    ) {
        let everywhere = self.site.listeners.iter().all(|listener| addresses.contains(&listener.address));
        let listeners = if everywhere { &[] } else { addresses };
        let mut names: Vec<String> =
            server.names.iter().filter(|name| !reach.lost.contains(name)).cloned().collect();
        let asked = moves.iter().filter_map(|moved| moved.test.as_ref().map(HostTest::name));
        let asked = asked.filter(|name| reach.is_default || names.iter().any(|wild| covers(wild, name)));
        let more: Vec<String> = asked
            .filter(|name| !names.iter().any(|known| known == name) && !is_named(all, name))
            .map(str::to_owned)
            .collect();
        names.extend(more);
        let moved_by = |name: &String| {
            moves.iter().find(|moved| moved.test.as_ref().is_some_and(|test| test.holds(name)))
        };
        for moved in moves.iter().filter(|moved| moved.test.is_some()) {
            let is_here = |name: &&String| moved_by(name).is_some_and(|by| by.answer.id == moved.answer.id);
            let hosts: Vec<String> = names.iter().filter(is_here).cloned().collect();
            if !hosts.is_empty() {
                self.moved(server, moved.answer, hosts, listeners);
            }
        }
        let kept: Vec<String> = names.iter().filter(|name| moved_by(name).is_none()).cloned().collect();
        let upgrade = moves.iter().find(|moved| moved.test.is_none()).filter(|_| reach.is_plain);
        if let Some(upgrade) = upgrade {
            let hosts = if reach.is_default { Vec::new() } else { kept };
            if reach.is_default || !hosts.is_empty() {
                self.moved(server, upgrade.answer, hosts, listeners);
            }
            return;
        }
        let others = others(server, moves, reach);
        let serves_names = !reach.is_default || !matches!(others, Others::Served) || self.is_shadowed(server);
        if reach.is_default {
            match others {
                Others::Served => self.routes(server, &[], listeners),
                Others::Answered(answer) => self.moved(server, answer, Vec::new(), listeners),
                Others::Denied => self.others_denied(server, listeners),
            }
        }
        if !kept.is_empty() && serves_names {
            self.routes(server, &kept, listeners);
        }
    }

    /// The answers by condition that have routes in their place.
    fn moves(&mut self, server: &Server<'a>) -> Vec<Move<'a>> {
        self.bindings = Bindings::of_server(server);
        let mut moves = Vec::new();
        for line in server.scope.block().iter().filter(|directive| directive.name == "if") {
            let [answer] = line.block() else { continue };
            let is_redirect = match answer.name.as_str() {
                "return" => answer.arg(0).starts_with('3'),
                "rewrite" => self.redirect_of_all(answer).is_some(),
                _ => false,
            };
            let schemes = ["$scheme = http", "$scheme != https", "$https =", "$https != on"];
            let is_upgrade = is_redirect && schemes.contains(&condition(line).as_str());
            let test = HostTest::of(line).filter(|test| {
                // What holds for one host of a wildcard need not hold for another.
                let has_pattern =
                    server.names.iter().any(|name| name.starts_with('~') || name.ends_with('*'));
                (is_redirect || answer.name == "return")
                    && !has_pattern
                    && (test.is_one() || !server.names.iter().any(|name| name.starts_with('*')))
            });
            if is_upgrade || test.is_some() {
                self.ledger.carried(line);
                self.expressed.insert(line.id);
                self.moved.insert(line.id);
                moves.push(Move { test, answer });
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
        self.bindings = Bindings::of_server(server);
        let spot = Spot::new(Some(answer), server.scope.clone(), Kind::Prefix("/".into()));
        let lead = match answer.name.as_str() {
            "return" => self.answered(answer),
            _ => {
                self.ledger.carried(answer);
                self.redirect_of_all(answer).unwrap_or(Lead::Deny)
            }
        };
        let mut comments = Vec::new();
        let guard = self.guard(server, &server.scope, false);
        let (lead, _) = guarded(guard.before, lead, Vec::new(), &spot, &mut comments);
        let route = self.plain_route(server, &spot, hosts, listeners, lead);
        self.site.routes.push(Route { comments, ..route });
    }

    fn others_denied(&mut self, server: &Server<'a>, listeners: &[String]) {
        let spot = Spot::new(server.directive, server.scope.clone(), Kind::Prefix("/".into()));
        let route = self.plain_route(server, &spot, Vec::new(), listeners, Lead::Deny);
        let why =
            "denied: a host that is not listed may be one of a name or a condition that was not carried over";
        self.site.routes.push(Route { comments: vec![why.to_owned()], ..route });
        if let Some(directive) = server.directive {
            self.ledger.noted(directive, "it was the default for hosts that are not listed; these are denied, since a server name or a condition there has a pattern");
        }
    }

    /// Whether a wildcard of another server would take requests for a name of this one.
    fn is_shadowed(&self, server: &Server<'a>) -> bool {
        let wildcards = self.http.block().iter().filter(|d| d.name == "server").flat_map(Directive::block);
        let mut wildcards = wildcards.filter(|d| d.name == "server_name").flat_map(|d| &d.args);
        wildcards.any(|wild| {
            if wild.starts_with('~') || wild.ends_with(".*") {
                return !server.names.is_empty();
            }
            let suffix = wild.strip_prefix('*').or_else(|| wild.starts_with('.').then_some(wild.as_str()));
            suffix.is_some_and(|suffix| {
                server
                    .names
                    .iter()
                    .any(|name| name.ends_with(suffix) && name.strip_prefix('*') != Some(suffix))
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

fn reach(server: &Server<'_>, listen: &Listen<'_>, all: &[Server<'_>], upgrades: bool) -> Reach {
    let here = |other: &&Server<'_>| {
        other.listens.iter().any(|l| l.address == listen.address && l.folded == listen.folded)
    };
    let is_other = |other: &&Server<'_>| other.place != server.place;
    let before = all.iter().take_while(is_other).filter(here);
    let taken: Vec<&String> = before.flat_map(|other| &other.names).collect();
    Reach {
        is_default: listen.is_default,
        is_plain: upgrades && !listen.tls,
        has_odd: all.iter().filter(is_other).filter(here).any(|other| other.has_odd_names),
        folded: listen.folded,
        lost: server.names.iter().filter(|name| taken.contains(name)).cloned().collect(),
    }
}

fn others<'a>(server: &Server<'a>, moves: &[Move<'a>], reach: &Reach) -> Others<'a> {
    for moved in moves {
        if moved.test.as_ref().is_some_and(HostTest::holds_for_others) {
            return Others::Answered(moved.answer);
        }
    }
    let gives = |answer: &Directive| answer.arg(0).starts_with('2');
    match reach.has_odd && server.scope.own("return").is_none_or(gives) {
        true => Others::Denied,
        false => Others::Served,
    }
}

fn covers(wildcard: &str, name: &str) -> bool {
    wildcard.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix) && name.len() > suffix.len())
}

fn is_named(all: &[Server<'_>], name: &str) -> bool {
    all.iter().any(|server| server.names.iter().any(|known| known == name))
}

/// A route of an address that another one takes in, for those who could reach it.
fn fold(route: &mut Route, folded: Folded) {
    let gives = match &route.lead {
        Lead::Service(_) | Lead::Files { .. } | Lead::Onward => true,
        Lead::Reply { status, .. } => *status < 300,
        Lead::Redirect { .. } | Lead::Deny => false,
    };
    if !gives {
        return;
    }
    if folded == Folded::Loopback && route.allow.is_empty() {
        route.allow = vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
    } else {
        route.comments.push("denied: nginx answers this at another address".to_owned());
        route.lead = Lead::Deny;
        route.rewriting = Default::default();
    }
}
