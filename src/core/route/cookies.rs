//! Cookies of an upstream, as the site's clients can keep them: `Path`, `Domain` and flags of `Set-Cookie`.

use crate::core::pattern::Pattern;
use crate::core::template::Template;
use crate::core::variable::Facts;

/// What becomes of them on a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CookieRules {
    /// What a path is, and what it is for the client; the first that fits counts.
    pub paths: Vec<(CookiePath, Template)>,
    /// A domain without its leading dot, and what stands for it; nothing makes it a cookie of the host asked for.
    pub domains: Vec<(String, Template)>,
    /// The first that fits counts.
    pub flags: Vec<(CookieName, CookieFlags)>,
}

/// Paths of cookies.
#[derive(Clone, Debug, PartialEq)]
pub enum CookiePath {
    /// Those that begin so; the rest behind it stays.
    Prefix(String),
    /// Those that fit, which are replaced whole.
    Fits(Pattern),
}

/// Names of cookies.
#[derive(Clone, Debug, PartialEq)]
pub enum CookieName {
    Any,
    /// In any case.
    Is(String),
    Fits(Pattern),
}

/// Flags; `None` leaves what the upstream says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieFlags {
    pub secure: Option<bool>,
    pub http_only: Option<bool>,
    pub same_site: Option<SameSite>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

impl CookieRules {
    pub fn is_none(&self) -> bool {
        self.paths.is_empty() && self.domains.is_empty() && self.flags.is_empty()
    }

    /// The line for the client. What follows the cookie's value are its attributes, whose order stays.
    pub fn rewritten(&self, line: &[u8], facts: &Facts<'_>) -> Vec<u8> {
        let mut parts = line.split(|byte| *byte == b';');
        let mut made = parts.next().unwrap_or_default().to_vec();
        let flags = self.flags_of(&made);
        for part in parts {
            let part = part.trim_ascii();
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..)),
                None => (part, None),
            };
            let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
            let value = value.map(<[u8]>::trim_ascii);
            match value {
                Some(path) if is("path") => self.path(path, facts, &mut made),
                Some(domain) if is("domain") => self.domain(domain, facts, &mut made),
                _ if is("secure") && flags.secure.is_some() => {}
                _ if is("httponly") && flags.http_only.is_some() => {}
                _ if is("samesite") && flags.same_site.is_some() => {}
                _ if part.is_empty() => {}
                _ => attribute(&mut made, part),
            }
        }
        flags.add(&mut made);
        made
    }

    /// What becomes of the flags of a cookie; `pair` is its name and value.
    fn flags_of(&self, pair: &[u8]) -> CookieFlags {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let fits = |of: &CookieName| match of {
            CookieName::Any => true,
            CookieName::Is(known) => name.eq_ignore_ascii_case(known.as_bytes()),
            CookieName::Fits(pattern) => pattern.is_match(name),
        };
        self.flags.iter().find(|(of, _)| fits(of)).map(|(_, flags)| *flags).unwrap_or_default()
    }

    fn path(&self, path: &[u8], facts: &Facts<'_>, made: &mut Vec<u8>) {
        attribute(made, b"Path=");
        for (from, to) in &self.paths {
            match from {
                CookiePath::Prefix(from) => {
                    let Some(rest) = path.strip_prefix(from.as_bytes()) else { continue };
                    value(to, facts, made);
                    return made.extend_from_slice(rest);
                }
                CookiePath::Fits(pattern) => {
                    let Some(groups) = pattern.find(path) else { continue };
                    return value(to, &Facts { groups: Some(&groups), ..*facts }, made);
                }
            }
        }
        made.extend_from_slice(path);
    }

    fn domain(&self, domain: &[u8], facts: &Facts<'_>, made: &mut Vec<u8>) {
        let bare = domain.strip_prefix(b".").unwrap_or(domain);
        let fit = self.domains.iter().find(|(from, _)| bare.eq_ignore_ascii_case(from.as_bytes()));
        match fit {
            Some((_, to)) if to.fixed() == Some("") => {}
            Some((_, to)) => {
                attribute(made, b"Domain=");
                value(to, facts, made);
            }
            None => {
                attribute(made, b"Domain=");
                made.extend_from_slice(domain);
            }
        }
    }
}

impl CookieFlags {
    fn add(self, made: &mut Vec<u8>) {
        if self.secure == Some(true) {
            attribute(made, b"Secure");
        }
        if self.http_only == Some(true) {
            attribute(made, b"HttpOnly");
        }
        match self.same_site {
            Some(SameSite::Strict) => attribute(made, b"SameSite=Strict"),
            Some(SameSite::Lax) => attribute(made, b"SameSite=Lax"),
            Some(SameSite::None) => attribute(made, b"SameSite=None"),
            None => {}
        }
    }
}

fn attribute(made: &mut Vec<u8>, text: &[u8]) {
    made.extend_from_slice(b"; ");
    made.extend_from_slice(text);
}

/// What a request says never ends an attribute.
fn value(to: &Template, facts: &Facts<'_>, made: &mut Vec<u8>) {
    let start = made.len();
    to.fill(facts, made);
    let is_plain = made
        .get(start..)
        .is_some_and(|value| value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b';'));
    if !is_plain {
        made.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::Vocabulary;

    fn rewritten(rules: &CookieRules, host: &str, line: &str) -> String {
        let facts = Facts { host, ..Facts::NONE };
        String::from_utf8(rules.rewritten(line.as_bytes(), &facts)).expect("text")
    }

    fn prefix(from: &str, to: &str) -> (CookiePath, Template) {
        let (from, to) = rule(from, to);
        (CookiePath::Prefix(from), to)
    }

    fn rule(from: &str, to: &str) -> (String, Template) {
        (from.to_owned(), Template::parse(to, &Vocabulary::of_requests()).expect("a template"))
    }

    #[test]
    fn attributes_change_and_the_value_does_not() {
        let rules = CookieRules {
            paths: vec![prefix("/app/", "/"), prefix("/app", "/")],
            domains: vec![rule("app.internal", "$host"), rule("gone.internal", "")],
            flags: Vec::new(),
        };
        for (line, expected) in [
            ("a=Path=/app/; Path=/app/x; HttpOnly", "a=Path=/app/; Path=/x; HttpOnly"),
            ("a=1;path=/app;Secure", "a=1; Path=/; Secure"),
            ("a=1; Path=/other; Domain=.APP.internal", "a=1; Path=/other; Domain=shop.example"),
            ("a=1; Domain=gone.internal; Max-Age=5", "a=1; Max-Age=5"),
            ("a=1; Domain=other.example; Path", "a=1; Domain=other.example; Path"),
            (
                "a=\"x, y\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; ;",
                "a=\"x, y\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
            ),
            ("", ""),
        ] {
            assert_eq!(rewritten(&rules, "shop.example", line), expected, "{line}");
        }
        let forged = rewritten(&rules, "a; Path=/x", "a=1; Domain=app.internal");
        assert_eq!(forged, "a=1; Domain=", "no host adds attributes");
    }

    #[test]
    fn flags_are_set_once_or_taken_off() {
        let all = CookieFlags { secure: Some(true), http_only: Some(true), same_site: Some(SameSite::Lax) };
        let flags = vec![(CookieName::Any, all)];
        let mut rules = CookieRules { flags, ..CookieRules::default() };
        assert!(!rules.is_none() && CookieRules::default().is_none());
        assert_eq!(
            rewritten(&rules, "a", "a=1; secure; SameSite=None"),
            "a=1; Secure; HttpOnly; SameSite=Lax"
        );
        let off = CookieFlags { secure: Some(false), ..CookieFlags::default() };
        rules.flags = vec![(CookieName::Any, off)];
        assert_eq!(rewritten(&rules, "a", "a=1; Secure; HttpOnly"), "a=1; HttpOnly");
    }

    #[test]
    fn flags_are_of_a_cookie_and_a_path_may_be_a_pattern() {
        let pattern = |text: &str| Pattern::new(text, false).expect("a pattern");
        let secure = CookieFlags { secure: Some(true), ..CookieFlags::default() };
        let lax = CookieFlags { same_site: Some(SameSite::Lax), ..CookieFlags::default() };
        let flags = vec![(CookieName::Is("sid".into()), secure), (CookieName::Fits(pattern("^s")), lax)];
        let version = pattern("^/app/(v[0-9])/");
        let of = Vocabulary { pattern: Some(&version), ..Vocabulary::of_requests() };
        let to = Template::parse("/$1", &of).expect("a template");
        let paths = vec![(CookiePath::Fits(version.clone()), to), prefix("/app", "/")];
        let rules = CookieRules { paths, flags, ..CookieRules::default() };
        for (line, expected) in [
            ("SID=1; Path=/app/v2/x", "SID=1; Path=/v2; Secure"),
            ("s = 1; Path=/app/x", "s = 1; Path=//x; SameSite=Lax"),
            ("other=sid; Path=/", "other=sid; Path=/"),
        ] {
            assert_eq!(rewritten(&rules, "a", line), expected, "{line}");
        }
    }
}
