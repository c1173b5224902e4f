//! Which route a request takes: by host, then by path, in nginx's order of precedence.
//!
//! Host: the exact name, else the longest `*.` wildcard, else the longest `.*` wildcard, else the first pattern of
//! the file, else the routes without hosts. Path: the first of the routes that are marked so; else an exact
//! match; else the longest prefix, if it is marked final (`^~`); else the first regex in file order;
//! else the longest prefix. A regex that is within a prefix is tried before all that, but for exact paths, and
//! only for paths whose longest prefix that is. `$` in a regex also fits before a line feed at the end, as in
//! PCRE: a path that ends in `%0A` must not pass by what denies the others. A host whose routes do not match the path falls back to the routes without
//! hosts. Where two routes say the same, the one that names the listener wins, then the first of the
//! file. Routes with conditions come before those without of the same path, and are passed over where their
//! conditions do not hold. Looking up allocates nothing.

use super::{PathSpec, RouteSpec};
use crate::core::pattern::Pattern;
use std::collections::HashMap;
use std::net::SocketAddr;

/// All routes, ready to be looked up.
#[derive(Debug, Default)]
pub(super) struct Router {
    /// For listeners that no route names.
    all: Hosts,
    /// For the others, with the routes that are for all of them; few.
    listeners: Vec<(SocketAddr, Hosts)>,
}

/// The routes that count at one listener.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<Box<str>, Paths>,
    /// By the part from the dot on, longest first.
    wildcards: Vec<(Box<str>, Paths)>,
    /// By the part up to the dot, longest first.
    prefixes: Vec<(Box<str>, Paths)>,
    /// In the order of the file.
    patterns: Vec<(Pattern, Paths)>,
    any: Paths,
}

type Regexes = Vec<(Pattern, usize)>;

/// Whether the conditions of a route hold for a request.
type Applies<'a> = dyn Fn(usize) -> bool + 'a;

/// The routes of one path.
#[derive(Debug, Default)]
struct Alternatives {
    /// In the order of the file, before the other.
    conditional: Vec<Leads>,
    always: Option<Leads>,
}

#[derive(Clone, Copy, Debug)]
struct Leads {
    route: usize,
    /// Whether no regex is tried once it is the longest prefix.
    is_final: bool,
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    pub listener: Option<SocketAddr>,
    /// It may carry a port and capitals.
    pub host: &'a str,
    /// In its plain form.
    pub path: &'a str,
    /// Of the routes that come first, those before this index are passed over.
    pub first_from: usize,
}

/// The path of a route that comes first.
#[derive(Debug)]
enum FirstPath {
    Exact(Box<str>),
    Prefix(Box<str>),
    Pattern(Pattern),
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    /// Before all others, in the order of the file.
    first: Vec<(FirstPath, usize)>,
    exact: HashMap<Box<str>, Alternatives>,
    /// Longest first.
    prefixes: Vec<(Box<str>, Alternatives)>,
    /// In the order of the file.
    regexes: Regexes,
    /// Those within a prefix, in the order of the file.
    within: Vec<(Box<str>, Regexes)>,
}

impl Router {
    pub(super) fn new(routes: &[RouteSpec]) -> Self {
        let mut named: Vec<SocketAddr> =
            routes.iter().flat_map(|route| route.listeners.iter().copied()).collect();
        named.sort_unstable();
        named.dedup();
        let at = |listener: SocketAddr| (listener, Hosts::new(routes, Some(listener)));
        Router { all: Hosts::new(routes, None), listeners: named.into_iter().map(at).collect() }
    }

    /// The index of the route for a request.
    pub(super) fn find(&self, sought: Sought<'_>, applies: &Applies<'_>) -> Option<usize> {
        let own = self.listeners.iter().find(|(named, _)| Some(*named) == sought.listener);
        own.map_or(&self.all, |(_, hosts)| hosts).find(sought, applies)
    }
}

impl Hosts {
    fn new(routes: &[RouteSpec], listener: Option<SocketAddr>) -> Self {
        let mut hosts = Hosts::default();
        let all = routes.iter().enumerate();
        let mine = all.clone().filter(|(_, route)| listener.is_some_and(|l| route.listeners.contains(&l)));
        let anywhere = all.filter(|(_, route)| route.listeners.is_empty());
        for (index, route) in mine.chain(anywhere) {
            if route.hosts.is_empty() {
                hosts.any.add(route, index);
            }
            for host in &route.hosts {
                hosts.host(host).add(route, index);
            }
        }
        hosts.wildcards.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        hosts.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let named = hosts.exact.values_mut().chain(hosts.wildcards.iter_mut().map(|(_, paths)| paths));
        let named = named.chain(hosts.prefixes.iter_mut().map(|(_, paths)| paths));
        named.chain(hosts.patterns.iter_mut().map(|(_, paths)| paths)).for_each(Paths::sort);
        hosts.any.sort();
        hosts
    }

    fn find(&self, sought: Sought<'_>, applies: &Applies<'_>) -> Option<usize> {
        let host = without_port(sought.host);
        let named = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            // Rare: clients send host names in lower case.
            self.paths_of(&host.to_ascii_lowercase())
        } else {
            self.paths_of(host)
        };
        named.and_then(|paths| paths.find(sought, applies)).or_else(|| self.any.find(sought, applies))
    }

    fn host(&mut self, host: &str) -> &mut Paths {
        if let Some(pattern) = host.strip_prefix('~').and_then(|pattern| Pattern::new(pattern, true).ok()) {
            return entry(&mut self.patterns, pattern);
        }
        if let Some(suffix) = host.strip_prefix('*') {
            return entry(&mut self.wildcards, suffix.into());
        }
        match host.strip_suffix('*') {
            Some(prefix) => entry(&mut self.prefixes, prefix.into()),
            None => self.exact.entry(host.into()).or_default(),
        }
    }

    fn paths_of(&self, host: &str) -> Option<&Paths> {
        if let Some(exact) = self.exact.get(host) {
            return Some(exact);
        }
        let wildcard = self.wildcards.iter().find(|(s, _)| host.len() > s.len() && host.ends_with(&**s));
        let prefix = || self.prefixes.iter().find(|(p, _)| host.len() > p.len() && host.starts_with(&**p));
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.is_match(host.as_bytes()));
        let wildcard = wildcard.or_else(prefix).map(|(_, paths)| paths);
        wildcard.or_else(|| pattern().map(|(_, paths)| paths))
    }
}

impl Paths {
    /// The first route of the file wins where two say the same.
    fn add(&mut self, route: &RouteSpec, target: usize) {
        if route.is_first {
            return self.first.extend(FirstPath::of(&route.path).map(|path| (path, target)));
        }
        match &route.path {
            PathSpec::Exact(path) => {
                self.exact.entry(path.as_str().into()).or_default().add(route, target);
            }
            PathSpec::Prefix { prefix, .. } => {
                let known = self.prefixes.iter().position(|(known, _)| **known == **prefix);
                let at = known.unwrap_or_else(|| {
                    self.prefixes.push((prefix.as_str().into(), Alternatives::default()));
                    self.prefixes.len() - 1
                });
                self.prefixes[at].1.add(route, target);
            }
            PathSpec::Regex { pattern, ignore_case } => {
                let regex = Pattern::new(pattern, *ignore_case);
                let regexes = match &route.within {
                    Some(prefix) => self.regexes_within(prefix),
                    None => &mut self.regexes,
                };
                regexes.extend(regex.ok().map(|regex| (regex, target)));
            }
            PathSpec::Named(_) => {}
        }
    }

    fn regexes_within(&mut self, prefix: &str) -> &mut Regexes {
        let known = self.within.iter().position(|(other, _)| **other == *prefix);
        let at = known.unwrap_or_else(|| {
            self.within.push((prefix.into(), Vec::new()));
            self.within.len() - 1
        });
        &mut self.within[at].1
    }

    fn sort(&mut self) {
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let within = self.within.iter_mut().map(|(_, regexes)| regexes);
        within.chain([&mut self.regexes]).for_each(|regexes| regexes.sort_by_key(|(_, index)| *index));
        self.first.sort_by_key(|(_, index)| *index);
    }

    fn find(&self, sought: Sought<'_>, applies: &Applies<'_>) -> Option<usize> {
        let Sought { path, first_from, .. } = sought;
        let mut first = self.first.iter().filter(|(_, target)| *target >= first_from);
        if let Some((_, target)) = first.find(|(first, target)| first.fits(path) && applies(*target)) {
            return Some(*target);
        }
        if let Some(target) = self.exact.get(path).and_then(|routes| routes.first(applies)) {
            return Some(target.route);
        }
        let longest = self.prefixes.iter().find_map(|(prefix, routes)| {
            let target = path.starts_with(&**prefix).then(|| routes.first(applies)).flatten()?;
            Some((prefix, target))
        });
        let within = longest.and_then(|(prefix, _)| self.within.iter().find(|(outer, _)| outer == prefix));
        if let Some(target) = within.and_then(|(_, regexes)| first_fitting(regexes, path, applies)) {
            return Some(target);
        }
        if let Some((_, Leads { route, is_final: true })) = longest {
            return Some(route);
        }
        first_fitting(&self.regexes, path, applies).or(longest.map(|(_, target)| target.route))
    }
}

impl Alternatives {
    /// The first route of the file wins where two say the same.
    fn add(&mut self, route: &RouteSpec, at: usize) {
        let target =
            Leads { route: at, is_final: matches!(route.path, PathSpec::Prefix { is_final: true, .. }) };
        match route.when {
            Some(_) => self.conditional.push(target),
            None => self.always = self.always.or(Some(target)),
        }
    }

    fn first(&self, applies: &Applies<'_>) -> Option<Leads> {
        let conditional = self.conditional.iter().copied().find(|target| applies(target.route));
        conditional.or(self.always)
    }
}

impl FirstPath {
    fn of(path: &PathSpec) -> Option<Self> {
        match path {
            PathSpec::Exact(path) => Some(FirstPath::Exact(path.as_str().into())),
            PathSpec::Prefix { prefix, .. } => Some(FirstPath::Prefix(prefix.as_str().into())),
            PathSpec::Regex { pattern, ignore_case } => {
                Pattern::new(pattern, *ignore_case).ok().map(FirstPath::Pattern)
            }
            PathSpec::Named(_) => None,
        }
    }

    fn fits(&self, path: &str) -> bool {
        match self {
            FirstPath::Exact(own) => **own == *path,
            FirstPath::Prefix(own) => path.starts_with(&**own),
            FirstPath::Pattern(pattern) => fits(pattern, path),
        }
    }
}

/// The routes of a host, which are added where there are none yet.
fn entry<K: PartialEq>(list: &mut Vec<(K, Paths)>, key: K) -> &mut Paths {
    let known = list.iter().position(|(other, _)| *other == key);
    let at = known.unwrap_or_else(|| {
        list.push((key, Paths::default()));
        list.len() - 1
    });
    &mut list[at].1
}

fn first_fitting(regexes: &[(Pattern, usize)], path: &str, applies: &Applies<'_>) -> Option<usize> {
    regexes.iter().find(|(regex, target)| fits(regex, path) && applies(*target)).map(|(_, target)| *target)
}

/// To nginx's expressions, `$` is also before a line feed at the end: `/x.php%0a` is no way around `\.php$`.
fn fits(regex: &Pattern, path: &str) -> bool {
    let line = || path.strip_suffix('\n').is_some_and(|line| regex.is_match(line.as_bytes()));
    regex.is_match(path.as_bytes()) || line()
}

/// `example.org:8080` without its port, `[::1]:80` without its port, too, and `example.org.` without the dot
/// that ends a full name.
pub fn without_port(host: &str) -> &str {
    // What stands behind the last colon is short: by hand it is sooner found.
    let digits = host.bytes().rev().take_while(u8::is_ascii_digit).count();
    let name = match host.get(..host.len() - digits).and_then(|rest| rest.strip_suffix(':')) {
        Some(name) if name.ends_with(']') || !name.contains(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use crate::core::condition::Condition;
    use proptest::prelude::*;

    fn prefix(path: &str, is_final: bool) -> PathSpec {
        PathSpec::Prefix { prefix: path.into(), is_final }
    }

    fn regex(pattern: &str, ignore_case: bool) -> PathSpec {
        PathSpec::Regex { pattern: pattern.into(), ignore_case }
    }

    fn spec(hosts: &[&str], path: &PathSpec, listeners: &[&str]) -> RouteSpec {
        RouteSpec {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            listeners: listeners.iter().map(|l| l.parse().expect("an address")).collect(),
            ..RouteSpec::new(path.clone(), Target::Deny)
        }
    }

    fn at<'a>(listener: Option<SocketAddr>, host: &'a str, path: &'a str) -> Sought<'a> {
        Sought { listener, host, path, first_from: 0 }
    }

    fn router(routes: &[(&[&str], PathSpec)]) -> Router {
        let specs: Vec<_> = routes.iter().map(|(hosts, path)| spec(hosts, path, &[])).collect();
        Router::new(&specs)
    }

    #[test]
    fn paths_in_the_order_of_nginx() {
        let router = router(&[
            (&[], PathSpec::Exact("/".into())),
            (&[], prefix("/", false)),
            (&[], prefix("/documents/", false)),
            (&[], prefix("/images/", true)),
            (&[], regex(r"\.(gif|jpg|jpeg)$", true)),
            (&[], regex("^/documents/secret", false)),
        ]);
        for (path, expected) in [
            ("/", 0),
            ("/index.html", 1),
            ("/documents/document.html", 2),
            ("/images/1.gif", 3),
            ("/documents/1.JPG", 4),
            ("/documents/secret.txt", 5),
            ("/documents/secret.gif", 4),
        ] {
            assert_eq!(router.find(at(None, "any.example", path), &|_| true), Some(expected), "{path}");
        }
    }

    #[test]
    fn routes_with_conditions_come_first_and_are_passed_over() {
        let on = |path: PathSpec| RouteSpec { when: Some(Condition::default()), ..spec(&[], &path, &[]) };
        let specs = [
            spec(&[], &prefix("/", false), &[]),
            on(prefix("/", true)),
            on(prefix("/", false)),
            on(PathSpec::Exact("/x".into())),
            spec(&[], &prefix("/api/", false), &[]),
            on(prefix("/api/v2/", false)),
            on(regex("[.]php$", false)),
        ];
        let router = Router::new(&specs);
        for (path, holding, expected) in [
            ("/x", &[][..], 0),
            ("/x", &[3], 3),
            ("/x", &[1, 2], 1),
            ("/x", &[2], 2),
            ("/api/v2/users", &[5], 5),
            ("/api/v2/users", &[], 4),
            ("/a.php", &[6], 6),
            ("/a.php", &[2], 2),
            ("/a.php", &[1, 6], 1),
            ("/api/v2/a.php", &[5, 6], 6),
        ] {
            let found =
                router.find(at(None, "x", path), &|at| specs[at].when.is_none() || holding.contains(&at));
            assert_eq!(found, Some(expected), "{path} {holding:?}");
        }
    }

    #[test]
    fn hosts_exact_then_wildcard_then_any() {
        let router = router(&[
            (&["a.example.org"], prefix("/", false)),
            (&["*.example.org"], prefix("/", false)),
            (&["*.b.example.org"], prefix("/only", false)),
            (&[], prefix("/", false)),
        ]);
        for (host, path, expected) in [
            ("a.example.org", "/", 0),
            ("A.Example.ORG:8443", "/", 0),
            ("a.example.org.:80", "/", 0),
            ("x.example.org", "/", 1),
            ("x.b.example.org", "/only", 2),
            ("x.b.example.org", "/else", 3),
            ("example.org", "/", 3),
            ("[::1]:80", "/", 3),
            ("", "/", 3),
        ] {
            assert_eq!(router.find(at(None, host, path), &|_| true), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn wildcards_at_the_end_and_patterns_come_after_those_in_front() {
        let slash = prefix("/", false);
        let router = router(&[
            (&["~^(a|mail)[.]"], slash.clone()),
            (&["mail.*"], slash.clone()),
            (&["mail.b.*"], slash.clone()),
            (&["*.example.org"], slash.clone()),
            (&["~^(?!x)[a-z]+[.]dev$"], slash),
        ]);
        for (host, expected) in [
            ("mail.example.org", Some(3)),
            ("mail.example.com", Some(1)),
            ("Mail.B.example:80", Some(2)),
            ("A.dev", Some(0)),
            ("b.dev", Some(4)),
            ("x.dev", None),
            ("mail.", None),
        ] {
            assert_eq!(router.find(at(None, host, "/"), &|_| true), expected, "{host}");
        }
    }

    #[test]
    fn what_comes_first_comes_before_all_others_of_its_host() {
        let first = |hosts: &[&str], path| RouteSpec { is_first: true, ..spec(hosts, &path, &[]) };
        let router = Router::new(&[
            spec(&["a"], &PathSpec::Exact("/x".into()), &[]),
            first(&["a"], prefix("/", false)),
            first(&["a"], regex("[.]php$", false)),
            spec(&[], &prefix("/", false), &[]),
            first(&[], PathSpec::Exact("/y".into())),
        ]);
        let find = |host, path, first_from, but: usize| {
            router.find(Sought { first_from, ..at(None, host, path) }, &|at| at != but)
        };
        assert_eq!(
            (find("a", "/x", 0, 9), find("a", "/x", 0, 1), find("a", "/x", 2, 9)),
            (Some(1), Some(0), Some(0))
        );
        assert_eq!((find("a", "/x.php", 0, 1), find("a", "/x.php", 3, 9)), (Some(2), Some(3)));
        assert_eq!((find("b", "/y", 0, 9), find("b", "/y", usize::MAX, 9)), (Some(4), Some(3)));
    }

    #[test]
    fn a_regex_within_a_prefix_counts_for_the_paths_of_that_prefix_only() {
        let within = |pattern: &str, prefix: &str| RouteSpec {
            within: Some(prefix.to_owned()),
            ..spec(&[], &regex(pattern, false), &[])
        };
        let router = Router::new(&[
            spec(&[], &prefix("/", false), &[]),
            spec(&[], &prefix("/a/", true), &[]),
            spec(&[], &prefix("/a/b/", false), &[]),
            within(r"\.php$", "/a/"),
            spec(&[], &regex(r"\.(php|css)$", false), &[]),
            spec(&[], &PathSpec::Exact("/a/exact.php".into()), &[]),
        ]);
        for (path, expected) in [
            ("/a/x.php", 3),
            ("/a/x.php\n", 3),
            ("/a/x.css", 1),
            ("/a/b/x.php", 4),
            ("/x.php", 4),
            ("/x.php\n", 4),
            ("/x.php\n\n", 0),
            ("/a/exact.php", 5),
        ] {
            assert_eq!(router.find(at(None, "any.example", path), &|_| true), Some(expected), "{path:?}");
        }
    }

    #[test]
    fn nothing_matches_nothing() {
        let router = router(&[(&["a.example"], prefix("/api/", false))]);
        assert_eq!(router.find(at(None, "a.example", "/"), &|_| true), None);
        assert_eq!(router.find(at(None, "b.example", "/api/"), &|_| true), None);
    }

    #[test]
    fn a_listener_has_its_own_routes_and_those_for_all() {
        let slash = prefix("/", false);
        let (http, https) = ("0.0.0.0:80", "0.0.0.0:443");
        let routes = [
            spec(&[], &slash, &[]),
            spec(&[], &slash, &[http]),
            spec(&[], &PathSpec::Exact("/health".into()), &[http, https]),
            spec(&["a.example"], &slash, &[https]),
        ];
        let router = Router::new(&routes);
        for (listener, host, path, expected) in [
            (http, "a.example", "/", 1),
            (http, "a.example", "/health", 2),
            (https, "a.example", "/", 3),
            (https, "b.example", "/", 0),
            (https, "b.example", "/health", 2),
            ("0.0.0.0:8080", "a.example", "/health", 0),
        ] {
            let found = router.find(at(listener.parse().ok(), host, path), &|_| true);
            assert_eq!(found, Some(expected), "{listener} {host}{path}");
        }
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(prefixes in prop::collection::vec("/[ab/]{0,4}", 1..10), path in "/[ab/]{0,8}") {
            let routes: Vec<_> = prefixes.iter().map(|p| (&[][..], prefix(p, false))).collect();
            let fits = prefixes.iter().enumerate().filter(|(_, p)| path.starts_with(p.as_str()));
            let longest = fits.map(|(n, p)| (p.len(), std::cmp::Reverse(n))).max().map(|(_, n)| n.0);
            prop_assert_eq!(router(&routes).find(at(None, "x", &path), &|_| true), longest);
        }
    }
}
