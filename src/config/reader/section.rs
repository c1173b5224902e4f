//! A table of the file.

use super::Document;
use super::item::Item;
use super::place::KeyPath;
use crate::config::keys;
use crate::core::variable::Variable;
use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeString, DeTable};

/// A table, and which of its keys have been asked for.
pub(in crate::config) struct Section<'a> {
    document: &'a Document<'a>,
    path: KeyPath,
    offset: usize,
    /// `None` where the file has no such table: everything in it has its default.
    table: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(in crate::config) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Section::new(document, KeyPath::default(), 0, Some(table))
    }

    pub(super) fn new(
        document: &'a Document<'a>,
        path: KeyPath,
        offset: usize,
        table: Option<&'a DeTable<'a>>,
    ) -> Self {
        Section { document, path, offset, table, known: RefCell::default() }
    }

    /// Makes a name known, which texts that are read later may refer to.
    pub(in crate::config) fn know(&self, name: String, variable: Variable) {
        self.document.names.borrow_mut().insert(name, variable);
    }

    /// Where relative file names start.
    pub(in crate::config) fn base(&self) -> &'a Path {
        self.document.base
    }

    pub(in crate::config) fn exists(&self) -> bool {
        self.table.is_some()
    }

    pub(in crate::config) fn item(&self, key: &'static str) -> Option<Item<'a>> {
        #[cfg(test)]
        self.document.learned.borrow_mut().asked(self.path.key(key).normal);
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Item::new(self.document, self.path.key(key), value))
    }

    /// The table under a key; one without a table behind it where the file has none.
    pub(in crate::config) fn section(&self, key: &'static str) -> Section<'a> {
        let section = self.item(key).and_then(|item| item.section());
        section.unwrap_or_else(|| Section::new(self.document, self.path.key(key), self.offset, None))
    }

    /// The table that a name would lead to, without anything in it.
    pub(in crate::config) fn absent(&self, name: &str) -> Section<'a> {
        Section::new(self.document, self.path.entry(name), self.offset, None)
    }

    /// The value under a key, or the default where it is absent or faulty.
    pub(in crate::config) fn read<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> T {
        self.item(key).and_then(|item| read(&item)).unwrap_or(default)
    }

    /// The value under a key that must be there.
    pub(in crate::config) fn need<T>(
        &self,
        key: &'static str,
        remedy: &str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        #[cfg(test)]
        if self.exists() {
            self.document.learned.borrow_mut().needed(&self.path, key);
        }
        let item = self.item(key);
        if item.is_none() {
            let path = self.path.key(key);
            let example = keys::example(&path.normal);
            self.document.fault_with(self.offset, &path.shown, &format!("is missing; {remedy}"), example);
        }
        read(&item?)
    }

    pub(in crate::config) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.read(key, default, |item| {
            item.duration(Duration::from_millis(1)..=Duration::from_secs(86_400 * 30))
        })
    }

    /// All tables in an array of tables, and whether there is any.
    pub(in crate::config) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.item(key).and_then(|item| item.array());
        items.unwrap_or_default().iter().filter_map(Item::section).collect()
    }

    /// Keys that are names: each with its item.
    pub(in crate::config) fn entries(&self) -> Vec<(String, Item<'a>)> {
        #[cfg(test)]
        self.document.learned.borrow_mut().names_its_keys(&self.path.normal);
        let table = self.table.into_iter().flat_map(|table| table.iter());
        let entry = |(name, value): (&Spanned<DeString<'a>>, _)| {
            let name = name.get_ref().to_string();
            let item = Item::new(self.document, self.path.entry(&name), value);
            (name, item)
        };
        let mut entries: Vec<_> = table.map(entry).collect();
        entries.sort_by_key(|(_, item)| item.offset());
        entries
    }

    pub(in crate::config) fn fault(&self, detail: &str) {
        self.document.fault_at(self.offset, &self.path.shown, detail);
    }

    /// Refuses every key that was not asked for.
    pub(in crate::config) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let near = known
                .iter()
                .filter(|k| distance(k, name) <= 2 + name.len() / 8)
                .min_by_key(|k| distance(k, name));
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.document.fault_at(
                key.span().start,
                &self.path.key(name).shown,
                &format!("unknown key; {hint}"),
            );
        }
    }
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
