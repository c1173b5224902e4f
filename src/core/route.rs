//! Routes: what a request is matched by, where it leads, and what holds on the way.

mod access;
mod cookies;
mod error_page;
mod files;
mod label;
mod relocation;
mod replacement;
mod rewriting;
mod rewritten;
mod router;

pub use access::{Authorize, BasicAuth, GrantedField, RouteAccess, Satisfy, SignIn};
pub use cookies::{CookieFlags, CookieName, CookiePath, CookieRules, SameSite};
pub use error_page::{ErrorPage, ErrorPages, PageSource, PageStatus};
pub use files::{Autoindex, Fallback, FileCandidate, Files, Symlinks};
pub use relocation::Relocation;
pub use replacement::Replacement;
pub use rewriting::{Base, RewriteRule, Rewriting, Then, Turn};
pub use rewritten::{Current, Rewritten};
pub use router::{Sought, without_port};

use super::condition::Condition;
use super::expires::ExpiryRule;
use super::headers::{Edits, Headers};
pub use super::path::{BadPath, decoded, normalized, plain};
use super::settings::forwarded::Forwarded;
use super::settings::transfer::Timeouts;
use super::template::Template;
use bytes::Bytes;
use http::HeaderValue;
use ipnet::IpNet;
use router::Router;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// One route as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSpec {
    /// Lower-case host names, `*.example.org` for any name below; empty means any host.
    pub hosts: Vec<String>,
    pub path: PathSpec,
    /// Whether it comes before all other routes of its hosts, whatever their paths.
    pub is_first: bool,
    /// What must hold of a request, too; a route whose conditions do not hold is as if it were not there.
    pub when: Option<Condition>,
    /// The prefix that a regex is tried within, before all others: only for paths whose longest prefix it is.
    pub within: Option<String>,
    /// As configured; empty means all.
    pub listeners: Vec<SocketAddr>,
    pub target: Target,
    /// What becomes of the path before it goes there.
    pub rewriting: Rewriting,
    /// What becomes of the places that the upstream redirects to; the first that fits counts.
    pub relocations: Vec<Relocation>,
    /// What becomes of the cookies of the upstream, where anything does.
    pub cookies: Option<Box<CookieRules>>,
    pub clients: Clients,
    /// What is asked of them beside that, where anything is.
    pub access: Option<Box<RouteAccess>>,
    pub access_log: bool,
    /// Whether its attempts are evidence for or against the pools that serve it.
    pub measure: bool,
    pub timeouts: OwnTimeouts,
    /// Largest request body in bytes, in place of the listener's.
    pub max_body: Option<u64>,
    /// Bytes a second that a request body must bring, in place of the listener's; 0 is any.
    pub body_rate: Option<u64>,
    /// The limits of rates, by name; all of them apply.
    pub rates: Vec<String>,
    /// Requests that a client may have under way; 0 is no limit.
    pub connections_per_client: u32,
    /// Whether answers may be compressed.
    pub compression: bool,
    /// What the upstream learns of the client, in place of what its pool says.
    pub forwarded: Option<Forwarded>,
    pub headers: Headers,
    /// Until when its successes may be kept, in place of what they say themselves.
    pub expires: Option<ExpiryRule>,
    /// In place of those for all routes, where there are any.
    pub error_pages: Option<ErrorPages>,
    /// Whether answers of its upstream from 300 on that have an error page are replaced by it, too.
    pub intercept: bool,
    /// Whether only requests that other routes, error pages or applications send on get here; others get 404.
    pub internal: bool,
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq)]
pub enum PathSpec {
    /// `= /x`
    Exact(String),
    /// `/x`; final, `^~ /x`: no regex is tried once this prefix is the longest.
    Prefix { prefix: String, is_final: bool },
    /// `~ re`, or `~* re` without regard to case. Already known to compile.
    Regex { pattern: String, ignore_case: bool },
    /// `@name`: no path matches it; fallbacks, error pages and applications name it.
    Named(String),
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A service, by name.
    Service(String),
    /// The one call of the admin API that may be opened.
    Admin,
    Redirect(Redirect),
    Reply(Reply),
    Files(Files),
    /// 403, to everybody.
    Deny,
    /// On to the other routes, with what its rules have made of the path.
    Onward,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// The status of a reply that is none: the client's connection is closed without a word, as nginx does for it.
pub const NO_ANSWER: u16 = 444;

/// A fixed answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: ReplyBody,
    pub content_type: HeaderValue,
}

/// What a fixed answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyBody {
    Fixed(Bytes),
    Template(Template),
}

/// Whom a route serves; everybody where both are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clients {
    /// Where there are any, nobody else.
    pub allow: Vec<IpNet>,
    /// Never these.
    pub deny: Vec<IpNet>,
}

/// In place of the pool's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnTimeouts {
    pub connect: Option<Duration>,
    pub read: Option<Duration>,
    pub write: Option<Duration>,
    /// In place of the listener's: silence within a request's body; [`Duration::MAX`] is any.
    pub body: Option<Duration>,
}

/// All routes, and what holds for every one of them.
#[derive(Debug, Default)]
pub struct Routes {
    /// In file order.
    specs: Vec<RouteSpec>,
    router: Router,
    /// The routes with names.
    named: HashMap<String, usize>,
    /// For routes without changes of their own.
    pub headers: Headers,
    /// What is shown in place of errors, by status.
    pub error_pages: ErrorPages,
}

impl RouteSpec {
    /// For any host and listener, and with nothing of its own.
    pub fn new(path: PathSpec, target: Target) -> Self {
        RouteSpec {
            hosts: Vec::new(),
            path,
            is_first: false,
            when: None,
            within: None,
            listeners: Vec::new(),
            target,
            rewriting: Rewriting::default(),
            relocations: Vec::new(),
            cookies: None,
            clients: Clients::default(),
            access: None,
            access_log: true,
            measure: true,
            timeouts: OwnTimeouts::default(),
            max_body: None,
            body_rate: None,
            rates: Vec::new(),
            connections_per_client: 0,
            compression: true,
            forwarded: None,
            headers: Headers::default(),
            expires: None,
            error_pages: None,
            intercept: false,
            internal: false,
        }
    }
}

impl Clients {
    /// Whether a client is on a list of those that are let in. Where there is none, nobody is.
    pub fn welcome(&self, client: IpAddr) -> bool {
        !self.allow.is_empty() && self.admit(client)
    }

    pub fn admit(&self, client: IpAddr) -> bool {
        // A client whom nobody knows is on every list that shuts out, and on none that lets in.
        if client.is_unspecified() && !(self.allow.is_empty() && self.deny.is_empty()) {
            return false;
        }
        let holds = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&client));
        !holds(&self.deny) && (self.allow.is_empty() || holds(&self.allow))
    }
}

impl RouteSpec {
    /// Whether all requests that find it stay on it as they are.
    pub fn keeps(&self) -> bool {
        self.rewriting.is_none() && !self.internal && !self.is_first
    }

    /// Whether a client may come in, as far as its address says: where one thing is enough, it may still show another.
    #[inline]
    pub fn admits(&self, client: IpAddr) -> bool {
        let has_another = self.access.as_ref().is_some_and(|access| access.satisfy == Satisfy::Any);
        has_another || self.clients.admit(client)
    }
}

impl OwnTimeouts {
    pub fn over(self, pool: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(pool.connect),
            read: self.read.unwrap_or(pool.read),
            write: self.write.unwrap_or(pool.write),
        }
    }
}

impl Routes {
    pub fn new(specs: Vec<RouteSpec>, headers: Headers, error_pages: ErrorPages) -> Self {
        let name = |(index, spec): (usize, &RouteSpec)| match &spec.path {
            PathSpec::Named(name) => Some((name.clone(), index)),
            _ => None,
        };
        let named = specs.iter().enumerate().filter_map(name).collect();
        Routes { router: Router::new(&specs), named, specs, headers, error_pages }
    }

    /// In file order.
    pub fn specs(&self) -> &[RouteSpec] {
        &self.specs
    }

    pub fn spec(&self, index: usize) -> Option<&RouteSpec> {
        self.specs.get(index)
    }

    /// The index of the route for a request; `holds` is asked of the conditions of routes that have some.
    pub fn find(&self, sought: Sought<'_>, holds: impl Fn(&Condition) -> bool) -> Option<usize> {
        let applies =
            |index: usize| self.specs.get(index).and_then(|spec| spec.when.as_ref()).is_none_or(&holds);
        self.router.find(sought, &applies)
    }

    /// The index of the route with a name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// The page for an error on a route, or on none.
    pub fn error_page<'a>(&'a self, route: Option<&'a RouteSpec>, status: u16) -> Option<&'a Arc<ErrorPage>> {
        let own = route.and_then(|route| route.error_pages.as_ref());
        own.unwrap_or(&self.error_pages).get(&status)
    }

    /// What is changed on answers of a route, or of none.
    pub fn response_edits<'a>(&'a self, route: Option<&'a RouteSpec>) -> Option<&'a Edits> {
        route.and_then(|route| route.headers.response.as_ref()).or(self.headers.response.as_ref())
    }

    /// What is changed on requests of a route to its upstream.
    pub fn request_edits<'a>(&'a self, route: Option<&'a RouteSpec>) -> Option<&'a Edits> {
        route.and_then(|route| route.headers.request.as_ref()).or(self.headers.request.as_ref())
    }
}

/// The router follows from the routes.
impl PartialEq for Routes {
    fn eq(&self, other: &Self) -> bool {
        self.specs == other.specs && self.headers == other.headers && self.error_pages == other.error_pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_admitted_by_network() {
        let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("a network")).collect::<Vec<_>>();
        let admits = |allow: &[&str], deny: &[&str], client: &str| {
            Clients { allow: nets(allow), deny: nets(deny) }.admit(client.parse().expect("an address"))
        };
        assert!(admits(&[], &[], "192.0.2.1"));
        assert!(admits(&["10.0.0.0/8"], &[], "10.1.1.1") && !admits(&["10.0.0.0/8"], &[], "192.0.2.1"));
        assert!(!admits(&["10.0.0.0/8"], &["10.6.0.0/16"], "10.6.1.1"));
        assert!(!admits(&[], &["192.0.2.0/24"], "192.0.2.1") && admits(&[], &["192.0.2.0/24"], "::1"));
    }

    #[test]
    fn a_routes_own_changes_replace_the_common_ones_by_direction() {
        let edits = |name: &'static str| Edits {
            remove: vec![http::HeaderName::from_static(name)],
            ..Edits::default()
        };
        let common = Headers { response: Some(edits("a")), request: Some(edits("b")) };
        let mut own = RouteSpec::new(PathSpec::Exact("/".into()), Target::Deny);
        own.headers.response = Some(Edits::default());
        let routes = Routes::new(vec![own], common, ErrorPages::new());
        let route = routes.spec(0);
        assert_eq!(routes.response_edits(route), Some(&Edits::default()));
        assert_eq!(routes.request_edits(route), Some(&edits("b")));
        assert_eq!(routes.response_edits(None), Some(&edits("a")));
    }
}
