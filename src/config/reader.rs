//! A typed reader over a TOML table that knows where everything stands.

use super::fault::{Fault, Faults};
use super::units;
use crate::core::duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of so many characters is looked for in every message, not only in those about its own place.
const TELLING: usize = 6;

/// The file being read, and what has been found wrong with it.
pub(super) struct Document<'a> {
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    base: &'a Path,
    /// With the offset, to sort them by.
    faults: RefCell<Vec<(usize, Fault)>>,
    /// The same for what stops nothing.
    warnings: RefCell<Vec<(usize, Fault)>>,
    /// Variables of the environment that were filled in: their values stand in no message.
    filled: RefCell<BTreeMap<String, String>>,
    /// The path of every key that was asked for.
    #[cfg(test)]
    pub(super) asked: RefCell<Vec<String>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>, base: &'a Path) -> Self {
        let (faults, warnings, filled) = Default::default();
        Document {
            text,
            env,
            base,
            faults,
            warnings,
            filled,
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    pub(super) fn fault_at(&self, offset: usize, path: &str, detail: &str) {
        self.faults.borrow_mut().push((offset, self.placed(offset, path, detail)));
    }

    fn placed(&self, offset: usize, path: &str, detail: &str) -> Fault {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let filled = self.filled.borrow();
        let telling = filled.iter().filter(|(_, value)| value.len() >= TELLING);
        let detail = units::without_values(detail, telling);
        Fault { path: path.to_owned(), line, column, detail }
    }

    /// The warnings in the order of the file, as they are shown.
    pub(super) fn warnings(&self, file: &str) -> Vec<String> {
        let mut warnings = self.warnings.borrow().clone();
        warnings.sort_by_key(|(offset, _)| *offset);
        let one = |fault| Faults { file: file.to_owned(), faults: vec![fault] }.to_string();
        warnings.into_iter().map(|(_, fault)| one(fault)).collect()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    pub(super) fn into_faults(self, file: &str) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(offset, _)| *offset);
        Faults { file: file.to_owned(), faults: faults.into_iter().map(|(_, fault)| fault).collect() }
    }
}

/// A table, and which of its keys have been asked for.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    path: String,
    offset: usize,
    /// `None` where the file has no such table: everything in it has its default.
    table: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Section { document, path: String::new(), offset: 0, table: Some(table), known: RefCell::default() }
    }

    /// Where relative file names start.
    pub(super) fn base(&self) -> &'a Path {
        self.document.base
    }

    pub(super) fn exists(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn item(&self, key: &'static str) -> Option<Item<'a>> {
        #[cfg(test)]
        self.document.asked.borrow_mut().push(self.path_to(key));
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Item { document: self.document, path: self.path_to(key), value })
    }

    /// The table under a key; one without a table behind it where the file has none.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        self.item(key).and_then(|item| item.section()).unwrap_or(Section {
            document: self.document,
            path: self.path_to(key),
            offset: self.offset,
            table: None,
            known: RefCell::default(),
        })
    }

    /// The value under a key, or the default where it is absent or faulty.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> T {
        self.item(key).and_then(|item| read(&item)).unwrap_or(default)
    }

    /// The value under a key that must be there.
    pub(super) fn need<T>(
        &self,
        key: &'static str,
        remedy: &str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        let item = self.item(key);
        if item.is_none() {
            self.document.fault_at(self.offset, &self.path_to(key), &format!("is missing; {remedy}"));
        }
        read(&item?)
    }

    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.read(key, default, |item| {
            item.duration(Duration::from_millis(1)..=Duration::from_secs(86_400 * 30))
        })
    }

    /// All tables in an array of tables, and whether there is any.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.item(key).and_then(|item| item.array());
        items.unwrap_or_default().iter().filter_map(Item::section).collect()
    }

    /// Keys that are names: each with its item.
    pub(super) fn entries(&self) -> Vec<(String, Item<'a>)> {
        let table = self.table.into_iter().flat_map(|table| table.iter());
        let mut entries: Vec<_> = table
            .map(|(name, value)| {
                let name = name.get_ref().to_string();
                let item = Item { document: self.document, path: self.path_to(&name), value };
                (name, item)
            })
            .collect();
        entries.sort_by_key(|(_, item)| item.offset());
        entries
    }

    pub(super) fn fault(&self, detail: &str) {
        self.document.fault_at(self.offset, &self.path, detail);
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(&self) {
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
            self.document.fault_at(key.span().start, &self.path_to(name), &format!("unknown key; {hint}"));
        }
    }
}

/// A value, with its place.
#[derive(Clone)]
pub(super) struct Item<'a> {
    document: &'a Document<'a>,
    pub path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub(super) fn fault(&self, detail: &str) {
        // Its own variables stand in its messages by their names, however short their values are.
        let own = self.variables();
        let detail = units::without_values(detail, own.iter().map(|(name, value)| (name, value)));
        self.document.fault_at(self.offset(), &self.path, &detail);
    }

    /// Something that is allowed and hardly meant.
    pub(super) fn warn(&self, detail: &str) {
        let fault = self.document.placed(self.offset(), &self.path, detail);
        self.document.warnings.borrow_mut().push((self.offset(), fault));
    }

    fn variables(&self) -> Vec<(String, String)> {
        let text = self.value.get_ref().as_str().unwrap_or_default();
        units::variables(text)
            .filter_map(|name| Some((name.to_owned(), (self.document.env)(name)?)))
            .collect()
    }

    /// A text that has been read already, again: nothing is said of it.
    pub(super) fn quiet(&self) -> Option<String> {
        units::with_variables(self.value.get_ref().as_str()?, self.document.env).ok()
    }

    /// A table, if it is one; nothing is said where it is not.
    pub(super) fn table(&self) -> Option<Section<'a>> {
        self.value.get_ref().as_table().and_then(|_| self.section())
    }

    pub(super) fn base(&self) -> &'a Path {
        self.document.base
    }

    pub(super) fn offset(&self) -> usize {
        self.value.span().start
    }

    fn mismatch<T>(&self, expected: &str) -> Option<T> {
        self.fault(&format!("is {} where {expected} is expected", article(self.value.get_ref().type_str())));
        None
    }

    /// What `check` makes of a text, or its complaint as a fault.
    pub(super) fn parsed<T>(&self, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        check(&self.string()?).map_err(|detail| self.fault(&detail)).ok()
    }

    /// A text, with `${VARIABLES}` filled in; `$$` is a dollar sign.
    pub(super) fn string(&self) -> Option<String> {
        let Some(text) = self.value.get_ref().as_str() else { return self.mismatch("a string") };
        self.document.filled.borrow_mut().extend(self.variables());
        units::with_variables(text, self.document.env).map_err(|detail| self.fault(&detail)).ok()
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.get_ref().is_str()
    }

    pub(super) fn is_bool(&self) -> bool {
        self.value.get_ref().is_bool()
    }

    pub(super) fn is_array(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub(super) fn bool(&self) -> Option<bool> {
        self.value.get_ref().as_bool().or_else(|| self.mismatch("true or false"))
    }

    pub(super) fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let number = self.value.get_ref().as_integer().map(|n| i64::from_str_radix(n.as_str(), n.radix()));
        match number {
            Some(Ok(n)) if u64::try_from(n).is_ok_and(|n| range.contains(&n)) => Some(n as u64),
            Some(_) => {
                self.fault(&format!("must be from {} to {}", range.start(), range.end()));
                None
            }
            None => self.mismatch("a whole number"),
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        let value = self.value.get_ref();
        let float = value.as_float().and_then(|f| f.as_str().parse().ok());
        let integer = || value.as_integer().and_then(|n| n.as_str().parse().ok());
        float.or_else(integer).or_else(|| self.mismatch("a number"))
    }

    pub(super) fn duration(&self, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.parsed(duration::parse)?;
        if !range.contains(&value) {
            self.fault(&format!("must be from {:?} to {:?}", range.start(), range.end()));
            return None;
        }
        Some(value)
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.parsed(units::size)
    }

    /// One of several words.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(&format!("\"{text}\" is none of {}", words.join(", ")));
        }
        found
    }

    /// A file name; relative ones start from the configuration's folder.
    pub(super) fn file(&self) -> Option<PathBuf> {
        Some(self.document.base.join(self.string()?))
    }

    pub(super) fn variable(&self) -> Option<String> {
        let name = self.string()?;
        // Who writes the secret itself here finds it in no message.
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            self.fault("is no name of a variable of the environment, such as CI_TOKEN");
            return None;
        }
        let value = (self.document.env)(&name);
        match &value {
            None => self.fault(&format!("the environment has no variable {name}")),
            Some(value) => drop(self.document.filled.borrow_mut().insert(name, value.clone())),
        }
        value
    }

    pub(super) fn array(&self) -> Option<Vec<Item<'a>>> {
        let Some(array) = self.value.get_ref().as_array() else { return self.mismatch("an array") };
        let item =
            |(index, value)| Item { document: self.document, path: format!("{}[{index}]", self.path), value };
        Some(array.iter().enumerate().map(item).collect())
    }

    pub(super) fn section(&self) -> Option<Section<'a>> {
        let Some(table) = self.value.get_ref().as_table() else { return self.mismatch("a table") };
        let (document, path, offset) = (self.document, self.path.clone(), self.offset());
        Some(Section { document, path, offset, table: Some(table), known: RefCell::default() })
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
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
