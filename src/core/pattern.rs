//! Regular expressions over the bytes of a request, compiled when the configuration is read.
//!
//! Most are matched in a time that grows with the text alone. Those with look-around or back-references are not:
//! they stop after so many steps, and look at no text that is longer than a line of nginx's buffers, since a step may
//! look at all of it. Then nobody knows whether they fit: a request whose way depends on that is refused, so that no
//! text of a client is a way around a route, in either direction.

use fancy_regex::{BytesMode, RegexBuilder as FancyBuilder};
use regex::bytes::{Regex, RegexBuilder};
use std::cell::Cell;

/// Steps after which a pattern with look-around stops: some milliseconds.
const MOST_STEPS: usize = 100_000;
/// Bytes of the longest text that such a pattern looks at: the worst takes some fifty milliseconds.
const LONGEST_BYTES: usize = 8 << 10;

thread_local! {
    static UNDECIDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a pattern on this thread has stopped before it was known to fit or not, since this was asked last.
pub fn take_undecided() -> bool {
    UNDECIDED.replace(false)
}

/// A regular expression. Two are the same where they are written the same.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    ignore_case: bool,
    kind: PatternKind,
}

#[derive(Clone, Debug)]
enum PatternKind {
    Plain(Regex),
    /// With look-around or back-references.
    Fancy(Box<fancy_regex::Regex>),
}

/// What the groups of a pattern have found in a text; the first is the whole.
#[derive(Debug)]
pub struct GroupsFound<'t> {
    captures: Captures<'t>,
    /// Whether they are pieces of a path in its plain form, and go where paths are written otherwise.
    pub is_path: bool,
}

#[derive(Debug)]
enum Captures<'t> {
    Plain(regex::bytes::Captures<'t>),
    Fancy(fancy_regex::Captures<'t, [u8]>),
}

impl Pattern {
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str, ignore_case: bool) -> Result<Self, String> {
        let built = RegexBuilder::new(text).case_insensitive(ignore_case).unicode(false).build();
        let kind = match built {
            Ok(regex) => PatternKind::Plain(regex),
            Err(error) => {
                let mut builder = FancyBuilder::new(text);
                builder.case_insensitive(ignore_case).backtrack_limit(MOST_STEPS);
                // Bytes, as the plainer ones see them.
                let fancy = builder.bytes_mode(BytesMode::Ascii).build();
                // What neither takes is said of the plainer language.
                PatternKind::Fancy(Box::new(fancy.map_err(|_| error.to_string())?))
            }
        };
        Ok(Pattern { text: text.into(), ignore_case, kind })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many groups it has beside the whole.
    pub fn groups(&self) -> usize {
        let all = match &self.kind {
            PatternKind::Plain(regex) => regex.captures_len(),
            PatternKind::Fancy(regex) => regex.captures_len(),
        };
        all.saturating_sub(1)
    }

    /// Whether one of its groups has this name.
    pub fn has_group(&self, name: &str) -> bool {
        self.group_number(name).is_some()
    }

    /// The number of the group with this name.
    pub fn group_number(&self, name: &str) -> Option<usize> {
        let is_it = |known: Option<&str>| known == Some(name);
        match &self.kind {
            PatternKind::Plain(regex) => regex.capture_names().position(is_it),
            PatternKind::Fancy(regex) => regex.capture_names().position(is_it),
        }
    }

    /// Whether it fits. Where it stops before that is known, [`take_undecided`] says so.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.kind {
            PatternKind::Plain(regex) => regex.is_match(text),
            PatternKind::Fancy(regex) => decided(text, |text| regex.is_match(text)).unwrap_or(false),
        }
    }

    /// What its groups find; `None` where it does not fit. Where it stops before that is known, [`take_undecided`]
    /// says so.
    pub fn find<'t>(&self, text: &'t [u8]) -> Option<GroupsFound<'t>> {
        let found = match &self.kind {
            // Groups take memory, which most texts need not.
            PatternKind::Plain(regex) if !regex.is_match(text) => return None,
            PatternKind::Plain(regex) => Captures::Plain(regex.captures(text)?),
            PatternKind::Fancy(regex) => Captures::Fancy(decided(text, |text| regex.captures(text))??),
        };
        Some(GroupsFound { captures: found, is_path: false })
    }
}

/// What a pattern with look-around says of a text; `None` where it does not come to an end.
fn decided<'t, T>(text: &'t [u8], look: impl FnOnce(&'t [u8]) -> fancy_regex::Result<T>) -> Option<T> {
    let said = if text.len() > LONGEST_BYTES { None } else { look(text).ok() };
    if said.is_none() {
        UNDECIDED.set(true);
    }
    said
}

impl GroupsFound<'_> {
    /// What a group has found, from 1; nothing where it has not.
    pub fn number(&self, number: usize) -> &[u8] {
        match &self.captures {
            Captures::Plain(found) => found.get(number).map(|group| group.as_bytes()),
            Captures::Fancy(found) => found.get(number).map(|group| group.as_bytes()),
        }
        .unwrap_or_default()
    }

    pub fn name(&self, name: &str) -> &[u8] {
        match &self.captures {
            Captures::Plain(found) => found.name(name).map(|group| group.as_bytes()),
            Captures::Fancy(found) => found.name(name).map(|group| group.as_bytes()),
        }
        .unwrap_or_default()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.ignore_case) == (&other.text, other.ignore_case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text, false).expect("a pattern")
    }

    #[test]
    fn look_around_is_taken_where_it_is_needed() {
        for (text, path, expected) in [
            ("^/a(?!dmin)", "/about", true),
            ("^/a(?!dmin)", "/admin", false),
            (r"\.(?:css|js)$", "/x.css", true),
            (r"^/(\w)\1$", "/aa", true),
            (r"^/(\w)\1$", "/ab", false),
        ] {
            assert_eq!(pattern(text).is_match(path.as_bytes()), expected, "{text} {path}");
        }
        assert!(matches!(pattern("^/a").kind, PatternKind::Plain(_)));
        assert!(Pattern::new("^/a(", false).is_err());
        assert!(Pattern::new("^/A", true).expect("a pattern").is_match(b"/a"));
    }

    #[test]
    fn groups_are_found_by_number_and_name() {
        for text in [r"^/(?<app>\w+)/(\d+)?", r"^/(?<app>\w+)(?!/x)/(\d+)?"] {
            let pattern = pattern(text);
            assert_eq!(
                (pattern.groups(), pattern.has_group("app"), pattern.has_group("b")),
                (2, true, false)
            );
            let groups = pattern.find(b"/shop/12").expect("it fits");
            assert_eq!(
                (groups.name("app"), groups.number(2), groups.number(3)),
                (&b"shop"[..], &b"12"[..], &b""[..])
            );
            assert_eq!(pattern.find(b"/shop/").expect("it fits").number(2), b"");
            assert!(pattern.find(b"").is_none());
        }
    }

    #[test]
    fn a_pattern_that_runs_away_stops_and_says_so() {
        let runaway = pattern(r"^/(?:a|a|(?=a)a)+(?<!b)c$");
        let long = format!("/{}", "a".repeat(64));
        assert!(!take_undecided());
        assert!(!runaway.is_match(long.as_bytes()) && take_undecided() && !take_undecided());
        assert!(runaway.find(long.as_bytes()).is_none() && take_undecided());
        assert!(runaway.is_match(b"/aac") && !take_undecided());
        // A look ahead may see all of the text at each of its bytes, which are no steps.
        let squared = pattern("(?=.*!)(?=.*b)");
        assert!(!squared.is_match(&vec![b'a'; LONGEST_BYTES]) && !take_undecided());
        assert!(!squared.is_match(&vec![b'a'; LONGEST_BYTES + 1]) && take_undecided());
        assert!(!pattern("a*b").is_match(&vec![b'a'; 1 << 20]) && !take_undecided());
    }

    #[test]
    fn bytes_are_seen_as_they_are_with_look_around_or_without() {
        for text in [r"^(?<all>.\xff.)$", r"^(?!x)(?<all>.\xff.)$"] {
            let groups = pattern(text).find(b"a\xff\xfe").expect("it fits");
            assert_eq!(
                (groups.number(1), groups.name("all")),
                (&b"a\xff\xfe"[..], &b"a\xff\xfe"[..]),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(text in "[a-z(|?!=<>.*+^$\\\\)\\[\\]]{0,12}", path in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(pattern) = Pattern::new(&text, false) {
                let fits = pattern.is_match(&path);
                let is_decided = !take_undecided();
                prop_assert!(!is_decided || fits == pattern.find(&path).is_some());
            }
        }
    }
}
