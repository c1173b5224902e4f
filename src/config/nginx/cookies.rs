//! `proxy_cookie_path`, `proxy_cookie_domain`, `proxy_cookie_flags` → what becomes of the upstream's cookies.

use super::Import;
use super::scope::Scope;
use super::tree::Directive;
use super::values::has_variables;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cookies {
    /// What a path begins with, and what that becomes.
    pub paths: Vec<(String, String)>,
    pub domains: Vec<(String, String)>,
    /// As they are written.
    pub flags: Vec<String>,
}

impl<'a> Import<'a> {
    pub(super) fn cookies(&self, scope: &Scope<'a>) -> Cookies {
        let mut cookies = Cookies::default();
        for line in scope.all("proxy_cookie_path") {
            let is_path = line.arg(0).starts_with('/');
            self.cookie_rule(line, is_path, &mut cookies.paths);
        }
        for line in scope.all("proxy_cookie_domain") {
            let bare = line.arg(0).trim_start_matches('.');
            let is_domain =
                !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
            self.cookie_rule(line, is_domain, &mut cookies.domains);
        }
        for line in scope.all("proxy_cookie_flags") {
            self.cookie_flags(line, &mut cookies.flags);
        }
        cookies
    }

    fn cookie_rule(&self, line: &'a Directive, is_fixed: bool, rules: &mut Vec<(String, String)>) {
        let (from, to) = (line.arg(0), line.arg(1));
        if from == "off" && line.args.len() == 1 {
            return self.ledger.carried(line);
        }
        let is_plain = !to.contains([';', ' ', ',']) && (!has_variables(to) || to == "$host");
        if !is_fixed || !is_plain || has_variables(from) {
            let why =
                "a cookie's path begins with a fixed text, and its domain is one; let the application set it";
            return self.ledger.missing(line, why);
        }
        self.ledger.carried(line);
        rules.push((from.to_owned(), to.to_owned()));
    }

    fn cookie_flags(&self, line: &'a Directive, flags: &mut Vec<String>) {
        let flag = |arg: &String| match arg.to_ascii_lowercase().as_str() {
            "secure" => Some("secure = true".to_owned()),
            "nosecure" => Some("secure = false".to_owned()),
            "httponly" => Some("http_only = true".to_owned()),
            "nohttponly" => Some("http_only = false".to_owned()),
            "samesite=strict" => Some("same_site = \"strict\"".to_owned()),
            "samesite=lax" => Some("same_site = \"lax\"".to_owned()),
            "samesite=none" => Some("same_site = \"none\"".to_owned()),
            _ => None,
        };
        let of_all = ["~", "~.", "~.*", "~*."].contains(&line.arg(0));
        let named: Option<Vec<String>> = line.args.iter().skip(1).map(flag).collect();
        match named.filter(|named| of_all && !named.is_empty() && flags.is_empty()) {
            Some(named) => {
                flags.extend(named);
                self.ledger.carried(line);
            }
            None if line.arg(0) == "off" => self.ledger.carried(line),
            None => self.ledger.missing(
                line,
                "cookie_flags of a route holds for all cookies of its upstream; write it there",
            ),
        }
    }
}
