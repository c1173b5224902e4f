//! A typed reader over a TOML table that knows where everything stands.
//!
//! Every value is read by a getter that names its kind and range. Under test each getter notes them down, which the
//! schema and the reference are made of.

mod digest;
mod item;
#[cfg(test)]
pub(super) mod learned;
mod place;
mod section;
mod value;

pub(super) use item::Item;
pub(super) use section::Section;

use super::fault::{Fault, Faults};
use super::units;
use crate::core::settings::Remark;
use crate::core::variable::Variable;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

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
    /// What texts may refer to beside what is built in.
    names: RefCell<BTreeMap<String, Variable>>,
    /// Variables of the environment that were filled in: their values stand in no message.
    filled: RefCell<BTreeMap<String, String>>,
    /// Digests of what values lead to, by their paths: texts of files, and of variables of the environment.
    behind: RefCell<BTreeMap<String, [u8; 32]>>,
    /// What its reading has shown of the keys that there are.
    #[cfg(test)]
    pub(super) learned: RefCell<learned::Learned>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>, base: &'a Path) -> Self {
        let (faults, warnings, names, filled, behind) = Default::default();
        Document {
            text,
            env,
            base,
            faults,
            warnings,
            names,
            filled,
            behind,
            #[cfg(test)]
            learned: RefCell::default(),
        }
    }

    pub(super) fn fault_at(&self, offset: usize, path: &str, detail: &str) {
        self.fault_with(offset, path, detail, None);
    }

    /// With how the key is written, which the message ends with unless it says so already.
    fn fault_with(&self, offset: usize, path: &str, detail: &str, example: Option<String>) {
        let says_how = ["write ", "write: ", "for example ", "add "].iter().any(|word| detail.contains(word));
        let detail = match &example {
            Some(example) if !says_how => format!("{detail}; write: {example}"),
            _ => detail.to_owned(),
        };
        let fault = Fault { example, ..self.placed(offset, path, &detail) };
        self.faults.borrow_mut().push((offset, fault));
    }

    fn placed(&self, offset: usize, path: &str, detail: &str) -> Fault {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let filled = self.filled.borrow();
        let telling = filled.iter().filter(|(_, value)| value.len() >= TELLING);
        let detail = units::without_values(detail, telling);
        Fault { path: path.to_owned(), line, column, detail, example: None }
    }

    /// The warnings in the order of the file, as they are shown.
    pub(super) fn warnings(&self, file: &str) -> Vec<Remark> {
        let mut warnings = self.warnings.borrow().clone();
        warnings.sort_by_key(|(offset, _)| *offset);
        let remark = |(_, Fault { path, line, column, detail, .. })| {
            let file = file.to_owned();
            Remark { file, path, line, column, detail }
        };
        warnings.into_iter().map(remark).collect()
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
