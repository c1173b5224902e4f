//! All evidence that has been gathered of one candidate.

use super::Policy;
use super::groups::GroupEvaluation;
use super::kind_comparison::KindComparison;
use super::limit_evidence::LimitEvidence;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub policy: Arc<Policy>,
    pub levels: Vec<LimitEvidence>,
    /// Of the kinds of which no limit says how many may be.
    pub comparisons: Vec<KindComparison>,
    pub groups: Option<GroupEvaluation>,
    /// Since when.
    pub began: Duration,
}
