//! Where a location leads: the same order in which nginx's phases ask: rewrite, access, content.

use super::Import;
use super::access::Clients;
use super::conditions::Loss;
use super::guard::Guard;
use super::locations::Kind;
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Rewriting, Route, Rule, Then, Tries};
use super::tree::{Directive, Place};
use super::tries::Tried;

/// A location, or a server's own block for what none of its locations takes.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub directive: Option<&'a Directive>,
    pub scope: Scope<'a>,
    pub kind: Kind,
    /// The prefix that its regex is tried within.
    pub within: Option<String>,
    /// Why it must not be served: nginx may not come here for all that fits it.
    pub closed: Option<String>,
}

/// Directives that answer by other means than HTTP upstreams, files and texts.
pub(super) const OTHER_CONTENT: [&str; 14] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
    "content_by_lua_block",
    "content_by_lua_file",
    "js_content",
    "perl",
    "empty_gif",
    "api",
    "status",
    "hls",
    "f4f",
    "upstream_conf",
];

/// What changes the files that it is on for: to serve them as they are would show their source.
const MADE_FROM_FILES: [&str; 3] = ["ssi", "image_filter", "xslt_stylesheet"];

impl<'a> Spot<'a> {
    pub(super) fn new(directive: Option<&'a Directive>, scope: Scope<'a>, kind: Kind) -> Self {
        Spot { directive, scope, kind, within: None, closed: None }
    }

    /// Whether files would answer here.
    pub(super) fn serves_files(&self) -> bool {
        let answers = |line: &Directive| {
            matches!(line.name.as_str(), "proxy_pass" | "grpc_pass" | "return" | "stub_status")
                || OTHER_CONTENT.contains(&line.name.as_str())
        };
        !self.scope.block().iter().any(answers)
    }
}

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
        let Content { spot: place, lead, rewriting, clients, guard } = self.behind(server, spot, rules, guard, &mut comments);
        let (lead, rules) = guarded(guard.before, lead, rewriting.rules, spot, &mut comments);
        let is_closed = clients.is_closed || guard.access;
        if is_closed && lead != Lead::Deny {
            comments.push("denied: what protected it in nginx was not carried over".to_owned());
        }
        let lead = if is_closed || clients.is_denied { Lead::Deny } else { lead };
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
            rates: self.rates(&spot.scope),
            connections_per_client: self.connections(&spot.scope),
            allow: clients.allow,
            deny_from: clients.deny,
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
            within: spot.within.clone(),
            headers: self.headers(server, scope, &lead),
            access_log: self.access_log(scope),
            timeouts: self.timeouts(scope),
            body: self.body_limit(scope),
            rates: Vec::new(),
            connections_per_client: None,
            compression: self.compression(scope),
            allow: Vec::new(),
            deny_from: Vec::new(),
            rewriting: Rewriting::default(),
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
        let scope = &spot.scope;
        // The server's own block answers before any location is chosen.
        if let Some(answer) = server.scope.own("return") {
            return (Vec::new(), Some(self.answered(server, answer)));
        }
        if let Some(lead) = self.rewritten_server(server) {
            return (Vec::new(), Some(lead));
        }
        // nginx looks as soon as it has chosen the location; the locations in it inherit it.
        if let Some(internal) = scope.in_locations("internal", &server.scope).filter(|_| spot.kind != Kind::Named) {
            let why = "only reached from within nginx: answered 404, and X-Accel-Redirect of an upstream is not followed";
            self.ledger.noted(internal, why);
            scope.own("proxy_pass").iter().for_each(|pass| self.ledger.missing(pass, why));
            return (Vec::new(), Some(Lead::status(404)));
        }
        self.rewritten(server, spot, comments)
    }

    /// What answers where the rewrite phase does not, and who may ask.
    fn behind(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        rules: Vec<Rule>,
        guard: Guard,
        comments: &mut Vec<String>,
    ) -> Content<'a> {
        let clients = self.clients(server, &spot.scope);
        let mut content = Content {
            spot: spot.clone(),
            lead: Lead::status(404),
            rewriting: Rewriting { rules, ..Rewriting::default() },
            clients,
            guard,
        };
        match self.tries(server, spot, comments) {
            Tried::Files(tries) => {
                content.lead = self.content(server, spot, Some(tries), &mut content.rewriting, comments);
            }
            Tried::Named(target) => self.at_named(server, target, &mut content, comments),
            Tried::Rule(rule) => {
                if rule.then == Then::Stay {
                    let tries = Tries { folders: false, fallback: None };
                    content.lead = self.content(server, spot, Some(tries), &mut content.rewriting, comments);
                }
                content.rewriting.rules.push(rule);
            }
            Tried::Status(status) => content.lead = Lead::status(status),
            Tried::Lost(line) => content.lead = Lead::not_imported(&line.place),
        }
        content
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
        let named = Spot { scope, ..content.spot.clone() };
        let theirs = self.clients(server, &named.scope);
        content.guard = content.guard.and(self.guard(server, &named.scope, named.serves_files()));
        let own = std::mem::take(&mut content.rewriting.rules);
        let (rules, answer) = self.rewritten(server, &Spot { directive: Some(target), ..named.clone() }, comments);
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
        if let Some(pass) = scope.own("proxy_pass").or_else(|| scope.own("grpc_pass")) {
            return self.proxied(pass, server, spot, rewriting, comments);
        }
        let made = MADE_FROM_FILES.iter().find_map(|name| scope.last(name)).filter(|line| line.arg(0) != "off");
        let other = scope.block().iter().find(|d| OTHER_CONTENT.contains(&d.name.as_str()));
        if let Some(other) = other.or(made) {
            comments.push(format!("{} was not carried over", other.name));
            return Lead::not_imported(&other.place);
        }
        if let Some(status) = scope.own("stub_status") {
            self.ledger.noted(status, "figures are at /metrics of the admin API; the path answers 404");
            return Lead::status(404);
        }
        self.files(spot, tries.unwrap_or(Tries { folders: true, fallback: None }))
    }
}

/// What answers behind the rewrite phase.
struct Content<'a> {
    /// Whose settings hold.
    spot: Spot<'a>,
    lead: Lead,
    rewriting: Rewriting,
    clients: Clients,
    guard: Guard,
}

/// The lead where something was lost that came first. What refuses anyway, and what only sends elsewhere,
/// stays.
pub(super) fn guarded(
    lost: Option<Loss>,
    lead: Lead,
    rules: Vec<Rule>,
    spot: &Spot<'_>,
    comments: &mut Vec<String>,
) -> (Lead, Vec<Rule>) {
    let leads_on = rules.iter().any(|rule| !matches!(rule.then, Then::Redirect(_)));
    let gives = match &lead {
        Lead::Service(_) | Lead::Files { .. } => true,
        Lead::Reply { status, .. } => *status < 300,
        Lead::Redirect { .. } | Lead::Deny => false,
    };
    match lost.filter(|_| gives || leads_on) {
        None => (lead, rules),
        Some(Loss::Answer) => {
            comments.push("a condition under which nginx answers otherwise was not carried over".to_owned());
            let place: Option<&Place> = spot.directive.map(|directive| &directive.place);
            let lead = place.map_or(Lead::status(501), Lead::not_imported);
            (lead, Vec::new())
        }
        Some(_) => {
            comments.push("denied: what refused requests in nginx was not carried over".to_owned());
            (Lead::Deny, Vec::new())
        }
    }
}
