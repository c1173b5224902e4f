//! `auth_basic` → `basic_auth`, `auth_request` → `authorize`, and `satisfy`.

use super::Import;
use super::headers::is_framing;
use super::scope::Scope;
use super::site::Speech;
use super::toml::{quoted, table};
use super::tree::Directive;
use super::values::has_variables;

/// Names and passwords of a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BasicAuth {
    pub realm: String,
    pub file: String,
}

impl<'a> Import<'a> {
    /// `None` where nobody is asked, or where that cannot be expressed.
    pub(super) fn basic_auth(&self, scope: &Scope<'a>) -> Option<BasicAuth> {
        let line = scope.last("auth_basic").filter(|line| line.arg(0) != "off")?;
        let file = scope.last("auth_basic_user_file")?;
        let (realm, name) = (line.arg(0), file.arg(0));
        let is_fixed = !has_variables(realm) && !has_variables(name) && name.starts_with('/');
        if !is_fixed || realm.is_empty() || realm.contains(['"', '\\']) || realm.contains(char::is_control) {
            return None;
        }
        self.ledger.carried(line);
        self.ledger.carried(file);
        Some(BasicAuth { realm: realm.to_owned(), file: name.to_owned() })
    }

    /// Whether one of what is asked in a place is enough.
    pub(super) fn is_any_enough(&self, scope: &Scope<'a>) -> bool {
        let Some(line) = scope.last("satisfy") else { return false };
        self.ledger.carried(line);
        line.arg(0) == "any"
    }
}

/// A service that is asked before a request goes on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Authorize {
    pub service: String,
    pub path: String,
    /// Fields of its answer for the upstream, as they are written.
    pub forward: Vec<String>,
}

/// The place that `auth_request` names.
pub(super) struct Asked<'a> {
    pass: &'a Directive,
    scope: Scope<'a>,
    authority: String,
    is_tls: bool,
    path: String,
}

impl<'a> Import<'a> {
    /// `None` where no service is asked, or where that cannot be expressed.
    pub(super) fn asked(&self, scope: &Scope<'a>) -> Option<Asked<'a>> {
        let uri = scope.last("auth_request")?.arg(0);
        let spot = self.chosen(uri).filter(|_| uri.starts_with('/') && !has_variables(uri))?;
        let is_changed = |line: &Directive| matches!(line.name.as_str(), "rewrite" | "if" | "return");
        let pass = spot.scope.own("proxy_pass").filter(|_| !spot.scope.block().iter().any(is_changed))?;
        let target = self.settled_in(spot.scope.block(), pass.arg(0));
        let (scheme, rest) = target.split_once("://")?;
        let (authority, to) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if has_variables(rest) || rest.starts_with("unix:") || !matches!(scheme, "http" | "https") {
            return None;
        }
        let path = match (to, spot.kind.prefix()) {
            ("", _) => uri.to_owned(),
            // What a variable says is the whole of the path.
            (to, _) if has_variables(pass.arg(0)) => to.to_owned(),
            (to, Some(prefix)) => format!("{to}{}", uri.strip_prefix(prefix)?),
            (_, None) => return None,
        };
        let (authority, is_tls) = (authority.to_owned(), scheme == "https");
        Some(Asked { pass, scope: spot.scope.clone(), authority, is_tls, path })
    }

    /// The service of [`Self::asked`]; an error where it has no upstream.
    pub(super) fn authorize(&mut self, scope: &Scope<'a>) -> Result<Option<Authorize>, ()> {
        let Some(Asked { pass, scope: place, authority, is_tls, path }) = self.asked(scope) else {
            return Ok(None);
        };
        let tls = is_tls.then(|| self.upstream_tls(&place, pass));
        let service = self.service(&authority, pass, &Speech { http2: false, tls }).ok_or(())?;
        scope.last("auth_request").iter().for_each(|line| self.ledger.carried(line));
        place.all("proxy_pass_request_body").iter().for_each(|line| self.ledger.carried(line));
        let headers = scope.all("proxy_set_header");
        let given = |line: &&Directive| {
            let (name, of) = (line.arg(0), self.of_authority(scope, line.arg(0), line.arg(1))?);
            Some(match of.eq_ignore_ascii_case(name) {
                true => quoted(name),
                false => table(&[format!("from = {}", quoted(&of)), format!("to = {}", quoted(name))]),
            })
        };
        let forward = headers.iter().filter_map(given).collect();
        Ok(Some(Authorize { service, path, forward }))
    }

    /// Whether a field is one of the answer of the service that was asked.
    pub(super) fn is_of_authority(&self, scope: &Scope<'a>, name: &str, value: &str) -> bool {
        self.of_authority(scope, name, value).is_some()
    }

    /// What a field that the upstream gets is called in the answer of the service that was asked.
    fn of_authority(&self, scope: &Scope<'a>, name: &str, value: &str) -> Option<String> {
        let lines = scope.all("auth_request_set");
        let line = lines.iter().find(|line| line.arg(0) == value)?;
        let field = line.arg(1).strip_prefix("$upstream_http_")?.replace('_', "-");
        let is_legal = |name: &str| http::HeaderName::try_from(name).is_ok() && !is_framing(name);
        if !is_legal(&field) || !is_legal(name) {
            return None;
        }
        self.ledger.carried(line);
        Some(field)
    }
}
