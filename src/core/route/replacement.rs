//! The text that takes the place of a path: `/new/$1?from=$path`.
//!
//! It is taken apart once, when the configuration is read. As in nginx, a query in it goes before the
//! request's own, which a `?` at the end leaves out. The path that comes of it is plain, and encoded again on
//! its way: nothing that a client wrote can end it, begin a query or climb.

use super::path::{BadPath, decoded, encode, encode_value};
use super::rewritten::{Current, Rewritten};
use crate::core::template::{Facts, Template, Variable};
use regex::bytes::Captures;

/// What a request may be changed to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// Scheme and host of a redirect that names them.
    origin: Option<Template>,
    path: Box<[Part]>,
    query: Option<Box<[Part]>>,
    /// Whether the request's own query follows.
    keeps_query: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Box<[u8]>),
    /// A group of the pattern, from 1.
    Group(usize),
    Variable(Variable),
}

/// What a path may be made of.
const IN_PATHS: [Variable; 5] =
    [Variable::Host, Variable::Scheme, Variable::Path, Variable::Args, Variable::IsArgs];
/// What the place of a redirect may be made of.
const IN_PLACES: [Variable; 6] = [
    Variable::Host,
    Variable::Scheme,
    Variable::RequestUri,
    Variable::Path,
    Variable::Args,
    Variable::IsArgs,
];

impl Replacement {
    /// A path of the same site. `groups` is how many the pattern has.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn path(text: &str, groups: usize) -> Result<Self, String> {
        if !text.starts_with(['/', '$']) {
            return Err(format!("\"{text}\" is no path; begin with /, for example \"/new/\""));
        }
        if text.split('?').take(1).flat_map(|path| path.split('/')).any(|part| matches!(part, "." | "..")) {
            return Err(format!("\"{text}\" has dot segments; write the path that they come to"));
        }
        let mut replacement = Self::parse(text, groups, &IN_PATHS)?;
        for part in &mut replacement.path {
            if let Part::Text(bytes) = part {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                let plain = decoded(text).map_err(|_| format!("\"{text}\" has a broken %; write %25"))?;
                *bytes = plain.into();
            }
        }
        Ok(replacement)
    }

    /// A path that follows another lookup, which has no pattern: the request's query only goes where
    /// `$args` says.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn fallback(text: &str) -> Result<Self, String> {
        Ok(Replacement { keeps_query: false, ..Self::path(text, 0)? })
    }

    /// The place of a redirect: a path of the same host, or with scheme and host. What comes of the path
    /// cannot become the host.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn place(text: &str, groups: usize) -> Result<Self, String> {
        let scheme = ["https://", "http://", "$scheme://"].iter().find(|start| text.starts_with(**start));
        let Some(scheme) = scheme else {
            return match text.starts_with('/') || text.starts_with("$1") {
                true => Self::parse(text, groups, &IN_PLACES),
                false => Err(format!(
                    "\"{text}\" does not say where to; begin with https://, http:// or $scheme:// and a host, or with /"
                )),
            };
        };
        let after = text.get(scheme.len()..).unwrap_or_default();
        let ends = |(at, c): &(usize, char)| {
            let rest = after.get(*at..).unwrap_or_default();
            matches!(c, '/' | '?' | '#') || (*c == '$' && !rest.starts_with("$host"))
        };
        let length = after.char_indices().find(ends).map_or(after.len(), |(at, _)| at);
        let (host, rest) = after.split_at(length);
        if !host.starts_with("$host") && !host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') {
            return Err(format!("\"{text}\" names no host"));
        }
        let origin = Template::parse(&format!("{scheme}{host}"), &[Variable::Host, Variable::Scheme])?;
        Ok(Replacement { origin: Some(origin), ..Self::parse(rest, groups, &IN_PLACES)? })
    }

    fn parse(text: &str, groups: usize, allowed: &[Variable]) -> Result<Self, String> {
        if text.contains(|c: char| c.is_control()) {
            return Err("has a control character; it is one line".to_owned());
        }
        let parts = parts(text.strip_suffix('?').unwrap_or(text), groups, allowed)?;
        let has_all = parts.contains(&Part::Variable(Variable::RequestUri));
        let (path, query) = split(parts);
        let texts = query.iter().flatten().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        });
        if let Some(odd) =
            texts.flatten().find(|byte| !matches!(byte, b'!'..=b'~') || b"#\"<>".contains(byte))
        {
            return Err(format!("its query has {:?}; write it as %{odd:02X}", char::from(*odd)));
        }
        let keeps_query = !has_all && !text.ends_with('?');
        Ok(Replacement {
            origin: None,
            path: path.into(),
            query: query.map(Vec::into_boxed_slice),
            keeps_query,
        })
    }

    /// Whether it needs the request's host.
    pub fn names_host(&self) -> bool {
        let host = Part::Variable(Variable::Host);
        let in_parts = |parts: &[Part]| parts.contains(&host);
        self.origin.as_ref().is_some_and(|origin| origin.uses(Variable::Host))
            || in_parts(&self.path)
            || self.query.as_deref().is_some_and(in_parts)
    }

    /// What a request goes on with.
    ///
    /// # Errors
    /// [`BadPath`] where a dot segment comes of it, or more than an address holds.
    pub fn rewrite(
        &self,
        at: Current<'_>,
        groups: Option<&Captures<'_>>,
        facts: &Facts<'_>,
    ) -> Result<Rewritten, BadPath> {
        let filling = Filling { at, groups, facts };
        let mut path = Vec::with_capacity(at.path.len().saturating_add(32));
        filling.fill(&self.path, |plain, out| out.extend_from_slice(plain), &mut path);
        let mut query = Vec::new();
        self.fill_query(&filling, &mut query);
        Rewritten::new(&path, &query)
    }

    /// Where a redirect goes.
    pub fn locate(&self, at: Current<'_>, groups: Option<&Captures<'_>>, facts: &Facts<'_>) -> Vec<u8> {
        let filling = Filling { at, groups, facts };
        let mut place = Vec::with_capacity(128);
        if let Some(origin) = &self.origin {
            origin.fill(facts, &mut place);
        }
        let mut path = Vec::with_capacity(at.path.len().saturating_add(32));
        filling.fill(&self.path, encode, &mut path);
        // Two slashes would name a host, and so would none behind one.
        let slashes = path.iter().take_while(|byte| **byte == b'/').count();
        if !path.is_empty() || self.origin.is_none() {
            place.push(b'/');
        }
        place.extend_from_slice(path.get(slashes..).unwrap_or_default());
        let mut query = Vec::new();
        self.fill_query(&filling, &mut query);
        if !query.is_empty() {
            place.push(b'?');
            place.extend_from_slice(&query);
        }
        place
    }

    fn fill_query(&self, filling: &Filling<'_>, out: &mut Vec<u8>) {
        if let Some(query) = &self.query {
            filling.fill(query, encode_value, out);
        }
        if self.keeps_query && !filling.at.query.is_empty() {
            out.extend((!out.is_empty()).then_some(b'&'));
            out.extend_from_slice(filling.at.query.as_bytes());
        }
    }
}

/// What the parts of a text stand for.
struct Filling<'a> {
    at: Current<'a>,
    groups: Option<&'a Captures<'a>>,
    facts: &'a Facts<'a>,
}

impl Filling<'_> {
    /// `put` writes what a client may have written.
    fn fill(&self, parts: &[Part], put: impl Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        for part in parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    let found = self.groups.and_then(|groups| groups.get(*group));
                    put(found.map_or(&b""[..], |found| found.as_bytes()), out);
                }
                Part::Variable(Variable::Path) => put(self.at.path, out),
                Part::Variable(Variable::Args) => out.extend_from_slice(self.at.query.as_bytes()),
                Part::Variable(Variable::IsArgs) => {}
                Part::Variable(variable) => variable.fill(self.facts, out),
            }
        }
    }
}

fn parts(text: &str, groups: usize, allowed: &[Variable]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        let letters = after.bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'_').count();
        let (name, tail) = after.split_at(letters);
        let digit = after.chars().next().and_then(|first| first.to_digit(10)).filter(|digit| *digit > 0);
        let part = match digit {
            Some(digit) => {
                let group = digit as usize;
                if group > groups {
                    return Err(format!("${group} is a group that `match` does not have: it has {groups}"));
                }
                rest = after.get(1..).unwrap_or_default();
                Part::Group(group)
            }
            None if name.is_empty() => {
                plain.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
                continue;
            }
            None => {
                rest = tail;
                Part::Variable(Variable::named(name, allowed)?)
            }
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain).into_bytes().into()));
        }
        parts.push(part);
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain.into_bytes().into()));
    }
    Ok(parts)
}

/// Path and query: the first question mark parts them, and so does `$is_args`.
fn split(parts: Vec<Part>) -> (Vec<Part>, Option<Vec<Part>>) {
    let (mut path, mut query) = (Vec::new(), None::<Vec<Part>>);
    for part in parts {
        match (&mut query, part) {
            (Some(query), part) => query.push(part),
            (None, Part::Variable(Variable::IsArgs)) => query = Some(Vec::new()),
            (None, Part::Text(text)) => {
                let Some(mark) = text.iter().position(|byte| *byte == b'?') else {
                    path.push(Part::Text(text));
                    continue;
                };
                let (before, after) = text.split_at(mark);
                let after = after.get(1..).unwrap_or_default();
                path.extend((!before.is_empty()).then(|| Part::Text(before.into())));
                query = Some((!after.is_empty()).then(|| Part::Text(after.into())).into_iter().collect());
            }
            (None, part) => path.push(part),
        }
    }
    (path, query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::bytes::RegexBuilder;

    const FACTS: Facts<'static> = Facts {
        host: "Shop.Example",
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        scheme: "http",
        uri: b"/asked?q",
        path: "/asked",
        args: "q",
        request_id: b"1f",
        pool: "",
    };

    fn rewritten(pattern: &str, to: &str, path: &str, query: &str) -> Result<String, BadPath> {
        let regex = RegexBuilder::new(pattern).unicode(false).build().expect("a pattern");
        let to = Replacement::path(to, regex.captures_len() - 1).expect("accepted");
        let at = Current { path: path.as_bytes(), query };
        let groups = regex.captures(at.path).expect("it matches");
        to.rewrite(at, Some(&groups), &FACTS).map(|made| made.target().to_string())
    }

    fn located(pattern: &str, to: &str, path: &str, query: &str) -> String {
        let regex = RegexBuilder::new(pattern).unicode(false).build().expect("a pattern");
        let to = Replacement::place(to, regex.captures_len() - 1).expect("accepted");
        let at = Current { path: path.as_bytes(), query };
        let groups = regex.captures(at.path).expect("it matches");
        String::from_utf8(to.locate(at, Some(&groups), &FACTS)).expect("text")
    }

    #[test]
    fn paths_and_queries_are_put_together_as_nginx_does() {
        for (pattern, to, path, query, expected) in [
            ("^/old/(.*)$", "/new/$1", "/old/a b", "", "/new/a%20b"),
            ("^/old/(.*)$", "/new/$1", "/old/x", "q=1", "/new/x?q=1"),
            ("^/old/(.*)$", "/new?id=$1", "/old/x", "q=1", "/new?id=x&q=1"),
            ("^/old/(.*)$", "/new?id=$1?", "/old/x&y=#", "q=1", "/new?id=x%26y=%23"),
            ("^/old/(.*)$", "/new/$1?", "/old/x", "q=1", "/new/x"),
            ("^", "/index.php", "/any", "q=1", "/index.php?q=1"),
            ("^", "/index.php?$args?", "/any", "q=1", "/index.php?q=1"),
            ("^", "/index.php$is_args$args?", "/any", "", "/index.php"),
            ("^", "/$host$path", "/a/b", "", "/shop.example/a/b"),
            ("^/a(.*)$", "$1", "/a", "", "/"),
            ("^/a(.*)$", "$1", "/abc", "", "/bc"),
            ("^/(.)(.)", "/$2$1x$$", "/ab", "", "/bax$"),
            ("^", "/a%20b/%3f/c", "/", "", "/a%20b/%3F/c"),
            ("^/x(.*)$", "/y/$1", "/x//evil", "", "/y/evil"),
            ("(?s)^/x(.*)$", "/$1", "/x\r\n?#%/é", "", "/%0D%0A%3F%23%25/%C3%A9"),
        ] {
            assert_eq!(rewritten(pattern, to, path, query).as_deref(), Ok(expected), "{pattern} {to} {path}");
        }
    }

    #[test]
    fn nothing_climbs() {
        for (path, is_fine) in [("/a../x", false), ("/a./x", false), ("/a..", false), ("/a.../x", true)] {
            assert_eq!(rewritten("^/a(.*)$", "/files/$1", path, "").is_ok(), is_fine, "{path}");
        }
    }

    #[test]
    fn a_redirect_stays_on_the_host_it_names() {
        for (pattern, to, path, query, expected) in [
            ("^/(.*)/$", "/$1", "/a/", "q", "/a?q"),
            ("^/x(.*)$", "/$1", "/x/evil.example", "", "/evil.example"),
            ("^/x(.*)$", "$1", "/x//evil.example", "", "/evil.example"),
            ("^/x(.*)$", "https://new.example$1", "/x.evil.example", "", "https://new.example/.evil.example"),
            ("^(.*)$", "https://new.example$1", "/a b", "", "https://new.example/a%20b"),
            ("^", "$scheme://$host:8443/b?c=d", "/", "q", "http://shop.example:8443/b?c=d&q"),
            ("^", "https://$host$request_uri", "/", "q", "https://shop.example/asked?q"),
            ("^", "https://new.example", "/", "", "https://new.example"),
            ("^/(.*)$", "https://new.example?to=$1?", "/a&b", "q", "https://new.example?to=a%26b"),
        ] {
            assert_eq!(located(pattern, to, path, query), expected, "{to} {path}");
        }
    }

    #[test]
    fn what_is_no_path_or_place_is_told() {
        for (text, part) in [
            ("new", "begin with /"),
            ("/$2", "$2 is a group that `match` does not have: it has 1"),
            ("/$hots", "$hots is none of"),
            ("/$request_uri", "$request_uri is none of"),
            ("/a%2", "broken %"),
            ("/a\nb", "control character"),
            ("/a/../$1", "dot segments"),
            ("/a?b c", "its query has ' '; write it as %20"),
        ] {
            let error = Replacement::path(text, 1).expect_err("refused");
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["new", "//evil", "https://", "https:///x", "https://$1", "ftp://x"] {
            let is_refused = Replacement::place(text, 1).is_err();
            assert_eq!(is_refused, text != "//evil", "{text}");
        }
    }

    proptest! {
        /// Whatever a client writes, the line to the upstream is one path and one query.
        #[test]
        fn what_comes_of_it_is_a_path(
            path in prop::collection::vec(any::<u8>(), 0..40),
            query in "[a-z=&%/?.]{0,10}",
            to in prop::sample::select(vec!["/x/$1", "$1", "/x$1y?z=$1", "/$path$1?$args"]),
        ) {
            let regex = RegexBuilder::new("^/?(.*)").unicode(false).dot_matches_new_line(true).build().expect("a pattern");
            let to = Replacement::path(to, 1).expect("accepted");
            let at = Current { path: &path, query: &query };
            if let Ok(made) = to.rewrite(at, regex.captures(&path).as_ref(), &FACTS) {
                let target = made.target().as_str();
                prop_assert!(target.starts_with('/') && !made.target().path().contains("//"), "{}", target);
                prop_assert!(target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#'), "{}", target);
                let again = super::super::normalized(made.target().path()).expect("it means something");
                prop_assert_eq!(again, made.text());
            }
        }
    }
}
