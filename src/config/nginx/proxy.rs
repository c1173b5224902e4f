//! `proxy_pass` and the settings of proxying.

use super::Import;
use super::locations::Kind;
use super::scope::Scope;
use super::site::{Lead, Rewriting, Speech, Then, Timeouts};
use super::spot::Spot;
use super::tree::Directive;
use super::values::{self, LONGEST, Piece, pieces, time};
use crate::core::route::{Rewritten, decoded};
use std::time::Duration;

impl<'a> Import<'a> {
    pub(super) fn proxied(
        &mut self,
        pass: &'a Directive,
        spot: &Spot<'a>,
        rewriting: &mut Rewriting,
        comments: &mut Vec<String>,
    ) -> Lead {
        self.common(&spot.scope);
        let refuse = |import: &Self, comments: &mut Vec<String>, why: &str| {
            import.ledger.unanswered(pass, why);
            comments.push(format!("{} {}: {why}", pass.name, pass.arg(0)));
            Lead::not_imported(&pass.place)
        };
        let settled = self.settled(pass.arg(0));
        let target = settled.as_str();
        let spoken = match (pass.name.as_str(), target.split_once("://")) {
            ("grpc_pass", None) => Some((target, false)),
            (_, Some(("http" | "grpc", rest))) => Some((rest, false)),
            (_, Some(("https" | "grpcs", rest))) => Some((rest, true)),
            _ => None,
        };
        let Some((rest, is_tls)) = spoken else {
            let why = "a service is spoken to by http, https, grpc or grpcs; write which, and to whom";
            return refuse(self, comments, why);
        };
        let tls = is_tls.then(|| self.upstream_tls(&spot.scope, pass));
        let speech = Speech { http2: pass.name == "grpc_pass", tls };
        let (authority, uri) = split(rest);
        if pieces(authority).iter().any(|piece| matches!(piece, Piece::Variable(_))) || !begins_a_path(uri) {
            let chosen = match pieces(authority).as_slice() {
                [Piece::Variable(name)] if uri.is_empty() && !self.bindings.is_set(name) => {
                    self.choice(name, pass, &speech)
                }
                _ => None,
            };
            let Some(service) = chosen else {
                return refuse(
                    self,
                    comments,
                    "a route names its service; give every value of the variable a route or a pool",
                );
            };
            self.ledger.carried(pass);
            return Lead::Service(service);
        }
        // The service is made all the same, so that only the route is left to write.
        let service = self.service(authority, pass, &speech);
        // What a variable says of the path is the whole of it.
        let is_whole = values::has_variables(pass.arg(0));
        if let Err(why) = self.pass_path(spot, uri, is_whole, rewriting) {
            return refuse(self, comments, &why);
        }
        match service {
            Some(service) => {
                self.ledger.carried(pass);
                let scheme = if is_tls { "https" } else { "http" };
                let origin = format!("{scheme}://{authority}");
                rewriting.relocations = self.relocations(spot, &origin, uri);
                Lead::Service(service)
            }
            None => refuse(self, comments, "it has no upstream that can be spoken to"),
        }
    }

    /// What the path in a `proxy_pass` makes of a request's.
    fn pass_path(
        &self,
        spot: &Spot<'a>,
        uri: &str,
        is_whole: bool,
        rewriting: &mut Rewriting,
    ) -> Result<(), String> {
        if uri.is_empty() || (uri == "$request_uri" && rewriting.rules.is_empty()) {
            return Ok(());
        }
        // The path that the rules have made.
        if uri == "$uri" && rewriting.rules.last().is_some_and(|rule| rule.then == Then::Stay) {
            return Ok(());
        }
        if is_whole {
            if !rewriting.rules.is_empty() {
                return Err(
                    "a path with variables goes with no rewrite; write the whole of it as one".to_owned()
                );
            }
            let pattern = match &spot.kind {
                Kind::Regex { pattern, ignore_case: true } => format!("(?i){pattern}"),
                Kind::Regex { pattern, ignore_case: false } => pattern.clone(),
                _ => "^".to_owned(),
            };
            rewriting.rules.push(self.passed(&pattern, uri)?);
            return Ok(());
        }
        let plain = decoded(uri).ok().filter(|plain| Rewritten::new(plain, b"").is_ok());
        if spot.kind.prefix().is_none() || plain.is_none() || uri.contains(['?', '#']) {
            return Err("a path replaces that of a prefix or of an exact path, and has no query; write it as `rewrite`".to_owned());
        }
        rewriting.path_to = Some(uri.to_owned());
        Ok(())
    }

    /// `proxy_redirect`. Unless told otherwise, nginx puts the location in place of what `proxy_pass` says; an
    /// upstream that is told the site's own host never hears of that.
    fn relocations(&self, spot: &Spot<'a>, origin: &str, uri: &str) -> Vec<(String, String)> {
        let own = || match (uri, spot.kind.prefix()) {
            ("", _) | (_, None) => (format!("{origin}/"), "/".to_owned()),
            (uri, Some(path)) => (format!("{origin}{uri}"), path.replace('$', "$$")),
        };
        // Of a socket in the file system nobody makes a link.
        if spot.scope.handler("proxy_pass").is_none() || origin.contains("://unix:") {
            return Vec::new();
        }
        let lines = spot.scope.all("proxy_redirect");
        let hosts = spot.scope.all("proxy_set_header");
        let tells_host = hosts.iter().any(|line| line.arg(0).eq_ignore_ascii_case("host"));
        if lines.is_empty() {
            let is_own = !tells_host && !values::has_variables(uri);
            return is_own.then(own).into_iter().filter(|(_, to)| is_place(to)).collect();
        }
        let mut relocations = Vec::new();
        for line in lines {
            let (from, to) = match line.arg(0) {
                "off" => {
                    self.ledger.carried(line);
                    continue;
                }
                "default" => own(),
                from @ ("http://" | "https://")
                    if matches!(line.arg(1), "http://" | "https://" | "$scheme://") =>
                {
                    (from.to_owned(), line.arg(1).to_owned())
                }
                from => match self.place(line.arg(1)) {
                    Ok(to) => (from.to_owned(), to),
                    Err(why) => {
                        self.ledger.missing(line, &why);
                        continue;
                    }
                },
            };
            let begins = ["/", "http://", "https://"].iter().any(|start| from.starts_with(start));
            if !begins || values::has_variables(&from) || !is_place(&to) {
                self.ledger.missing(
                    line,
                    "a place begins with a fixed text; let the application know its public address",
                );
                continue;
            }
            self.ledger.carried(line);
            relocations.push((from, to));
        }
        relocations
    }

    /// Settings that Pointsman has anyway, or has in another way.
    fn common(&mut self, scope: &Scope<'a>) {
        let ledger = &self.ledger;
        if let Some(version) = scope.last("proxy_http_version") {
            match version.arg(0) {
                "1.1" => ledger.carried(version),
                _ => ledger.noted(version, "upstreams are spoken to in HTTP/1.1"),
            }
        }
        for name in ["proxy_cache", "proxy_pass_request_headers"] {
            if let Some(line) = scope.last(name).filter(|line| {
                matches!((line.arg(0), name), ("off", _) if name != "proxy_pass_request_headers")
                    || (name == "proxy_pass_request_headers" && line.is_on())
            }) {
                ledger.carried(line);
            }
        }
    }

    pub(super) fn timeouts(&self, scope: &Scope<'a>) -> Timeouts {
        let prefix = if scope.handler("grpc_pass").is_some() { "grpc" } else { "proxy" };
        let read = |name: &str| {
            let Some(line) = scope.last(&format!("{prefix}_{name}")) else { return Duration::from_secs(60) };
            match time(line.arg(0)).filter(|time| !time.is_zero()) {
                Some(value) if value <= LONGEST => {
                    self.ledger.carried(line);
                    value
                }
                Some(_) => {
                    self.ledger.noted(line, "30d is the longest");
                    LONGEST
                }
                None => {
                    self.ledger.missing(line, "write a time such as 60s");
                    Duration::from_secs(60)
                }
            }
        };
        Timeouts { connect: read("connect_timeout"), read: read("read_timeout"), write: read("send_timeout") }
    }
}

/// Whom a `proxy_pass` names, and the path behind it. That of a socket in the file system begins after a colon:
/// `unix:/run/app.sock:/path`.
fn split(rest: &str) -> (&str, &str) {
    if let Some(path) = rest.strip_prefix("unix:") {
        let (socket, uri) = path.split_once(':').unwrap_or((path, ""));
        return (&rest[.."unix:".len() + socket.len()], uri);
    }
    let ends = |c: char| c == '/' || (c == '$' && !rest.starts_with('$'));
    rest.split_at(rest.find(ends).unwrap_or(rest.len()))
}

/// Whether what follows the host is a path, whatever its variables are: another variable may be more of the
/// host's name.
fn begins_a_path(uri: &str) -> bool {
    match pieces(uri).first() {
        Some(Piece::Variable(name)) => matches!(*name, "uri" | "request_uri" | "document_uri"),
        Some(Piece::Text(text)) => text.starts_with(['/', '?']),
        None => true,
    }
}

/// Whether a redirect may go there.
fn is_place(to: &str) -> bool {
    !to.starts_with("//") && !to.starts_with("/\\") && !to.starts_with("/$") && !to.contains(char::is_control)
}
