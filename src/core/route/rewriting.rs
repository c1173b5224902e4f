//! What a route makes of a request's path before the request goes on.
//!
//! Rules come first, in the order of the file, as in nginx: a rule that fits may keep the request on its
//! route, look for a route again, or send the client elsewhere. Only where no rule fits, the route's own
//! prefix is taken off or replaced. Patterns see the plain path, byte by byte.

use super::replacement::Replacement;
use super::rewritten::{Current, Rewritten};
use crate::core::path::BadPath;
use crate::core::pattern::Pattern;
use crate::core::variable::Facts;

/// All of it; by default, nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewriting {
    pub rules: Vec<RewriteRule>,
    pub base: Base,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteRule {
    pub pattern: Pattern,
    pub to: Replacement,
    pub then: Then,
}

/// What follows a rule that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The request stays on its route.
    Stay,
    /// The rules after it see the new path; behind the last one, a route is looked for again.
    Next,
    /// A route is looked for again.
    Route,
    /// The client is sent there, with this status.
    Redirect(u16),
}

/// What becomes of a path that no rule fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Base {
    #[default]
    Kept,
    /// Without this in front; it does not end with a slash.
    Stripped(Box<[u8]>),
    /// With something else, plain, in place of the route's own path, which has so many bytes.
    Replaced { matched: usize, by: Box<[u8]> },
}

/// Where a request goes from a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    Kept,
    Stays(Rewritten),
    /// To the route for what it has become.
    Leaves(Rewritten),
    Redirect {
        status: u16,
        location: Vec<u8>,
        names_host: bool,
    },
}

impl Rewriting {
    pub fn is_none(&self) -> bool {
        self.rules.is_empty() && self.base == Base::Kept
    }

    /// # Errors
    /// [`BadPath`] where what comes of it climbs, or is too long.
    pub fn turn(&self, at: Current<'_>, facts: &Facts<'_>) -> Result<Turn, BadPath> {
        let mut made: Option<Rewritten> = None;
        for rule in &self.rules {
            let at = made.as_ref().map_or(at, Rewritten::current);
            let Some(groups) = rule.pattern.find(at.path) else { continue };
            if let Then::Redirect(status) = rule.then {
                let location = rule.to.locate(at, Some(&groups), facts);
                return Ok(Turn::Redirect { status, location, names_host: rule.to.names_host() });
            }
            let changed = rule.to.rewrite(at, Some(&groups), facts)?;
            match rule.then {
                Then::Stay => return Ok(Turn::Stays(changed)),
                Then::Route => return Ok(Turn::Leaves(changed)),
                Then::Next | Then::Redirect(_) => made = Some(changed),
            }
        }
        match made {
            Some(made) => Ok(Turn::Leaves(made)),
            None => self.base.turn(at),
        }
    }
}

impl Base {
    fn turn(&self, at: Current<'_>) -> Result<Turn, BadPath> {
        let path = match self {
            Base::Kept => None,
            // What is taken off ends at a name's end: `/apis` is not below `/api`.
            Base::Stripped(prefix) => at
                .path
                .strip_prefix(&**prefix)
                .filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
                .map(<[u8]>::to_vec),
            Base::Replaced { matched, by } => {
                let rest = at.path.get(*matched..).unwrap_or_default();
                Some([&**by, rest].concat())
            }
        };
        let Some(path) = path else { return Ok(Turn::Kept) };
        Rewritten::new(&path, at.query.as_bytes()).map(Turn::Stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::Vocabulary;

    const FACTS: Facts<'static> = Facts { host: "a", ..Facts::NONE };

    fn rule(pattern: &str, to: &str, then: Then) -> RewriteRule {
        let pattern = Pattern::new(pattern, false).expect("a pattern");
        let vocabulary = Vocabulary { pattern: Some(&pattern), ..Vocabulary::of_requests() };
        let to = match then {
            Then::Redirect(_) => Replacement::place(to, &vocabulary),
            _ => Replacement::path(to, &vocabulary),
        };
        RewriteRule { pattern, to: to.expect("accepted"), then }
    }

    fn turned(rewriting: &Rewriting, path: &str) -> String {
        match rewriting.turn(Current { path: path.as_bytes(), query: "q" }, &FACTS) {
            Ok(Turn::Kept) => "kept".to_owned(),
            Ok(Turn::Stays(to)) => format!("stays {}", to.target()),
            Ok(Turn::Leaves(to)) => format!("leaves {}", to.target()),
            Ok(Turn::Redirect { status, location, .. }) => {
                format!("{status} {}", String::from_utf8_lossy(&location))
            }
            Err(BadPath) => "bad".to_owned(),
        }
    }

    #[test]
    fn rules_go_in_order_and_then_the_prefix() {
        let rules = vec![
            rule("^/a/(.*)$", "/b/$1", Then::Next),
            rule("^/b/x$", "/c", Then::Stay),
            rule("^/b/y$", "/d", Then::Route),
            rule("^/b/z$", "/e", Then::Redirect(302)),
        ];
        let base = Base::Replaced { matched: 1, by: (*b"/base/").into() };
        let rewriting = Rewriting { rules, base };
        for (path, expected) in [
            ("/a/x", "stays /c?q"),
            ("/a/y", "leaves /d?q"),
            ("/a/z", "302 /e?q"),
            ("/a/w", "leaves /b/w?q"),
            ("/other", "stays /base/other?q"),
            ("/a/..", "bad"),
        ] {
            assert_eq!(turned(&rewriting, path), expected, "{path}");
        }
    }

    #[test]
    fn prefixes_go_at_the_end_of_a_name() {
        let strip = |prefix: &[u8]| Rewriting { rules: Vec::new(), base: Base::Stripped(prefix.into()) };
        for (path, expected) in [
            ("/api/x/", "stays /x/?q"),
            ("/api", "stays /?q"),
            ("/api/", "stays /?q"),
            ("/apis", "kept"),
            ("/other", "kept"),
        ] {
            assert_eq!(turned(&strip(b"/api"), path), expected, "{path}");
        }
        let replaced = |matched, by: &[u8]| Rewriting {
            rules: Vec::new(),
            base: Base::Replaced { matched, by: by.into() },
        };
        assert_eq!(turned(&replaced(5, b"/v2/"), "/api/x"), "stays /v2/x?q");
        assert_eq!(turned(&replaced(4, b"/v2/"), "/api/x"), "stays /v2/x?q");
        assert_eq!(turned(&replaced(4, b"/v2"), "/apix"), "stays /v2x?q");
        assert_eq!(turned(&replaced(4, b"/v2/"), "/api../x"), "bad");
        assert!(Rewriting::default().is_none() && !strip(b"/a").is_none());
    }
}
