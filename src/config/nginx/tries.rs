//! `try_files`: the files of a location, and what answers where there is none.

use super::Import;
use super::lead::{OTHER_CONTENT, Spot};
use super::locations::{Kind, locations};
use super::rewrites::plainly;
use super::servers::Server;
use super::site::{Fallback, Route, Tries};
use super::tree::Directive;
use super::values;
use crate::core::route::Replacement;

impl<'a> Import<'a> {
    /// What is looked for, and the place whose content answers: where nothing says in which folder to look,
    /// that of the named location.
    pub(super) fn tries(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        comments: &mut Vec<String>,
    ) -> (Spot<'a>, Tries) {
        let scope = &spot.scope;
        let plain = Tries { folders: true, fallback: None };
        let Some(line) = scope.own("try_files").filter(|_| scope.own("return").is_none()) else {
            return (spot.clone(), plain);
        };
        let is_service = |directive: &Directive| {
            let name = directive.name.as_str();
            matches!(name, "proxy_pass" | "grpc_pass") || OTHER_CONTENT.contains(&name)
        };
        if scope.block().iter().any(is_service) {
            let why = "files are not looked for where a service answers; add a route with files for them";
            self.ledger.missing(line, why);
            comments.push(why.to_owned());
            return (spot.clone(), plain);
        }
        let (last, tried) = line.args.split_last().map_or(("", &[][..]), |(last, tried)| (last, tried));
        let target =
            locations(server.scope.block()).find(|location| last.starts_with('@') && location.arg(0) == last);
        if let Some(target) = target.filter(|_| scope.own("alias").or(scope.last("root")).is_none()) {
            let why = format!("nothing says in which folder to look; {last} answers at once");
            self.ledger.missing(line, &why);
            comments.push(why);
            self.ledger.carried(target);
            let scope = server.scope.within(target.block());
            return (Spot { scope, ..spot.clone() }, plain);
        }
        self.ledger.carried(line);
        if let Some(odd) = tried.iter().find(|arg| !matches!(arg.as_str(), "$uri" | "$uri/")) {
            self.ledger.missing(line, &format!("only $uri and $uri/ are looked for, not {odd}"));
        }
        let folders = tried.iter().any(|arg| arg == "$uri/");
        let fallback = match self.fallback(server, last, target) {
            Ok(fallback) => fallback,
            Err(why) => {
                self.ledger.missing(line, &format!("a path without a file is answered 404: {why}"));
                None
            }
        };
        (spot.clone(), Tries { folders, fallback })
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
        let to = self.replacement(server, &plainly(last))?;
        Replacement::fallback(&to).map(|_| Some(Fallback::Path(to)))
    }

    /// The name of the route for a named location, which is made when it is first asked for.
    fn named(&mut self, server: &Server<'a>, location: &'a Directive) -> String {
        if let Some((_, name)) = self.route_names.iter().find(|(known, _)| *known == location.id) {
            return name.clone();
        }
        let taken = self.route_names.iter().map(|(_, name)| name.trim_start_matches('@'));
        let name = format!("@{}", values::name(location.arg(0).trim_start_matches('@'), taken));
        self.route_names.push((location.id, name.clone()));
        self.ledger.carried(location);
        let scope = server.scope.within(location.block());
        let spot = Spot { directive: Some(location), scope, kind: Kind::Named };
        let route = self.route(server, &spot, name.clone(), &[], &[]);
        // Who comes there is counted already.
        self.site.routes.push(Route { rates: Vec::new(), connections_per_client: None, ..route });
        name
    }
}
