//! `location` blocks → routes, in nginx's order of precedence.
//!
//! Routes know no nesting, so locations in locations are laid flat: prefixes and exact paths need no
//! more than that, since the longest wins. A regex within a prefix stays within it, and within the prefixes
//! in there. What cannot be told apart, a regex within a regex or one that only PCRE knows, is denied for all
//! that may fit it.

use super::Import;
use super::branches::Branch;
use super::ledger::{DENIED, Level};
use super::patterns::{Translated, translated};
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Route};
use super::spot::Spot;
use super::tree::Directive;
use crate::core::pattern::Pattern;

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

    /// As a route can have it, and why that is more than nginx takes.
    fn settled(self) -> Result<(Kind, Option<String>), &'static str> {
        match self {
            Kind::Regex { pattern, ignore_case } => {
                let Translated { pattern, is_exact } = translated(&pattern);
                let why =
                    "its regex has what only PCRE knows; write it without look-around and back-references";
                Ok((Kind::Regex { pattern, ignore_case }, (!is_exact).then(|| why.to_owned())))
            }
            Kind::Named => Ok((self, None)),
            _ => {
                let path = self.prefix().unwrap_or_default();
                if !path.starts_with('/') {
                    return Err("never reached: a path begins with /");
                }
                let legal: String = path.chars().take_while(|c| !c.is_control()).collect();
                if legal.trim_end() == path {
                    return Ok((self, None));
                }
                let pattern = format!("^{}", regex::escape(legal.trim_end()));
                let why = "a path has no control characters, and no space at its end";
                Ok((Kind::Regex { pattern, ignore_case: false }, Some(why.to_owned())))
            }
        }
    }
}

impl<'a> Import<'a> {
    /// All routes of a server for these hosts and listeners.
    pub(super) fn routes(&mut self, server: &Server<'a>, hosts: &[String], listeners: &[String]) {
        let spots = self.spots.clone();
        self.server_phase(server, hosts, listeners);
        for spot in &spots {
            let of_server = self.of_server.clone();
            for Branch { spot, bindings } in self.branches(spot, &of_server) {
                self.bindings = bindings;
                let route = self.route(server, &spot, spot.kind.path(), hosts, listeners);
                self.site.routes.push(route);
            }
            self.bindings = of_server;
        }
        let slashless = slashless(&spots);
        for (path, spot) in slashless {
            let lead = Lead::Redirect { to: format!("$scheme://$host{path}/$is_args$args"), status: 301 };
            let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, lead);
            let comments = vec![format!("nginx adds the slash that {path}/ needs")];
            self.site.routes.push(Route { path: format!("= {path}"), comments, ..route });
        }
    }

    /// The places of a server, in the order of its routes.
    pub(super) fn spots(&self, server: &Server<'a>) -> Vec<Spot<'a>> {
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
            self.gather(&server.scope, &Outer::default(), &mut spots);
        }
        if !spots
            .iter()
            .any(|spot| matches!(spot.kind.prefix(), Some("/")) && !matches!(spot.kind, Kind::Exact(_)))
        {
            spots.push(Spot::new(None, server.scope.clone(), Kind::Prefix("/".into())));
        }
        spots
    }

    /// The locations of a block and of those in it.
    fn gather(&self, scope: &Scope<'a>, outer: &Outer<'a>, spots: &mut Vec<Spot<'a>>) {
        let mut own = Vec::new();
        let mut regexes = Vec::new();
        for location in locations(scope.block()) {
            let (kind, more) = match Kind::of(location).settled() {
                Ok(settled) => settled,
                Err(why) => {
                    self.ledger.whole(location, Level::Noted, why);
                    continue;
                }
            };
            let closed = outer
                .is_regex
                .then(|| "a location within a regex cannot be told apart; write it as one regex".to_owned())
                .or(more);
            let scope = scope.within(location.block());
            match &closed {
                Some(why) => self.ledger.whole(
                    location,
                    DENIED,
                    &format!("{why}; until then, what may fit it is denied"),
                ),
                None => self.ledger.carried(location),
            }
            if kind == Kind::Named {
                continue;
            }
            let spot =
                Spot { closed, within: outer.prefix.clone(), ..Spot::new(Some(location), scope, kind) };
            match spot.kind {
                Kind::Regex { .. } => regexes.push(spot),
                _ => own.push(Spot { within: None, kind: outer.finality(spot.kind.clone()), ..spot }),
            }
        }
        for spot in own.iter().filter(|spot| !matches!(spot.kind, Kind::Exact(_))) {
            let is_final = spot.directive.is_some_and(|d| matches!(Kind::of(d), Kind::Final(_)));
            self.gather(&spot.scope, &outer.within(spot, if is_final { &[] } else { &regexes }), spots);
        }
        for spot in &regexes {
            self.gather(
                &spot.scope,
                &Outer { is_regex: true, prefix: outer.prefix.clone(), ..Outer::default() },
                spots,
            );
        }
        spots.extend(regexes);
        if let Some(prefix) = &outer.prefix {
            let here = |spot: &Spot<'a>| Spot { within: Some(prefix.clone()), ..spot.clone() };
            spots.extend(outer.regexes.iter().map(here));
        }
        spots.extend(own);
    }

    /// The place that nginx chooses for a path; `None` where that cannot be told.
    pub(super) fn chosen(&self, path: &str) -> Option<&Spot<'a>> {
        let fits = |spot: &&Spot<'a>| match &spot.kind {
            Kind::Regex { pattern, ignore_case } => {
                Pattern::new(pattern, *ignore_case).is_ok_and(|pattern| pattern.is_match(path.as_bytes()))
            }
            _ => false,
        };
        let spots = || self.spots.iter();
        let exact = spots().find(|spot| matches!(&spot.kind, Kind::Exact(known) if known == path));
        let prefixes = spots().filter(|spot| !matches!(spot.kind, Kind::Exact(_)));
        let longest = prefixes
            .filter_map(|spot| Some((spot, spot.kind.prefix().filter(|prefix| path.starts_with(prefix))?)))
            .max_by_key(|(_, prefix)| prefix.len());
        let within = |outer: &str| spots().filter(|spot| spot.within.as_deref() == Some(outer)).find(fits);
        let found = exact
            .or_else(|| longest.and_then(|(_, prefix)| within(prefix)))
            .or_else(|| longest.map(|(spot, _)| spot).filter(|spot| matches!(spot.kind, Kind::Final(_))))
            .or_else(|| spots().filter(|spot| spot.within.is_none()).find(fits))
            .or(longest.map(|(spot, _)| spot))?;
        found.closed.is_none().then_some(found)
    }
}

/// What locations stand in.
#[derive(Default)]
struct Outer<'a> {
    /// The innermost prefix.
    prefix: Option<String>,
    /// Whether the outermost prefix is final: nginx tries the regexes of a server after those of the prefix.
    is_final: bool,
    is_regex: bool,
    /// The regexes of the prefixes around, which nginx tries after those within.
    regexes: Vec<Spot<'a>>,
}

impl<'a> Outer<'a> {
    fn within(&self, spot: &Spot<'a>, regexes: &[Spot<'a>]) -> Self {
        let is_first = self.prefix.is_none();
        // Those of the server are tried for all paths anyway.
        let around = if is_first { &[][..] } else { regexes };
        Outer {
            prefix: spot.kind.prefix().map(str::to_owned),
            is_final: if is_first { matches!(spot.kind, Kind::Final(_)) } else { self.is_final },
            is_regex: false,
            regexes: around.iter().chain(&self.regexes).cloned().collect(),
        }
    }

    fn finality(&self, kind: Kind) -> Kind {
        match (self.prefix.is_some(), self.is_final, kind) {
            (true, true, Kind::Prefix(path)) => Kind::Final(path),
            (true, false, Kind::Final(path)) => Kind::Prefix(path),
            (.., kind) => kind,
        }
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
