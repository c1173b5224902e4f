//! `try_files`: the files of a location, and what answers where there is none.
//!
//! Files are looked for by the path of the request only. A list that does not have `$uri` never comes to such
//! a file, so that its last entry answers at once: a folder that is named there may hold anything.

use super::Import;
use super::branches::Branch;
use super::locations::{Kind, locations};
use super::rewrites::plainly;
use super::servers::Server;
use super::site::{Fallback, Route, Rule, Then, Tries};
use super::spot::{OTHER_CONTENT, Spot};
use super::tree::Directive;
use super::values;
use crate::core::route::Replacement;

/// What `try_files` makes of a location.
pub(super) enum FileSearch<'a> {
    /// There is none, or the files of the path are looked for.
    Files(Tries),
    /// The content of a named location answers at once.
    Named(&'a Directive),
    /// The route for another path does, or a file of the folder.
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
        let plain = FileSearch::Files(Tries { folders: true, fallback: None });
        let Some(line) = scope.own("try_files") else { return plain };
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
        let folder = scope.handler("alias").or(scope.last("root"));
        let is_uri = |arg: &&String| matches!(arg.as_str(), "$uri" | "${uri}");
        let at_uri = tried.iter().position(|arg| is_uri(&arg)).filter(|_| folder.is_some());
        let before = tried.get(..at_uri.unwrap_or(tried.len())).unwrap_or_default();
        let there = before.iter().find(|arg| folder.is_some_and(|folder| is_there(folder.arg(0), arg)));
        self.odd_candidates(line, tried);
        if folder.is_none() && tried.iter().any(|arg| is_uri(&arg)) {
            let why = "there is no root: files of nginx's own default folder are not looked for";
            self.ledger.missing(line, why);
        }
        if let Some(there) = there.filter(|_| at_uri.is_some()) {
            self.ledger
                .missing(line, &format!("{there} is there and answers every path; write that as a route"));
            return FileSearch::Lost(line);
        }
        self.ledger.carried(line);
        if at_uri.is_some() {
            return self.files_and_fallback(server, line, last, tried);
        }
        self.at_once(server, line, tried, scope.handler("alias").is_some())
    }

    fn odd_candidates(&self, line: &'a Directive, tried: &[String]) {
        let never = ["$uri", "$uri/", "${uri}", "${uri}/", "", "/dev/null"];
        for odd in tried.iter().filter(|arg| !never.contains(&arg.as_str())) {
            self.ledger.missing(line, &format!("only $uri and $uri/ are looked for, not {odd}"));
        }
    }

    fn files_and_fallback(
        &mut self,
        server: &Server<'a>,
        line: &'a Directive,
        last: &str,
        tried: &[String],
    ) -> FileSearch<'a> {
        let folders = tried.iter().any(|arg| matches!(arg.as_str(), "$uri/" | "${uri}/"));
        let fallback = match self.fallback(server, last, target(server, last)) {
            Ok(fallback) => fallback,
            Err(why) => {
                self.ledger.missing(line, &format!("a path without a file is answered 404: {why}"));
                None
            }
        };
        FileSearch::Files(Tries { folders, fallback })
    }

    /// No file of the request's path is ever looked for.
    fn at_once(
        &mut self,
        server: &Server<'a>,
        line: &'a Directive,
        tried: &[String],
        has_alias: bool,
    ) -> FileSearch<'a> {
        let last = line.args.last().map_or("", String::as_str);
        if let Some(target) = target(server, last) {
            self.ledger.carried(target);
            return FileSearch::Named(target);
        }
        let to = |text: &str, then| {
            let drops = if text.contains('?') { "?" } else { "" };
            let to = self.replacement(&plainly(text))? + drops;
            self.accepted(|vocabulary| Replacement::path(&to, vocabulary))?;
            Ok::<_, String>(FileSearch::Rule(Rule { pattern: "^".to_owned(), to, then }))
        };
        if let Some(status) = last.strip_prefix('=') {
            let fixed = |arg: &&String| {
                arg.starts_with('/') && !arg.contains('$') && !arg.ends_with('/') && *arg != "/dev/null"
            };
            let mut files = tried.iter().filter(fixed);
            let is_expressed = status == "404" && !has_alias;
            if let (Some(file), None, true) = (files.next(), files.next(), is_expressed)
                && let Ok(rule) = to(file, Then::Stay)
            {
                return rule;
            }
            let status = status.parse().ok().filter(|status| (400..=599).contains(status));
            return status.map_or(FileSearch::Lost(line), FileSearch::Status);
        }
        match to(last, Then::Route) {
            Ok(rule) if last.starts_with('/') => rule,
            _ => {
                self.ledger
                    .missing(line, &format!("{last} answers at once, and is no path or name of a location"));
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

/// A file that is tried whatever the path, as a page for times of maintenance.
fn is_there(folder: &str, candidate: &str) -> bool {
    candidate.starts_with('/')
        && !candidate.contains('$')
        && std::path::Path::new(&format!("{}{candidate}", folder.trim_end_matches('/'))).is_file()
}
