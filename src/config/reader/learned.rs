//! What reading shows of the keys that there are: which are asked for, which values each takes, which must be there.

use super::place::KeyPath;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// Which values a key takes, by one of the getters that read it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum ValueKind {
    Bool,
    Integer {
        least: u64,
        most: u64,
    },
    Number {
        least: Bound<f64>,
        most: Bound<f64>,
    },
    Text,
    File,
    Variable,
    Duration {
        least: Duration,
        most: Option<Duration>,
    },
    Size {
        least: u64,
        most: Option<u64>,
    },
    /// Of 1.
    Share {
        least: Bound<f64>,
        most: Bound<f64>,
    },
    Choice(Vec<String>),
    Array,
    Table,
}

impl ValueKind {
    pub(super) fn number(range: &impl RangeBounds<f64>) -> ValueKind {
        ValueKind::Number { least: range.start_bound().cloned(), most: range.end_bound().cloned() }
    }

    pub(super) fn share(range: &impl RangeBounds<f64>) -> ValueKind {
        ValueKind::Share { least: range.start_bound().cloned(), most: range.end_bound().cloned() }
    }

    /// What TOML calls it.
    pub(in crate::config) fn of_toml(&self) -> &'static str {
        match self {
            ValueKind::Bool => "boolean",
            ValueKind::Integer { .. } => "integer",
            ValueKind::Number { .. } => "number",
            ValueKind::Array => "array",
            ValueKind::Table => "table",
            _ => "string",
        }
    }
}

/// Of one document or, added up, of several. Keys are named by their normal paths.
#[derive(Debug, Default)]
pub(in crate::config) struct Learned {
    pub asked: BTreeSet<String>,
    pub kinds: BTreeMap<String, Vec<ValueKind>>,
    /// Kinds of values that the reader tells apart: it takes each of them.
    pub probed: BTreeSet<(String, &'static str)>,
    /// Tables whose keys are names.
    pub named: BTreeSet<String>,
    /// The tables that were read, with how many of each there were.
    pub tables: BTreeMap<String, usize>,
    /// In how many tables a key had to be.
    pub needs: BTreeMap<String, usize>,
    seen: BTreeSet<(String, Option<&'static str>)>,
}

impl Learned {
    pub(super) fn asked(&mut self, path: String) {
        self.asked.insert(path);
    }

    pub(super) fn takes(&mut self, path: &str, kind: ValueKind) {
        let kinds = self.kinds.entry(path.to_owned()).or_default();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }

    pub(super) fn probed(&mut self, path: &str, kind: &'static str) {
        self.probed.insert((path.to_owned(), kind));
    }

    pub(super) fn names_its_keys(&mut self, path: &str) {
        self.named.insert(path.to_owned());
    }

    pub(super) fn entered(&mut self, table: &KeyPath) {
        if self.seen.insert((table.shown.clone(), None)) {
            *self.tables.entry(table.normal.clone()).or_default() += 1;
        }
    }

    pub(super) fn needed(&mut self, table: &KeyPath, key: &'static str) {
        if self.seen.insert((table.shown.clone(), Some(key))) {
            *self.needs.entry(table.key(key).normal).or_default() += 1;
        }
    }

    pub(in crate::config) fn add(&mut self, other: Learned) {
        self.asked.extend(other.asked);
        for (path, kinds) in other.kinds {
            kinds.into_iter().for_each(|kind| self.takes(&path, kind));
        }
        self.probed.extend(other.probed);
        self.named.extend(other.named);
        for (sum, more) in [(&mut self.tables, other.tables), (&mut self.needs, other.needs)] {
            more.into_iter().for_each(|(path, count)| *sum.entry(path).or_default() += count);
        }
    }

    /// Whether every table of its kind must have the key.
    pub(in crate::config) fn is_needed(&self, path: &str) -> bool {
        let (table, _) = path.rsplit_once('.').unwrap_or(("", path));
        self.needs.get(path).is_some_and(|needs| Some(needs) == self.tables.get(table))
    }
}
