//! Rules: requests that go to a pool for what they say, ahead of the weights.

use super::condition::Condition;
use super::tester::Wanted;

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub to: Wanted,
    /// Whether a pool without a ready upstream is an error, and not a reason to go by the weights.
    pub strict: bool,
    pub when: Condition,
}
