//! What `set` makes of a variable: a text, or under a condition a look-up, or a decision by files.

use super::Import;
use super::bindings::BoundText;
use super::conditions::{ConditionTest, RouteCondition};
use super::decisions::Decision;
use super::site::LookupBlock;
use super::tree::Directive;

impl<'a> Import<'a> {
    /// What `set` gives a variable, where that is known.
    pub(super) fn set(&mut self, line: &'a Directive) {
        let value = self.text(line.arg(1));
        match &value {
            Ok(_) => self.ledger.carried(line),
            Err(name) => self.ledger.missing(
                line,
                &format!("{name} is not known here; what asks for it says so where it stands"),
            ),
        }
        self.bindings.set(bare(line.arg(0)), value.ok());
    }

    /// A variable behind a condition that gives it a value.
    pub(super) fn set_under(&mut self, asked: &[Vec<RouteCondition>], name: &str, value: Option<BoundText>) {
        let one = match asked {
            [only] => match only.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            // It never holds.
            [] => return,
            _ => None,
        };
        let decision = one.zip(value.as_ref()).and_then(|(one, value)| self.decided(one, name, value));
        if let Some(decision) = decision {
            return self.bindings.decide(name, decision);
        }
        let joined = one.zip(value).and_then(|(one, value)| self.under(one, name, value));
        self.bindings.set(name, joined);
    }

    /// The same for one that hangs on files, from now on or already.
    fn decided(&self, asked: &RouteCondition, name: &str, value: &BoundText) -> Option<Decision> {
        let value = value.only()?.to_owned();
        let known = self.bindings.decision(name).cloned();
        let is_of_file = matches!(asked, RouteCondition::File { .. });
        let mut decision = match known {
            Some(known) => known,
            None if !is_of_file => return None,
            None => {
                let prior = self.resolved(name);
                let prior = prior.or_else(|| (!self.bindings.is_set(name)).then(|| BoundText::fixed("")));
                Decision { cases: Vec::new(), default: prior?.only()?.to_owned() }
            }
        };
        decision.cases.insert(0, (asked.clone(), value));
        Some(decision)
    }

    /// What a variable is behind a condition that gives it a value.
    fn under(&self, asked: &RouteCondition, name: &str, value: BoundText) -> Option<BoundText> {
        let RouteCondition::Value { of, test, is_not } = asked else { return None };
        let prior = match self.resolved(name) {
            Some(prior) => prior,
            None if self.bindings.is_set(name) => return None,
            None => BoundText::fixed(""),
        };
        let (found, other) = if *is_not { (&prior, &value) } else { (&value, &prior) };
        let found = found.shown();
        // Keys of look-ups go by any case, and conditions do not.
        let keys = match test {
            ConditionTest::Any => return self.under_any(of, name, (&value, &prior), *is_not),
            ConditionTest::Equals(text) if text.is_empty() => vec![String::new()],
            ConditionTest::Equals(text) => vec![format!("~^{}$", regex::escape(text))],
            ConditionTest::Matches(pattern) => vec![format!("~{pattern}")],
        };
        let values = keys.into_iter().map(|key| (key, found.clone())).collect();
        Some(self.joined(of, name, values, other.shown(), (&value, &prior)))
    }

    fn under_any(
        &self,
        of: &str,
        name: &str,
        (value, prior): (&BoundText, &BoundText),
        is_not: bool,
    ) -> Option<BoundText> {
        let (holds, fails) = if is_not { (prior, value) } else { (value, prior) };
        let values = ["", "0"].map(|key| (key.to_owned(), fails.shown())).to_vec();
        Some(self.joined(of, name, values, holds.shown(), (value, prior)))
    }

    fn joined(
        &self,
        of: &str,
        name: &str,
        values: Vec<(String, String)>,
        default: String,
        (value, prior): (&BoundText, &BoundText),
    ) -> BoundText {
        let domain = value.domain().zip(prior.domain()).map(|(one, other)| [one, other].concat());
        let block = LookupBlock {
            from: self.place.clone(),
            name: name.to_owned(),
            of: of.to_owned(),
            values,
            default,
        };
        self.lookups.add(block, domain)
    }
}

/// The name of a variable.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix('$').unwrap_or(name)
}
