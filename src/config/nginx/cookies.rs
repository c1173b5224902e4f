//! `proxy_cookie_path`, `proxy_cookie_domain`, `proxy_cookie_flags` → what becomes of the upstream's cookies.

use super::Import;
use super::patterns::translated;
use super::scope::Scope;
use super::toml::{fixed, table, template};
use super::tree::Directive;
use super::values::{Piece, has_variables, pieces};
use crate::core::pattern::Pattern;

/// Rules, each as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cookies {
    pub paths: Vec<String>,
    pub domains: Vec<String>,
    pub flags: Vec<String>,
}

const NO_PATH: &str =
    "a cookie's path begins with a fixed text, or fits a pattern; let the application set it";
const NO_DOMAIN: &str = "a cookie's domain is a fixed one; let the application set it";
const NO_FLAG: &str = "cookie_flags of a route are secure, http_only and same_site, by the names of cookies";

impl<'a> Import<'a> {
    pub(super) fn cookies(&self, scope: &Scope<'a>) -> Cookies {
        let each = |name: &str, why: &str, rule: fn(&Directive) -> Option<String>| {
            let lines = scope.all(name).into_iter();
            let lines = lines.inspect(|line| self.ledger.carried(line)).filter(|line| !is_off(line));
            let read = |line: &'a Directive| {
                let rule = rule(line);
                if rule.is_none() {
                    self.ledger.missing(line, why);
                }
                rule
            };
            lines.filter_map(read).collect()
        };
        Cookies {
            paths: each("proxy_cookie_path", NO_PATH, path),
            domains: each("proxy_cookie_domain", NO_DOMAIN, domain),
            flags: each("proxy_cookie_flags", NO_FLAG, flags),
        }
    }
}

fn is_off(line: &Directive) -> bool {
    line.arg(0) == "off" && line.args.len() == 1
}

fn path(line: &Directive) -> Option<String> {
    let (from, to) = (line.arg(0), line.arg(1));
    let Some(pattern) = from.strip_prefix('~') else {
        let is_fixed = from.starts_with('/') && !has_variables(from);
        return (is_fixed && to.starts_with('/')).then(|| rule(line)).flatten();
    };
    let (pattern, start) = pattern.strip_prefix('*').map_or((pattern, ""), |pattern| (pattern, "(?i)"));
    let found = translated(pattern);
    let pattern =
        Pattern::new(&format!("{start}{}", found.pattern), false).ok().filter(|_| found.is_exact)?;
    let piece = |piece: Piece<'_>| match piece {
        Piece::Text(text) => Some(text.replace('$', "$$")),
        Piece::Variable(name) => {
            let is_group = name.parse::<usize>().is_ok_and(|number| (1..=pattern.groups()).contains(&number));
            match name {
                "host" => Some("${host}".to_owned()),
                _ => is_group.then(|| format!("${name}")),
            }
        }
    };
    let to = pieces(to).into_iter().map(piece).collect::<Option<String>>();
    let to = to.filter(|to| is_plain(to) && to.starts_with('/'))?;
    Some(table(&[format!("matches = {}", fixed(pattern.text())), format!("to = {}", template(&to))]))
}

fn domain(line: &Directive) -> Option<String> {
    let bare = line.arg(0).trim_start_matches('.');
    let is_domain = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    is_domain.then(|| rule(line)).flatten()
}

fn rule(line: &Directive) -> Option<String> {
    let (from, to) = (line.arg(0), line.arg(1));
    let is_known = is_plain(to) && (!has_variables(to) || to == "$host");
    is_known.then(|| table(&[format!("from = {}", fixed(from)), format!("to = {}", template(to))]))
}

fn is_plain(to: &str) -> bool {
    !to.contains([';', ' ', ',']) && !to.contains(char::is_control)
}

fn flags(line: &Directive) -> Option<String> {
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
    let name = line.arg(0);
    let of_all = ["~", "~.", "~.*", "~*."].contains(&name);
    let mut keys: Vec<String> = match name.strip_prefix('~') {
        _ if of_all => Vec::new(),
        Some(pattern) => {
            let (pattern, start) =
                pattern.strip_prefix('*').map_or((pattern, ""), |pattern| (pattern, "(?i)"));
            let found = translated(pattern);
            let pattern = format!("{start}{}", found.pattern);
            Pattern::new(&pattern, false).ok().filter(|_| found.is_exact)?;
            vec![format!("matches = {}", fixed(&pattern))]
        }
        None if has_variables(name) || name.is_empty() => return None,
        None => vec![format!("name = {}", fixed(name))],
    };
    let named: Option<Vec<String>> = line.args.iter().skip(1).map(flag).collect();
    keys.extend(named?);
    (line.args.len() > 1).then(|| table(&keys))
}
