//! Header fields: `add_header`, `proxy_hide_header`, `proxy_set_header`.
//!
//! Inheritance is resolved here as nginx has it, a level with any of its own takes none from outside,
//! so that what a route gets is complete.

use super::Import;
use super::scope::Scope;
use super::servers::Server;
use super::site::{AddedField, Edits, Headers, Lead, Route};
use super::tree::Directive;
use crate::core::template::{Template, Vocabulary};

/// Set by Pointsman towards the upstream, each with the values of nginx that mean the same.
const FORWARDED: [(&str, &[&str]); 7] = [
    ("host", &["$host", "$http_host"]),
    ("x-real-ip", &["$remote_addr"]),
    ("x-forwarded-proto", &["$scheme"]),
    ("x-forwarded-host", &["$host", "$http_host"]),
    ("x-forwarded-port", &["$server_port"]),
    ("x-request-id", &["$request_id"]),
    ("accept-encoding", &["$http_accept_encoding"]),
];

/// About one connection: Pointsman's own business, WebSockets included.
const CONNECTION: [&str; 10] = [
    "connection",
    "upgrade",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "expect",
    "proxy-connection",
    "http2-settings",
];

impl<'a> Import<'a> {
    pub(super) fn headers(&self, server: &Server<'a>, scope: &Scope<'a>, lead: &Lead) -> Headers {
        let proxied = matches!(lead, Lead::Service(_));
        let request = if proxied { self.request_headers(server, scope) } else { Edits::default() };
        Headers { response: self.response_headers(scope), request }
    }

    fn response_headers(&self, scope: &Scope<'a>) -> Edits {
        let mut edits = Edits::default();
        let passed = scope.all("proxy_pass_header");
        passed.iter().for_each(|line| self.ledger.carried(line));
        // nginx puts its own in place of the upstream's.
        if !passed.iter().any(|line| line.arg(0).eq_ignore_ascii_case("server")) {
            edits.remove.push("Server".to_owned());
        }
        for line in scope.all("proxy_hide_header") {
            self.ledger.carried(line);
            if legal_name(line.arg(0))
                && !is_framing(line.arg(0))
                && !edits.remove.iter().any(|name| name.eq_ignore_ascii_case(line.arg(0)))
            {
                edits.remove.push(line.arg(0).to_owned());
            }
        }
        for line in scope.all("add_header") {
            self.add_header(line, &mut edits);
        }
        edits
    }

    fn add_header(&self, line: &'a Directive, edits: &mut Edits) {
        let (name, value) = (line.arg(0), line.arg(1));
        if name.eq_ignore_ascii_case("content-type") {
            // [`Import::content_type`] sees to it.
            return;
        }
        if value.is_empty() {
            // nginx adds no empty field.
            return self.ledger.carried(line);
        }
        let value = match self.value(value, true) {
            Ok(value) if legal_name(name) && !is_framing(name) => value,
            Ok(_) if is_framing(name) => {
                return self.ledger.noted(line, "it says where the answer ends; Pointsman sees to that");
            }
            Ok(_) => return self.ledger.missing(line, "no such header can be set"),
            Err(variable) => return self.ledger.missing(line, &format!("{variable} is not known here")),
        };
        self.ledger.carried(line);
        let of_successes = line.arg(2) != "always";
        match edits.add.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name)) {
            Some(known) => {
                known.value.push_str(&format!(", {value}"));
                known.of_successes &= of_successes;
                self.ledger.noted(line, "joined with the one before into one field");
            }
            None => edits.add.push(AddedField { name: name.to_owned(), value, of_successes }),
        }
    }

    fn request_headers(&self, server: &Server<'a>, scope: &Scope<'a>) -> Edits {
        let mut edits = Edits::default();
        let mut names_host = false;
        let target = scope.handler("proxy_pass").map(|pass| self.settled(pass.arg(0)));
        let authority = target.as_deref().and_then(authority);
        let prefix = if scope.handler("grpc_pass").is_some() { "grpc" } else { "proxy" };
        for line in scope.all(&format!("{prefix}_set_header")) {
            let (name, value) = (line.arg(0).to_ascii_lowercase(), line.arg(1));
            names_host |= name == "host";
            if CONNECTION.contains(&name.as_str()) {
                self.ledger.carried(line);
                continue;
            }
            if name == "x-forwarded-for" && value == "$remote_addr" {
                self.ledger.carried(line);
                continue;
            }
            if name == "x-forwarded-for" {
                self.ledger.noted(line, "set by Pointsman: what a client says is replaced, what one of trusted_proxies says is continued");
                continue;
            }
            if self.is_of_authority(scope, &name, value) {
                self.ledger.carried(line);
                continue;
            }
            let known = FORWARDED.iter().find(|(known, _)| *known == name);
            if known.is_some_and(|(_, values)| values.contains(&value)) {
                self.ledger.carried(line);
                // Clients name a port only where it is another one than usual, and `$host` has none.
                if name == "host" && value == "$host" && has_odd_port(server) {
                    edits.set.retain(|(known, _)| !known.eq_ignore_ascii_case("host"));
                    edits.set.push(("Host".to_owned(), "$host".to_owned()));
                }
                continue;
            }
            if value.is_empty() && name != "host" && legal_name(&name) {
                edits.remove.push(line.arg(0).to_owned());
                self.ledger.carried(line);
                continue;
            }
            if value.strip_prefix("$http_").is_some_and(|field| field == name.replace('-', "_")) {
                // What the client says, and so it is.
                match known.is_none() {
                    true => self.ledger.carried(line),
                    false => self
                        .ledger
                        .missing(line, "what a client claims is not believed; Pointsman's own is sent"),
                }
                continue;
            }
            let whole =
                authority.map_or(value.to_owned(), |authority| value.replace("$proxy_host", authority));
            self.set_request_header(line, &name, &whole, known.is_some(), &mut edits);
        }
        if let Some(authority) = authority.filter(|_| !names_host) {
            // What nginx sends unless told otherwise: the name in proxy_pass.
            let authority = if authority == "unix:" { "localhost" } else { authority };
            edits.set.push(("Host".to_owned(), authority.to_owned()));
        }
        edits
    }

    fn set_request_header(
        &self,
        line: &'a Directive,
        name: &str,
        value: &str,
        is_ours: bool,
        edits: &mut Edits,
    ) {
        match self.value(value, false) {
            Ok(value) if legal_name(name) && !value.is_empty() => {
                self.ledger.carried(line);
                edits.set.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                edits.set.push((line.arg(0).to_owned(), value));
            }
            Ok(_) => self.ledger.missing(line, "no such header can be set"),
            Err(variable) => {
                // nginx puts its own in place of what a client says; here nothing is left of that.
                let is_removed = !is_ours && legal_name(name);
                edits.remove.extend(is_removed.then(|| line.arg(0).to_owned()));
                let what = if is_removed {
                    "; it is taken off, whatever a client says"
                } else {
                    "; Pointsman's own is sent"
                };
                self.ledger.missing(line, &format!("{variable} is not known here{what}"));
            }
        }
    }

    /// The value of a header field with Pointsman's variables.
    fn value(&self, text: &str, has_answer: bool) -> Result<String, String> {
        let value = self.text(text)?.shown();
        // A value is one line, however it was written.
        let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
        http::HeaderValue::from_str(&line).map_err(|_| "a control character".to_owned())?;
        let names = self.lookups.names();
        Template::parse(&line, &Vocabulary { names: Some(&names), has_answer, pattern: None })?;
        Ok(line)
    }

    /// The media type of a fixed reply: an `add_header` that people write for it, or `default_type`.
    pub(super) fn content_type(&self, scope: &Scope<'a>, route: &mut Route) {
        let is_type = |line: &&&'a Directive| line.arg(0).eq_ignore_ascii_case("content-type");
        let lines = scope.all("add_header");
        let added = lines.iter().find(is_type);
        let fallback = scope.last("default_type");
        let Lead::Reply { kind, body, .. } = &mut route.lead else {
            if let Some(line) = added {
                self.ledger.missing(line, "the type is what the upstream or the file says");
            }
            return;
        };
        if let Some(line) = added {
            self.ledger.noted(line, "as the type of the reply, once");
        }
        if let Some(line) = fallback.filter(|_| added.is_none()) {
            self.ledger.carried(line);
        }
        let text = added.map(|line| line.arg(1)).or(fallback.map(|line| line.arg(0)));
        let legal = text.filter(|text| text.contains('/') && !text.contains(['$', '\n', '\r']));
        *kind = kind.take().or(legal.filter(|_| !body.is_empty()).map(str::to_owned));
    }
}

/// Whom `proxy_pass` names, where that is fixed.
fn authority(target: &str) -> Option<&str> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme))?;
    rest.split('/').next().filter(|name| !name.contains('$'))
}

pub(super) fn has_internal(block: &[Directive]) -> bool {
    block.iter().any(|line| line.name == "internal" || line.name == "location" && has_internal(line.block()))
}

/// Whether a server listens on a port that clients have to name.
fn has_odd_port(server: &Server<'_>) -> bool {
    let usual = |listen: &super::servers::Listen<'_>| {
        listen.address.ends_with(if listen.tls { ":443" } else { ":80" })
    };
    !server.listens.iter().all(usual)
}

fn legal_name(name: &str) -> bool {
    http::HeaderName::try_from(name).is_ok()
}

pub(super) fn is_framing(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CONNECTION.contains(&name.as_str()) || name == "host"
}
