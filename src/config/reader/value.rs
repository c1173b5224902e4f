//! Getters of values: each names the kind and the range that it takes, and refuses all else.

use super::item::Item;
#[cfg(test)]
use super::learned::ValueKind;
use crate::config::units;
use crate::core::duration;
use crate::core::pattern::Pattern;
use crate::core::template::{Template, Vocabulary};
use std::ops::{RangeBounds, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

impl Item<'_> {
    /// What `check` makes of a text, or its complaint as a fault.
    pub(in crate::config) fn parsed<T>(&self, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        #[cfg(test)]
        self.learn(ValueKind::Text);
        self.checked(check)
    }

    fn checked<T>(&self, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        check(&self.text()?).map_err(|detail| self.wrong(&detail)).ok()
    }

    /// A text, with `${VARIABLES}` filled in; `$$` is a dollar sign.
    pub(in crate::config) fn string(&self) -> Option<String> {
        #[cfg(test)]
        self.learn(ValueKind::Text);
        self.text()
    }

    fn text(&self) -> Option<String> {
        let Some(text) = self.value.get_ref().as_str() else { return self.mismatch("a string") };
        self.document.filled.borrow_mut().extend(self.variables());
        units::with_variables(text, self.document.env).map_err(|detail| self.fault(&detail)).ok()
    }

    /// A text with variables of requests, and with an answer's where there is one; it may refer to groups of the
    /// pattern.
    pub(in crate::config) fn template(
        &self,
        has_answer: bool,
        pattern: Option<&Pattern>,
    ) -> Option<Template> {
        self.worded(has_answer, pattern, Template::parse)
    }

    /// What `check` makes of a text that may refer to variables, or its complaint as a fault. `${NAME}` in capitals is a
    /// variable of the environment; what else stands behind a dollar sign is left to `check`.
    pub(in crate::config) fn worded<T>(
        &self,
        has_answer: bool,
        pattern: Option<&Pattern>,
        check: impl FnOnce(&str, &Vocabulary<'_>) -> Result<T, String>,
    ) -> Option<T> {
        #[cfg(test)]
        self.learn(ValueKind::Text);
        let Some(text) = self.value.get_ref().as_str() else { return self.mismatch("a string") };
        self.document.filled.borrow_mut().extend(self.variables());
        let text =
            units::with_environment(text, self.document.env).map_err(|detail| self.fault(&detail)).ok()?;
        let names = self.document.names.borrow();
        let vocabulary = Vocabulary { names: Some(&names), has_answer, pattern };
        check(&text, &vocabulary).map_err(|detail| self.wrong(&detail)).ok()
    }

    pub(in crate::config) fn bool(&self) -> Option<bool> {
        #[cfg(test)]
        self.learn(ValueKind::Bool);
        self.value.get_ref().as_bool().or_else(|| self.mismatch("true or false"))
    }

    pub(in crate::config) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        #[cfg(test)]
        self.learn(ValueKind::Integer { least: *range.start(), most: *range.end() });
        let number = self.value.get_ref().as_integer().map(|n| i64::from_str_radix(n.as_str(), n.radix()));
        match number {
            Some(Ok(n)) if u64::try_from(n).is_ok_and(|n| range.contains(&n)) => Some(n as u64),
            Some(_) => {
                self.wrong(&format!("must be from {} to {}", range.start(), range.end()));
                None
            }
            None => self.mismatch("a whole number"),
        }
    }

    /// A number, whole or not; `remedy` says which ones are in the range.
    pub(in crate::config) fn number(&self, range: impl RangeBounds<f64>, remedy: &str) -> Option<f64> {
        #[cfg(test)]
        self.learn(ValueKind::number(&range));
        let value = self.value.get_ref();
        let float = value.as_float().and_then(|f| f.as_str().parse().ok());
        let integer = || value.as_integer().and_then(|n| n.as_str().parse().ok());
        let number: f64 = float.or_else(integer).or_else(|| self.mismatch("a number"))?;
        self.within(number, number.is_finite() && range.contains(&number), remedy)
    }

    pub(in crate::config) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        #[cfg(test)]
        self.learn(ValueKind::Duration { least: *range.start(), most: Some(*range.end()) });
        let value = self.checked(duration::parse)?;
        let (least, most) = (duration::show(*range.start()), duration::show(*range.end()));
        self.within(value, range.contains(&value), &format!("must be from {least} to {most}"))
    }

    /// A duration, however long.
    pub(in crate::config) fn any_duration(&self) -> Option<Duration> {
        #[cfg(test)]
        self.learn(ValueKind::Duration { least: Duration::ZERO, most: None });
        self.checked(duration::parse)
    }

    /// A duration in the range, or `"off"`, which is `off`.
    pub(in crate::config) fn duration_or_off(
        &self,
        range: RangeInclusive<Duration>,
        off: Duration,
    ) -> Option<Duration> {
        #[cfg(test)]
        self.learn(ValueKind::Choice(vec!["off".to_owned()]));
        match self.quiet().as_deref() {
            Some("off") => Some(off),
            _ => self.duration(range),
        }
    }

    /// Bytes.
    pub(in crate::config) fn size(&self) -> Option<u64> {
        #[cfg(test)]
        self.learn(ValueKind::Size { least: 0, most: None });
        self.checked(units::size)
    }

    /// Bytes; `remedy` says how many there may be.
    pub(in crate::config) fn size_within(&self, range: RangeInclusive<u64>, remedy: &str) -> Option<u64> {
        #[cfg(test)]
        self.learn(ValueKind::Size {
            least: *range.start(),
            most: Some(*range.end()).filter(|most| *most < u64::MAX),
        });
        let size = self.checked(units::size)?;
        self.within(size, range.contains(&size), remedy)
    }

    /// A percentage, as a share of 1; `remedy` says which ones are in the range.
    pub(in crate::config) fn share(&self, range: impl RangeBounds<f64>, remedy: &str) -> Option<f64> {
        #[cfg(test)]
        self.learn(ValueKind::share(&range));
        let share = self.checked(units::share)?;
        self.within(share, range.contains(&share), remedy)
    }

    fn within<T>(&self, value: T, fits: bool, remedy: &str) -> Option<T> {
        if !fits {
            self.wrong(remedy);
        }
        fits.then_some(value)
    }

    /// One of several words.
    pub(in crate::config) fn choice<T: Clone>(&self, choices: &[(impl AsRef<str>, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| word.as_ref());
        #[cfg(test)]
        self.learn(ValueKind::Choice(words().map(str::to_owned).collect()));
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| word.as_ref() == text).map(|(_, value)| value.clone());
        if found.is_none() {
            self.wrong(&format!("\"{text}\" is none of {}", words().collect::<Vec<_>>().join(", ")));
        }
        found
    }

    /// A file name; relative ones start from the configuration's folder.
    pub(in crate::config) fn file(&self) -> Option<PathBuf> {
        #[cfg(test)]
        self.learn(ValueKind::File);
        Some(self.document.base.join(self.text()?))
    }

    /// The value of a variable of the environment.
    pub(in crate::config) fn variable(&self) -> Option<String> {
        #[cfg(test)]
        self.learn(ValueKind::Variable);
        let name = self.text()?;
        // Who writes the secret itself here finds it in no message.
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            self.fault("is no name of a variable of the environment, such as CI_TOKEN");
            return None;
        }
        let value = (self.document.env)(&name);
        match &value {
            None => self.fault(&format!("the environment has no variable {name}")),
            Some(value) => {
                self.leads_to(value.as_bytes());
                self.document.filled.borrow_mut().insert(name, value.clone());
            }
        }
        value
    }
}
