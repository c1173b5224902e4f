//! A route as TOML.

use super::cookies::Cookies;
use super::credentials::{Authorize, BasicAuth};
use super::phrases::{by_page, edits_of, rule_of, timeouts_of, tries_of, when_of};
use super::site::{Fallback, Lead, Listener, Rewriting, Route, Site};
use super::toml::{fixed, list, quoted, table, template};
use super::values::show_size;
use super::write::Page;

impl Page {
    pub(super) fn route(&mut self, route: &Route, site: &Site) {
        self.head(Some(&route.from), "[routes]");
        route.comments.iter().for_each(|comment| self.comment(comment));
        if !route.hosts.is_empty() {
            self.pair("hosts", &list(&route.hosts));
        }
        let is_all = route.is_first && route.path == "/";
        if !is_all {
            self.pair("path", &fixed(&route.path));
        }
        if route.is_first {
            self.pair("first", "true");
        }
        if !route.when.is_empty() {
            self.pair("when", &when_of(&route.when));
        }
        route.within.iter().for_each(|prefix| self.pair("within", &fixed(prefix)));
        if !route.listeners.is_empty() {
            self.pair("listeners", &list(&route.listeners));
        }
        match &route.lead {
            Lead::Service(name) => self.pair("service", &quoted(name)),
            Lead::Redirect { to, status } => {
                self.pair("redirect", &format!("{{ to = {}, status = {status} }}", template(to)))
            }
            Lead::Reply { status, body, kind } => {
                let body =
                    if body.is_empty() { String::new() } else { format!(", body = {}", template(body)) };
                let kind = kind.as_ref().map_or(String::new(), |kind| format!(", type = {}", fixed(kind)));
                self.pair("reply", &format!("{{ status = {status}{body}{kind} }}"));
            }
            Lead::Files { root, alias, index, tries, more } => {
                let mut keys = vec![format!("root = {}", fixed(root))];
                keys.extend(alias.then(|| "alias = true".to_owned()));
                keys.extend(match index.as_slice() {
                    [] => None,
                    [index] => Some(format!("index = {}", fixed(index))),
                    names => Some(format!("index = {}", list(names))),
                });
                keys.extend(tries_of(tries));
                keys.extend(tries.fallback.as_ref().map(|fallback| match fallback {
                    Fallback::Status(status) => format!("fallback = {status}"),
                    Fallback::Path(to) => format!("fallback = {}", template(to)),
                    Fallback::Route(name) => format!("fallback = {}", quoted(name)),
                }));
                keys.extend(more.iter().cloned());
                self.pair("files", &table(&keys));
            }
            Lead::Deny => self.pair("deny", "true"),
            Lead::Onward => self.pair("onward", "true"),
        }
        self.rewriting(&route.rewriting);
        self.settings(route, site);
    }

    fn rewriting(&mut self, rewriting: &Rewriting) {
        rewriting.path_to.iter().for_each(|to| self.pair("path_to", &fixed(to)));
        let rules: Vec<_> = rewriting.rules.iter().map(rule_of).collect();
        match rules.as_slice() {
            [] => {}
            [rule] => self.pair("rewrite", &format!("[{rule}]")),
            rules => {
                self.line("rewrite = [");
                rules.iter().for_each(|rule| self.line(&format!("  {rule},")));
                self.line("]");
            }
        }
        let pair =
            |(from, to): &(String, String)| format!("{{ from = {}, to = {} }}", fixed(from), template(to));
        let relocations: Vec<_> = rewriting.relocations.iter().map(pair).collect();
        if !relocations.is_empty() {
            self.pair("relocate", &format!("[{}]", relocations.join(", ")));
        }
    }

    /// What differs from what holds for all.
    fn settings(&mut self, route: &Route, site: &Site) {
        if !route.access_log {
            self.pair("access_log", "false");
        }
        let is_denied = route.lead == Lead::Deny;
        for (key, networks) in [("allow", &route.allow), ("deny_from", &route.deny_from)] {
            if !networks.is_empty() && !is_denied {
                self.pair(key, &list(networks));
            }
        }
        if !is_denied {
            self.access(route);
        }
        self.answers(route);
        let mut headers = Vec::new();
        if route.headers.response != site.headers.response {
            headers.push(format!("response = {}", edits_of(&route.headers.response)));
        }
        if let Lead::Service(name) = &route.lead {
            let pool = site
                .services
                .iter()
                .find(|service| service.name == *name)
                .and_then(|service| service.pools.first());
            if let Some(common) =
                pool.and_then(|pool| pool.timeouts.as_ref()).filter(|common| **common != route.timeouts)
            {
                self.pair("timeouts", &timeouts_of(&route.timeouts, Some(common)));
            }
            if route.headers.request != site.headers.request {
                headers.push(format!("request = {}", edits_of(&route.headers.request)));
            }
        }
        if !headers.is_empty() {
            self.pair("headers", &table(&headers));
        }
        let here =
            |listener: &&Listener| route.listeners.is_empty() || route.listeners.contains(&listener.address);
        let differs = site.listeners.iter().filter(here).any(|listener| listener.body != route.body);
        let mut limits = Vec::new();
        limits.extend((differs && !is_denied).then(|| format!("body = \"{}\"", show_size(route.body))));
        if !route.rates.is_empty() {
            limits.push(format!("rates = {}", list(&route.rates)));
        }
        limits.extend(route.connections_per_client.map(|most| format!("connections_per_client = {most}")));
        if !limits.is_empty() {
            self.pair("limits", &table(&limits));
        }
        if route.error_pages != site.error_pages {
            let pages = by_page(&route.error_pages);
            let page = |(codes, page): &(String, String)| format!("{codes} = {page}");
            self.pair("error_pages", &table(&pages.iter().map(page).collect::<Vec<_>>()));
        }
        if site.compression.is_some() && !route.compression {
            self.pair("compression", "false");
        }
    }

    /// What is asked of clients, beside their addresses.
    fn access(&mut self, route: &Route) {
        if let Some(BasicAuth { realm, file }) = &route.basic_auth {
            let keys = [format!("realm = {}", fixed(realm)), format!("file = {}", fixed(file))];
            self.pair("basic_auth", &table(&keys));
        }
        if let Some(Authorize { service, path, forward }) = &route.authorize {
            let mut keys = vec![format!("service = {}", quoted(service)), format!("path = {}", fixed(path))];
            keys.extend((!forward.is_empty()).then(|| format!("forward = [{}]", forward.join(", "))));
            self.pair("authorize", &table(&keys));
        }
        if route.satisfy_any {
            self.pair("satisfy", "\"any\"");
        }
    }

    fn answers(&mut self, route: &Route) {
        if route.internal {
            self.pair("internal", "true");
        }
        if route.intercept {
            self.pair("intercept", "true");
        }
        route.expires.iter().for_each(|expires| self.pair("expires", &quoted(expires)));
        let Cookies { paths, domains, flags } = &route.cookies;
        for (key, rules) in [("cookie_paths", paths), ("cookie_domains", domains), ("cookie_flags", flags)] {
            match rules.as_slice() {
                [] => {}
                // Of all cookies.
                [flags]
                    if key == "cookie_flags"
                        && !flags.starts_with("{ name")
                        && !flags.starts_with("{ matches") =>
                {
                    self.pair(key, flags);
                }
                rules => self.pair(key, &format!("[{}]", rules.join(", "))),
            }
        }
        route.forwarded.iter().for_each(|forwarded| self.pair("forwarded", forwarded));
    }
}
