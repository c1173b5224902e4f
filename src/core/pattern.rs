//! Regular expressions over the bytes of a request, compiled when the configuration is read.
//!
//! Most are matched in a time that grows with the text alone. Those with look-around or back-references are not:
//! they stop after so many steps, and then a pattern fits, so that a long path is no way around a route that denies.

use fancy_regex::RegexBuilder as FancyBuilder;
use regex::bytes::{Regex, RegexBuilder};

/// Steps after which a pattern with look-around stops: some milliseconds.
const MOST_STEPS: usize = 100_000;

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
#[derive(Clone, Debug, Default)]
pub struct GroupsFound {
    found: Vec<Option<Box<[u8]>>>,
    names: Vec<Option<Box<str>>>,
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
                let fancy = builder.case_insensitive(ignore_case).backtrack_limit(MOST_STEPS).build();
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
        self.names().iter().flatten().any(|known| &**known == name)
    }

    /// The number of the group with this name.
    pub fn group_number(&self, name: &str) -> Option<usize> {
        self.names().iter().position(|known| known.as_deref() == Some(name))
    }

    fn names(&self) -> Vec<Option<Box<str>>> {
        let boxed = |name: Option<&str>| name.map(Into::into);
        match &self.kind {
            PatternKind::Plain(regex) => regex.capture_names().map(boxed).collect(),
            PatternKind::Fancy(regex) => regex.capture_names().map(boxed).collect(),
        }
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.kind {
            PatternKind::Plain(regex) => regex.is_match(text),
            PatternKind::Fancy(regex) => regex.is_match(&*String::from_utf8_lossy(text)).unwrap_or(true),
        }
    }

    /// What its groups find; `None` where it does not fit, or takes too long.
    pub fn find(&self, text: &[u8]) -> Option<GroupsFound> {
        let found = match &self.kind {
            PatternKind::Plain(regex) => {
                let groups = regex.captures(text)?;
                groups.iter().map(|group| group.map(|group| group.as_bytes().into())).collect()
            }
            PatternKind::Fancy(regex) => {
                let text = String::from_utf8_lossy(text);
                let groups = regex.captures(&*text).ok()??;
                groups.iter().map(|group| group.map(|group| group.as_str().as_bytes().into())).collect()
            }
        };
        Some(GroupsFound { found, names: self.names() })
    }
}

impl GroupsFound {
    /// What a group has found, from 1; nothing where it has not.
    pub fn number(&self, number: usize) -> &[u8] {
        self.found.get(number).and_then(Option::as_deref).unwrap_or_default()
    }

    pub fn name(&self, name: &str) -> &[u8] {
        let named = |known: &Option<Box<str>>| known.as_deref() == Some(name);
        self.names.iter().position(named).map_or(&[], |number| self.number(number))
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
    fn a_pattern_that_runs_away_stops_and_fits() {
        let runaway = pattern(r"^/(?:a|a|(?=a)a)+(?<!b)c$");
        let long = format!("/{}", "a".repeat(64));
        assert!(runaway.is_match(long.as_bytes()) && runaway.find(long.as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(text in "[a-z(|?!=<>.*+^$\\\\)\\[\\]]{0,12}", path in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(pattern) = Pattern::new(&text, false) {
                let fits = pattern.is_match(&path);
                prop_assert!(fits || pattern.find(&path).is_none());
            }
        }
    }
}
