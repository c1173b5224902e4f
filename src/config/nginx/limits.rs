//! `limit_req`, `limit_conn`, `client_max_body_size`.

use super::Import;
use super::scope::Scope;
use super::site::RateLimit;
use super::tree::Directive;
use super::values::{self, size};
use crate::core::limit::rate::MOST_BURST;
use crate::core::template::Template;

/// What nginx takes where nothing is said.
const BODY: u64 = 1 << 20;
/// In place of nginx's 0, which is no limit.
const NO_LIMIT: u64 = 1 << 40;

impl<'a> Import<'a> {
    pub(super) fn body_limit(&self, scope: &Scope<'a>) -> u64 {
        let Some(line) = scope.last("client_max_body_size") else { return BODY };
        match size(line.arg(0)) {
            Some(0) => {
                self.ledger.noted(line, "1024G in place of no limit");
                NO_LIMIT
            }
            Some(bytes) => {
                self.ledger.carried(line);
                bytes.min(NO_LIMIT)
            }
            None => {
                self.ledger.missing(line, "write a size such as 100M");
                BODY
            }
        }
    }

    /// The names of the rate limits that hold in a place.
    pub(super) fn rates(&mut self, scope: &Scope<'a>) -> Vec<String> {
        let status = self.status(scope, "limit_req_status");
        if let Some(dry) = scope.last("limit_req_dry_run").filter(|dry| dry.is_on()) {
            self.ledger.missing(dry, "limits are real; leave them out of the route to try it");
        }
        let lines = scope.all("limit_req");
        let mut names: Vec<String> = lines.into_iter().filter_map(|line| self.rate(line, status)).collect();
        names.dedup();
        names
    }

    /// What refused requests are answered with.
    fn status(&self, scope: &Scope<'a>, name: &str) -> u64 {
        let Some(line) = scope.last(name) else { return 503 };
        self.ledger.carried(line);
        line.arg(0).parse().ok().filter(|status| (400..=599).contains(status)).unwrap_or(503)
    }

    fn rate(&mut self, line: &'a Directive, status: u64) -> Option<String> {
        let option = |name: &str| line.args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='));
        let zone_name = option("zone").unwrap_or_default();
        let burst = option("burst").and_then(|burst| burst.parse().ok()).unwrap_or(0).min(MOST_BURST);
        let Some(zone) = self.zone("limit_req_zone", zone_name) else {
            self.ledger
                .missing(line, &format!("there is no limit_req_zone {zone_name}; add one to [rate_limits]"));
            return None;
        };
        let by = limit_by(zone.arg(0)).or_else(|| self.key(zone.arg(0)));
        let Some((by, rate)) = by.zip(rate_of(zone)) else {
            self.ledger
                .missing(zone, "a limit counts by client_ip, header:NAME, service or a text that is known");
            self.ledger.missing(line, &format!("its zone of line {} was not carried over", zone.place.line));
            return None;
        };
        match zone.arg(0) {
            "$server_name" | "$host" => {
                self.ledger.noted(zone, "counted by the service that answers, for all its hosts together")
            }
            _ => self.ledger.carried(zone),
        }
        match line.args.iter().any(|arg| arg == "nodelay") || burst == 0 {
            true => self.ledger.carried(line),
            false => self.ledger.noted(line, "requests within the burst are served at once, as with nodelay"),
        }
        let key = (zone_name.to_owned(), burst, status);
        if let Some((_, name)) = self.limit_names.iter().find(|(known, _)| *known == key) {
            return Some(name.clone());
        }
        if self.limit_names.iter().any(|((zone, ..), _)| zone == zone_name) {
            self.ledger.noted(line, "counted on its own: a limit has one burst, so it does not share its count with the other uses of the zone");
        }
        let base = match self.limit_names.iter().any(|((zone, ..), _)| zone == zone_name) {
            true => format!("{zone_name}-{burst}"),
            false => zone_name.to_owned(),
        };
        let name = values::name(&base, self.limit_names.iter().map(|(_, name)| name.as_str()));
        self.site.rate_limits.push(RateLimit {
            from: zone.place.clone(),
            name: name.clone(),
            rate,
            burst,
            by,
            status,
        });
        self.limit_names.push((key, name.clone()));
        Some(name)
    }

    /// What is counted by, where that is a text.
    pub(super) fn key(&self, key: &str) -> Option<String> {
        let text = self.text_at_beginning(key)?.shown();
        self.accepted(|vocabulary| Template::parse(&text, vocabulary)).ok()?;
        (text.contains('$') && !text.contains(char::is_control)).then_some(text)
    }

    fn zone(&self, kind: &str, name: &str) -> Option<&'a Directive> {
        let is_it =
            |arg: &String| arg.strip_prefix("zone=").is_some_and(|zone| zone.split(':').next() == Some(name));
        self.http.block().iter().find(|directive| directive.name == kind && directive.args.iter().any(is_it))
    }

    /// Connections that one client may have on a route.
    pub(super) fn connections(&self, scope: &Scope<'a>) -> Option<u64> {
        let status = scope.last("limit_conn_status");
        status.iter().for_each(|line| self.ledger.carried(line));
        let is_same = status.is_some_and(|line| line.arg(0) == "429");
        let each = scope.all("limit_conn").into_iter().filter_map(|line| {
            let zone = self.zone("limit_conn_zone", line.arg(0));
            let by_client = zone.filter(|zone| limit_by(zone.arg(0)).as_deref() == Some("client_ip"));
            let Some(zone) = by_client else {
                self.ledger.missing(line, "connections are counted by client address only");
                if let Some(zone) = zone {
                    self.ledger.missing(zone, "connections are counted by client address only");
                }
                return None;
            };
            self.ledger.carried(zone);
            match is_same {
                true => self.ledger.carried(line),
                false => self.ledger.noted(line, "too many requests of a client at a time are answered 429"),
            }
            line.arg(1).parse::<u64>().ok().filter(|most| (1..=1_000_000).contains(most))
        });
        each.min()
    }
}

fn limit_by(key: &str) -> Option<String> {
    match key {
        "$binary_remote_addr" | "$remote_addr" => Some("client_ip".to_owned()),
        "$server_name" | "$host" => Some("service".to_owned()),
        _ => key.strip_prefix("$http_").map(|name| format!("header:{}", name.replace('_', "-"))),
    }
}

/// `rate=30r/s` as `30/s`.
fn rate_of(zone: &Directive) -> Option<String> {
    let text = zone.args.iter().find_map(|arg| arg.strip_prefix("rate="))?;
    let (number, unit) = text.split_once("r/")?;
    let number: u64 = number.parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
    matches!(unit, "s" | "m").then(|| format!("{number}/{unit}"))
}
