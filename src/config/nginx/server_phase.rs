//! What a whole server rewrites and answers → routes that come before those of its locations.

use super::Import;
use super::bindings::Bindings;
use super::branches::{Branch, Phase};
use super::locations::Kind;
use super::patterns::translated;
use super::safeguards::guarded;
use super::servers::Server;
use super::site::{Lead, Rewriting, Route, Rule, Then};
use super::spot::Spot;

impl<'a> Import<'a> {
    /// Its routes; what the variables are behind it is kept for the locations.
    pub(super) fn server_phase(&mut self, server: &Server<'a>, hosts: &[String], listeners: &[String]) {
        self.place = server.place.clone();
        self.bindings = Bindings::of_server(server);
        self.referers(&server.scope);
        let spot = Spot::new(None, server.scope.clone(), Kind::Prefix("/".into()));
        let mut phase = Phase::new(spot, true);
        // A part of a configuration that has locations alone has no server.
        if server.directive.is_some() {
            self.walk(server.scope.block(), &mut phase);
        }
        let behind = self.bindings.clone();
        for Branch { spot, bindings } in phase.ending {
            self.bindings = bindings;
            let route = self.first_route(server, &spot, hosts, listeners);
            self.site.routes.push(route);
        }
        self.of_server = behind.clone();
        self.bindings = behind;
    }

    fn first_route(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        hosts: &[String],
        listeners: &[String],
    ) -> Route {
        let mut comments = Vec::new();
        let lines = spot.phase();
        let rewrite = lines.iter().copied().find(|line| line.name == "rewrite");
        let all = rewrite.and_then(|line| self.redirect_of_all(line));
        let rule = rewrite.filter(|_| all.is_none()).map(|line| (line, self.rule(line)));
        let (lead, rules) = match rule {
            Some((line, Ok(rule))) => {
                self.ledger.carried(line);
                (Lead::Onward, vec![Rule { then: onward(rule.then), ..rule }])
            }
            Some((line, Err(why))) => (self.not_rewritten(line, &why, &mut comments), Vec::new()),
            None => {
                rewrite.iter().for_each(|line| self.ledger.carried(line));
                let answer = lines.iter().copied().find(|line| line.name == "return");
                let lead = all.or_else(|| answer.map(|answer| self.answered(answer)));
                let guard = self.guard(server, &server.scope, false);
                let lead = lead.unwrap_or_else(|| Lead::status(404));
                guarded(guard.before, lead, Vec::new(), spot, &mut comments)
            }
        };
        // What only some paths are rewritten for leaves the others alone, even where it cannot be expressed.
        let path = match rewrite.filter(|_| spot.when.is_empty()) {
            Some(line) if lead != Lead::Onward => format!("~ {}", translated(line.arg(0)).pattern),
            _ => "/".to_owned(),
        };
        let rewriting = Rewriting { rules, ..Rewriting::default() };
        let route = self.plain_route(server, spot, hosts.to_vec(), listeners, lead);
        Route { path, comments, rewriting, is_first: true, ..route }
    }
}

/// What becomes of a request behind a rewriting of the server: without a flag, the lines behind it go on.
fn onward(then: Then) -> Then {
    match then {
        Then::Next => Then::Stay,
        Then::Stay | Then::Route => Then::Route,
        Then::Redirect(status) => Then::Redirect(status),
    }
}
