//! Where a location leads: the same order in which nginx's phases ask: rewrite, access, content.

use super::Import;
use super::locations::Kind;
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Rewriting, Route, Rule, Tries};
use super::tree::Directive;
use super::values;

/// A location, or a server's own block for what none of its locations takes.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub directive: Option<&'a Directive>,
    pub scope: Scope<'a>,
    pub kind: Kind,
}

/// Directives that answer by other means than HTTP upstreams, files and texts.
pub(super) const OTHER_CONTENT: [&str; 8] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
    "content_by_lua_block",
    "content_by_lua_file",
    "js_content",
    "perl",
];

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
        let (spot, tries) = self.tries(server, spot, &mut comments);
        // nginx rewrites and returns before it counts and asks who may come in.
        let (rules, answer) = self.rewritten_lead(server, &spot, &mut comments);
        let mut rewriting = Rewriting { rules, ..Rewriting::default() };
        if let Some(lead) = answer {
            let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, lead);
            rewriting.rules.retain(|_| route.lead != Lead::Deny);
            return Route { path, comments, rewriting, ..route };
        }
        let lead = self.content(server, &spot, tries, &mut rewriting, &mut comments);
        let clients = self.clients(&spot.scope);
        if clients.is_closed {
            comments.push("denied: what protected it in nginx was not carried over".to_owned());
        }
        let lead = if clients.is_closed || clients.is_denied { Lead::Deny } else { lead };
        if lead == Lead::Deny {
            rewriting = Rewriting::default();
        }
        if !matches!(lead, Lead::Service(_)) {
            rewriting = Rewriting { rules: rewriting.rules, ..Rewriting::default() };
        }
        let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, lead);
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
        self.error_pages(server, scope);
        let mut route = Route {
            from: spot.directive.map_or(&server.place, |directive| &directive.place).clone(),
            comments: Vec::new(),
            hosts,
            listeners: listeners.to_vec(),
            path: spot.kind.path(),
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
        if let Some(internal) = scope.own("internal").filter(|_| scope.own("return").is_none()) {
            self.ledger.carried(internal);
            let why = "only reached from within nginx; X-Accel-Redirect is not followed";
            scope.own("proxy_pass").iter().for_each(|pass| self.ledger.missing(pass, why));
            return (Vec::new(), Some(Lead::status(404)));
        }
        self.rewritten(server, spot, comments)
    }

    fn content(
        &mut self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        tries: Tries,
        rewriting: &mut Rewriting,
        comments: &mut Vec<String>,
    ) -> Lead {
        let scope = &spot.scope;
        if let Some(pass) = scope.own("proxy_pass").or_else(|| scope.own("grpc_pass")) {
            return self.proxied(pass, server, spot, rewriting, comments);
        }
        if let Some(other) = scope.block().iter().find(|d| OTHER_CONTENT.contains(&d.name.as_str())) {
            comments.push(format!("{} was not carried over", other.name));
            return Lead::not_imported(&other.place);
        }
        if let Some(status) = scope.own("stub_status") {
            self.ledger.noted(status, "figures are at /metrics of the admin API; the path answers 404");
            return Lead::status(404);
        }
        self.files(spot, tries)
    }

    fn files(&self, spot: &Spot<'a>, tries: Tries) -> Lead {
        let scope = &spot.scope;
        let index = scope.last("index");
        let index_name = index.map(|index| index.arg(0).to_owned()).filter(|name| name != "index.html");
        if let Some(index) = index {
            match index.args.len() {
                1 => self.ledger.carried(index),
                _ => self.ledger.noted(index, "the first name is taken"),
            }
        }
        let legal =
            |name: &String| !name.is_empty() && !name.contains(['/', '$', '\0']) && !name.starts_with('.');
        let index = index_name.filter(&legal);
        let alias = scope.own("alias");
        let Some(folder) = alias.or_else(|| scope.last("root")) else { return Lead::status(404) };
        let fits = |path: &str| path.ends_with('/') || matches!(spot.kind, Kind::Exact(_));
        let alias_fits = alias.is_none() || spot.kind.prefix().is_some_and(fits);
        if values::has_variables(folder.arg(0)) || !alias_fits {
            self.ledger.missing(folder, "a folder without variables, and with alias a path that ends in /");
            return Lead::not_imported(&folder.place);
        }
        self.ledger.carried(folder);
        let (root, index) = match folder.arg(0).rsplit_once('/') {
            // The one file of an exact path: what stands for its folder.
            Some((root, file))
                if alias.is_some() && matches!(spot.kind, Kind::Exact(_)) && !file.is_empty() =>
            {
                (if root.is_empty() { "/" } else { root }, Some(file.to_owned()).filter(&legal))
            }
            _ => (folder.arg(0), index),
        };
        Lead::Files { root: root.to_owned(), alias: alias.is_some(), index, tries }
    }
}
