//! `proxy_pass` and the settings of proxying.

use super::Import;
use super::lead::Spot;
use super::scope::Scope;
use super::site::{Lead, Speech, Timeouts};
use super::tree::Directive;
use super::values::{self, LONGEST, Piece, pieces, time};
use std::time::Duration;

impl<'a> Import<'a> {
    pub(super) fn proxied(
        &mut self,
        pass: &'a Directive,
        spot: &Spot<'a>,
        comments: &mut Vec<String>,
    ) -> Lead {
        self.common(&spot.scope);
        let refuse = |import: &Self, comments: &mut Vec<String>, why: &str| {
            import.ledger.missing(pass, &format!("{why}; the route answers 501 until then"));
            comments.push(format!("{} {}: {why}", pass.name, pass.arg(0)));
            Lead::not_imported(&pass.place)
        };
        let target = pass.arg(0);
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
        let (authority, uri) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if let [Piece::Variable(name), tail @ ..] = pieces(authority).as_slice() {
            let chosen =
                if tail.is_empty() && uri.is_empty() { self.choice(name, pass, &speech) } else { None };
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
        let is_whole = uri.is_empty() || spot.kind.prefix() == Some(uri);
        if values::has_variables(rest) || !is_whole {
            // The service is made all the same, so that only the route is left to write.
            let _ = self.service(authority, pass, &speech);
            return refuse(
                self,
                comments,
                "paths are passed on as they are; let the upstream take the whole path",
            );
        }
        match self.service(authority, pass, &speech) {
            Some(service) => {
                self.ledger.carried(pass);
                Lead::Service(service)
            }
            None => refuse(self, comments, "it has no upstream that can be spoken to over TCP"),
        }
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
        for name in ["proxy_buffering", "proxy_request_buffering"] {
            let Some(line) = scope.last(name) else { continue };
            match line.is_on() {
                true => {
                    ledger.noted(line, "bodies are streamed both ways with bounded buffers, not collected")
                }
                false => ledger.carried(line),
            }
        }
        if let Some(line) = scope.last("proxy_redirect") {
            match line.arg(0) {
                "off" => ledger.carried(line),
                "default" => ledger.noted(line, "Location is passed on as it is"),
                _ => ledger.missing(
                    line,
                    "Location is passed on as it is; let the application know its public address",
                ),
            }
        }
        if let Some(line) = scope.last("proxy_next_upstream") {
            let safe = line.args.iter().all(|arg| matches!(arg.as_str(), "error" | "timeout" | "off"));
            match safe {
                true => ledger.carried(line),
                false => ledger.noted(line, "another upstream is tried where it is safe: for idempotent requests, and where nothing was sent"),
            }
        }
        for name in ["proxy_next_upstream_tries", "proxy_next_upstream_timeout"] {
            if let Some(line) = scope.last(name) {
                ledger.noted(line, "tries of the pool bounds the attempts");
            }
        }
        for name in ["proxy_intercept_errors", "proxy_cache", "proxy_pass_request_headers"] {
            if let Some(line) = scope.last(name).filter(|line| {
                matches!((line.arg(0), name), ("off", _) if name != "proxy_pass_request_headers")
                    || (name == "proxy_pass_request_headers" && line.is_on())
            }) {
                ledger.carried(line);
            }
        }
    }

    pub(super) fn timeouts(&self, scope: &Scope<'a>) -> Timeouts {
        let prefix = if scope.own("grpc_pass").is_some() { "grpc" } else { "proxy" };
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
