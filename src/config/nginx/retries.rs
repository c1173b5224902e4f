//! `proxy_next_upstream` → `retry` of the pools that a location leads to.

use super::Import;
use super::scope::Scope;
use super::site::Lead;
use super::values::stretch;
use std::time::Duration;

/// After what another upstream is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Retry {
    /// As they are written.
    pub on: Vec<String>,
    /// Attempts in all; `None`: as many as there are upstreams.
    pub tries: Option<u64>,
    pub timeout: Option<Duration>,
    pub repeats_unsafe: bool,
}

/// The longest that a pool goes on asking.
const LONGEST: Duration = Duration::from_secs(3600);

impl<'a> Import<'a> {
    /// What the location says of the service that it leads to; a pool has one answer for all that lead to it.
    pub(super) fn retries(&mut self, scope: &Scope<'a>, lead: &Lead) {
        let Lead::Service(name) = lead else { return };
        let prefix = if scope.handler("grpc_pass").is_some() { "grpc" } else { "proxy" };
        let names = ["", "_tries", "_timeout"].map(|end| format!("{prefix}_next_upstream{end}"));
        let [causes, tries, timeout] =
            [0, 1, 2].map(|index: usize| scope.last(names.get(index).map_or("", String::as_str)));
        let lines: Vec<_> = [causes, tries, timeout].into_iter().flatten().collect();
        let retry = Retry {
            on: causes.map_or(vec!["\"error\"".into(), "\"timeout\"".into()], |line| {
                line.args.iter().filter_map(cause).collect()
            }),
            tries: tries
                .and_then(|line| line.arg(0).parse().ok())
                .filter(|tries| *tries > 0)
                .map(|tries: u64| tries.min(10)),
            timeout: timeout.and_then(|line| stretch(line.arg(0))).map(|time| time.min(LONGEST)),
            repeats_unsafe: causes.is_some_and(|line| line.args.iter().any(|arg| arg == "non_idempotent")),
        };
        let Some(service) = self.site.services.iter_mut().find(|service| service.name == *name) else {
            return;
        };
        let said = (!lines.is_empty()).then_some(retry);
        let first = service.retry.get_or_insert_with(|| said.clone());
        for line in lines {
            match *first == said {
                true => self.ledger.carried(line),
                false => self
                    .ledger
                    .noted(line, "a pool has one answer for all its locations; that of the first one holds"),
            }
        }
    }
}

fn cause(arg: &String) -> Option<String> {
    match arg.as_str() {
        "error" | "timeout" => Some(format!("\"{arg}\"")),
        // No HTTP is an error, too.
        "invalid_header" => Some("\"error\"".to_owned()),
        other => {
            other.strip_prefix("http_").filter(|status| status.parse::<u16>().is_ok()).map(str::to_owned)
        }
    }
}
