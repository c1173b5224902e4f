//! A value of the file, with its place.

use super::Document;
#[cfg(test)]
use super::learned::ValueKind;
use super::place::KeyPath;
use super::section::Section;
use crate::config::{keys, units};
use sha2::{Digest, Sha256};
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// A value, with its place.
#[derive(Clone)]
pub(in crate::config) struct Item<'a> {
    pub(super) document: &'a Document<'a>,
    path: KeyPath,
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub(super) fn new(
        document: &'a Document<'a>,
        path: KeyPath,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Item<'a> {
        Item { document, path, value }
    }

    /// What is wrong with the value beside others, or with what it names.
    pub(in crate::config) fn fault(&self, detail: &str) {
        self.placed_fault(detail, None);
    }

    /// A value that is wrong by itself: the message ends with how the key is written.
    pub(in crate::config) fn wrong(&self, detail: &str) {
        self.placed_fault(detail, keys::example(&self.path.normal));
    }

    fn placed_fault(&self, detail: &str, example: Option<String>) {
        // Its own variables stand in its messages by their names, however short their values are.
        let own = self.variables();
        let detail = units::without_values(detail, own.iter().map(|(name, value)| (name, value)));
        self.document.fault_with(self.offset(), &self.path.shown, &detail, example);
    }

    /// Whether it stands at this path, as faults show it.
    pub(in crate::config) fn is_at(&self, path: &str) -> bool {
        self.path.shown == path
    }

    /// Something that is allowed and hardly meant.
    pub(in crate::config) fn warn(&self, detail: &str) {
        let fault = self.document.placed(self.offset(), &self.path.shown, detail);
        self.document.warnings.borrow_mut().push((self.offset(), fault));
    }

    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let text = self.value.get_ref().as_str().unwrap_or_default();
        units::variables(text)
            .filter_map(|name| Some((name.to_owned(), (self.document.env)(name)?)))
            .collect()
    }

    /// A text as it is written, if it is one.
    pub(in crate::config) fn raw(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// A text that has been read already, again: nothing is said of it.
    pub(in crate::config) fn quiet(&self) -> Option<String> {
        units::with_variables(self.value.get_ref().as_str()?, self.document.env).ok()
    }

    /// A table, if it is one; nothing is said where it is not.
    pub(in crate::config) fn table(&self) -> Option<Section<'a>> {
        self.value.get_ref().as_table().and_then(|_| self.section())
    }

    pub(in crate::config) fn base(&self) -> &'a Path {
        self.document.base
    }

    pub(in crate::config) fn offset(&self) -> usize {
        self.value.span().start
    }

    /// Notes the text that the value leads to: it counts for the digest that members of a fleet compare.
    pub(in crate::config) fn leads_to(&self, text: &[u8]) {
        self.document.behind.borrow_mut().insert(self.path.shown.clone(), Sha256::digest(text).into());
    }

    pub(super) fn mismatch<T>(&self, expected: &str) -> Option<T> {
        self.wrong(&format!("is {} where {expected} is expected", article(self.value.get_ref().type_str())));
        None
    }

    pub(in crate::config) fn is_string(&self) -> bool {
        #[cfg(test)]
        self.document.learned.borrow_mut().probed(&self.path.normal, "string");
        self.value.get_ref().is_str()
    }

    pub(in crate::config) fn is_bool(&self) -> bool {
        #[cfg(test)]
        self.document.learned.borrow_mut().probed(&self.path.normal, "boolean");
        self.value.get_ref().is_bool()
    }

    pub(in crate::config) fn is_array(&self) -> bool {
        #[cfg(test)]
        self.document.learned.borrow_mut().probed(&self.path.normal, "array");
        self.value.get_ref().is_array()
    }

    pub(in crate::config) fn array(&self) -> Option<Vec<Item<'a>>> {
        #[cfg(test)]
        self.learn(ValueKind::Array);
        let Some(array) = self.value.get_ref().as_array() else { return self.mismatch("an array") };
        let item = |(index, value)| Item::new(self.document, self.path.element(index), value);
        Some(array.iter().enumerate().map(item).collect())
    }

    pub(in crate::config) fn section(&self) -> Option<Section<'a>> {
        #[cfg(test)]
        self.learn(ValueKind::Table);
        let Some(table) = self.value.get_ref().as_table() else { return self.mismatch("a table") };
        #[cfg(test)]
        self.document.learned.borrow_mut().entered(&self.path);
        Some(Section::new(self.document, self.path.clone(), self.offset(), Some(table)))
    }

    /// Notes which values the key takes.
    #[cfg(test)]
    pub(super) fn learn(&self, kind: ValueKind) {
        self.document.learned.borrow_mut().takes(&self.path.normal, kind);
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
