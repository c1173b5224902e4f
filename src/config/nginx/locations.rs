//! `location` blocks → routes, in nginx's order of precedence.
//!
//! Routes know no nesting, so locations in locations are laid flat: prefixes and exact paths need no
//! more than that, since the longest wins. A regex within a prefix is tried before those outside; it
//! goes first, with the prefix put before it.

use super::Import;
use super::lead::Spot;
use super::ledger::Level;
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Route};
use super::tree::Directive;

/// How a location matches.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Exact(String),
    Prefix(String),
    Final(String),
    Regex { pattern: String, ignore_case: bool },
    Named,
}

impl Kind {
    fn of(location: &Directive) -> Kind {
        let whole = location.args.join(" ");
        let after = |start: &str| whole.strip_prefix(start).map(|rest| rest.trim().to_owned());
        let regex = |ignore_case| move |pattern| Kind::Regex { pattern, ignore_case };
        let named = after("@").map(|_| Kind::Named);
        let found = named
            .or_else(|| after("^~").map(Kind::Final))
            .or_else(|| after("~*").map(regex(true)))
            .or_else(|| after("~").map(regex(false)))
            .or_else(|| after("=").map(Kind::Exact));
        found.unwrap_or(Kind::Prefix(whole))
    }

    /// As `path` of a route is written.
    pub(super) fn path(&self) -> String {
        match self {
            Kind::Exact(path) => format!("= {path}"),
            Kind::Prefix(path) => path.clone(),
            Kind::Final(path) => format!("^~ {path}"),
            Kind::Regex { pattern, ignore_case: false } => format!("~ {pattern}"),
            Kind::Regex { pattern, ignore_case: true } => format!("~* {pattern}"),
            Kind::Named => String::new(),
        }
    }

    pub(super) fn prefix(&self) -> Option<&str> {
        match self {
            Kind::Prefix(path) | Kind::Final(path) | Kind::Exact(path) => Some(path),
            _ => None,
        }
    }

    /// Why it cannot be a route.
    fn fault(&self) -> Option<String> {
        match self {
            Kind::Regex { pattern, ignore_case } => {
                let built = regex::RegexBuilder::new(pattern).case_insensitive(*ignore_case).build();
                let short =
                    |error: regex::Error| error.to_string().lines().last().unwrap_or_default().to_owned();
                built.err().map(|error| {
                    format!(
                        "the regex cannot be used ({}); write it without look-around and back-references",
                        short(error)
                    )
                })
            }
            Kind::Named => None,
            _ => {
                let path = self.prefix().unwrap_or_default();
                let fine = path.starts_with('/') && path.trim() == path && !path.contains(char::is_control);
                (!fine).then(|| "a path begins with /".to_owned())
            }
        }
    }
}

impl<'a> Import<'a> {
    /// All routes of a server for these hosts and listeners.
    pub(super) fn routes(&mut self, server: &Server<'a>, hosts: &[String], listeners: &[String]) {
        let mut spots = Vec::new();
        if let Some(answer) = server.scope.own("return").filter(|d| d.place != server.place) {
            for location in locations(server.scope.block()) {
                self.ledger.whole(
                    location,
                    Level::Noted,
                    &format!("never reached: return in line {} answers first", answer.place.line),
                );
            }
        } else {
            self.gather(&server.scope, None, &mut spots);
        }
        if !spots
            .iter()
            .any(|spot| matches!(spot.kind.prefix(), Some("/")) && !matches!(spot.kind, Kind::Exact(_)))
        {
            spots.push(Spot { directive: None, scope: server.scope.clone(), kind: Kind::Prefix("/".into()) });
        }
        let slashless = slashless(&spots);
        let taken: Vec<&str> = slashless.iter().map(|(path, _)| path.as_str()).collect();
        self.server_rewrites(server, &spots, &taken, hosts, listeners);
        for spot in &spots {
            let route = self.route(server, spot, spot.kind.path(), hosts, listeners);
            self.site.routes.push(route);
        }
        for (path, spot) in slashless {
            let lead = Lead::Redirect { to: format!("$scheme://$host{path}/$is_args$args"), status: 301 };
            let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, lead);
            let comments = vec![format!("nginx adds the slash that {path}/ needs")];
            self.site.routes.push(Route { path: format!("= {path}"), comments, ..route });
        }
    }

    /// The locations of a block and of those in it; `outer` is the path of the block.
    fn gather(&self, scope: &Scope<'a>, outer: Option<&Kind>, spots: &mut Vec<Spot<'a>>) {
        let mut own = Vec::new();
        for location in locations(scope.block()) {
            let mut kind = Kind::of(location);
            if let (Some(outer), Kind::Regex { pattern, ignore_case }) = (outer, &kind) {
                let Some(prefix) = outer.prefix() else {
                    self.ledger.whole(
                        location,
                        Level::Missing,
                        "a location within a regex cannot be told apart; write it as one regex",
                    );
                    continue;
                };
                let inside = if pattern.starts_with('^') {
                    pattern.clone()
                } else {
                    format!("^{}.*(?:{pattern})", regex::escape(prefix.trim_end_matches('/')))
                };
                kind = Kind::Regex { pattern: inside, ignore_case: *ignore_case };
                self.ledger.noted(
                    location,
                    &format!("its regex is tried for all paths below {prefix}, before the regexes outside"),
                );
            }
            if let Some(why) = kind.fault() {
                self.ledger.whole(location, Level::Missing, &why);
                continue;
            }
            self.ledger.carried(location);
            let scope = scope.within(location.block());
            if kind != Kind::Named {
                self.gather(&scope, Some(&kind), spots);
                own.push(Spot { directive: Some(location), scope, kind });
            }
        }
        spots.extend(own);
    }
}

pub(super) fn locations(block: &[Directive]) -> impl Iterator<Item = &Directive> {
    block.iter().filter(|directive| directive.name == "location")
}

/// Prefixes of proxied locations that end in `/`, without it: nginx sends who asks for one there.
fn slashless<'a>(spots: &[Spot<'a>]) -> Vec<(String, Spot<'a>)> {
    let taken = |path: &str| spots.iter().any(|spot| spot.kind.prefix() == Some(path));
    let proxied = spots
        .iter()
        .filter(|spot| spot.scope.own("proxy_pass").is_some() && spot.scope.own("return").is_none());
    let paths = proxied.filter_map(|spot| match &spot.kind {
        Kind::Prefix(path) | Kind::Final(path) => Some((path.strip_suffix('/')?.to_owned(), spot.clone())),
        _ => None,
    });
    paths.filter(|(path, _)| !path.is_empty() && !path.contains('$') && !taken(path)).collect()
}
