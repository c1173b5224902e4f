//! Variables that hang on a file, as in the usual switch for maintenance: `set $down 0; if (-f …) { set $down 1; }`.
//!
//! A look-up cannot ask for files, so the conditions are kept beside the texts, and an `if` on the variable is
//! one on them.

use super::conditions::{ConditionTest, RouteCondition};
use crate::core::pattern::Pattern;

/// A fixed text by conditions, the first that holds deciding.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub cases: Vec<(RouteCondition, String)>,
    pub default: String,
}

impl Decision {
    /// What must hold for the variable to be as asked: one of the lists, whole.
    pub(super) fn alternatives(&self, test: &ConditionTest, is_not: bool) -> Vec<Vec<RouteCondition>> {
        let fits = |text: &str| holds(test, text) != is_not;
        let mut found = Vec::new();
        let mut passed = Vec::new();
        for (condition, text) in &self.cases {
            if fits(text) {
                found.push([passed.clone(), vec![condition.clone()]].concat());
            }
            passed.extend(condition.contrary());
        }
        if fits(&self.default) {
            found.push(passed);
        }
        found
    }
}

fn holds(test: &ConditionTest, text: &str) -> bool {
    match test {
        ConditionTest::Any => !matches!(text, "" | "0"),
        ConditionTest::Equals(other) => text == other,
        ConditionTest::Matches(pattern) => {
            Pattern::new(pattern, false).is_ok_and(|pattern| pattern.is_match(text.as_bytes()))
        }
    }
}

impl RouteCondition {
    /// What holds where this does not; `None` where that is none.
    pub(super) fn contrary(&self) -> Option<RouteCondition> {
        match self.clone() {
            RouteCondition::Methods(_) => None,
            RouteCondition::Value { of, test, is_not } => {
                Some(RouteCondition::Value { of, test, is_not: !is_not })
            }
            RouteCondition::File { path, is_not } => Some(RouteCondition::File { path, is_not: !is_not }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, is_not: bool) -> RouteCondition {
        RouteCondition::File { path: path.to_owned(), is_not }
    }

    #[test]
    fn what_comes_later_decides_first() {
        let cases = vec![(file("office", false), "0".to_owned()), (file("down", false), "1".to_owned())];
        let decision = Decision { cases, default: "0".to_owned() };
        let is_on = decision.alternatives(&ConditionTest::Any, false);
        assert_eq!(is_on, [vec![file("office", true), file("down", false)]]);
        let is_off = decision.alternatives(&ConditionTest::Equals("0".to_owned()), false);
        assert_eq!(is_off, [vec![file("office", false)], vec![file("office", true), file("down", true)]]);
        assert!(decision.alternatives(&ConditionTest::Matches("^2".to_owned()), false).is_empty());
    }
}
