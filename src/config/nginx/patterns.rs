//! Patterns of PCRE, as far as Rust's can say them.
//!
//! A negative look-ahead for fixed texts at the end of a pattern, `/\.(?!well-known)`, is spelt out, so that the
//! pattern stays one of the fast kind. Other look-around and back-references are for the slower kind. From what
//! neither knows the condition is left out, so that the pattern fits more than it did, never less: what it was for
//! can then be denied, and nothing is opened.

use crate::core::pattern::Pattern;
use regex::RegexBuilder;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// A pattern that compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub pattern: String,
    /// It fits what the one of PCRE does; otherwise that, and more.
    pub is_exact: bool,
}

/// Most texts that a look-ahead is spelt out for.
const MOST_TEXTS: usize = 64;

pub(super) fn translated(pattern: &str) -> Translated {
    let plain = |pattern: &str| RegexBuilder::new(pattern).size_limit(1 << 20).build().is_ok();
    let said = read(pattern, false).filter(|found| plain(&found.pattern));
    if let Some(said) = said.as_ref().filter(|found| found.is_exact) {
        return said.clone();
    }
    // The slower kind of patterns, where it is needed.
    let kept =
        read(pattern, true).filter(|found| found.is_exact && Pattern::new(&found.pattern, false).is_ok());
    kept.or(said).unwrap_or(Translated { pattern: "^".to_owned(), is_exact: false })
}

fn read(pattern: &str, keeps: bool) -> Option<Translated> {
    let rest = pattern.chars().peekable();
    let mut reader = Reader { rest, out: String::new(), is_exact: true, depth: 0, keeps };
    reader.read()?;
    let Reader { out, is_exact, .. } = reader;
    (!out.is_empty()).then_some(Translated { pattern: out, is_exact })
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    is_exact: bool,
    depth: usize,
    /// Look-around, back-references and the like stay.
    keeps: bool,
}

impl Reader<'_> {
    /// `None` for what is not understood.
    fn read(&mut self) -> Option<()> {
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.out.push(')');
                }
                '*' | '+' | '?' | '}' => {
                    self.out.push(next);
                    // A possessive repetition gives nothing back: without it, more fits.
                    if self.rest.next_if_eq(&'+').is_some() {
                        match self.keeps {
                            true => self.out.push('+'),
                            false => self.is_exact = false,
                        }
                    }
                }
                other => self.out.push(other),
            }
        }
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let next = self.rest.next()?;
        match next {
            '1'..='9' if self.keeps => self.out.extend(['\\', next]),
            '1'..='9' => {
                while self.rest.next_if(char::is_ascii_digit).is_some() {}
                self.anything();
            }
            'Z' => self.out.push('$'),
            'h' => self.out.push_str("[ \\t]"),
            'e' => self.out.push_str("\\x1B"),
            // What has a text of its own, or is no fixed condition.
            'g' | 'k' | 'K' | 'G' | 'Q' | 'R' | 'X' | 'C' | 'N' | 'c' | 'o' | '0' => return None,
            plain if plain.is_ascii_alphanumeric() => self.out.extend(['\\', plain]),
            plain => self.out.push_str(&regex::escape(&plain.to_string())),
        }
        Some(())
    }

    fn anything(&mut self) {
        self.is_exact = false;
        self.out.push_str("(?s:.*)");
    }

    /// Rust's classes have operators (`&&`, `--`, `~~`) and classes in classes; PCRE's have characters.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.next_if_eq(&']').is_some() {
            self.out.push_str("\\]");
        }
        loop {
            match self.rest.next()? {
                ']' => break,
                '\\' => match self.rest.next()? {
                    'Q' | 'c' | 'o' | '0'..='9' => return None,
                    'h' => self.out.push_str(" \\t"),
                    plain if plain.is_ascii_alphanumeric() => self.out.extend(['\\', plain]),
                    plain => self.out.push_str(&regex::escape(&plain.to_string())),
                },
                '[' if matches!(self.rest.peek(), Some(':')) => {
                    self.out.push('[');
                    while let Some(next) = self.rest.next_if(|next| *next != ']') {
                        self.out.push(next);
                    }
                    self.rest.next()?;
                    self.out.push(']');
                }
                '-' if matches!(self.rest.peek(), Some('-')) => return None,
                odd @ ('[' | '&' | '~') => self.out.extend(['\\', odd]),
                plain => self.out.push(plain),
            }
        }
        self.out.push(']');
        Some(())
    }

    fn group(&mut self) -> Option<()> {
        if self.rest.peek() == Some(&'*') {
            return None;
        }
        if self.rest.next_if_eq(&'?').is_none() {
            self.depth += 1;
            self.out.push('(');
            return Some(());
        }
        let kind = self.rest.next()?;
        let behind = kind == '<' && matches!(self.rest.peek(), Some('=' | '!'));
        if self.keeps && (behind || matches!(kind, '=' | '!' | '>')) {
            self.depth += 1;
            self.out.extend(['(', '?', kind]);
            self.out.extend(behind.then(|| self.rest.next()).flatten());
            return Some(());
        }
        match kind {
            '#' => while self.rest.next()? != ')' {},
            '=' | '!' => return self.look(kind == '!'),
            '<' if behind => return self.look(false),
            '>' | '|' => {
                self.is_exact = false;
                self.depth += 1;
                self.out.push_str("(?:");
            }
            'P' if self.rest.next_if_eq(&'=').is_some() => {
                while self.rest.next()? != ')' {}
                self.anything();
            }
            '(' | 'R' | '&' | '\'' | '0'..='9' => return None,
            other => {
                self.out.extend(['(', '?', other]);
                self.depth += 1;
                // Flags alone, `(?i)`, open no group that is different from others: their `)` closes it.
            }
        }
        Some(())
    }

    /// A condition on what is around: left out, or spelt out.
    fn look(&mut self, is_not_ahead: bool) -> Option<()> {
        let body = self.body()?;
        let tail: String = self.rest.clone().collect();
        let is_last = self.depth == 0 && ["", ".*", ".*$", "(.*)", "(.*)$", ".*?$"].contains(&tail.as_str());
        let texts = if is_not_ahead && is_last { texts(&body) } else { None };
        if let Some(texts) = texts {
            self.out.push_str(&other_than(&texts));
            self.rest.by_ref().for_each(drop);
            return Some(());
        }
        self.is_exact = false;
        while self.rest.next_if(|next| matches!(next, '*' | '+' | '?')).is_some() {}
        Some(())
    }

    /// What stands before the `)` of a group that is open.
    fn body(&mut self) -> Option<String> {
        let (mut body, mut depth, mut in_class) = (String::new(), 1, false);
        loop {
            let next = self.rest.next()?;
            match next {
                '\\' => {
                    body.push(next);
                    body.push(self.rest.next()?);
                    continue;
                }
                '[' => in_class = true,
                ']' => in_class = false,
                '(' if !in_class => depth += 1,
                ')' if !in_class => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(body);
            }
            body.push(next);
        }
    }
}

/// The texts that a pattern of nothing but texts fits the beginning of: `a|b(c|d)`.
fn texts(pattern: &str) -> Option<Vec<String>> {
    let ends = [".*$", ".*", "(.*)"];
    let pattern = ends.iter().find_map(|end| pattern.strip_suffix(end)).unwrap_or(pattern);
    let mut rest = pattern.chars().peekable();
    let texts = alternatives(&mut rest)?;
    rest.next().is_none().then_some(texts)
}

fn alternatives(rest: &mut Peekable<Chars<'_>>) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut these = vec![String::new()];
    loop {
        match rest.peek().copied() {
            None | Some(')') => break,
            Some('|') => {
                rest.next();
                all.append(&mut these);
                these = vec![String::new()];
                continue;
            }
            Some('(') => {
                rest.next();
                if rest.next_if_eq(&'?').is_some() {
                    rest.next_if_eq(&':')?;
                }
                let inner = alternatives(rest)?;
                rest.next_if_eq(&')')?;
                these =
                    these.iter().flat_map(|one| inner.iter().map(move |two| format!("{one}{two}"))).collect();
            }
            Some('\\') => {
                rest.next();
                let next = rest.next().filter(|next| !next.is_ascii_alphanumeric())?;
                these.iter_mut().for_each(|text| text.push(next));
            }
            Some('[' | '.' | '^' | '$' | '{') => return None,
            Some(plain) => {
                rest.next();
                these.iter_mut().for_each(|text| text.push(plain));
            }
        }
        if matches!(rest.peek(), Some('*' | '+' | '?' | '{')) || all.len() + these.len() > MOST_TEXTS {
            return None;
        }
    }
    all.append(&mut these);
    Some(all)
}

/// A pattern for whatever begins with none of the texts.
fn other_than(texts: &[String]) -> String {
    let mut nexts: BTreeMap<char, Vec<String>> = BTreeMap::new();
    for text in texts {
        let mut chars = text.chars();
        // Everything begins with the empty text.
        let Some(first) = chars.next() else { return "[a&&b]".to_owned() };
        nexts.entry(first).or_default().push(chars.as_str().to_owned());
    }
    let class: String = nexts.keys().map(|next| format!("\\x{{{:X}}}", u32::from(*next))).collect();
    let mut ways = vec!["$".to_owned(), format!("[^{class}]")];
    for (next, texts) in nexts.iter().filter(|(_, texts)| !texts.iter().any(String::is_empty)) {
        ways.push(format!("{}{}", regex::escape(&next.to_string()), other_than(texts)));
    }
    format!("(?:{})", ways.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, false).expect("it compiles").is_match(text.as_bytes())
    }

    #[test]
    fn what_both_know_stays_as_it_is() {
        for pattern in [
            r"\.(gif|jpe?g)$",
            r"^/api/(?P<id>\d+)",
            r"^/a{2,3}[^/]+",
            "(?i)x",
            r"[[:alpha:]]\/?",
            "a|b",
            r"(?:a)(?<n>b)",
            "[]a]",
        ] {
            let found = translated(pattern);
            assert!(
                found.is_exact && fits(&found.pattern, "") == fits(&found.pattern, ""),
                "{pattern}: {found:?}"
            );
        }
        assert_eq!(translated(r"\.php$").pattern, r"\.php$");
    }

    #[test]
    fn classes_hold_characters_and_no_operators() {
        for (pattern, inside, outside) in
            [("^[[.]$", "[", "a"), ("^[a&&b]$", "&", "c"), ("^[]~~]$", "~", "a"), ("^[a[]$", "[", "b")]
        {
            let found = translated(pattern);
            assert!(
                found.is_exact && fits(&found.pattern, inside) && !fits(&found.pattern, outside),
                "{pattern}: {found:?}"
            );
        }
    }

    #[test]
    fn what_must_not_follow_is_spelt_out() {
        for (pattern, fitting, others) in [
            (
                r"/\.(?!well-known)",
                &["/.git", "/.", "/.well", "/.wellknown", "/.well-known/.a"][..],
                &["/.well-known", "/.well-known/x", "/a"][..],
            ),
            (r"/\.(?!well-known\/).*$", &["/.well-known", "/.well-knowns/"], &["/.well-known/x"]),
            ("^/(?!api|(?:img|css)/).*", &["/", "/ap", "/img", "/x"], &["/api", "/apis", "/img/", "/css/a"]),
            ("^(?!/public)", &["/", "/pub", "/x/public"], &["/public", "/public/x"]),
        ] {
            let found = translated(pattern);
            assert!(found.is_exact, "{pattern}: {found:?}");
            fitting.iter().for_each(|text| assert!(fits(&found.pattern, text), "{text}: {found:?}"));
            others.iter().for_each(|text| assert!(!fits(&found.pattern, text), "{text}: {found:?}"));
        }
    }

    #[test]
    fn what_the_slower_kind_knows_stays_as_it_is() {
        for (pattern, fitting, other) in [
            (r"/\.(?!well-known)x$", "/.x", "/.y"),
            ("^/(?=private)", "/private", "/public"),
            ("^/(?>private|x)/", "/private/", "/private"),
            (r"^/([a-z])\1min", "/aamin", "/abmin"),
            ("(?<!app)/x$", "/b/x", "/app/x"),
            ("^a++b", "aab", "b"),
            ("^/a(?!.*public).*$", "/a", "/a/public"),
            ("^/(?!a[b])", "/c", "/ab"),
        ] {
            let found = translated(pattern);
            assert!(found.is_exact, "{pattern}: {found:?}");
            assert!(fits(&found.pattern, fitting) && !fits(&found.pattern, other), "{pattern}: {found:?}");
        }
    }

    #[test]
    fn from_what_cannot_be_said_the_condition_is_left_out() {
        for (pattern, fitting) in
            [(r"^/\Qa.b\E", "/a.b"), ("^/(?(1)a|b)", "/b"), ("(*UTF8)x", "x"), ("(", "(")]
        {
            let found = translated(pattern);
            assert!(!found.is_exact && fits(&found.pattern, fitting), "{pattern}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_all_compiles(pattern in r"[a-c()\[\]\\?!=<>|*+.^$&~:{}1#-]{0,24}") {
            let found = translated(&pattern);
            prop_assert!(Pattern::new(&found.pattern, false).is_ok());
        }

        #[test]
        fn other_texts_are_those_that_begin_otherwise(texts in prop::collection::vec("[ab.]{1,4}", 1..5), text in "[abc.]{0,6}") {
            let begins = texts.iter().any(|known| text.starts_with(known.as_str()));
            prop_assert_eq!(fits(&format!("^{}", other_than(&texts)), &text), !begins);
        }
    }
}
