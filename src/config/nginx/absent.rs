//! `if (!-f $request_filename)` where files are served, as people wrote before `try_files` → what answers where
//! there is no file.

use super::Import;
use super::conditions::condition;
use super::ledger::Level;
use super::locations::Kind;
use super::rewrites::plainly;
use super::servers::Server;
use super::site::{Fallback, Route, Tries};
use super::spot::Spot;
use super::tree::Directive;
use super::values;
use crate::core::route::Replacement;

impl<'a> Import<'a> {
    /// What a place of files looks for, where it says so by a condition.
    pub(super) fn where_absent(&mut self, server: &Server<'a>, spot: &Spot<'a>) -> Option<Tries> {
        if matches!(spot.kind, Kind::Named) {
            return None;
        }
        let is_it = |line: &&'a Directive| {
            line.name == "if"
                && matches!(condition(line).as_str(), "!-f $request_filename" | "!-e $request_filename")
        };
        let mut lines = spot.scope.block().iter().filter(is_it);
        let line = lines.next().filter(|_| lines.next().is_none())?;
        self.expressed.insert(line.id);
        let fallback = match line.block().first()?.name.as_str() {
            "rewrite" => Fallback::Path(self.rewritten_absent(line)?),
            "proxy_pass" => Fallback::Route(self.passed_absent(server, spot, line)),
            _ => return None,
        };
        self.ledger.whole(line, Level::Carried, "");
        let has_folders = condition(line).starts_with("!-e");
        let candidates = if has_folders { &["$path", "$path/"][..] } else { &["$path"] };
        Some(Tries {
            candidates: candidates.iter().map(|one| (*one).to_owned()).collect(),
            fallback: Some(fallback),
        })
    }

    /// The path in place of one without a file; `None` where that hangs on more than the path.
    fn rewritten_absent(&self, line: &'a Directive) -> Option<String> {
        let [rewrite, behind @ ..] = line.block() else { return None };
        let is_end = behind.iter().all(|line| line.name == "break");
        let text = match rewrite.arg(0) {
            "^(.*)$" | "(.*)" | "^(.*)" => rewrite.arg(1).replace("$1", "$uri"),
            "^/(.*)$" | "^/(.*)" => rewrite.arg(1).replace("/$1", "$uri"),
            "^" | ".*" | "^.*$" => rewrite.arg(1).to_owned(),
            _ => return None,
        };
        let leads_back = text.trim_start_matches('/').starts_with("$uri");
        if !is_end || leads_back || text.contains("$1") || !matches!(rewrite.arg(2), "last" | "break" | "") {
            return None;
        }
        let query = if text.contains('?') { "&$args" } else { "?$args" };
        let to = self.replacement(&(plainly(&text) + query)).ok()?;
        self.accepted(|vocabulary| Replacement::fallback(&to, vocabulary)).ok()?;
        Some(to)
    }

    /// The route for what is passed on, by its name.
    fn passed_absent(&mut self, server: &Server<'a>, spot: &Spot<'a>, line: &'a Directive) -> String {
        let taken = self.route_names.iter().map(|(_, name)| name.trim_start_matches('@'));
        let name = format!("@{}", values::name("no-file", taken));
        self.route_names.push((line.id, name.clone()));
        let scope = spot.scope.within_condition(line.block());
        let place = Spot { phase: Some(Vec::new()), ..Spot::new(Some(line), scope, Kind::Named) };
        let route = self.route(server, &place, name.clone(), &[], &[]);
        self.site.routes.push(Route { rates: Vec::new(), connections_per_client: None, ..route });
        name
    }
}
