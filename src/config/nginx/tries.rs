//! `try_files`: the files of a location, and what answers where there is none.
//!
//! A list without a file that could be looked for never comes to one, so that its last entry answers at once.

use super::Import;
use super::branches::Branch;
use super::locations::{Kind, locations};
use super::rewrites::plainly;
use super::servers::Server;
use super::site::{Fallback, Route, Rule, Then, Tries};
use super::spot::{OTHER_CONTENT, Spot};
use super::tree::Directive;
use super::values;
use crate::core::route::{FileCandidate, Replacement};

/// What `try_files` makes of a location.
pub(super) enum FileSearch<'a> {
    /// There is none, or the files of the path are looked for.
    Files(Tries),
    /// The content of a named location answers at once.
    Named(&'a Directive),
    /// The route for another path does.
    Rule(Rule),
    /// An error does.
    Status(u16),
    /// It cannot be expressed.
    Lost(&'a Directive),
}

impl<'a> Import<'a> {
    pub(super) fn tries(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        comments: &mut Vec<String>,
    ) -> FileSearch<'a> {
        let scope = &spot.scope;
        let Some(line) = scope.own("try_files") else { return FileSearch::Files(Tries::default()) };
        let is_service = |directive: &Directive| {
            let name = directive.name.as_str();
            matches!(name, "proxy_pass" | "grpc_pass") || OTHER_CONTENT.contains(&name)
        };
        if scope.block().iter().any(is_service) {
            let why = "files are not looked for where a service answers; add a route with files for them";
            self.ledger.unanswered(line, why);
            comments.push(why.to_owned());
            return FileSearch::Lost(line);
        }
        let (last, tried) = line.args.split_last().map_or(("", &[][..]), |(last, tried)| (last, tried));
        let candidates = self.candidates(spot, line, tried);
        self.ledger.carried(line);
        if candidates.is_empty() {
            return self.at_once(server, line);
        }
        let fallback = match self.fallback(server, last, target(server, last)) {
            Ok(fallback) => fallback,
            Err(why) => {
                self.ledger.missing(line, &format!("a path without a file is answered 404: {why}"));
                None
            }
        };
        FileSearch::Files(Tries { candidates, fallback })
    }

    /// The files that are looked for, as `try` of a route has them.
    fn candidates(&self, spot: &Spot<'a>, line: &'a Directive, tried: &[String]) -> Vec<String> {
        let alias = spot.scope.handler("alias");
        let folder = alias.or(spot.scope.last("root"));
        let by_path =
            |arg: &str| ["$uri", "${uri}"].iter().find_map(|name| arg.strip_prefix(name)).map(str::to_owned);
        let has_path = tried.iter().any(|arg| by_path(arg).is_some());
        let Some(folder) = folder else {
            if has_path {
                let why = "there is no root: files of nginx's own default folder are not looked for";
                self.ledger.missing(line, why);
            }
            return Vec::new();
        };
        // A file that hardly ever is there must not keep its route from answering.
        let settled = self.settled(folder.arg(0));
        let is_chosen = alias.is_none() && self.below(&settled).is_some();
        if !has_path && !is_chosen && self.odd_folder(spot, &settled, alias.is_some()).is_some() {
            return Vec::new();
        }
        let mut candidates = Vec::new();
        for arg in tried.iter().filter(|arg| !["", "/dev/null"].contains(&arg.as_str())) {
            let text = by_path(arg).map_or(arg.clone(), |rest| format!("$path{rest}"));
            match FileCandidate::parse(&text) {
                Ok(_) => candidates.push(text),
                Err(_) => self.ledger.missing(
                    line,
                    &format!("only $uri, what begins with it, and fixed files are looked for, not {arg}"),
                ),
            }
        }
        candidates
    }

    /// No file is ever looked for.
    fn at_once(&mut self, server: &Server<'a>, line: &'a Directive) -> FileSearch<'a> {
        let last = line.args.last().map_or("", String::as_str);
        if let Some(target) = target(server, last) {
            self.ledger.carried(target);
            return FileSearch::Named(target);
        }
        if let Some(status) = last.strip_prefix('=') {
            let status = status.parse().ok().filter(|status| (400..=599).contains(status));
            return status.map_or(FileSearch::Lost(line), FileSearch::Status);
        }
        let to = |text: &str| {
            if self.asks_path {
                return Err("the conditions of the server would be asked of it again".to_owned());
            }
            // nginx keeps no query but the one that is written.
            let to = self.replacement(&plainly(text))? + "?";
            self.accepted(|vocabulary| Replacement::path(&to, vocabulary))?;
            Ok::<_, String>(FileSearch::Rule(Rule { pattern: "^".to_owned(), to, then: Then::Route }))
        };
        match to(last) {
            Ok(rule) if last.starts_with('/') => rule,
            _ => {
                let why = format!("{last} answers at once, and is no path or name of a location");
                self.ledger.missing(line, &why);
                FileSearch::Lost(line)
            }
        }
    }

    fn fallback(
        &mut self,
        server: &Server<'a>,
        last: &str,
        target: Option<&'a Directive>,
    ) -> Result<Option<Fallback>, String> {
        if let Some(status) = last.strip_prefix('=') {
            let status = status.parse().ok().filter(|status| (400..=599).contains(status));
            let status: u16 = status.ok_or_else(|| format!("{last} is no status of an error"))?;
            return Ok((status != 404).then_some(Fallback::Status(status)));
        }
        if let Some(target) = target {
            return Ok(Some(Fallback::Route(self.named(server, target))));
        }
        if last.starts_with('@') {
            return Err(format!("there is no location {last}"));
        }
        if matches!(last, "$uri" | "$uri/") {
            return Ok(None);
        }
        let to = self.replacement(&plainly(last))?;
        self.accepted(|vocabulary| Replacement::fallback(&to, vocabulary)).map(|_| Some(Fallback::Path(to)))
    }

    /// The name of the route for a named location, which is made when it is first asked for.
    pub(super) fn named(&mut self, server: &Server<'a>, location: &'a Directive) -> String {
        if let Some((_, name)) = self.route_names.iter().find(|(known, _)| *known == location.id) {
            return name.clone();
        }
        let taken = self.route_names.iter().map(|(_, name)| name.trim_start_matches('@'));
        let name = format!("@{}", values::name(location.arg(0).trim_start_matches('@'), taken));
        self.route_names.push((location.id, name.clone()));
        self.ledger.carried(location);
        let scope = server.scope.within(location.block());
        let spot = Spot::new(Some(location), scope, Kind::Named);
        let around = (self.bindings.clone(), self.place.clone());
        let of_server = self.of_server.clone();
        // One of its conditions would be asked of those that lead to it.
        let mut branches = self.branches(&spot, &of_server);
        let Branch { spot, bindings } = branches.pop().unwrap_or(Branch { spot, bindings: of_server });
        self.bindings = bindings;
        let route = self.route(server, &spot, name.clone(), &[], &[]);
        (self.bindings, self.place) = around;
        // A request that falls back was counted on its first route.
        self.site.routes.push(Route { rates: Vec::new(), connections_per_client: None, ..route });
        name
    }
}

/// The named location that is tried last.
fn target<'a>(server: &Server<'a>, last: &str) -> Option<&'a Directive> {
    locations(server.scope.block()).find(|location| last.starts_with('@') && location.arg(0) == last)
}
