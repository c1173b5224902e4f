//! Where a location leads: the same order in which nginx's phases ask: rewrite, access, content.

use super::Import;
use super::access::{Access, Clients};
use super::cookies::Cookies;
use super::headers::has_internal;
use super::known;
use super::locations::Kind;
use super::safeguards::{Safeguards, guarded};
use super::servers::Server;
use super::site::{Lead, Rewriting, Route, Rule, Service, Tries};
use super::spot::{MADE_FROM_FILES, OTHER_CONTENT, Spot};
use super::tree::Directive;
use super::tries::FileSearch;

impl<'a> Import<'a> {
    pub(super) fn route(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        path: String,
        hosts: &[String],
        listeners: &[String],
    ) -> Route {
        let mut comments = Vec::new();
        let at = |import: &mut Self, lead: Lead, spot: &Spot<'a>| {
            import.plain_route(server, spot, hosts.to_vec(), listeners, lead)
        };
        if let Some(why) = &spot.closed {
            comments.push(format!("denied: {why}"));
            let route = at(self, Lead::Deny, spot);
            return Route { path, comments, ..route };
        }
        // nginx rewrites and returns before it counts and asks who may come in.
        let guard = self.guard(server, &spot.scope, spot.serves_files());
        let (rules, answer) = self.rewritten_lead(server, spot, &mut comments);
        if let Some(lead) = answer {
            let (lead, rules) = guarded(guard.before, lead, rules, spot, &mut comments);
            let route = at(self, lead, spot);
            let rules = if route.lead == Lead::Deny { Vec::new() } else { rules };
            return Route { path, comments, rewriting: Rewriting { rules, ..Rewriting::default() }, ..route };
        }
        let Content { spot: place, lead, rewriting, clients, guard, leads_away } =
            self.behind(server, spot, rules, guard, &mut comments);
        let (lead, rules) = guarded(guard.before, lead, rewriting.rules, spot, &mut comments);
        let Access { basic_auth, authorize, satisfy_any, is_denied, is_closed } =
            self.access(&spot.scope, &place.scope, &clients);
        // nginx asks before it looks for files; the rules of a route come before both.
        let is_passed = leads_away && (basic_auth.is_some() || authorize.is_some());
        let is_closed = is_closed || clients.is_closed || guard.access || is_passed;
        if is_closed && lead != Lead::Deny {
            comments.push("denied: what protected it in nginx was not carried over".to_owned());
        }
        let lead = if is_closed || is_denied { Lead::Deny } else { lead };
        let rewriting = match lead {
            Lead::Deny => Rewriting::default(),
            Lead::Service(_) => Rewriting { rules, ..rewriting },
            _ => Rewriting { rules, ..Rewriting::default() },
        };
        let route = at(self, lead, &place);
        Route {
            path,
            comments,
            rewriting,
            // What answers may stand elsewhere.
            internal: self.is_internal(server, spot),
            rates: self.rates(&spot.scope),
            connections_per_client: self.connections(&spot.scope),
            allow: clients.allow,
            deny_from: clients.deny,
            basic_auth,
            authorize,
            satisfy_any,
            ..route
        }
    }

    /// A route without limits.
    pub(super) fn plain_route(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        hosts: Vec<String>,
        listeners: &[String],
        lead: Lead,
    ) -> Route {
        let scope = &spot.scope;
        let mut route = Route {
            from: spot.directive.map_or(&server.place, |directive| &directive.place).clone(),
            comments: Vec::new(),
            hosts,
            listeners: listeners.to_vec(),
            path: spot.kind.path(),
            is_first: false,
            when: spot.when.clone(),
            within: spot.within.clone(),
            headers: self.headers(server, scope, &lead),
            access_log: self.access_log(scope),
            timeouts: self.timeouts(scope),
            body: self.body_limit(scope),
            rates: Vec::new(),
            connections_per_client: None,
            compression: self.compression(scope),
            expires: self.expires(scope),
            forwarded: self.forwarded(scope, &lead),
            allow: Vec::new(),
            deny_from: Vec::new(),
            rewriting: Rewriting::default(),
            basic_auth: None,
            authorize: None,
            satisfy_any: false,
            internal: self.is_internal(server, spot),
            intercept: matches!(lead, Lead::Service(_)) && self.intercepts(scope),
            cookies: if matches!(lead, Lead::Service(_)) { self.cookies(scope) } else { Cookies::default() },
            error_pages: self.error_pages(server, scope),
            lead,
        };
        self.content_type(scope, &mut route);
        route
    }

    /// The rules of the rewrite phase, and what it answers where they lead nowhere.
    fn rewritten_lead(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        comments: &mut Vec<String>,
    ) -> (Vec<Rule>, Option<Lead>) {
        // The server's own block answers before any location is chosen.
        if let Some(answer) = server.scope.own("return") {
            return (Vec::new(), Some(self.answered(answer)));
        }
        if let Some(lead) = self.rewritten_server(server) {
            return (Vec::new(), Some(lead));
        }
        self.rewritten(server, spot, comments)
    }

    /// What answers where the rewrite phase does not, and who may ask.
    fn behind(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        rules: Vec<Rule>,
        guard: Safeguards,
        comments: &mut Vec<String>,
    ) -> Content<'a> {
        let clients = self.clients(server, &spot.scope);
        let mut content = Content {
            spot: spot.clone(),
            lead: Lead::status(404),
            rewriting: Rewriting { rules, ..Rewriting::default() },
            clients,
            guard,
            leads_away: false,
        };
        match self.tries(server, spot, comments) {
            FileSearch::Files(tries) => {
                content.lead = self.content(server, spot, Some(tries), &mut content.rewriting, comments);
            }
            FileSearch::Named(target) => self.at_named(server, target, &mut content, comments),
            FileSearch::Rule(rule) => {
                content.leads_away = true;
                content.rewriting.rules.push(rule);
            }
            FileSearch::Status(status) => content.lead = Lead::status(status),
            FileSearch::Lost(line) => content.lead = Lead::not_imported(&line.place),
        }
        content
    }

    /// nginx looks as soon as it has chosen the location; the locations in it inherit it.
    fn is_internal(&self, server: &Server<'a>, spot: &Spot<'a>) -> bool {
        let internal = spot.scope.in_locations("internal", &server.scope);
        let internal = internal.filter(|_| !matches!(spot.kind, Kind::Named));
        internal.iter().for_each(|line| self.ledger.carried(line));
        internal.is_some()
    }

    /// nginx follows what any upstream names; here those do that have somewhere to lead to.
    fn accel(&mut self, server: &Server<'a>, lead: &Lead) {
        let is_its = |service: &&mut Service| *lead == Lead::Service(service.name.clone());
        if has_internal(server.scope.block())
            && let Some(service) = self.site.services.iter_mut().find(is_its)
        {
            service.accel = true;
        }
    }

    /// The content of a named location, for those who are let into both.
    fn at_named(
        &mut self,
        server: &Server<'a>,
        target: &'a Directive,
        content: &mut Content<'a>,
        comments: &mut Vec<String>,
    ) {
        let scope = server.scope.within(target.block());
        let named = Spot { scope, phase: None, ..content.spot.clone() };
        let theirs = self.clients(server, &named.scope);
        content.guard = content.guard.and(self.guard(server, &named.scope, named.serves_files()));
        let own = std::mem::take(&mut content.rewriting.rules);
        let (rules, answer) =
            self.rewritten(server, &Spot { directive: Some(target), ..named.clone() }, comments);
        let both = !own.is_empty() && !rules.is_empty();
        content.rewriting.rules = if own.is_empty() { rules } else { own };
        content.lead = match answer {
            _ if both => Lead::not_imported(&target.place),
            Some(lead) => lead,
            None => self.content(server, &named, None, &mut content.rewriting, comments),
        };
        content.spot = named;
        content.clients.meet(theirs);
    }

    fn content(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        tries: Option<Tries>,
        rewriting: &mut Rewriting,
        comments: &mut Vec<String>,
    ) -> Lead {
        let scope = &spot.scope;
        if let Some(pass) = scope.handler("proxy_pass").or_else(|| scope.handler("grpc_pass")) {
            let lead = self.proxied(pass, spot, rewriting, comments);
            self.buffers(scope, &lead);
            self.retries(scope, &lead);
            self.accel(server, &lead);
            return lead;
        }
        let made =
            MADE_FROM_FILES.iter().find_map(|name| scope.last(name)).filter(|line| line.arg(0) != "off");
        let other = scope.place().find(|d| OTHER_CONTENT.contains(&d.name.as_str()));
        if let Some(other) = other.or(made) {
            let (_, why) = known::fate(other);
            self.ledger.unanswered(other, &why);
            comments.push(format!("{} was not carried over", other.name));
            return Lead::not_imported(&other.place);
        }
        if let Some(status) = scope.handler("stub_status") {
            self.ledger.noted(status, "figures are at /metrics of the admin API; the path answers 404");
            return Lead::status(404);
        }
        let tries = tries.filter(|tries| *tries != Tries::default());
        let tries = tries.or_else(|| self.where_absent(server, spot));
        self.files(spot, tries.unwrap_or_default())
    }
}

/// What answers behind the rewrite phase.
struct Content<'a> {
    /// Whose settings hold.
    spot: Spot<'a>,
    lead: Lead,
    rewriting: Rewriting,
    clients: Clients,
    guard: Safeguards,
    /// `try_files` leads to another place at once.
    leads_away: bool,
}
