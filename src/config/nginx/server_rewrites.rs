//! `rewrite` of a whole server → routes by regex before those of its locations.
//!
//! nginx tries them before any location is chosen, and only then. A route by regex comes after exact paths
//! and final prefixes, and is tried again where the path has changed. Where that would make a difference, what
//! it may fit answers 501: what it leads away from would be served otherwise.

use super::Import;
use super::locations::Kind;
use super::patterns::translated;
use super::servers::Server;
use super::site::{Lead, Rewriting, Route, Rule, Then};
use super::spot::Spot;
use super::tree::Directive;

impl<'a> Import<'a> {
    /// `taken` are exact paths that have routes beside the locations.
    pub(super) fn server_rewrites(
        &mut self,
        server: &Server<'a>,
        spots: &mut [Spot<'a>],
        taken: &[&str],
        hosts: &[String],
        listeners: &[String],
    ) {
        let lines: Vec<&'a Directive> =
            server.scope.block().iter().take_while(|d| d.name != "return").collect();
        let lines: Vec<&'a Directive> = lines.into_iter().filter(|line| line.name == "rewrite").collect();
        let all = lines.iter().position(|line| self.redirect_of_all(server, line).is_some());
        let answers = all.is_some() || server.scope.own("return").is_some();
        let lines = lines.get(..all.unwrap_or(lines.len())).unwrap_or_default();
        for (index, line) in lines.iter().copied().enumerate() {
            let rule = self.rule(server, line).and_then(|rule| {
                before_locations(&rule, spots, taken)?;
                if !matches!(rule.then, Then::Redirect(_)) {
                    only_once(&rule, index, lines, answers)?;
                }
                Ok(rule)
            });
            match rule {
                Ok(rule) => self.server_rewrite(server, line, rule, hosts, listeners),
                Err(why) => {
                    let why = format!(
                        "{why}; what it may fit answers 501, or is denied, until it stands in `rewrite` of the routes it is for"
                    );
                    self.ledger.missing(line, &why);
                    self.barrier(server, line, spots, hosts, listeners);
                }
            }
        }
    }

    /// In place of a rewrite that cannot be expressed.
    fn barrier(
        &mut self,
        server: &Server<'a>,
        line: &'a Directive,
        spots: &mut [Spot<'a>],
        hosts: &[String],
        listeners: &[String],
    ) {
        let pattern = translated(line.arg(0)).pattern;
        let why =
            format!("the {} of {} may lead away from here, and was not carried over", line.name, line.place);
        let regex = regex::Regex::new(&pattern).ok();
        let start = start(&pattern);
        for spot in spots {
            let is_before = match &spot.kind {
                Kind::Exact(path) => regex.as_ref().is_none_or(|regex| regex.is_match(path)),
                Kind::Final(prefix) => meet(&start, prefix),
                // It is tried before those of the server.
                Kind::Regex { .. } => spot.within.as_ref().is_some_and(|prefix| meet(&start, prefix)),
                Kind::Prefix(_) | Kind::Named => false,
            };
            if is_before {
                spot.closed.get_or_insert_with(|| why.clone());
            }
        }
        let lead = Lead::not_imported(&line.place);
        let spot = Spot::new(Some(line), server.scope.clone(), Kind::Prefix("/".into()));
        let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, lead);
        self.site.routes.push(Route { path: format!("~ {pattern}"), comments: vec![why], ..route });
    }

    fn server_rewrite(
        &mut self,
        server: &Server<'a>,
        line: &'a Directive,
        rule: Rule,
        hosts: &[String],
        listeners: &[String],
    ) {
        self.ledger.carried(line);
        let then = if matches!(rule.then, Then::Redirect(_)) { rule.then } else { Then::Route };
        let path = format!("~ {}", rule.pattern);
        let rewriting = Rewriting { rules: vec![Rule { then, ..rule }], ..Rewriting::default() };
        let spot = Spot::new(Some(line), server.scope.clone(), Kind::Prefix("/".into()));
        let route = self.plain_route(server, &spot, hosts.to_vec(), listeners, Lead::status(404));
        let comments = vec!["of the whole server: before its locations".to_owned()];
        self.site.routes.push(Route { path, comments, rewriting, ..route });
    }
}

/// No route that comes before a regex takes what the rule is for.
fn before_locations(rule: &Rule, spots: &[Spot<'_>], taken: &[&str]) -> Result<(), String> {
    let pattern = regex::Regex::new(&rule.pattern).map_err(|_| "its regex cannot be used".to_owned())?;
    let start = start(&rule.pattern);
    let takes = |spot: &&Spot<'_>| match &spot.kind {
        Kind::Exact(path) => pattern.is_match(path),
        Kind::Final(prefix) => meet(&start, prefix),
        Kind::Regex { .. } => spot.within.as_ref().is_some_and(|prefix| meet(&start, prefix)),
        _ => false,
    };
    let first = spots.iter().find(takes).map(|spot| spot.kind.path());
    let first =
        first.or_else(|| taken.iter().find(|path| pattern.is_match(path)).map(|path| format!("= {path}")));
    match first {
        Some(first) => Err(format!("the route {first} comes before it")),
        None => Ok(()),
    }
}

/// What the rule makes of a path fits neither itself nor one that nginx would not try again.
fn only_once(rule: &Rule, index: usize, lines: &[&Directive], answers: bool) -> Result<(), String> {
    if answers {
        return Err("all paths are answered by the same".to_owned());
    }
    let made = rule.to.split(['?', '$']).next().unwrap_or_default();
    let is_whole = !rule.to.split('?').next().unwrap_or_default().contains('$');
    for (other, line) in lines.iter().enumerate() {
        if other > index && rule.then == Then::Next {
            continue;
        }
        let pattern = line.arg(0);
        let fits = match regex::Regex::new(pattern) {
            Ok(pattern) if is_whole => pattern.is_match(made),
            _ => meet(&start(pattern), made),
        };
        if fits {
            return Err(format!(
                "nginx tries it once, a route would try the rewrite of line {} again",
                line.place.line
            ));
        }
    }
    Ok(())
}

/// What all that a pattern fits begins with.
fn start(pattern: &str) -> String {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return String::new();
    };
    let plain = |c: &char| c.is_ascii_alphanumeric() || "/-_%~:@!,;=&".contains(*c);
    let mut start: String = rest.chars().take_while(plain).collect();
    if rest.get(start.len()..).is_some_and(|next| next.starts_with(['*', '?', '{'])) {
        start.pop();
    }
    start
}

/// Whether something may begin with both.
fn meet(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_begin_with_what_is_plain() {
        for (pattern, expected) in [
            ("^/old/(.*)$", "/old/"),
            ("^/olds?$", "/old"),
            ("^/a|^/b", ""),
            ("/old", ""),
            ("^/x.html$", "/x"),
            ("^(/a|/b)", ""),
            ("^/x{2}", "/"),
        ] {
            assert_eq!(start(pattern), expected, "{pattern}");
        }
        assert!(meet("/a", "/a/b") && meet("/a/b", "") && !meet("/a", "/b"));
    }
}
