//! What became of every directive: nothing may be lost on the way.
//!
//! The parts of the import mark the directives they used. What nobody has marked at the end gets its
//! fate from [`super::known`], and what is not known there was not carried over. Where two parts
//! disagree about a directive that many locations inherit, the worse news stands.

use super::tree::Directive;
use serde::Serialize;
use std::cell::RefCell;

/// In the order of how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It has the same effect.
    Carried,
    /// It has a slightly different effect, or is not needed.
    Noted,
    /// It has no effect any more.
    Missing,
}

/// What a note is about, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It protected something, which is denied until it is protected otherwise.
    Protection,
    /// What it answered is answered 501.
    Unanswered,
    /// Something is done otherwise, or not any more.
    Difference,
    /// Nobody notices.
    Harmless,
}

/// A directive that was noted or is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub file: String,
    pub line: usize,
    /// Name and arguments.
    pub directive: String,
    pub level: Level,
    pub weight: Weight,
    /// Why, and what to do.
    pub detail: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.level == Level::Missing { "not carried over" } else { "noted" };
        write!(f, "{}:{}: {}: {word}: {}", self.file, self.line, self.directive, self.detail)
    }
}

/// How many directives had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub carried: usize,
    pub noted: usize,
    pub missing: usize,
    /// Lines of data, such as those of mime.types and maps, and of files that distributions bring along. They
    /// share the fate of their block, or have one for the whole file.
    pub apart: usize,
}

/// What became of a directive, and what that is about. Weights count from 0, the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub level: Level,
    pub weight: Weight,
}

pub(super) const DENIED: Fate = Fate { level: Level::Missing, weight: Weight::Protection };
pub(super) const UNANSWERED: Fate = Fate { level: Level::Missing, weight: Weight::Unanswered };
pub(super) const HARMLESS: Fate = Fate { level: Level::Noted, weight: Weight::Harmless };

impl From<Level> for Fate {
    fn from(level: Level) -> Self {
        Fate { level, weight: Weight::Difference }
    }
}

/// A fate and why; `None` as long as nobody has said.
pub(super) type Marked = Option<(Fate, Vec<String>)>;

/// One entry for each directive of a tree, by its number.
#[derive(Debug)]
pub(super) struct Ledger {
    fates: RefCell<Vec<Marked>>,
}

impl Ledger {
    pub(super) fn new(count: usize) -> Self {
        Ledger { fates: RefCell::new(vec![None; count]) }
    }

    pub(super) fn carried(&self, directive: &Directive) {
        self.mark(directive, Level::Carried, "");
    }

    pub(super) fn noted(&self, directive: &Directive, detail: &str) {
        self.mark(directive, Level::Noted, detail);
    }

    pub(super) fn harmless(&self, directive: &Directive, detail: &str) {
        self.mark(directive, HARMLESS, detail);
    }

    pub(super) fn missing(&self, directive: &Directive, detail: &str) {
        self.mark(directive, Level::Missing, detail);
    }

    /// What it answered is answered 501; the report says why.
    pub(super) fn unanswered(&self, directive: &Directive, why: &str) {
        self.mark(directive, UNANSWERED, &format!("{why}; the route answers 501 until then"));
    }

    /// A directive and all that is in it and has no fate yet.
    pub(super) fn whole(&self, directive: &Directive, fate: impl Into<Fate>, detail: &str) {
        let fate = fate.into();
        self.mark(directive, fate, detail);
        let inside = format!("it stands in {} of line {}", directive.name, directive.place.line);
        directive.visit(&mut |inner| {
            let fresh = self.fates.borrow().get(inner.id).is_some_and(Option::is_none);
            if fresh {
                self.mark(inner, fate, &inside);
            }
        });
    }

    pub(super) fn mark(&self, directive: &Directive, fate: impl Into<Fate>, detail: &str) {
        let fate = fate.into();
        let mut fates = self.fates.borrow_mut();
        let Some(marked) = fates.get_mut(directive.id) else { return };
        match marked {
            Some((known, _)) if known.level > fate.level => {}
            Some((known, details)) if known.level == fate.level => {
                known.weight = known.weight.min(fate.weight);
                if !details.iter().any(|other| other == detail) {
                    details.push(detail.to_owned());
                }
            }
            _ => *marked = Some((fate, vec![detail.to_owned()])),
        }
    }

    pub(super) fn into_fates(self) -> Vec<Marked> {
        self.fates.into_inner()
    }
}
