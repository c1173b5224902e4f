//! What variables are at a place, in the words of Pointsman: what `set` has given them by then, the groups of the
//! patterns that have fitted, those of `map` and `geo`, and those that are built in.

use super::Import;
use super::decisions::Decision;
use super::rewrites::is_group;
use super::servers::Server;
use super::site::LookupBlock;
use super::tree::Directive;
use super::values::{Piece, pieces};
use crate::core::pattern::Pattern;
use crate::core::template::mentions;
use crate::core::variable::Variable;

/// Most fixed texts that a text is followed through.
const MOST_TEXTS: usize = 32;

/// A text, and all that it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BoundText {
    /// Its variables are in braces.
    text: String,
    /// Where it is one of a few fixed texts.
    domain: Option<Vec<String>>,
}

/// What has been given a value on the way to a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    /// Names in lower case; `None` where the value cannot be said.
    set: Vec<(String, Option<BoundText>)>,
    /// The last one gives the numbers.
    captures: Vec<Capture>,
    /// Of those that hang on files.
    decisions: Vec<(String, Decision)>,
    /// `$server_name`.
    server_name: String,
    /// Those of the server.
    names: Vec<String>,
    /// `$document_root`.
    root: Option<String>,
}

/// A pattern that fits at a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Capture {
    /// What it fits.
    pub of: String,
    pub pattern: String,
    /// The path has been rewritten since.
    pub is_past: bool,
}

impl BoundText {
    pub(super) fn fixed(text: &str) -> Self {
        BoundText { text: text.replace('$', "$$"), domain: Some(vec![text.to_owned()]) }
    }

    pub(super) fn variable(name: &str) -> Self {
        BoundText { text: format!("${{{name}}}"), domain: None }
    }

    pub(super) fn among(self, mut texts: Vec<String>) -> Self {
        let mut known = Vec::new();
        texts.retain(|text| {
            !known.contains(text) && {
                known.push(text.clone());
                true
            }
        });
        let domain = (texts.len() <= MOST_TEXTS).then_some(texts);
        BoundText { domain, ..self }
    }

    /// The text itself, where it is one.
    pub(super) fn only(&self) -> Option<&str> {
        match self.domain.as_deref() {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    pub(super) fn domain(&self) -> Option<&[String]> {
        self.domain.as_deref()
    }

    pub(super) fn braced(&self) -> &str {
        &self.text
    }

    /// As a template is written: without braces that nothing needs.
    pub(super) fn shown(&self) -> String {
        let mut out = String::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            // `$$` is a dollar sign, and what follows one is no variable.
            let is_escaped = before.len() - before.trim_end_matches('$').len();
            let Some((name, tail)) = after.split_once('}').filter(|_| is_escaped % 2 == 0) else {
                out.push_str("${");
                rest = after;
                continue;
            };
            let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let is_number = name.starts_with(|c: char| c.is_ascii_digit());
            let needs = !is_number && tail.starts_with(goes_on);
            out.push_str(&if needs { format!("${{{name}}}") } else { format!("${name}") });
            rest = tail;
        }
        out + rest
    }

    pub(super) fn join(&mut self, other: &BoundText) {
        self.text.push_str(&other.text);
        let product = self.domain.take().zip(other.domain.as_ref());
        self.domain =
            product.filter(|(own, other)| own.len() * other.len() <= MOST_TEXTS).map(|(own, other)| {
                own.iter().flat_map(|one| other.iter().map(move |two| format!("{one}{two}"))).collect()
            });
    }
}

impl Bindings {
    pub(super) fn of_server(server: &Server<'_>) -> Self {
        let root = server.scope.last("root").map(|root| root.arg(0).to_owned());
        let mut names = server.names.iter().filter(|name| !name.starts_with('~'));
        let server_name = names.next().cloned().unwrap_or_default();
        let names = server.names.clone();
        let mut bindings = Bindings { server_name, names, root, ..Bindings::default() };
        let mut patterns = server.names.iter().filter_map(|name| name.strip_prefix('~'));
        if let (Some(pattern), None) = (patterns.next(), patterns.next()) {
            bindings.capture("${host}", pattern);
        }
        bindings
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn set(&mut self, name: &str, text: Option<BoundText>) {
        let name = name.to_ascii_lowercase();
        self.set.retain(|(known, _)| *known != name);
        self.decisions.retain(|(known, _)| *known != name);
        self.set.push((name, text));
    }

    /// A variable that hangs on files; as a text it cannot be said.
    pub(super) fn decide(&mut self, name: &str, decision: Decision) {
        self.set(name, None);
        self.decisions.push((name.to_ascii_lowercase(), decision));
    }

    pub(super) fn decision(&self, name: &str) -> Option<&Decision> {
        self.decisions
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, decision)| decision)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub(super) fn in_folder(&mut self, root: &str) {
        self.root = Some(root.to_owned());
    }

    /// Whether the pattern that has fitted last is this one, of the path as it still is.
    pub(super) fn is_by(&self, pattern: &str) -> bool {
        self.captures.last().is_some_and(|last| last.pattern == pattern && !last.is_past)
    }

    /// A pattern has fitted a text.
    pub(super) fn capture(&mut self, of: &str, pattern: &str) {
        self.captures.push(Capture { of: of.to_owned(), pattern: pattern.to_owned(), is_past: false });
    }

    /// What was said of the path and the query holds no more.
    pub(super) fn path_changed(&mut self, speaks_of_path: impl Fn(&str) -> bool) {
        for (_, text) in &mut self.set {
            *text = text.take().filter(|text| !speaks_of_path(&text.text));
        }
        for capture in &mut self.captures {
            capture.is_past |= speaks_of_path(&capture.of);
        }
    }

    fn captured(&self, name: &str) -> Option<&Capture> {
        if name.parse::<usize>().is_ok() {
            return self.captures.last();
        }
        let has = |capture: &&Capture| Pattern::new(&capture.pattern, false).is_ok_and(|p| p.has_group(name));
        self.captures.iter().rev().find(has)
    }

    fn built_in(&self, name: &str) -> Option<BoundText> {
        let renamed = match name {
            "uri" | "document_uri" => "path",
            "query_string" => "args",
            "binary_remote_addr" => "remote_addr",
            "content_type" => "http_content_type",
            "content_length" => "http_content_length",
            "server_name" => return Some(BoundText::fixed(&self.server_name)),
            "document_root" => {
                return self.root.as_deref().filter(|root| !root.contains('$')).map(BoundText::fixed);
            }
            // Another thing than with us, or one that nginx does not know.
            "path" | "pool" => return None,
            other => other,
        };
        Variable::built_in(renamed).map(|_| BoundText::variable(renamed))
    }
}

impl<'a> Import<'a> {
    /// A text of nginx in the words of Pointsman.
    ///
    /// # Errors
    /// The variable that has no counterpart here.
    pub(super) fn text(&self, text: &str) -> Result<BoundText, String> {
        self.text_at(&self.bindings, text)
    }

    /// The same of what is said outside of servers.
    pub(super) fn text_at_beginning(&self, text: &str) -> Option<BoundText> {
        self.text_at(&Bindings::default(), text).ok()
    }

    fn text_at(&self, at: &Bindings, text: &str) -> Result<BoundText, String> {
        let mut out = BoundText::fixed("");
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.join(&BoundText::fixed(text)),
                Piece::Variable(name) => {
                    out.join(&self.resolved_at(at, name).ok_or_else(|| format!("${name}"))?);
                }
            }
        }
        Ok(out)
    }

    /// The same, with what is fixed filled in, in the words of nginx.
    pub(super) fn settled(&self, text: &str) -> String {
        self.settled_at(&self.bindings, text)
    }

    /// The same in a block of the server that gives variables values by `set` alone.
    pub(super) fn settled_in(&self, block: &'a [Directive], text: &str) -> String {
        let mut at = self.of_server.clone();
        for line in block.iter().filter(|line| line.name == "set") {
            let value = self.text_at(&at, line.arg(1));
            at.set(line.arg(0).trim_start_matches('$'), value.ok());
        }
        self.settled_at(&at, text)
    }

    fn settled_at(&self, at: &Bindings, text: &str) -> String {
        let pieces = pieces(text);
        let follows = |index: usize| match pieces.get(index + 1) {
            Some(Piece::Text(text)) => text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'),
            _ => false,
        };
        let each = |(index, piece): (usize, &Piece<'_>)| match piece {
            Piece::Text(text) => (*text).to_owned(),
            Piece::Variable(name) => {
                let known = self.resolved_at(at, name).and_then(|bound| bound.only().map(str::to_owned));
                let as_it_was = || if follows(index) { format!("${{{name}}}") } else { format!("${name}") };
                known.filter(|text| !text.contains('$')).unwrap_or_else(as_it_was)
            }
        };
        pieces.iter().enumerate().map(each).collect()
    }

    pub(super) fn resolved(&self, name: &str) -> Option<BoundText> {
        self.resolved_at(&self.bindings, name)
    }

    fn resolved_at(&self, at: &Bindings, name: &str) -> Option<BoundText> {
        let name = name.to_ascii_lowercase();
        let set = at.set.iter().find(|(known, _)| *known == name);
        if let Some((_, text)) = set {
            return text.clone();
        }
        if let Some(capture) = at.captured(&name) {
            return (!capture.is_past).then(|| self.group_of(capture, &name))?;
        }
        self.looked_up(&name).unwrap_or_else(|| at.built_in(&name))
    }

    /// A group of a pattern, by way of a look-up.
    fn group_of(&self, capture: &Capture, name: &str) -> Option<BoundText> {
        let pattern = Pattern::new(&capture.pattern, false).ok()?;
        if !is_group(&pattern, name) {
            return None;
        }
        let base = if name.parse::<usize>().is_ok() { format!("group_{name}") } else { name.to_owned() };
        // A look-up does not mention what has its own name.
        let group = pattern.group_number(name).map_or_else(|| name.to_owned(), |number| number.to_string());
        let block = LookupBlock {
            from: self.place.clone(),
            name: base,
            of: BoundText { text: capture.of.clone(), domain: None }.shown(),
            values: vec![(format!("~{}", capture.pattern), format!("${group}"))],
            default: String::new(),
        };
        Some(self.lookups.add(block, None))
    }

    /// Whether a text speaks of the path or the query.
    pub(super) fn speaks_of_path(&self, text: &str) -> bool {
        let is_its =
            |name: &String| matches!(name.as_str(), "path" | "args" | "is_args") || name.starts_with("arg_");
        let speaks = |text: &str| mentions(text).iter().any(is_its);
        speaks(text) || self.lookups.any_in(text, &speaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: &[BoundText]) -> BoundText {
        let mut out = BoundText::fixed("");
        parts.iter().for_each(|part| out.join(part));
        out
    }

    #[test]
    fn braces_stand_where_they_are_needed() {
        let host = BoundText::variable("host");
        for (parts, shown) in [
            (vec![host.clone(), BoundText::fixed("/x")], "$host/x"),
            (vec![host.clone(), BoundText::fixed("x")], "${host}x"),
            (vec![host.clone(), host.clone()], "$host$host"),
            (vec![BoundText::fixed("a$b"), host.clone()], "a$$b$host"),
            (vec![BoundText::fixed("${host}")], "$${host}"),
        ] {
            assert_eq!(text(&parts).shown(), shown);
        }
    }

    #[test]
    fn a_text_is_followed_through_what_it_may_be() {
        let some =
            |texts: &[&str]| BoundText::variable("m").among(texts.iter().map(|t| (*t).to_owned()).collect());
        let both = text(&[BoundText::fixed("http://"), some(&["a", "b", "a"]), BoundText::fixed(":80")]);
        assert_eq!(both.domain().map(<[String]>::len), Some(2));
        assert_eq!(both.domain().and_then(<[String]>::first).map(String::as_str), Some("http://a:80"));
        assert_eq!(text(&[BoundText::fixed("a"), BoundText::fixed("b")]).only(), Some("ab"));
        assert_eq!(text(&[some(&["a"]), BoundText::variable("host")]).domain(), None);
    }
}
