//! A place whose service or folder hangs on a variable with a few values → a route for each of them.

use super::Import;
use super::bindings::BoundText;
use super::branches::Branch;
use super::conditions::{ConditionTest, RouteCondition};
use super::locations::Kind;
use super::spot::Spot;
use super::values::{Piece, pieces};

/// Most routes that a place becomes.
const MOST_CASES: usize = 16;

impl<'a> Import<'a> {
    /// The branch itself, where nothing hangs on a variable or there is no telling which values it has.
    pub(super) fn cases(&mut self, branch: Branch<'a>) -> Vec<Branch<'a>> {
        let mut cases = vec![branch];
        // Each turn settles one variable.
        while cases.len() < MOST_CASES {
            let split: Vec<Vec<Branch<'a>>> = cases.iter().map(|case| self.split(case)).collect();
            if split.iter().all(|parts| parts.len() == 1) {
                break;
            }
            cases = split.into_iter().flatten().collect();
        }
        cases
    }

    fn split(&mut self, branch: &Branch<'a>) -> Vec<Branch<'a>> {
        let same = || vec![branch.clone()];
        let rewrites = branch.spot.phase().iter().any(|line| line.name == "rewrite");
        if matches!(branch.spot.kind, Kind::Named) {
            return same();
        }
        self.bindings.clone_from(&branch.bindings);
        let Some((name, bound)) = self.open(&branch.spot) else { return same() };
        let values = bound.domain().unwrap_or_default();
        if values.len() > MOST_CASES || rewrites && self.speaks_of_path(bound.braced()) {
            return same();
        }
        let case = |(index, value): (usize, &String)| {
            let Branch { mut spot, mut bindings } = branch.clone();
            bindings.set(&name, Some(BoundText::fixed(value)));
            if index + 1 < values.len() {
                let test = ConditionTest::Equals(value.clone());
                spot.when.push(RouteCondition::Value { of: bound.shown(), test, is_not: false });
            }
            Branch { spot, bindings }
        };
        values.iter().enumerate().map(case).collect()
    }

    /// The first variable that a service or a folder hangs on, where it is one of some values.
    fn open(&self, spot: &Spot<'a>) -> Option<(String, BoundText)> {
        let pass = spot.scope.handler("proxy_pass").or_else(|| spot.scope.handler("grpc_pass"));
        let answer = spot.phase().into_iter().find(|line| line.name == "return");
        let text = match (answer, pass) {
            // What may not be said by a variable is said by its values.
            (Some(answer), _) if answer.arg(0).starts_with('3') && self.place(answer.arg(1)).is_err() => {
                answer.arg(1)
            }
            (Some(_), _) => return None,
            (None, Some(pass)) => authority(pass.arg(0)),
            (None, None) => spot.scope.handler("alias").or(spot.scope.last("root"))?.arg(0),
        };
        let variables = pieces(text).into_iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.to_owned()),
            Piece::Text(_) => None,
        });
        variables
            .filter_map(|name| self.resolved(&name).map(|bound| (name, bound)))
            .find(|(_, bound)| bound.domain().is_some_and(|values| values.len() > 1))
    }
}

/// What a `proxy_pass` says before the path.
fn authority(target: &str) -> &str {
    let begin = target.find("://").map_or(0, |at| at + 3);
    let end = target.get(begin..).and_then(|rest| rest.find('/')).map_or(target.len(), |at| begin + at);
    target.get(..end).unwrap_or(target)
}
