//! The text that takes the place of a path: `/new/$1?from=$path`.
//!
//! It is taken apart once, when the configuration is read. As in nginx, a query in it goes before the
//! request's own, which a `?` at the end leaves out. The path that comes of it is plain, and encoded again on
//! its way: nothing that a client wrote can end it, begin a query or climb.

use super::rewritten::{Current, Rewritten};
use crate::core::path::{BadPath, decoded, encode, encode_value};
use crate::core::pattern::GroupsFound;
use crate::core::template::{self, Template, Vocabulary};
use crate::core::variable::{Facts, Variable};
use std::io::Write;

/// What a request may be changed to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// Scheme and host of a redirect that names them.
    origin: Option<Template>,
    path: Box<[Piece]>,
    query: Option<Box<[Piece]>>,
    /// Whether the request's own query follows.
    keeps_query: bool,
}

/// A piece of it. Texts are bytes: those of a path are decoded.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Box<[u8]>),
    Variable(Variable),
}

impl Replacement {
    /// A path of the same site.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn path(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        if !text.starts_with(['/', '$']) {
            return Err(format!("\"{text}\" is no path; begin with /, for example \"/new/\""));
        }
        if text.split('?').take(1).flat_map(|path| path.split('/')).any(|part| matches!(part, "." | "..")) {
            return Err(format!("\"{text}\" has dot segments; write the path that they come to"));
        }
        let mut replacement = Self::parse(text, vocabulary)?;
        let whole = Piece::Variable(Variable::RequestUri);
        if replacement.path.contains(&whole) {
            return Err("$request_uri is path and query; write $path, which the query follows".to_owned());
        }
        for part in &mut replacement.path {
            if let Piece::Text(bytes) = part {
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
    pub fn fallback(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        Ok(Replacement { keeps_query: false, ..Self::path(text, vocabulary)? })
    }

    /// The place of a redirect: a path of the same host, or with scheme and host. What comes of the path
    /// cannot become the host.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn place(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        let scheme = ["https://", "http://", "$scheme://"].iter().find(|start| text.starts_with(**start));
        let Some(scheme) = scheme else {
            return match text.starts_with('/') || text.starts_with("$1") {
                true => Self::parse(text, vocabulary),
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
        let origin = Template::parse(&format!("{scheme}{host}"), vocabulary)?;
        Ok(Replacement { origin: Some(origin), ..Self::parse(rest, vocabulary)? })
    }

    fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        if text.contains(|c: char| c.is_control()) {
            return Err("has a control character; it is one line".to_owned());
        }
        let parts = pieces(text.strip_suffix('?').unwrap_or(text), vocabulary)?;
        let has_all = parts.contains(&Piece::Variable(Variable::RequestUri));
        let (path, query) = split(parts);
        let texts = query.iter().flatten().filter_map(|part| match part {
            Piece::Text(text) => Some(text),
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
        let is_host = |variable: &Variable| *variable == Variable::Host;
        let names = |part: &Piece| matches!(part, Piece::Variable(variable) if variable.is_made_of(&is_host));
        let in_parts = |parts: &[Piece]| parts.iter().any(names);
        self.origin.as_ref().is_some_and(|origin| origin.is_made_of(&is_host))
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
        groups: Option<&GroupsFound<'_>>,
        facts: &Facts<'_>,
    ) -> Result<Rewritten, BadPath> {
        let filling = Filling { at, facts: Facts { groups, ..*facts } };
        let mut path = Vec::with_capacity(at.path.len().saturating_add(32));
        filling.fill(&self.path, |plain, out| out.extend_from_slice(plain), &mut path);
        let mut query = Vec::new();
        self.fill_query(&filling, &mut query);
        Rewritten::new(&path, &query)
    }

    /// Where a redirect goes.
    pub fn locate(&self, at: Current<'_>, groups: Option<&GroupsFound<'_>>, facts: &Facts<'_>) -> Vec<u8> {
        let filling = Filling { at, facts: Facts { groups, ..*facts } };
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
    facts: Facts<'a>,
}

impl Filling<'_> {
    fn fill_as_it_is(&self, part: &Piece, out: &mut Vec<u8>) {
        if let Piece::Variable(variable) = part {
            variable.fill(&self.facts, out);
        }
    }

    /// `put` writes what a client may have written.
    fn fill(&self, parts: &[Piece], put: impl Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        for part in parts {
            match part {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Variable(Variable::Path) => put(self.at.path, out),
                Piece::Variable(Variable::Args) => out.extend_from_slice(self.at.query.as_bytes()),
                Piece::Variable(Variable::IsArgs) => {}
                Piece::Variable(Variable::Scheme | Variable::RequestUri) => self.fill_as_it_is(part, out),
                // What the configuration says is written as it should be; what a client said in it is made visible.
                Piece::Variable(Variable::Named(_)) => {
                    let from = out.len();
                    self.fill_as_it_is(part, out);
                    make_visible(out, from);
                }
                Piece::Variable(variable) => {
                    let mut value = Vec::with_capacity(64);
                    variable.fill(&self.facts, &mut value);
                    put(&value, out);
                }
            }
        }
    }
}

/// Whatever no address may have is encoded, from a place on.
fn make_visible(out: &mut Vec<u8>, from: usize) {
    let is_legal = |byte: &u8| matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}".contains(byte);
    if out.get(from..).is_some_and(|made| made.iter().all(is_legal)) {
        return;
    }
    let made = out.split_off(from);
    for byte in made {
        if is_legal(&byte) {
            out.push(byte);
        } else {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn pieces(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Vec<Piece>, String> {
    let parts = template::parts(text, vocabulary)?;
    let piece = |part| match part {
        template::TemplatePart::Text(text) => Piece::Text(text.into_boxed_bytes()),
        template::TemplatePart::Variable(variable) => Piece::Variable(variable),
    };
    Ok(parts.into_iter().map(piece).collect())
}

/// Path and query: the first question mark parts them, and so does `$is_args`.
fn split(parts: Vec<Piece>) -> (Vec<Piece>, Option<Vec<Piece>>) {
    let (mut path, mut query) = (Vec::new(), None::<Vec<Piece>>);
    for part in parts {
        match (&mut query, part) {
            (Some(query), part) => query.push(part),
            (None, Piece::Variable(Variable::IsArgs)) => query = Some(Vec::new()),
            (None, Piece::Text(text)) => {
                let Some(mark) = text.iter().position(|byte| *byte == b'?') else {
                    path.push(Piece::Text(text));
                    continue;
                };
                let (before, after) = text.split_at(mark);
                let after = after.get(1..).unwrap_or_default();
                path.extend((!before.is_empty()).then(|| Piece::Text(before.into())));
                query = Some((!after.is_empty()).then(|| Piece::Text(after.into())).into_iter().collect());
            }
            (None, part) => path.push(part),
        }
    }
    (path, query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::pattern::Pattern;
    use proptest::prelude::*;

    const FACTS: Facts<'static> = Facts {
        host: "Shop.Example",
        scheme: "http",
        uri: b"/asked?q",
        path: "/asked",
        args: "q",
        ..Facts::NONE
    };

    fn of(pattern: &Pattern) -> Vocabulary<'_> {
        Vocabulary { pattern: Some(pattern), ..Vocabulary::of_requests() }
    }

    fn rewritten(pattern: &str, to: &str, path: &str, query: &str) -> Result<String, BadPath> {
        let regex = Pattern::new(pattern, false).expect("a pattern");
        let to = Replacement::path(to, &of(&regex)).expect("accepted");
        let at = Current { path: path.as_bytes(), query };
        let groups = regex.find(at.path).expect("it matches");
        to.rewrite(at, Some(&groups), &FACTS).map(|made| made.target().to_string())
    }

    fn located(pattern: &str, to: &str, path: &str, query: &str) -> String {
        let regex = Pattern::new(pattern, false).expect("a pattern");
        let to = Replacement::place(to, &of(&regex)).expect("accepted");
        let at = Current { path: path.as_bytes(), query };
        let groups = regex.find(at.path).expect("it matches");
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
        let one = Pattern::new("(.)", false).expect("a pattern");
        for (text, part) in [
            ("new", "begin with /"),
            ("/$2", "$2 is a group that the pattern does not have: it has 1"),
            ("/$hots", "$hots is none of"),
            ("/$request_uri", "$request_uri is path and query; write $path"),
            ("/a%2", "broken %"),
            ("/a\nb", "control character"),
            ("/a/../$1", "dot segments"),
            ("/a?b c", "its query has ' '; write it as %20"),
        ] {
            let error = Replacement::path(text, &of(&one)).expect_err("refused");
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["new", "//evil", "https://", "https:///x", "https://$1", "ftp://x"] {
            let is_refused = Replacement::place(text, &of(&one)).is_err();
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
            let regex = Pattern::new("(?s)^/?(.*)", false).expect("a pattern");
            let to = Replacement::path(to, &of(&regex)).expect("accepted");
            let at = Current { path: &path, query: &query };
            if let Ok(made) = to.rewrite(at, regex.find(&path).as_ref(), &FACTS) {
                let target = made.target().as_str();
                prop_assert!(target.starts_with('/') && !made.target().path().contains("//"), "{}", target);
                prop_assert!(target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#'), "{}", target);
                let again = super::super::normalized(made.target().path()).expect("it means something");
                prop_assert_eq!(again, made.text());
            }
        }
    }
}
